"""Canonical JSON: RFC 8785 bytes for plain values, and nothing else gets in or out."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import CanonicalError
from proxy.ledger.canonical import MAX_DEPTH, MAX_INT, Json, canonical, parse_canonical

ASCII = st.text(st.characters(max_codepoint=127), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(ASCII, part, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(ASCII, VALUES, max_size=5)


@given(value=VALUES)
def test_bytes_are_those_of_rfc_8785(value: Json) -> None:
    """For every plain value the bytes equal those of an independent RFC 8785 encoder."""
    assert canonical(value) == rfc8785.dumps(value)


@given(value=OBJECTS)
def test_objects_round_trip(value: dict[str, Json]) -> None:
    """What an object's bytes hold is that object."""
    assert parse_canonical(canonical(value)) == value


@given(value=OBJECTS)
def test_key_order_does_not_matter(value: dict[str, Json]) -> None:
    """Two objects that differ in the order of their keys have the same bytes."""
    assert canonical(dict(reversed(value.items()))) == canonical(value)


def test_tuples_count_as_lists() -> None:
    """A tuple has the bytes of the list with the same parts."""
    assert canonical({"a": (1, ("b",))}) == canonical({"a": [1, ["b"]]})


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [0, 1.5]}, "/a/1"),
        ({"a": {"b": float("nan")}}, "/a/b"),
        ({"a": 2**53}, "/a"),
        ({"a": -(2**53)}, "/a"),
        ({"a": ["x", "\ud800"]}, "/a/1"),
        ({"a": {"é": 1}}, "/a"),
        ({"a": {1: 1}}, "/a"),
        ({"a": b"bytes"}, "/a"),
        (1.0, ""),
    ],
)
def test_the_path_to_a_value_without_a_form_is_named(value: object, where: str) -> None:
    """A value that has no canonical form is refused, and `where` is the path to it."""
    with pytest.raises(CanonicalError) as caught:
        canonical(value)
    assert caught.value.where == where
    assert caught.value.help


@given(
    odd=st.sampled_from([1.0, 2**53, b"", "\ud800", {"é": 1}, {"é\ud800": 1}, {1: 1}, object()]),
    value=VALUES,
    name=ASCII,
    is_first=st.booleans(),
)
def test_nothing_hides_what_has_no_form(
    odd: object, value: Json, name: str, *, is_first: bool
) -> None:
    """One part without a canonical form is enough, beside whatever plain parts it stands."""
    parts = [odd, value] if is_first else [value, odd]
    for whole in (parts, {name: parts}, {name: {name: odd}, f"{name}.": value}):
        with pytest.raises(CanonicalError):
            canonical(whole)


def test_nesting_is_bounded() -> None:
    """Values may nest `MAX_DEPTH` deep and no deeper."""
    value: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert canonical(value) == b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    with pytest.raises(CanonicalError, match="nest deeper"):
        canonical([value])


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b'{"a":1,"a":1}', "key `a` stands twice"),
        (b'{"a":NaN}', "not a plain value"),
        (b'{"a":1.0}', "not a plain value"),
        (b'{"a":9007199254740992}', "a whole number is not below"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a": 1}', "canonical form"),
        (b'{"b":1,"a":1}', "canonical form"),
        (b'{"a":"\\u0041"}', "canonical form"),
        (b'{"a":-0}', "canonical form"),
        (b'{"a":1}\n', "canonical form"),
        (b'\xef\xbb\xbf{"a":1}', "not JSON"),
    ],
)
def test_other_bytes_are_refused(leaf: bytes, message: str) -> None:
    """Bytes that are not the canonical bytes of an object are refused with what is wrong."""
    with pytest.raises(CanonicalError, match=message):
        parse_canonical(leaf)


@given(value=OBJECTS, indent=st.sampled_from([None, 1]))
def test_one_object_has_one_spelling(value: dict[str, Json], indent: int | None) -> None:
    """Any other JSON spelling of an object than its canonical bytes is refused."""
    other = json.dumps(value, indent=indent).encode()
    if other == canonical(value):
        assert parse_canonical(other) == value
    else:
        with pytest.raises(CanonicalError):
            parse_canonical(other)
