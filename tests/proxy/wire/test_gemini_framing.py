"""Claims on the frames of Google's answers: told by the bytes, the same however they are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import ResponseHead
from proxy.wire.gemini_framing import END, GoogleDecoder, google_framing
from proxy.wire.sse import Event, SSEDecoder

A, B = Event("", '{"a":"ü]}"}', ""), Event("", '{"b":[1]}', "")
ARRAY = f" [{A.data},\r\n{B.data}]\n".encode()
EVENTS = f"data: {A.data}\r\n\r\ndata: {B.data}\r\n\r\n".encode()


def _read(body: bytes, cuts: list[int]) -> tuple[list[Event], str | None]:
    decoder = GoogleDecoder()
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    events: list[Event] = []
    try:
        for start, end in pairwise(edges):
            events += decoder.feed(body[start:end])
        events += decoder.finish()
    except WireError as error:
        return events, error.code
    return events, None


@pytest.mark.parametrize(
    ("body", "events", "code"),
    [
        (ARRAY, [A, B, END], None),
        (b"\xef\xbb\xbf" + ARRAY, [A, B, END], None),
        (A.data.encode(), [A, END], None),
        (EVENTS, [A, B], None),
        (b"\xef\xbb\xbf" + EVENTS, [A, B], None),
        (b": wait\n\n" + EVENTS, [A, B], None),
        (b"[]", [END], None),
        (ARRAY.replace(b"]\n", b""), [A, B], "cut-frame"),
        (ARRAY[:-6], [A], "cut-frame"),
        (b"", [], "malformed-json"),
        (b" \r\n", [], "malformed-json"),
        (b"<html></html>", [], "malformed-json"),
        (b"Bad Gateway", [], "malformed-json"),
        (b"[]x", [END], "malformed-json"),
        (b"[{}]x", [Event("", "{}", ""), END], "malformed-json"),
        (b"[1]", [], "malformed-json"),
    ],
)
@given(cuts=st.lists(st.integers(0, 60), max_size=6))
def test_the_bytes_tell_the_frames(
    body: bytes, events: list[Event], code: str | None, cuts: list[int]
) -> None:
    """Events, an array, or one object; what is none of these is said to be wrong, in every cut."""
    found, said = _read(body, cuts)
    assert found == events
    assert said == code


@given(body=st.binary(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_any_bytes_read_the_same_in_every_cut(body: bytes, cuts: list[int]) -> None:
    """Whatever comes gives the same events and the same fault, however it is cut."""
    assert _read(body, cuts) == _read(body, [])


@pytest.mark.parametrize(
    ("status", "kind", "is_streamed", "wanted"),
    [
        (200, "text/event-stream", True, SSEDecoder),
        (200, "text/event-stream", False, SSEDecoder),
        (200, "application/json", True, GoogleDecoder),
        (200, "", True, GoogleDecoder),
        (429, "application/json", False, GoogleDecoder),
        (200, "application/json", False, type(None)),
    ],
)
def test_the_head_tells_where_the_bytes_need_not(
    status: int,
    kind: str,
    is_streamed: bool,  # noqa: FBT001 - a case of the table
    wanted: type,
) -> None:
    """A whole JSON answer is read as one; a stream or an error is told by its bytes."""
    head = ResponseHead(status=status, headers=(("content-type", kind),) if kind else ())
    assert type(google_framing(head, is_streamed=is_streamed)) is wanted
