"""gRPC's framing over HTTP/2 ("gRPC over HTTP/2"): messages with a prefix, and a status in trailers."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable
from urllib.parse import unquote_to_bytes

from proxy.errors import WireError
from proxy.exchange import Headers, TeacherError
from proxy.wire.encoding import MAX_BYTES, Decoder

__all__ = [
    "STATUSES",
    "EndStatus",
    "MessageDecoder",
    "Trailed",
    "end_of",
    "is_grpc",
    "only_message",
]

_PREFIX_BYTES = 5
_GZIP = b"\x1f\x8b"

STATUSES: Mapping[int, str] = MappingProxyType(
    dict(
        enumerate(
            (
                "OK",
                "CANCELLED",
                "UNKNOWN",
                "INVALID_ARGUMENT",
                "DEADLINE_EXCEEDED",
                "NOT_FOUND",
                "ALREADY_EXISTS",
                "PERMISSION_DENIED",
                "RESOURCE_EXHAUSTED",
                "FAILED_PRECONDITION",
                "ABORTED",
                "OUT_OF_RANGE",
                "UNIMPLEMENTED",
                "INTERNAL",
                "UNAVAILABLE",
                "DATA_LOSS",
                "UNAUTHENTICATED",
            )
        )
    )
)
"""The names of gRPC's statuses (grpc.io, "Status codes and their use in gRPC")."""


@runtime_checkable
class Trailed(Protocol):
    """A reader of answers whose status stands in trailers, or in the head where no body follows."""

    def trailers(self, fields: Headers) -> None:
        """Take note of header fields in which the status may stand; names are in any case."""


def is_grpc(content_type: str | None) -> bool:
    """Whether a content type says that gRPC's messages follow."""
    bare = (content_type or "").partition(";")[0].strip().lower()
    return bare == "application/grpc" or bare.startswith("application/grpc+")


class MessageDecoder:
    """Cuts the bytes of one direction into messages, however they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that the next bytes complete, decompressed.

        Raises:
            WireError: `malformed-frame`, or what a compressed message raises.
        """
        self._buffer += chunk
        found: list[bytes] = []
        while (size := self._size()) is not None and len(self._buffer) >= _PREFIX_BYTES + size:
            is_compressed = bool(self._buffer[0])
            message = bytes(self._buffer[_PREFIX_BYTES : _PREFIX_BYTES + size])
            del self._buffer[: _PREFIX_BYTES + size]
            found.append(_decompressed(message) if is_compressed else message)
        return found

    def _size(self) -> int | None:
        if len(self._buffer) < _PREFIX_BYTES:
            return None
        size = int.from_bytes(self._buffer[1:_PREFIX_BYTES])
        if self._buffer[0] > 1 or size > MAX_BYTES:
            raise WireError(
                "the bytes are not gRPC's messages: a prefix is out of range",
                code="malformed-frame",
                help="send each message with a flag of 0 or 1 and its length in four bytes",
            )
        return size

    @property
    def is_between(self) -> bool:
        """Whether no message has begun and not ended."""
        return not self._buffer


def _decompressed(message: bytes) -> bytes:
    """A message whose flag is set. Its own first bytes tell gzip from deflate: no header is needed."""
    decoder = Decoder("gzip" if message.startswith(_GZIP) else "deflate")
    return decoder.feed(message) + decoder.finish()


def only_message(body: bytes) -> bytes:
    """The one message that the body of a unary request holds.

    Raises:
        WireError: `malformed-frame`: there is none, more than one, or a cut one.
    """
    decoder = MessageDecoder()
    found = decoder.feed(body)
    if len(found) == 1 and decoder.is_between:
        return found[0]
    raise WireError(
        f"the request holds {len(found)} whole messages instead of one",
        code="malformed-frame",
        where="$",
        help="send one message with its prefix, and end the stream",
    )


@dataclass(frozen=True, slots=True)
class EndStatus:
    """How an answer ended: well, where there is no error."""

    error: TeacherError | None


def end_of(fields: Headers) -> EndStatus | None:
    """What header fields say of the end of an answer; None where they say nothing of it."""
    stated = {name.lower(): value for name, value in fields}
    code = stated.get("grpc-status")
    if code is None:
        return None
    if code.strip() == "0":
        return EndStatus(None)
    known = int(code) if code.isascii() and code.isdigit() and len(code) < 3 else -1
    said = unquote_to_bytes(stated.get("grpc-message", "").encode("latin-1", "replace"))
    message = said.decode(errors="replace") or None
    return EndStatus(TeacherError(type=STATUSES.get(known), code=code, message=message))
