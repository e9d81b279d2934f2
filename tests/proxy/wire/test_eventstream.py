"""AWS event streams: framing by length and checksum, whatever the cuts; nothing damaged is read."""

from itertools import pairwise

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.wire.eventstream import EXCEPTION, EventStreamDecoder, frame
from proxy.wire.sse import Event

EVENT = {":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}
STREAM = (
    frame(EVENT, b'{"a": 1}')
    + frame(EVENT | {":event-type": "metadata"}, '{"b": "👋"}'.encode())
    + frame({":message-type": "exception", ":exception-type": "throttlingException"}, b'{"m": 1}')
)
EVENTS = [
    Event("chunk", '{"a": 1}', ""),
    Event("metadata", '{"b": "👋"}', ""),
    Event(f"{EXCEPTION}throttlingException", '{"m": 1}', ""),
]
# One message with a header of every type, written out by hand: true, false, byte, short, int, long,
# bytes, text, timestamp, uuid (types 0 to 9).
_HEADERS = (
    b"\x01a\x00" b"\x01b\x01" b"\x01c\x02\x07" b"\x01d\x03\x00\x07" b"\x01e\x04\x00\x00\x00\x07"
    b"\x01f\x05" + bytes(8) + b"\x01g\x06\x00\x03abc" b"\x0b:event-type\x07\x00\x05chunk"
    b"\x01h\x08" + bytes(8) + b"\x01i\x09" + bytes(16)
)  # fmt: skip


def decode(pieces: list[bytes], *, limit: int = 10_000) -> tuple[list[Event], str | None]:
    """All events of a stream given in pieces, and the code of the error that ended it."""
    decoder = EventStreamDecoder(max_line_bytes=limit)
    events: list[Event] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.finish()
    except WireError as error:
        return events, error.code
    return events, None


def raw(headers: bytes, payload: bytes) -> bytes:
    """A message with these header bytes, sound but for them."""
    import zlib

    start = (16 + len(headers) + len(payload)).to_bytes(4) + len(headers).to_bytes(4)
    body = start + zlib.crc32(start).to_bytes(4) + headers + payload
    return body + zlib.crc32(body).to_bytes(4)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    """However the network cuts a stream, the same events come out."""
    edges = [0, *sorted(cuts), len(STREAM)]
    assert decode([STREAM[start:end] for start, end in pairwise(edges)]) == (EVENTS, None)


def test_every_byte_alone() -> None:
    """A stream that comes byte by byte gives the same events."""
    assert decode([bytes([byte]) for byte in STREAM]) == (EVENTS, None)


def test_headers_of_every_type_are_passed_over() -> None:
    """Only text is read; the others have their lengths."""
    assert decode([raw(_HEADERS, b"{}")]) == ([Event("chunk", "{}", "")], None)


@given(st.dictionaries(st.text("abc:-", min_size=1, max_size=9), st.text(max_size=9)), st.binary())
def test_the_frames_are_those_that_amazon_reads(headers: dict[str, str], payload: bytes) -> None:
    """What `frame` writes, botocore's own reader reads."""
    buffer = EventStreamBuffer()
    buffer.add_data(frame(headers, payload))
    (message,) = list(buffer)
    assert message.headers == headers
    assert message.payload == payload


@pytest.mark.parametrize("at", range(len(STREAM)))
def test_a_flipped_bit_is_never_read(at: int) -> None:
    """Any damage ends the reading; events before it stand, and none is changed."""
    damaged = bytearray(STREAM)
    damaged[at] ^= 0x10
    events, code = decode([bytes(damaged)])
    assert code is not None
    assert events == EVENTS[: len(events)]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (STREAM[:-1], "cut-frame"),
        (STREAM[:5], "cut-frame"),
        (frame(EVENT, b"\xff"), "malformed-frame"),
        (frame(EVENT, b"x" * 20_000), "line-too-long"),
        (raw(b"\x01a\x0a", b"{}"), "malformed-frame"),
        (raw(b"\x01a\x07\xff\xff", b"{}"), "malformed-frame"),
        (raw(b"\x09a", b"{}"), "malformed-frame"),
        (b"\x00\x00\x00\x0f" + STREAM[4:], "bad-checksum"),
    ],
)
def test_faults(stream: bytes, code: str) -> None:
    """Each fault has its own code, cut or not."""
    assert decode([stream])[1] == code
    assert decode([bytes([byte]) for byte in stream])[1] == code


def test_a_length_below_its_headers() -> None:
    """A sound prelude may still lie."""
    import zlib

    start = (16).to_bytes(4) + (8).to_bytes(4)
    assert decode([start + zlib.crc32(start).to_bytes(4) + bytes(8)]) == ([], "bad-length")


def test_an_error_without_exception_type() -> None:
    """An `error` message names its code in another header."""
    message = frame({":message-type": "error", ":error-code": "500", ":error-message": "bad"}, b"")
    assert decode([message]) == ([Event(f"{EXCEPTION}500", "bad", "")], None)
