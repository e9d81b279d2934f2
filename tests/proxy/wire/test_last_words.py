"""The error event that ends a stream we cut: in each format's own words, and only where it fits."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import ResponseHead
from proxy.wire.eventstream import EventStreamDecoder, frame
from proxy.wire.last_words import Speaker
from proxy.wire.sse import SSEDecoder

MESSAGE = "inbond cut this answer off"
EVENT = b'event: x\ndata: {"a": "}{"}\n\n'
FRAME = frame({":message-type": "event", ":event-type": "chunk"}, b'{"a": 1}')
MEMBER = b'{"a": "}]", "b": [{}]}'


def _head(content_type: str, encoding: str | None = None) -> ResponseHead:
    coding = () if encoding is None else (("content-encoding", encoding),)
    return ResponseHead(status=200, headers=(("content-type", content_type), *coding))


def _said(content_type: str, family: str, *heard: bytes, encoding: str | None = None) -> bytes:
    speaker = Speaker(_head(content_type, encoding), family)
    for chunk in heard:
        speaker.hear(chunk)
    return speaker.last_words("answer-cut", MESSAGE)


@pytest.mark.parametrize(
    ("family", "event", "path"),
    [
        ("openai", "", ("error", "message")),
        ("anthropic", "error", ("error", "message")),
        ("gemini", "", ("error", "message")),
    ],
)
def test_an_event_says_it(family: str, event: str, path: tuple[str, str]) -> None:
    """A stream of events ends in the event that its SDK takes for an error."""
    said = _said("text/event-stream; charset=utf-8", family, EVENT)
    (found,) = SSEDecoder().feed(said)
    assert found.event == event
    assert json.loads(found.data)[path[0]][path[1]] == MESSAGE


def test_a_line_says_it() -> None:
    """Ollama's streams end in a line with an error."""
    said = _said("application/x-ndjson", "ollama", b'{"a": 1}\n')
    assert json.loads(said) == {"error": MESSAGE}
    assert said.endswith(b"\n")


@pytest.mark.parametrize("heard", [(), (FRAME,), (FRAME[:3], FRAME[3:], FRAME)])
def test_a_frame_says_it(heard: tuple[bytes, ...]) -> None:
    """Bedrock's streams end in an exception, its checksums right."""
    said = _said("application/vnd.amazon.eventstream", "bedrock", *heard)
    (event,) = EventStreamDecoder().feed(said)
    assert event.event == "exception:serviceUnavailableException"
    assert json.loads(event.data) == {"message": MESSAGE}


@pytest.mark.parametrize("heard", [b"[", b"[" + MEMBER, b"[" + MEMBER + b",\n" + MEMBER])
def test_a_member_says_it(heard: bytes) -> None:
    """Gemini's array ends in a member that is an error, and is an array still."""
    whole = heard + _said("application/json", "gemini", heard)
    assert json.loads(whole)[-1]["error"]["message"] == MESSAGE


@pytest.mark.parametrize(
    ("content_type", "family", "heard", "encoding"),
    [
        ("text/event-stream", "openai", EVENT[:-1], None),
        ("text/event-stream", "openai", EVENT, "gzip"),
        ("text/event-stream", "cohere", EVENT, None),
        ("text/event-stream", "plain", EVENT, None),
        ("application/x-ndjson", "ollama", b'{"a"', None),
        ("application/x-ndjson", "plain", b"", None),
        ("application/vnd.amazon.eventstream", "bedrock", FRAME[:3], None),
        ("application/vnd.amazon.eventstream", "bedrock", FRAME[:-1], None),
        ("application/json", "gemini", b"[" + MEMBER[:-1], None),
        ("application/json", "gemini", b"[" + MEMBER + b"]", None),
        ("application/json", "gemini", b"{", None),
        ("application/json", "openai", b"[", None),
        ("", "openai", b"", None),
    ],
)
def test_nothing_is_said_where_it_does_not_fit(
    content_type: str, family: str, heard: bytes, encoding: str | None
) -> None:
    """Within an event, under a coding, or in a format without error events the stream just ends."""
    assert _said(content_type, family, heard, encoding=encoding) == b""


_STREAMS = [
    ("text/event-stream", "openai", EVENT * 3),
    ("application/x-ndjson", "ollama", b'{"a": 1}\n' * 3),
    ("application/vnd.amazon.eventstream", "bedrock", FRAME * 3),
    ("application/json", "gemini", b"[" + MEMBER + b", " + MEMBER),
]


@given(stream=st.sampled_from(_STREAMS), cuts=st.lists(st.integers(0, 200), max_size=9).map(sorted))
def test_cuts_do_not_matter(stream: tuple[str, str, bytes], cuts: list[int]) -> None:
    """However the bytes are cut, the same is said at the same place."""
    content_type, family, data = stream
    edges = [0, *(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    assert _said(content_type, family, *pieces) == _said(content_type, family, data) != b""
