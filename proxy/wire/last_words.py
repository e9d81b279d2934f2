"""What a client reads when we cut a stream in its middle: the error event of its own format.

It can be said only where the stream stands between two of its events, and where bytes can still be
added: uncompressed, and without an announced length (that the engine knows).
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from proxy.errors import WireError
from proxy.exchange import ResponseHead
from proxy.wire.eventstream import frame
from proxy.wire.framing import content_type
from proxy.wire.jsonlines import ArrayDecoder
from proxy.wire.refusal import error_body

__all__ = ["Speaker"]

_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_ENOUGH = 4
_CUT_STATUS = 503
_PRELUDE_BYTES = 4
_AWS_EXCEPTION = "serviceUnavailableException"


class _Edge(Protocol):
    """Knows whether a stream stands between two events."""

    def hear(self, chunk: bytes) -> None: ...

    @property
    def is_between(self) -> bool: ...


class _Text:
    """Events or lines: told by the last bytes."""

    def __init__(self, *ends: bytes) -> None:
        self._ends = ends
        self._last = b""

    def hear(self, chunk: bytes) -> None:
        self._last = chunk[-_ENOUGH:] if len(chunk) >= _ENOUGH else (self._last + chunk)[-_ENOUGH:]

    @property
    def is_between(self) -> bool:
        return not self._last or self._last.endswith(self._ends)


class _Frames:
    """Messages that begin with their length (AWS event streams)."""

    def __init__(self) -> None:
        self._left = 0
        self._start = b""

    def hear(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk):
            if self._left:
                taken = min(self._left, len(chunk) - at)
                self._left, at = self._left - taken, at + taken
                continue
            missing = _PRELUDE_BYTES - len(self._start)
            self._start, at = self._start + chunk[at : at + missing], at + missing
            if len(self._start) == _PRELUDE_BYTES:
                size = int.from_bytes(self._start)
                self._start, self._left = b"", max(size - _PRELUDE_BYTES, 1)

    @property
    def is_between(self) -> bool:
        return not self._left and not self._start


class _Array:
    """Members of one JSON array (Gemini without `alt=sse`)."""

    def __init__(self) -> None:
        self._decoder: ArrayDecoder | None = ArrayDecoder()
        self.is_empty = True

    def hear(self, chunk: bytes) -> None:
        try:
            if self._decoder is not None and self._decoder.feed(chunk):
                self.is_empty = False
        except WireError:
            self._decoder = None

    @property
    def is_between(self) -> bool:
        return self._decoder is not None and self._decoder.is_between


class Speaker:
    """Follows one stream to its client, and words its end."""

    def __init__(self, head: ResponseHead, family: str) -> None:
        self._family = family
        self._kind = content_type(head)
        is_plain = (head.header("content-encoding") or "identity") == "identity"
        made = _EDGES.get((self._kind, family)) or _EDGES.get((self._kind, ""))
        self._edge: _Edge | None = made() if made and is_plain else None

    def hear(self, chunk: bytes) -> None:
        """Take note of the bytes that the client got."""
        if self._edge is not None:
            self._edge.hear(chunk)

    def last_words(self, code: str, message: str) -> bytes:
        """The error event to add; empty where nothing can be said."""
        edge = self._edge
        if edge is None or not edge.is_between:
            return b""
        if isinstance(edge, _Frames):
            payload = json.dumps({"message": message}).encode()
            kind = {":message-type": "exception", ":exception-type": _AWS_EXCEPTION}
            return frame({**kind, ":content-type": "application/json"}, payload)
        body = error_body(self._family, status=_CUT_STATUS, code=code, message=message)
        if body is None:
            return b""
        said = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        if isinstance(edge, _Array):
            return (b"" if edge.is_empty else b",\n") + said + b"]"
        if self._kind == _EVENTS:
            name = b"event: error\n" if self._family == "anthropic" else b""
            return name + b"data: " + said + b"\n\n"
        return said + b"\n"


_EVENTS = "text/event-stream"
_EDGES: Mapping[tuple[str, str], Callable[[], _Edge]] = MappingProxyType(
    {
        (_EVENTS, "anthropic"): lambda: _Text(*_EVENT_ENDS),
        (_EVENTS, "gemini"): lambda: _Text(*_EVENT_ENDS),
        (_EVENTS, "openai"): lambda: _Text(*_EVENT_ENDS),
        ("application/x-ndjson", ""): lambda: _Text(b"\n"),
        ("application/stream+json", ""): lambda: _Text(b"\n"),
        ("application/vnd.amazon.eventstream", ""): _Frames,
        ("application/json", "gemini"): _Array,
    }
)
"""By media type and family; an empty family stands for any."""
