"""How the bytes of an answer are framed: told by its content type, or by its first bytes where that errs."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from proxy.exchange import ResponseHead
from proxy.wire.error_page import BOM
from proxy.wire.eventstream import EventStreamDecoder
from proxy.wire.jsonlines import LinesDecoder
from proxy.wire.sse import Event, SSEDecoder

__all__ = ["Framing", "begins_events", "content_type", "framing_of", "lines_or_type"]


class Framing(Protocol):
    """Turns the bytes of one stream into events, however they are cut."""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that the next bytes complete.

        Raises:
            WireError: the bytes are not of this framing; events before are given first.
        """

    def finish(self) -> list[Event]:
        """The event that the end of the stream completes, if any.

        Raises:
            WireError: the stream ends inside an event.
        """


_FRAMINGS: Mapping[str, Callable[[], Framing]] = MappingProxyType(
    {
        "text/event-stream": SSEDecoder,
        "application/x-ndjson": LinesDecoder,
        "application/stream+json": LinesDecoder,
        "application/vnd.amazon.eventstream": EventStreamDecoder,
    }
)

_FIELDS = (b":", b"data:", b"event:", b"id:", b"retry:")
"""How a line of server-sent events begins (HTML standard §9.2.6); no JSON text begins so."""
_SHOWN_BYTES = 32


def content_type(head: ResponseHead) -> str:
    """The media type of an answer, in lower case and without parameters; empty where none is said."""
    return (head.header("content-type") or "").partition(";")[0].strip().lower()


def framing_of(head: ResponseHead) -> Framing | None:
    """A decoder for the frames that follow a head; None where one JSON body follows."""
    found = _FRAMINGS.get(content_type(head))
    return None if found is None else found()


def lines_or_type(head: ResponseHead) -> Framing | None:
    """As `framing_of`, for an interface that streams lines: without a content type they are lines."""
    is_bare = head.status < 300 and not content_type(head)
    return LinesDecoder() if is_bare else framing_of(head)


def begins_events(start: bytes | bytearray) -> bool:
    """Whether an answer begins as server-sent events do, whatever its content type says.

    SDKs that asked for a stream read one without a look at the type, so that it is read here as well.
    """
    return start[:_SHOWN_BYTES].removeprefix(BOM).lstrip().startswith(_FIELDS)
