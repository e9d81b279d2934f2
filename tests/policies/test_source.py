"""Text to values with positions, and everything that is refused on the way."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bundle import Bundle
from policies.diagnostics import MAX_ERRORS, Findings, PolicyError
from policies.nodes import Fields, Items, Leaf, Node, Scalar
from policies.source import MAX_BYTES, MAX_DEPTH, decode, parse
from tests.policies.acme import DOCUMENTS, STUDENT
from tests.policies.damaged import damaged_bytes, load, outside
from tests.policies.strategies import UNTIMED

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
            below = tuple(node.items)
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
    assert (list(root.keys), len(root.keys)) == (["é", "long"], 2)
    assert str(last.place) == "a.yaml:1:12"


SOUND = {path: text.encode() for path, text in DOCUMENTS.items()}


@UNTIMED
@given(damaged=damaged_bytes())
def test_damaged_files_give_a_bundle_or_findings_inside(damaged: tuple[str, bytes]) -> None:
    """However the bytes of a real file are damaged, each finding points at a place in a file."""
    path, data = damaged
    documents = {**SOUND, path: data}
    found = load(documents)
    if not isinstance(found, Bundle):
        assert [each for each in found if outside(each, documents)] == []


def student(data: bytes) -> list[tuple[str, int, int]]:
    """Code and place of what is wrong where a student's file has these bytes."""
    found = load({**SOUND, "students/support-router.yaml": data})
    return (
        []
        if isinstance(found, Bundle)
        else [(each.code, each.place.line, each.place.column) for each in found]
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (STUDENT.encode(), []),
        (STUDENT.encode("utf-8-sig"), []),
        (STUDENT.replace("\n", "\r\n").encode(), []),
        (STUDENT.replace("\n", "\r").encode(), []),
        (STUDENT.encode("utf-16"), [("encoding", 1, 1)]),
        (STUDENT.encode("utf-16-le"), [("encoding", 1, 2)]),
        (STUDENT.encode("utf-32-be"), [("encoding", 1, 1)]),
        (STUDENT.replace("ml@", "m\u00fc@").encode("latin-1"), [("encoding", 3, 9)]),
        (STUDENT.replace("ml@", "ml\0@").encode(), [("encoding", 3, 10)]),
        (STUDENT.replace("ml@", "\ufeffml@").encode(), [("encoding", 3, 8)]),
        (b"", [("kind", 1, 1)]),
    ],
)  # fmt: skip
def test_encodings(data: bytes, expected: list[tuple[str, int, int]]) -> None:
    """UTF-8 is read with or without its mark and with any line ends; all else is refused at its place."""
    assert student(data) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: " + "{b: " * 200_000, "too-deep"),
        ("".join(f"k{n}: {{x: 1.5}}\n" for n in range(60_000)), "too-many"),
        ("".join(f"k{n}: *a\n" for n in range(90_000)), "too-many"),
        ("a: &a [x]\n" + "b: [" + "*a, " * 200_000 + "]", "too-many"),
        ("a: b\n" * 200_000, "too-many"),
        ("a: '" + "b" * 1_000_000 + "\n", "yaml"),
        (STUDENT + "#" * MAX_BYTES, "too-large"),
    ],
)
def test_a_file_of_nothing_but_mistakes_is_not_read_to_its_end(text: str, code: str) -> None:
    """A mebibyte of mistakes gives some hundred findings and a last one that says so."""
    found = student(text.encode())
    assert len(found) <= MAX_ERRORS + 1
    assert code in {each[0] for each in found}
