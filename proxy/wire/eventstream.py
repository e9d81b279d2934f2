"""AWS event streams: binary messages with checksums, as Bedrock's streams are framed.

A message is its length and its headers' length (32 bits each, big endian), the CRC-32 of those eight
bytes, headers, payload, and the CRC-32 of all before (smithy.io, "Amazon Event Stream
specification"). It becomes an `Event` of the type that `:event-type` names; an exception's is
`exception:TYPE`.
"""

import struct
import zlib

from proxy.errors import WireError
from proxy.wire.sse import MAX_LINE_BYTES, Event

__all__ = ["EXCEPTION", "EventStreamDecoder", "frame"]

EXCEPTION = "exception:"
"""What the type of an exception starts with."""

_PRELUDE = struct.Struct(">III")
_CHECKSUM_BYTES = 4
_SMALLEST_BYTES = _PRELUDE.size + _CHECKSUM_BYTES
_TEXT = 7
_FIXED_BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Value types of a header by the length of their values; 6 and 7 carry a length of their own."""


class EventStreamDecoder:
    """Turns the bytes of one stream into events, however they are cut."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = max_line_bytes
        self._rest = bytearray()
        self._error: WireError | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The messages that the next bytes complete.

        Raises:
            WireError: a checksum, a length or a header is wrong. Messages before it are given first:
                the error then comes from the next call, so that cuts do not change what is read.
        """
        if self._error is not None:
            raise self._error
        self._rest += chunk
        events: list[Event] = []
        try:
            while (size := self._size()) and len(self._rest) >= size:
                events.append(_message(bytes(self._rest[:size])))
                del self._rest[:size]
        except WireError as error:
            self._error = error
            if not events:
                raise
        return events

    def finish(self) -> list[Event]:
        """Nothing: a message that the end cuts off is not one.

        Raises:
            WireError: the stream ends inside a message.
        """
        if self._error is not None:
            raise self._error
        if self._rest:
            raise WireError("the stream ends inside a message", code="cut-frame")
        return []

    def _size(self) -> int:
        """The length of the next message, its prelude checked; 0 where that is not there yet."""
        if len(self._rest) < _PRELUDE.size:
            return 0
        size, headers, checksum = _PRELUDE.unpack_from(self._rest)
        if zlib.crc32(self._rest[:8]) != checksum:
            raise WireError("the prelude of a message fails its checksum", code="bad-checksum")
        if size < _SMALLEST_BYTES + headers:
            raise WireError("a message is shorter than its headers", code="bad-length")
        if size > self._limit:
            raise WireError(
                f"a message of the stream is longer than {self._limit} bytes",
                code="line-too-long",
                help="the answer cannot be read, so it cannot be admitted",
            )
        return int(size)


def _message(data: bytes) -> Event:
    if zlib.crc32(data[:-_CHECKSUM_BYTES]) != int.from_bytes(data[-_CHECKSUM_BYTES:]):
        raise WireError("a message fails its checksum", code="bad-checksum")
    end = _PRELUDE.size + int.from_bytes(data[4:8])
    try:
        headers = _headers(data[_PRELUDE.size : end])
        payload = data[end:-_CHECKSUM_BYTES].decode()
    except (IndexError, UnicodeDecodeError) as error:
        raise WireError("a message of the stream cannot be read", code="malformed-frame") from error
    kind = headers.get(":message-type", "event")
    if kind == "event":
        return Event(headers.get(":event-type", ""), payload, "")
    name = headers.get(":exception-type") or headers.get(":error-code") or kind
    return Event(EXCEPTION + name, payload or headers.get(":error-message", ""), "")


def _headers(data: bytes) -> dict[str, str]:
    """The headers whose values are text; others are passed over."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        start = at + 1
        at = start + data[at]
        name, kind = data[start:at].decode(), data[at]
        at += 1
        if kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        elif kind in (6, _TEXT):
            start = at + 2
            at = start + int.from_bytes(data[at:start])
            if kind == _TEXT:
                found[name] = data[start:at].decode()
        else:
            raise IndexError(kind)
        if at > len(data):
            raise IndexError(at)
    return found


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message with headers of text: for what speaks to clients in this framing."""
    packed = b"".join(
        bytes([len(name)])
        + name.encode()
        + bytes([_TEXT])
        + len(value.encode()).to_bytes(2)
        + value.encode()
        for name, value in headers.items()
    )
    size = _SMALLEST_BYTES + len(packed) + len(payload)
    start = struct.pack(">II", size, len(packed))
    body = start + zlib.crc32(start).to_bytes(_CHECKSUM_BYTES) + packed + payload
    return body + zlib.crc32(body).to_bytes(_CHECKSUM_BYTES)
