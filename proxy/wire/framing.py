"""How the bytes of an answer are framed: told by its content type, before a byte of it is read."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from proxy.exchange import ResponseHead
from proxy.wire.eventstream import EventStreamDecoder
from proxy.wire.jsonlines import LinesDecoder
from proxy.wire.sse import Event, SSEDecoder

__all__ = ["Framing", "content_type", "framing_of"]


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


def content_type(head: ResponseHead) -> str:
    """The media type of an answer, in lower case and without parameters; empty where none is said."""
    return (head.header("content-type") or "").partition(";")[0].strip().lower()


def framing_of(head: ResponseHead) -> Framing | None:
    """A decoder for the frames that follow a head; None where one JSON body follows."""
    found = _FRAMINGS.get(content_type(head))
    return None if found is None else found()
