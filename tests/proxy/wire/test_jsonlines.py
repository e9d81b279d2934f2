"""Lines and arrays of JSON: the same members whatever the cuts, and every fault told."""

import json
from itertools import pairwise
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.wire.jsonlines import ArrayDecoder, LinesDecoder
from proxy.wire.sse import Event

MEMBERS = [{"a": 'quote " brace } \\'}, {"b": [{"c": "👋"}, []]}, {}, {"d": '\\\\"'}]
ARRAY = (
    b"[" + b",\r\n".join(json.dumps(one, ensure_ascii=False).encode() for one in MEMBERS) + b"\n]\n"
)
LINES = b"\n".join(json.dumps(one).encode() for one in MEMBERS)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(), _JSON, max_size=4), max_size=5)


class Decoder(Protocol):
    """Either decoder."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Members completed."""

    def finish(self) -> list[Event]:
        """The rest."""


def decode(decoder: Decoder, pieces: list[bytes]) -> tuple[list[object], str | None]:
    """All members of a stream given in pieces, and the code of the error that ended it."""
    events: list[Event] = []
    code = None
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.finish()
    except WireError as error:
        code = error.code
    return [json.loads(event.data) for event in events], code


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """A stream cut at these places."""
    edges = [0, *sorted(at % (len(stream) + 1) for at in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(OBJECTS, st.booleans(), st.lists(st.integers(0, 2000), max_size=8))
def test_cuts_do_not_matter(members: list[object], is_ascii: bool, cuts: list[int]) -> None:  # noqa: FBT001 - hypothesis gives it
    """However a stream is cut, its members come out, in both framings."""
    texts = [json.dumps(one, ensure_ascii=is_ascii).encode() for one in members]
    try:
        b"".join(texts).decode()
    except UnicodeDecodeError:  # pragma: no cover - json.dumps writes no surrogates here
        return
    assert decode(ArrayDecoder(), cut(b"[" + b",".join(texts) + b"]", cuts)) == (members, None)
    assert decode(LinesDecoder(), cut(b"\r\n".join(texts), cuts)) == (members, None)


def test_every_byte_alone() -> None:
    """A stream that comes byte by byte gives the same members."""
    for decoder, stream in ((ArrayDecoder(), ARRAY), (LinesDecoder(), LINES)):
        assert decode(decoder, [bytes([byte]) for byte in stream]) == (MEMBERS, None)


def test_members_come_as_soon_as_they_are_whole() -> None:
    """Nothing is held back until the next one."""
    array, lines = ArrayDecoder(), LinesDecoder()
    assert [event.data for event in array.feed(b'[{"a": 1}')] == ['{"a": 1}']
    assert [event.data for event in lines.feed(b'{"a": 1}\n{')] == ['{"a": 1}']


def test_the_bracket_is_the_terminal_frame() -> None:
    """Only the array's own closing bracket closes it."""
    decoder = ArrayDecoder()
    decoder.feed(b'[{"a": "]"}')
    assert not decoder.is_closed
    decoder.feed(b" ]")
    assert decoder.is_closed


@pytest.mark.parametrize(
    ("stream", "count", "code"),
    [
        (b'{"a": 1}', 0, "malformed-json"),
        (b"[1]", 0, "malformed-json"),
        (b'[{"a": 1}, "x"]', 1, "malformed-json"),
        (b"[{}] {}", 1, "malformed-json"),
        (b'[{}, {"a"', 1, "cut-frame"),
        (b'[{"a": "\xff"}]', 0, "not-utf-8"),
        (b'[{"a": "' + b"x" * 200 + b'"}]', 0, "line-too-long"),
        (b'[{"a": "' + b"x" * 200, 0, "line-too-long"),
        (b"", 0, None),
        (b"[", 0, None),
    ],
)
def test_faults_of_an_array(stream: bytes, count: int, code: str | None) -> None:
    """What came before a fault is given first, cut or not."""
    for pieces in ([stream], [bytes([byte]) for byte in stream]):
        members, found = decode(ArrayDecoder(max_line_bytes=100), pieces)
        assert (len(members), found) == (count, code)


@pytest.mark.parametrize(
    ("stream", "count", "code"),
    [
        (b'{}\n{"a": "\xff"}\n{}', 1, "not-utf-8"),
        (b"{}\n" + b"x" * 200, 1, "line-too-long"),
        (b"\n\r\n{}\n\n", 1, None),
        (b"", 0, None),
    ],
)
def test_faults_of_lines(stream: bytes, count: int, code: str | None) -> None:
    """What came before a fault is given first, cut or not."""
    for pieces in ([stream], [bytes([byte]) for byte in stream]):
        members, found = decode(LinesDecoder(max_line_bytes=100), pieces)
        assert (len(members), found) == (count, code)


def test_an_error_stays() -> None:
    """A decoder that met a fault gives nothing more."""
    decoder = ArrayDecoder()
    with pytest.raises(WireError):
        decoder.feed(b"x")
    with pytest.raises(WireError):
        decoder.feed(b"[{}]")
    with pytest.raises(WireError):
        decoder.finish()
