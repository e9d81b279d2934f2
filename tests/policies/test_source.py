"""Text to values with positions, and everything that is refused on the way."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.diagnostics import Findings, PolicyError
from policies.source import MAX_BYTES, MAX_DEPTH, Fields, Items, Leaf, Node, Scalar, decode, parse

FILE = "a.yaml"
YAMLISH = st.text(
    st.sampled_from("ab:-?[]{},&*!|>'\"#% \n\t~<0128.é\ufeff\u2028\x85\x00"), max_size=60
)


def read(text: str) -> Fields:
    """The mapping of a sound text."""
    findings = Findings()
    root = parse(FILE, text, findings)
    findings.stop()
    assert root is not None
    return root


def refused(text: str) -> list[tuple[str, int, int]]:
    """Code, line and column of what is wrong with a text."""
    findings = Findings()
    assert parse(FILE, text, findings) is None
    with pytest.raises(PolicyError) as caught:
        findings.stop()
    return [(each.code, each.place.line, each.place.column) for each in caught.value.diagnostics]


def value(written: str) -> Scalar:
    """The value of a plain scalar."""
    leaf = read(f"a: {written}\n").values["a"]
    assert isinstance(leaf, Leaf)
    return leaf.value


def every(node: Node) -> list[Node]:
    """A node and all below it."""
    match node:
        case Items():
            below = node.items
        case Fields():
            below = tuple(node.values.values())
        case _:
            below = ()
    return [node, *(each for item in below for each in every(item))]


@given(data=st.one_of(st.binary(max_size=60), YAMLISH.map(str.encode)))
def test_any_bytes_give_a_mapping_or_a_finding_inside_the_file(data: bytes) -> None:
    """Whatever the bytes, there is a mapping or a finding, and every position is in the text."""
    findings = Findings()
    text = decode(FILE, data, findings)
    root = None if text is None else parse(FILE, text, findings)
    assert (root is None) == (findings.count > 0)
    spans = [node.span for node in every(root)] if root else []
    try:
        findings.stop()
    except PolicyError as error:
        spans += [each.span for each in error.diagnostics]
    for span in spans:
        assert span.line >= 1
        assert 1 <= span.column <= len(span.text) + 1
        assert span.width >= 1


@given(text=st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Text that no file could hold, such as half a surrogate pair, is refused as well."""
    findings = Findings()
    assert (parse(FILE, f"a: {text}", findings) is None) == (findings.count > 0)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("NO", "NO"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("007", 7),
        ("1_000", 1000),
        ("0x1f", 31),
        ("0o17", 15),
        ("1_", "1_"),
        ("1.2.3", "1.2.3"),
        ("3.3(e)", "3.3(e)"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T10:00:00+02:00", datetime(2026, 11, 24, 8, tzinfo=UTC)),
        ("'2026-11-24'", "2026-11-24"),
        ("|\n  no\n", "no\n"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(written: str, expected: Scalar) -> None:
    """Plain scalars are words, numbers, dates, truth or nothing; quoted ones are text."""
    assert value(written) == expected
    assert type(value(written)) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 2026-13-01", ("date", 1, 4)),
        ("a: 2026-1-1", ("date", 1, 4)),
        ("a: 2026-01-01T99:00Z", ("date", 1, 4)),
        ("a: 2026-01-01T10:00", ("date", 1, 4)),
        ("a: 0001-01-01T00:00:00+10:00", ("date", 1, 4)),
        ("a: 1.5", ("number", 1, 4)),
        ("a: .inf", ("number", 1, 4)),
        ("a: 9007199254740992", ("number", 1, 4)),
        ("a: " + "9" * 5000, ("number", 1, 4)),
        ("a: &x 1", ("alias", 1, 4)),
        ("a: [&x 1]", ("alias", 1, 5)),
        ("a: *x", ("alias", 1, 4)),
        ("a: !t 1", ("tag", 1, 4)),
        ("a: !!map {}", ("tag", 1, 4)),
        ("<<: {}", ("merge-key", 1, 1)),
        ("a: 1\na: 2", ("duplicate-key", 2, 1)),
        ("a: 1\n---\nb: 2", ("documents", 2, 1)),
        ("%YAML 1.1\n---\na: 1", ("yaml", 1, 1)),
        ("a: [1", ("yaml", 1, 6)),
        ("a: b: c", ("yaml", 1, 5)),
        ("? [x]\n: 1", ("yaml", 1, 3)),
        ("? *x\n: 1", ("alias", 1, 3)),
        ("a: \x00", ("encoding", 1, 4)),
        ("a: 1\nb: \ud800", ("encoding", 2, 4)),
        ("", ("kind", 1, 1)),
        ("# nothing\n", ("kind", 1, 1)),
        ("- a\n", ("kind", 1, 1)),
        ("word", ("kind", 1, 1)),
    ],
)
def test_what_hides_meaning_is_refused_at_its_place(
    text: str, expected: tuple[str, int, int]
) -> None:
    """Aliases, tags, merge keys, second documents, bad dates and the like have code and place."""
    assert refused(text)[0] == expected


def test_quoted_merge_key_is_a_key() -> None:
    """What is in quotes is text, also as a key."""
    assert list(read("'<<': 1").values) == ["<<"]


def test_nesting_is_bounded_without_recursion() -> None:
    """A hundred thousand brackets are refused like one too many, and the last allowed one is not."""
    assert read("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    assert refused("a: " + "[" * 100_000)[0][0] == "too-deep"
    assert refused("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH)[0][0] == "too-deep"


def test_size_is_bounded() -> None:
    """A file over the limit is refused as bytes and as text."""
    findings = Findings()
    assert decode(FILE, b"a" * (MAX_BYTES + 1), findings) is None
    assert findings.count == 1
    assert refused("a: " + "é" * (MAX_BYTES // 2))[0] == ("too-large", 1, 1)


def test_bytes_that_are_not_utf8_are_shown() -> None:
    """The finding names the line and column of the first bad byte."""
    findings = Findings()
    assert decode(FILE, b"a: 1\nb: \xff", findings) is None
    with pytest.raises(PolicyError) as caught:
        findings.stop()
    assert (caught.value.diagnostics[0].place.line, caught.value.diagnostics[0].place.column) == (
        2,
        4,
    )
    assert decode(FILE, "é".encode(), findings) == "é"


def test_every_value_knows_its_place() -> None:
    """Keys, scalars, lists and mappings remember line, column and width, in characters."""
    root = read("\ufeffé: {b: [x, 'yz']}\nlong: |\n  text\n  more\n")
    inner = root.values["é"]
    assert isinstance(inner, Fields)
    items = inner.values["b"]
    assert isinstance(items, Items)
    last = items.items[1].span
    assert (last.line, last.column, last.width, last.text) == (1, 12, 4, "é: {b: [x, 'yz']}")
    assert (inner.keys["b"].column, items.span.column, items.span.width) == (5, 8, 1)
    assert (root.keys["long"].line, root.values["long"].span.column) == (2, 7)
    assert str(last.place) == "a.yaml:1:12"
