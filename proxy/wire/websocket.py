"""WebSocket frames, read from a copy as they flow (RFC 6455 §5), compressed ones too (RFC 7692).

Frames go on as they came, byte for byte: a frame read here keeps its bytes beside what it says.
"""

import zlib
from dataclasses import dataclass

from proxy.errors import WireError

__all__ = ["Compression", "Frame", "FrameReader", "close_frame", "compression_of", "text_frame"]

_CONTINUATION, _TEXT, _BINARY, _CLOSE = 0, 1, 2, 8
_FIN, _RSV1, _RSV_OTHERS, _OPCODE = 0x80, 0x40, 0x30, 0x0F
_MASKED, _LENGTH = 0x80, 0x7F
_EMPTY_BLOCK = b"\0\0\xff\xff"
"""What the sender took off the end of each message (RFC 7692 §7.2.1)."""
_MAX_REASON_BYTES = 123


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """What `permessage-deflate` was agreed on: whether each side's messages go on from the last."""

    client_keeps: bool = True
    server_keeps: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its bytes, and what it completes.

    `message` is the whole message that a last frame ends; `is_close` says that a side takes leave.
    """

    raw: bytes
    message: bytes | None = None
    is_close: bool = False

    @property
    def is_control(self) -> bool:
        """Whether it stands by itself, be it between the frames of a message."""
        return self.raw[0] & _OPCODE >= _CLOSE


def compression_of(extensions: str) -> Compression | None:
    """What the answer to an upgrade agreed on; None: messages are not compressed.

    Raises:
        WireError: `unread-extension`: frames would mean what is not known here.
    """
    offers = [each for each in extensions.split(",") if each.strip()]
    if not offers:
        return None
    name, *parameters = (part.strip().lower() for part in offers[0].split(";"))
    if name != "permessage-deflate" or len(offers) > 1:
        raise WireError(
            f"the WebSocket extension `{extensions[:80]}` is not read",
            code="unread-extension",
            help="offer `permessage-deflate` alone, or no extension",
        )
    said = {parameter.partition("=")[0].strip() for parameter in parameters}
    return Compression(
        client_keeps="client_no_context_takeover" not in said,
        server_keeps="server_no_context_takeover" not in said,
    )


class FrameReader:
    """Reads one direction of a socket. `keeps` is None where messages are not compressed."""

    def __init__(self, *, keeps: bool | None, limit_bytes: int) -> None:
        self._buffer = bytearray()
        self._parts = bytearray()
        self._is_begun = False
        self._is_compressed = False
        self._keeps = keeps
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._limit_bytes = limit_bytes

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that the next bytes complete.

        Raises:
            WireError: `malformed-frame` or `message-too-large`; the reader is spent.
        """
        self._buffer += data
        found: list[Frame] = []
        while (frame := self._next()) is not None:
            found.append(frame)
        return found

    def _next(self) -> Frame | None:
        sizes = _sizes(self._buffer)
        if sizes is None:
            return None
        start, length = sizes
        if length + len(self._parts) > self._limit_bytes:
            raise _too_large(self._limit_bytes)
        if len(self._buffer) < start + length:
            return None
        raw = bytes(self._buffer[: start + length])
        del self._buffer[: start + length]
        payload = _unmasked(raw[start:], raw[start - 4 : start] if raw[1] & _MASKED else b"")
        return self._taken(raw, payload)

    def _taken(self, raw: bytes, payload: bytes) -> Frame:
        opcode, is_last = raw[0] & _OPCODE, bool(raw[0] & _FIN)
        if opcode >= _CLOSE:
            return Frame(raw, is_close=opcode == _CLOSE)
        is_first = opcode != _CONTINUATION
        is_compressed = bool(raw[0] & _RSV1)
        is_odd = is_first is self._is_begun or opcode > _BINARY or bool(raw[0] & _RSV_OTHERS)
        if is_odd or (is_compressed and (self._keeps is None or not is_first)):
            raise WireError("a WebSocket frame is out of order", code="malformed-frame")
        if is_first:
            self._is_compressed = is_compressed
        self._parts += payload
        self._is_begun = not is_last
        if not is_last:
            return Frame(raw)
        message = bytes(self._parts)
        self._parts.clear()
        return Frame(raw, self._inflated(message) if self._is_compressed else message)

    def _inflated(self, message: bytes) -> bytes:
        try:
            read = self._inflater.decompress(message + _EMPTY_BLOCK, self._limit_bytes)
        except zlib.error as error:
            raise WireError("a message is not deflate", code="malformed-frame") from error
        if self._inflater.unconsumed_tail:
            raise _too_large(self._limit_bytes)
        if not self._keeps or self._inflater.eof:
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        return read


def _sizes(buffer: bytearray) -> tuple[int, int] | None:
    """Where the payload of the first frame starts, and its length; None: more must come."""
    if len(buffer) < 2:
        return None
    length, start = buffer[1] & _LENGTH, 2
    wide = {126: 2, 127: 8}.get(length, 0)
    if len(buffer) < start + wide:
        return None
    if wide:
        length = int.from_bytes(buffer[start : start + wide])
    start += wide + (4 if buffer[1] & _MASKED else 0)
    return None if len(buffer) < start else (start, length)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    if not mask or not payload:
        return payload
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return (int.from_bytes(payload) ^ key).to_bytes(size)


def _too_large(limit_bytes: int) -> WireError:
    return WireError(
        f"a message is over {limit_bytes} bytes",
        code="message-too-large",
        help="send less at once, or raise `limits.request_bytes`",
    )


def text_frame(text: str) -> bytes:
    """A text message in one frame, as a server sends it."""
    return _frame(_TEXT, text.encode(errors="replace"))


def close_frame(code: int, reason: str) -> bytes:
    """The frame in which a server takes leave; a long reason is cut (RFC 6455 §5.5)."""
    said = reason.encode(errors="replace")[:_MAX_REASON_BYTES].decode(errors="ignore")
    return _frame(_CLOSE, code.to_bytes(2) + said.encode())


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 2**16:
        length = b"\x7e" + size.to_bytes(2)
    else:
        length = b"\x7f" + size.to_bytes(8)
    return bytes([_FIN | opcode]) + length + payload
