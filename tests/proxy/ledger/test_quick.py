"""What is read quickly is what the careful readers say, of whatever bytes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import BundleError, LedgerError
from proxy.ledger.bundle import entry_line, read_entry
from proxy.ledger.canonical import canonical, parse_canonical
from proxy.ledger.leaf import read_leaf
from proxy.ledger.quick import quick_bytes, quick_leaf, quick_object
from proxy.ledger.stretch import quick_entry
from tests.proxy.ledger.sample import audit_case, dataset_case

ENTRIES = [*audit_case().contents.entries, *dataset_case().contents.entries]
PIECES = ['"', "\\", "{", "}", "[", ",", ":", " ", "\t", "0", "-0", "1.5", "9007199254740992", "é",
          "\\u00e9", "null", "true", '"v":1', '"id":"x",', "NaN", "\ud800"]  # fmt: skip


def with_number(number: object) -> bytes:
    """The first leaf of the sample with a field of this number, which a careful reader may refuse."""
    fields = json.loads(ENTRIES[0].leaf) | {"zz": number}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def outcome(work: Callable[[], Any]) -> object:
    """What a reader gives, or what it says is wrong."""
    try:
        return work()
    except (BundleError, LedgerError) as error:
        return type(error), error.message, error.code, error.where


@st.composite
def damaged(draw: st.DrawFn, texts: list[str]) -> bytes:
    """A text with something in it replaced."""
    text = draw(st.sampled_from(texts))
    at = draw(st.integers(0, len(text)))
    cut = draw(st.integers(0, 6))
    piece = draw(st.sampled_from(PIECES))
    return (text[:at] + piece + text[at + cut :]).encode(errors="surrogatepass")


@given(damaged([item.leaf.decode() for item in ENTRIES]))
@example(b"\xff")
@example(with_number(2**53 - 1))
@example(with_number(2**53))
@example(with_number(-(2**53)))
@example(with_number(1.5))
@example(b"[" * 100_000)
@example(canonical({"v": 1}))
@example(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}")
def test_a_leaf_is_read_as_the_careful_reader_reads_it(data: bytes) -> None:
    """The same leaf or the same error, whatever was changed in the bytes."""
    assert outcome(lambda: quick_leaf(7, data)) == outcome(lambda: read_leaf(7, data))
    assert outcome(lambda: quick_object(data)) == outcome(lambda: parse_canonical(data))


@given(damaged([entry_line(item).decode().rstrip("\n") for item in ENTRIES]))
def test_a_line_is_read_as_the_careful_reader_reads_it(line: bytes) -> None:
    """The same entry or the same error; what only the quick reader takes is no leaf."""
    quick, careful = outcome(lambda: quick_entry(line, "x")), outcome(lambda: read_entry(line, "x"))
    if isinstance(quick, tuple) and quick != careful and isinstance(quick[0], int):
        seq, leaf = quick
        is_same = getattr(careful, "seq", None) == seq and getattr(careful, "leaf", None) == leaf
        assert is_same or isinstance(outcome(lambda: read_leaf(seq, leaf)), tuple)
    else:
        assert quick == careful


@pytest.mark.parametrize("item", ENTRIES[:4])
def test_every_line_we_write_is_read(item: Any) -> None:
    """Lines of a bundle give the entries they were made of, whole leaves included."""
    assert quick_entry(entry_line(item).rstrip(b"\n"), "") == (item.seq, item.leaf)
    assert quick_leaf(item.seq, item.leaf) == read_leaf(item.seq, item.leaf)


def test_the_bytes_of_a_row_are_canonical() -> None:
    """A row made of a leaf's values has the bytes that `canonical` gives."""
    row = {"b": ["é", "x"], "a": None, "c": 3, "d": True}
    assert quick_bytes(json.loads(canonical(row))) == canonical(row)
