"""Content codings undone on a copy, as the bytes flow (RFC 9110 §8.4).

The original bytes are forwarded; this reads what they say. Expansion is bounded: a decoder gives
its output in pieces and stops at the piece that crosses a limit.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it ships no types
import zstandard

from proxy.errors import WireError

__all__ = ["MAX_BYTES", "MAX_RATIO", "Decoder"]

MAX_BYTES = 256 * 1024 * 1024
"""The most that one body may expand to."""
MAX_RATIO = 250
"""The most that it may expand by; repetitive event streams reach about a hundred."""

_FREE_BYTES = 1024 * 1024  # below this the ratio says nothing
_PIECE_BYTES = 64 * 1024
_ZSTD_SLICE_BYTES = 128  # 3-byte blocks give 128 KiB each: a slice gives at most some 5 MiB
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024  # RFC 9659 §3: what a content coding may ask for
_MAX_CODINGS = 4


class _Coding(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...

    @property
    def is_whole(self) -> bool: ...


class _Zlib:
    """gzip (any number of members, RFC 1952 §2.2) and deflate, with zlib's header or without."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._head = b""
        self._member: zlib._Decompress | None = None
        self._is_whole = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            data = self._head + data
            if self._member is None and len(data) < 2:
                self._head = data
                return
            self._head = b""
            member = self._member = self._member or self._begin(data)
            piece = member.decompress(data, _PIECE_BYTES)
            yield piece
            while len(piece) == _PIECE_BYTES:  # more may wait behind a full piece
                piece = member.decompress(member.unconsumed_tail, _PIECE_BYTES)
                yield piece
            data = member.unused_data
            if member.eof:
                self._member, self._is_whole = None, True

    def _begin(self, data: bytes) -> "zlib._Decompress":
        if self._is_whole and not self._is_gzip:
            raise zlib.error
        if self._is_gzip:
            wbits = zlib.MAX_WBITS | 16
        else:  # RFC 9110 §8.4.1.2 note: some send deflate without the zlib wrapper
            has_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            wbits = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
        return zlib.decompressobj(wbits)

    @property
    def is_whole(self) -> bool:
        return self._is_whole and self._member is None and not self._head


class _Zstd:
    """zstd (RFC 8878), any number of frames."""

    def __init__(self) -> None:
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._is_whole = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE_BYTES):
            rest = data[start : start + _ZSTD_SLICE_BYTES]
            while rest:
                if self._frame is None:
                    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
                    self._frame = context.decompressobj()
                yield self._frame.decompress(rest)
                rest = b""
                if self._frame.eof:
                    rest, self._frame, self._is_whole = self._frame.unused_data, None, True

    @property
    def is_whole(self) -> bool:
        return self._is_whole and self._frame is None


class _Brotli:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        piece = self._stream.process(data, output_buffer_limit=_PIECE_BYTES)
        yield piece
        while piece and not self.is_whole:  # more may wait where a piece came
            piece = self._stream.process(b"", output_buffer_limit=_PIECE_BYTES)
            yield piece

    @property
    def is_whole(self) -> bool:
        return bool(self._stream.is_finished())


def _coding(name: str) -> _Coding | None:
    match name:
        case "gzip" | "x-gzip":
            return _Zlib(is_gzip=True)
        case "deflate":
            return _Zlib(is_gzip=False)
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
        case "identity" | "":
            return None
        case _:
            raise WireError(
                f"content-encoding `{name[:40]}` is not known",
                code="unknown-encoding",
                help="use one of: gzip, deflate, br, zstd, identity",
            )


class Decoder:
    """Undoes a `content-encoding`, given as the header's value; None is identity.

    Raises:
        WireError: `unknown-encoding`, from the constructor.
    """

    def __init__(
        self, encoding: str | None, *, limit_bytes: int = MAX_BYTES, max_ratio: int = MAX_RATIO
    ) -> None:
        names = [name.strip().lower() for name in (encoding or "").split(",")]
        if len(names) > _MAX_CODINGS:
            raise WireError(
                f"more than {_MAX_CODINGS} content codings are chained", code="unknown-encoding"
            )
        found = [_coding(name) for name in reversed(names)]
        self._codings = [coding for coding in found if coding is not None]
        self._limit_bytes = limit_bytes
        self._max_ratio = max_ratio
        self._fed = 0
        self._given = 0

    def feed(self, chunk: bytes) -> bytes:
        """The decoded bytes that the next chunk allows.

        Raises:
            WireError: `malformed-encoding`, or `expands-too-far` past a limit.
        """
        self._fed += len(chunk)
        pieces: Iterable[bytes] = (chunk,)
        for coding in self._codings:
            pieces = self._through(coding, pieces)
        try:
            return b"".join(pieces)
        except (zlib.error, zstandard.ZstdError, brotli.error) as error:
            raise WireError(
                "the body is not what its content-encoding says", code="malformed-encoding"
            ) from error

    def finish(self) -> bytes:
        """Check that nothing is missing; gives what was still to be decoded, which is nothing.

        Raises:
            WireError: `cut-encoding`: the compressed body ends before its end.
        """
        if self._fed and not all(coding.is_whole for coding in self._codings):
            raise WireError("the compressed body ends too early", code="cut-encoding")
        return b""

    def _through(self, coding: _Coding, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            for given in coding.feed(piece):
                self._given += len(given)
                limit = min(self._limit_bytes, max(_FREE_BYTES, self._fed * self._max_ratio))
                if self._given > limit:
                    raise WireError(
                        f"the body expands to more than {limit} bytes",
                        code="expands-too-far",
                        help="send it with less compression, or in smaller parts",
                    )
                yield given
