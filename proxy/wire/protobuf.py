"""Protobuf's binary encoding, read without a schema: the few fields that are asked for, and no more.

As the reference library reads it (protobuf.dev, "Encoding"): the last value of a field counts, pieces
of one message merge, a field in another wire type is one that nobody knows. Groups are not read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.errors import WireError

__all__ = ["Fields", "read_fields"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES = 10
_MAX_TAG = 2**32
_MASK = 2**64 - 1
_SIGN = 2**31


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    wire_type: int
    value: int | bytes


class Fields:
    """The fields of one message; a field that is absent has its default, as proto3 has it."""

    def __init__(self, fields: tuple[_Field, ...], at: str) -> None:
        self._fields = fields
        self._at = at

    def has(self, number: int) -> bool:
        """Whether a field was written at all."""
        return any(field.number == number for field in self._fields)

    def numbers(self) -> frozenset[int]:
        """The numbers of all fields that were written."""
        return frozenset(field.number for field in self._fields)

    def last_of(self, *numbers: int) -> int | None:
        """Which of these alternatives (`oneof`) was written last; None: none was."""
        return next((f.number for f in reversed(self._fields) if f.number in numbers), None)

    def integer(self, number: int) -> int:
        """An `int32` or an enum, which may be negative."""
        low = self._varint(number) & 0xFFFFFFFF
        return low - 2 * _SIGN if low >= _SIGN else low

    def flag(self, number: int) -> bool:
        """A `bool`."""
        return self._varint(number) != 0

    def _varint(self, number: int) -> int:
        found = [value for value in self._of(number, _VARINT) if isinstance(value, int)]
        return found[-1] if found else 0

    def decimal(self, number: int) -> float:
        """A `float`, as a number of double precision."""
        found = self._bytes(number, _FIXED32)
        if not found:
            return 0.0
        value: float = struct.unpack("<f", found[-1])[0]
        return value

    def data(self, number: int) -> bytes:
        """A `bytes` field."""
        found = self._bytes(number, _BYTES)
        return found[-1] if found else b""

    def text(self, number: int) -> str:
        """A `string`.

        Raises:
            WireError: `not-utf-8`.
        """
        found = self.texts(number)
        return found[-1] if found else ""

    def texts(self, number: int) -> list[str]:
        """A `repeated string`.

        Raises:
            WireError: `not-utf-8`.
        """
        return [self._decoded(number, value) for value in self._bytes(number, _BYTES)]

    def message(self, number: int) -> "Fields | None":
        """A message within this one, its pieces merged; None where it was not written.

        Raises:
            WireError: `malformed-protobuf`.
        """
        found = self._bytes(number, _BYTES)
        return read_fields(b"".join(found), self._place(number)) if found else None

    def messages(self, number: int) -> list["Fields"]:
        """A `repeated` message.

        Raises:
            WireError: `malformed-protobuf`.
        """
        found = self._bytes(number, _BYTES)
        return [read_fields(value, f"{self._place(number)}[{i}]") for i, value in enumerate(found)]

    def _of(self, number: int, wire_type: int) -> Iterator[int | bytes]:
        for field in self._fields:
            if field.number == number and field.wire_type == wire_type:
                yield field.value

    def _bytes(self, number: int, wire_type: int) -> list[bytes]:
        return [value for value in self._of(number, wire_type) if isinstance(value, bytes)]

    def _decoded(self, number: int, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise WireError(
                f"a string is not UTF-8 at byte {error.start}",
                code="not-utf-8",
                where=self._place(number),
                help="a `string` of protobuf is UTF-8",
            ) from error

    def _place(self, number: int) -> str:
        return f"{self._at}.{number}"


def read_fields(data: bytes, at: str = "$") -> Fields:
    """The fields of a message; `at` is its place, for errors: numbers of fields, with dots.

    Raises:
        WireError: `malformed-protobuf`.
    """
    found: list[_Field] = []
    position = 0
    while position < len(data):
        tag, position = _varint(data, position, at)
        number, wire_type = tag >> 3, tag & 7
        if tag >= _MAX_TAG or number == 0:
            raise _malformed("a field has no valid number", at)
        value, position = _value(data, position, wire_type, f"{at}.{number}")
        found.append(_Field(number, wire_type, value))
    return Fields(tuple(found), at)


def _value(data: bytes, position: int, wire_type: int, at: str) -> tuple[int | bytes, int]:
    if wire_type == _VARINT:
        return _varint(data, position, at)
    if wire_type == _BYTES:
        size, position = _varint(data, position, at)
    elif wire_type in _SIZES:
        size = _SIZES[wire_type]
    else:
        raise _malformed(f"wire type {wire_type} is not read", at)
    end = position + size
    if end > len(data):
        raise _malformed("the message ends inside a field", at)
    return data[position:end], end


def _varint(data: bytes, position: int, at: str) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= len(data):
            raise _malformed("the message ends inside a number", at)
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & _MASK, position + index + 1
    raise _malformed("a number is longer than ten bytes", at)


def _malformed(why: str, at: str) -> WireError:
    return WireError(
        f"not a protobuf message: {why}",
        code="malformed-protobuf",
        where=at,
        help="send the message as the provider's published schema says",
    )
