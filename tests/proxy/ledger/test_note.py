"""Tests of proxy.ledger.note."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.note import (
    decode,
    encode,
    is_name,
    is_size,
    key_id_of,
    key_text,
    read_key,
    read_note,
    read_signatures,
    signature_line,
)

NAMES = st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="+"), min_size=1)


@given(name=NAMES, key_id=st.binary(min_size=4, max_size=4), signature=st.binary(min_size=1))
def test_a_note_gives_back_what_it_was_made_of(name: str, key_id: bytes, signature: bytes) -> None:
    """Text and signature lines come out of a note as they went in."""
    line = signature_line(name, key_id, signature)
    note = read_note(f"one\n\ntwo\n\n{line}{line}")
    assert note.text == "one\n\ntwo\n"
    assert [each.to_line() for each in note.signatures] == [line, line]
    assert note.signatures[0].signature == signature


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\nname c2ln\n",
        "text\n\n— name c2ln\n",
        "text\n\n— name AAAAAAA=",
        "te\txt\n\n— name AAAAAAA=\n",
        "text\n\n— na+me AAAAAAA=\n",
        f"{'x' * 65_536}\n\n— name AAAAAAA=\n",
    ],
)
def test_other_texts_are_no_note(note: str) -> None:
    """What lacks the gap, a whole signature line or the last newline is no note."""
    with pytest.raises(ProofError) as caught:
        read_note(note)
    assert caught.value.code == "note"


def test_lines_without_a_note_are_read() -> None:
    """A witness answers with lines alone; one that is no line spoils them."""
    line = signature_line("w", bytes(4), b"s")
    assert len(read_signatures(line * 2)) == 2
    with pytest.raises(ProofError):
        read_signatures(f"{line}\n")


@given(name=NAMES, key=st.binary(min_size=32, max_size=32))
def test_a_key_round_trips(name: str, key: bytes) -> None:
    """The text of a key holds its name, id and bytes, and is of its algorithm alone."""
    key_id = key_id_of(name, b"\x01", key)
    text = key_text(name, key_id, b"\x01", key)
    read = read_key(text, b"\x01")
    assert read is not None
    assert (read.name, read.key_id, read.key) == (name, key_id, key)
    assert read_key(text, b"\x04") is None


@pytest.mark.parametrize("text", ["", "a", "a+b", "a+00000000+", "a+0000000g+AQ==", "+x+y"])
def test_other_texts_are_no_key(text: str) -> None:
    """What is not name, id and key is none."""
    assert read_key(text, b"\x01") is None


def test_an_id_has_one_spelling() -> None:
    """Capitals in the id are refused: one key has one text."""
    text = key_text("a", b"\xab" * 4, b"\x01", bytes(32))
    assert read_key(text, b"\x01") is not None
    assert read_key(text.replace("abababab", "ABABABAB"), b"\x01") is None


@given(data=st.binary())
def test_base64_is_strict(data: bytes) -> None:
    """What we write is read; a blank within is not."""
    assert decode(encode(data)) == data
    assert decode(f" {encode(b'1' + data)}") == b""
    assert base64.b64decode(encode(data)) == data


def test_names_and_sizes() -> None:
    """A name is one printable word without `+`; a size a plain decimal below 2^63."""
    assert [is_name(each) for each in ("a/b", "", "a b", "a+b", "a\n")] == [True] + [False] * 4
    assert all(map(is_size, ("0", "1", str(2**63 - 1))))
    assert not any(map(is_size, ("", "-1", "01", "²", str(2**63), "1 ")))
