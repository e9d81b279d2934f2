"""Streams of JSON texts without events: one a line, or the members of one long array, in any pieces.

Ollama and Cohere's older interface write lines (`application/x-ndjson`, `application/stream+json`);
Gemini writes one array, piece by piece, where server-sent events were not asked for. Both give the
same `Event`s as `proxy.wire.sse`, without a type.
"""

import re

from proxy.errors import WireError
from proxy.wire.sse import MAX_LINE_BYTES, Event

__all__ = ["ArrayDecoder", "LinesDecoder"]

_SPACE = b" \t\r\n"
_QUOTE, _ESCAPE = ord('"'), ord("\\")
_OPENS = frozenset(b"{[")
_IN_TEXT = re.compile(rb'["\\]')
_OUTSIDE = re.compile(rb'["{}\[\]]')


class LinesDecoder:
    """Turns the bytes of one stream into its lines, however they are cut; blank lines are skipped."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = max_line_bytes
        self._rest = bytearray()
        self._error: WireError | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The lines that the next bytes complete.

        Raises:
            WireError: a line is too long or not UTF-8. Lines before it are given first: the error
                then comes from the next call, so that cuts do not change what is read.
        """
        if self._error is not None:
            raise self._error
        self._rest += chunk
        *lines, rest = bytes(self._rest).split(b"\n") if b"\n" in chunk else [bytes(self._rest)]
        self._rest = bytearray(rest)
        events: list[Event] = []
        try:
            events.extend(_event(line, self._limit) for line in lines if line.strip(_SPACE))
            if len(self._rest) > self._limit:
                raise _too_long(self._limit)
        except WireError as error:
            self._error = error
            if not events:
                raise
        return events

    def finish(self) -> list[Event]:
        """The last line, where the stream ends without a line end.

        Raises:
            WireError: as `feed`.
        """
        return self.feed(b"\n")


class ArrayDecoder:
    """Turns the bytes of one JSON array into its members, however they are cut.

    `is_closed` is true once the array's own bracket has come: the terminal frame of such a stream.
    """

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = max_line_bytes
        self._member = bytearray()
        self._depth = 0
        self._is_text = False
        self._is_escaped = False
        self._is_open = False
        self.is_closed = False
        self._error: WireError | None = None

    @property
    def is_between(self) -> bool:
        """Whether another member could follow here: the array is open, and no member is."""
        return self._is_open and not self._depth and not self.is_closed and self._error is None

    def feed(self, chunk: bytes) -> list[Event]:
        """The members that the next bytes complete.

        Raises:
            WireError: it is no array, or a member is too long or not UTF-8; members before it are
                given first.
        """
        if self._error is not None:
            raise self._error
        events: list[Event] = []
        at = 0
        try:
            while at < len(chunk):
                if not self._depth:
                    self._take_between(chunk[at])
                    at += 1
                    continue
                at = self._take_within(chunk, at)
                if not self._depth:
                    member = bytes(self._member)
                    self._member.clear()
                    events.append(_event(member, self._limit))
            if len(self._member) > self._limit:
                raise _too_long(self._limit)
        except WireError as error:
            self._error = error
            if not events:
                raise
        return events

    def finish(self) -> list[Event]:
        """Nothing: a member that the end cuts off is not one.

        Raises:
            WireError: the stream ends inside a member.
        """
        if self._error is not None:
            raise self._error
        if self._member:
            raise WireError("the stream ends inside a member of its array", code="cut-frame")
        return []

    def _take_within(self, chunk: bytes, start: int) -> int:
        """Take a member's bytes up to its end, or the chunk's; gives the place after them."""
        at = start
        if self._is_escaped and at < len(chunk):
            self._is_escaped, at = False, at + 1
        while self._depth:
            found = (_IN_TEXT if self._is_text else _OUTSIDE).search(chunk, at)
            if found is None:
                at = len(chunk)
                break
            byte, at = chunk[found.start()], found.end()
            if byte == _QUOTE:
                self._is_text = not self._is_text
            elif byte == _ESCAPE:
                self._is_escaped = at == len(chunk)
                at += not self._is_escaped
            else:
                self._depth += 1 if byte in _OPENS else -1
        self._member += chunk[start:at]
        return at

    def _take_between(self, byte: int) -> None:
        """Take a byte outside of every member: brackets, commas and space; an object opens one."""
        if byte in _SPACE:
            return
        if not self._is_open:
            if byte != ord("["):
                raise WireError("the stream is no JSON array", code="malformed-json")
            self._is_open = True
        elif self.is_closed:
            raise WireError("something follows the array of the stream", code="malformed-json")
        elif byte == ord("]"):
            self.is_closed = True
        elif byte == ord("{"):
            self._member.append(byte)
            self._depth = 1
        elif byte != ord(","):
            raise WireError("a member of the stream's array is no object", code="malformed-json")


def _event(line: bytes, limit: int) -> Event:
    if len(line) > limit:
        raise _too_long(limit)
    try:
        return Event("", line.strip(_SPACE).decode(), "")
    except UnicodeDecodeError as error:
        raise WireError(
            "a line of the stream is not UTF-8",
            code="not-utf-8",
            help="JSON between systems is UTF-8 (RFC 8259 §8.1)",
        ) from error


def _too_long(limit: int) -> WireError:
    return WireError(
        f"a line of the stream is longer than {limit} bytes",
        code="line-too-long",
        help="the answer cannot be read, so it cannot be admitted",
    )
