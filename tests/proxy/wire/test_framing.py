"""Which frames follow an answer's head."""

import pytest

from proxy.exchange import ResponseHead
from proxy.wire.eventstream import EventStreamDecoder
from proxy.wire.framing import content_type, framing_of
from proxy.wire.jsonlines import LinesDecoder
from proxy.wire.sse import SSEDecoder


def head(said: str | None) -> ResponseHead:
    """A head with this content type."""
    return ResponseHead(status=200, headers=() if said is None else (("content-type", said),))


@pytest.mark.parametrize(
    ("said", "framing"),
    [
        ("text/event-stream", SSEDecoder),
        ("Text/Event-Stream; charset=utf-8", SSEDecoder),
        ("application/x-ndjson", LinesDecoder),
        ("application/stream+json", LinesDecoder),
        ("application/vnd.amazon.eventstream", EventStreamDecoder),
        ("application/json", type(None)),
        ("", type(None)),
        (None, type(None)),
    ],
)
def test_the_content_type_tells(said: str | None, framing: type) -> None:
    """Parameters and case do not matter; what is not known as a stream is one body."""
    assert type(framing_of(head(said))) is framing


def test_a_content_type_is_its_media_type() -> None:
    """Nothing said is empty."""
    assert [content_type(head(said)) for said in ("A/B ; c=d", None)] == ["a/b", ""]
