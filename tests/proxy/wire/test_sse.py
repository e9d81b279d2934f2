"""Claims on server-sent events: the HTML standard's rules, whatever the cuts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.wire.sse import Event, SSEDecoder

STREAM = (
    b"\xef\xbb\xbf: hello\r\n"
    b"event: add\rdata: 73857293\r\r"
    b"data:one\ndata:  two\ndata\nid: 7\n\n"
    b"retry: 10\nnothing: here\nid: a\0b\n\n"
    b"data: \xf0\x9f\x91\x8b\r\n\r\n"
    b"id\ndata: {}\n\n"
    b"event: lost\n\n"
    b"data: end"
)
EVENTS = [
    Event("add", "73857293", ""),
    Event("", "one\n two\n", "7"),
    Event("", "👋", "7"),
    Event("", "{}", ""),
    Event("", "end", ""),
]


def decode(pieces: list[bytes], *, limit: int = 1000) -> tuple[list[Event], str | None]:
    """All events of a stream given in pieces, and the code of the error that ended it."""
    decoder = SSEDecoder(max_line_bytes=limit)
    events: list[Event] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.finish()
    except WireError as error:
        return events, error.code
    return events, None


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """A stream cut at these places, which may be its ends or repeat."""
    edges = [0, *sorted(at % (len(stream) + 1) for at in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def test_events_of_the_standard() -> None:
    """Comments, BOM, all three line ends, several data lines, ids and unknown fields are read."""
    assert decode([STREAM]) == (EVENTS, None)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    """However the network cuts a stream, the same events come out."""
    assert decode(cut(STREAM, cuts)) == (EVENTS, None)


def test_every_byte_alone() -> None:
    """A stream that comes byte by byte gives the same events."""
    assert decode([bytes([byte]) for byte in STREAM]) == (EVENTS, None)


def test_events_come_as_soon_as_their_blank_line() -> None:
    """An event is given with its blank line, also where that ends in a lone CR."""
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\r") == [Event("", "a", "")]
    assert decoder.feed(b"\ndata: b\n\n") == [Event("", "b", "")]
    assert decoder.finish() == []


def test_an_empty_stream_has_no_events() -> None:
    """Nothing at all, or blank lines alone, hold no event."""
    assert decode([]) == ([], None)
    assert decode([b"\n\r\n\r"]) == ([], None)


@pytest.mark.parametrize("field", [b"data: \xff", b"event: \xc3", b"id: \xff", b": \xff"])
def test_bytes_that_are_not_utf8_are_refused(field: bytes) -> None:
    """A line that is not UTF-8 ends the reading; the events before it stand."""
    before = b"data: a\n\n"
    assert decode([before + field + b"\n\n"]) == ([Event("", "a", "")], "not-utf-8")


@pytest.mark.parametrize(
    "stream", [b"data: 0123456789", b"data: 0123456789\n\n", b"data:01234\ndata:56789\ndata:0\n\n"]
)
def test_long_lines_and_events_are_refused(stream: bytes) -> None:
    """A line, or the data of an event, past the limit ends the reading."""
    decoder = SSEDecoder(max_line_bytes=10)
    with pytest.raises(WireError) as caught:
        decoder.feed(stream)
    assert caught.value.code == "line-too-long"
    with pytest.raises(WireError):
        decoder.finish()


def test_a_long_rest_is_refused() -> None:
    """An unended line past the limit is refused with the events before it given first."""
    assert decode([b"data: a\n\n: 0123456789"], limit=10) == ([Event("", "a", "")], "line-too-long")


@given(stream=st.binary(max_size=60), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_any_bytes_give_events_or_a_wire_error(stream: bytes, cuts: list[int]) -> None:
    """Any bytes at all give the same events and the same error, however they are cut."""
    assert decode(cut(stream, cuts), limit=20) == decode([stream], limit=20)


LINES = st.sampled_from([b"data", b"data: ", b"data:x", b":", b"event: e", b"id: 1", b"\xff", b""])


@given(
    lines=st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=12),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_cuts_never_matter_for_lines(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    """Streams of plausible lines read the same however they are cut."""
    stream = b"".join(line + end for line, end in lines)
    assert decode(cut(stream, cuts)) == decode([stream])


def test_one_byte_order_mark_is_dropped() -> None:
    """A byte order mark before the first line says nothing; anywhere else it is text."""
    bom = b"\xef\xbb\xbf"
    assert decode([bom + b"data: a\n\n"]) == ([Event("", "a", "")], None)
    assert decode([bom + bom + b"data: a\n\n"]) == ([], None)
    assert decode([b"\n" + bom + b"data: a\n\n"]) == ([], None)
