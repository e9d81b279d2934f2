"""Tests of proxy.yamlfile."""

import contextlib
from string import printable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.yamlfile import FileError, Place, read_document, read_value, text_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("12", 12),
        ("-7", -7),
        ("0x10", 16),
        ("1_000", 1000),
        ("33_554_432", 33554432),
        ("1__0", "1__0"),
        ("1.5", 1.5),
        ("2.", 2.0),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("'1.5'", "1.5"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00Z", "2026-01-01T00:00Z"),
        ("12:30", "12:30"),
    ],
)
def test_scalars_are_yaml_1_2(text: str, value: object) -> None:
    """They follow the YAML 1.2 core schema, so `yes` and `12:30` are text; so are dates, in settings."""
    found = read_document(f"a: {text}", "x.yaml").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_value_has_a_place() -> None:
    """A document says where each of its keys and values starts, and how wide it is."""
    document = read_document("a: 1\nlist:\n  - name: 'two'\n", "x.yaml")
    assert document.value == {"a": 1, "list": [{"name": "two"}]}
    assert document.keys["list", 0, "name"] == Place(line=3, column=5, width=4)
    assert document.values["list", 0, "name"] == Place(line=3, column=11, width=5)
    assert document.values["a",] == Place(line=1, column=4, width=1)


def test_a_value_may_have_any_shape() -> None:
    """The text of an environment variable may be a list, a mapping or a word."""
    assert read_value("[{id: a}, 2]", "INBOND_X") == [{"id": "a"}, 2]
    assert read_value("word", "INBOND_X") == "word"
    assert read_value("", "INBOND_X") == {}


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", "x.yaml:3:1"),
        ("a: &x 1\n", "alias", "x.yaml:1:4"),
        ("a: *x\n", "alias", "x.yaml:1:4"),
        ("a: !env HOME\n", "tag", "x.yaml:1:4"),
        ("<<: {}\n", "merge-key", "x.yaml:1:1"),
        ("? [a]\n: b\n", "yaml", "x.yaml:1:3"),
        ("- a\n", "kind", "x.yaml:1:1"),
        ("a: 1\n---\nb: 2\n", "documents", "x.yaml:2:1"),
        ("a: [1\n", "yaml", "x.yaml:2:1"),
        ("a: \x00", "encoding", "x.yaml:1:4"),
        ("a: " + "9" * 19, "number", "x.yaml:1:4"),
        ("a: " + "[" * 80 + "]" * 80, "too-deep", "x.yaml:1:35"),
        ("a: '" + "x" * 2**20 + "'", "too-large", "x.yaml:1:1"),
    ],
)
def test_what_is_left_out_of_yaml_is_refused(text: str, code: str, where: str) -> None:
    """What is refused in a policy file is refused in settings: the same code, its place and a fix."""
    with pytest.raises(FileError) as caught:
        read_document(text, "x.yaml")
    assert (caught.value.code, caught.value.where) == (code, where)
    assert caught.value.help
    assert "polic" not in f"{caught.value.message} {caught.value.help}"


def test_one_reading_finds_every_fault() -> None:
    """The first error of a file has the others with it."""
    with pytest.raises(FileError) as caught:
        read_document("a: &x 1\nb: !t 2\na: 3\n", "x.yaml")
    found = (caught.value, *caught.value.also)
    assert [each.code for each in found] == ["alias", "tag", "duplicate-key"]


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (b"a: 1\nb: \xff\n", "encoding", "x.yaml:2:4"),
        (b" " * (2**20 + 1), "too-large", "x.yaml:1:1"),
    ],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, code: str, where: str) -> None:
    """What is not UTF-8, and what no settings are as large as, is refused with its place."""
    with pytest.raises(FileError) as caught:
        text_of(data, "x.yaml")
    assert (caught.value.code, caught.value.where) == (code, where)


def test_bytes_are_the_text_they_say() -> None:
    """A file of settings is UTF-8."""
    assert text_of("a: ü\n".encode(), "x.yaml") == "a: ü\n"


def test_an_error_shows_its_line() -> None:
    """The excerpt of an error is the line, with its number and a mark under the place."""
    document = read_document("a: 1\nlong: value\n", "x.yaml")
    error = document.error(document.values["long",], "wrong", fix="mend it", code="bad")
    assert error.excerpt == "  |\n2 | long: value\n  |       ^^^^^"


def test_a_place_past_the_end_has_no_excerpt() -> None:
    """A file that ends too early has no line to show."""
    document = read_document("a: 1", "x.yaml")
    assert document.error(Place(line=9, column=1), "gone", fix="", code="bad").excerpt == ""


def test_depth_does_not_end_the_process() -> None:
    """A file nested a hundred thousand levels deep is refused like any other."""
    with pytest.raises(FileError):
        read_document("- " * 100_000 + "x", "x.yaml")


@given(st.text(alphabet=printable + "äé\u2028\U0001f600\x07", max_size=60))
def test_any_text_gives_a_document_or_an_error(text: str) -> None:
    """Whatever a file says, it is a document or a `FileError`."""
    with contextlib.suppress(FileError):
        assert isinstance(read_document(text, "x.yaml").value, dict)
