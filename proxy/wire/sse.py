"""Server-sent events, fed in any pieces (HTML standard, §9.2.6 Interpreting an event stream).

Where the standard would replace bytes that are not UTF-8, this refuses them: replaced text is not
what the teacher said.
"""

import re
from dataclasses import dataclass

from proxy.errors import WireError

__all__ = ["MAX_LINE_BYTES", "Event", "SSEDecoder"]

MAX_LINE_BYTES = 16 * 1024 * 1024
"""The longest line, and the most data of one event: a server tool's result may be megabytes."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `event` is empty where the stream gave no type, `id` is the last one given."""

    event: str
    data: str
    id: str


class SSEDecoder:
    """Turns the bytes of one stream into events, however they are cut."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = max_line_bytes
        self._rest = bytearray()
        self._is_first = True
        self._is_after_cr = False
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id = ""
        self._error: WireError | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that the next bytes complete.

        Raises:
            WireError: a line is too long or not UTF-8. Events before it are given first: the error
                then comes from the next call, so that cuts do not change what is read.
        """
        if self._error is not None:
            raise self._error
        if self._is_after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._is_after_cr = False
        if b"\n" in chunk or b"\r" in chunk:
            return self._lines(chunk)
        self._rest += chunk
        if len(self._rest) > self._limit:
            self._error = self._too_long()
            raise self._error
        return []

    def finish(self) -> list[Event]:
        """The event that the end of the stream left without its blank line, if any.

        The standard drops it; providers are known to leave the last blank line out.

        Raises:
            WireError: as `feed`.
        """
        return self.feed(b"\n\n")

    def _lines(self, chunk: bytes) -> list[Event]:
        whole = bytes(self._rest) + chunk if self._rest else chunk
        if b"\r" in whole:
            lines = _LINE_END.split(whole)
            self._is_after_cr = whole.endswith(b"\r")
        else:
            lines = whole.split(b"\n")
        self._rest = bytearray(lines.pop())
        events: list[Event] = []
        try:
            for line in lines:
                event = self._line(line) if line else self._dispatch()
                if event is not None:
                    events.append(event)
            if len(self._rest) > self._limit:
                raise self._too_long()
        except WireError as error:
            self._error = error
            if not events:
                raise
        return events

    def _line(self, line: bytes) -> Event | None:
        if len(line) > self._limit:
            raise self._too_long()
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BOM)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._size += len(value)
                if self._size > self._limit:
                    raise self._too_long()
                self._data.append(_decoded(value))
            case b"event":
                self._event = _decoded(value)
            case b"id" if b"\0" not in value:
                self._id = _decoded(value)
            case _:  # comments, `retry` and unknown fields say nothing
                _decoded(line)
        return None

    def _dispatch(self) -> Event | None:
        self._is_first = False
        event = Event(self._event, "\n".join(self._data), self._id) if self._data else None
        self._event = ""
        self._data = []
        self._size = 0
        return event

    def _too_long(self) -> WireError:
        return WireError(
            f"a line or event of the stream is longer than {self._limit} bytes",
            code="line-too-long",
            help="the answer cannot be read, so it cannot be admitted",
        )


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise WireError(
            "a line of the stream is not UTF-8",
            code="not-utf-8",
            help="event streams are always UTF-8 (HTML standard §9.2.5)",
        ) from error
