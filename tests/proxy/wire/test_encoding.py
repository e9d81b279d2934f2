"""Claims on content codings: every coding and chain round-trips, and nothing else gets through."""

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.wire.encoding import Decoder

TEXT = b"data: Gr\xc3\xbc\xc3\x9fe\n\n" * 40


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": lambda data: data,
    "": lambda data: data,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "zstd,identity , deflate": lambda data: zlib.compress(zstandard.compress(data)),
}


def decode(encoding: str | None, body: bytes, cuts: list[int]) -> bytes:
    """A body decoded in pieces, its end checked."""
    decoder = Decoder(encoding)
    edges = [0, *sorted(at % (len(body) + 1) for at in cuts), len(body)]
    decoded = b"".join(decoder.feed(body[start:end]) for start, end in pairwise(edges))
    return decoded + decoder.finish()


@pytest.mark.parametrize("encoding", CODINGS)
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_codings_round_trip(encoding: str, data: bytes, cuts: list[int]) -> None:
    """What a coding or chain encoded comes back, however it is cut."""
    assert decode(encoding, CODINGS[encoding](data), cuts) == data


@pytest.mark.parametrize("encoding", CODINGS)
def test_codings_byte_by_byte(encoding: str) -> None:
    """A body that comes byte by byte comes back whole."""
    body = CODINGS[encoding](TEXT)
    assert decode(encoding, body, list(range(len(body)))) == TEXT


@pytest.mark.parametrize("encoding", CODINGS)
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 65_794, 131_072, 300_000])
def test_bodies_larger_than_a_piece(encoding: str, size: int) -> None:
    """A body that expands to more than is given at once comes back whole."""
    data = b"\0" * size
    assert decode(encoding, CODINGS[encoding](data), []) == data
    assert decode("deflate", _raw_deflate(data), []) == data


def test_no_header_is_identity() -> None:
    """Without a header the bytes stay what they are."""
    assert decode(None, b"abc", []) == b"abc"


def test_deflate_without_a_wrapper() -> None:
    """Deflate as some servers send it, without zlib's header, is read too."""
    assert decode("deflate", _raw_deflate(TEXT), [1, 2, 3]) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_members_follow_each_other(encoding: str) -> None:
    """Several gzip members or zstd frames are one body."""
    body = CODINGS[encoding](b"one ") + CODINGS[encoding](b"two")
    assert decode(encoding, body, []) == b"one two"
    assert decode(encoding, body, list(range(len(body)))) == b"one two"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_is_whole(encoding: str) -> None:
    """An answer without a body is not a cut one."""
    assert decode(encoding, b"", []) == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
def test_cut_bodies_are_noticed(encoding: str) -> None:
    """A body cut at any byte is not whole, though what came is given."""
    body = CODINGS[encoding](TEXT)
    for end in range(1, len(body)):
        decoder = Decoder(encoding)
        assert TEXT.startswith(decoder.feed(body[:end]))
        with pytest.raises(WireError) as caught:
            decoder.finish()
        assert caught.value.code == "cut-encoding"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_other_bytes_are_refused(encoding: str) -> None:
    """Bytes that are not of the coding are an error of the wire."""
    with pytest.raises(WireError) as caught:
        Decoder(encoding).feed(b"\xff\xff this is nothing of the kind" * 4)
    assert caught.value.code == "malformed-encoding"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_bytes_after_the_end_are_refused(encoding: str) -> None:
    """What follows a whole body and is no body itself is an error of the wire, in any chunk."""
    body = CODINGS[encoding](TEXT)
    for cuts in ([], [len(body)]):
        with pytest.raises(WireError) as caught:
            decode(encoding, body + b"trailing bytes", cuts)
        assert caught.value.code == "malformed-encoding"


@pytest.mark.parametrize("encoding", ["compress", "gzip, rot13", "gzip;q=1", "ä"])
def test_unknown_codings_are_refused(encoding: str) -> None:
    """A coding that nobody here reads is refused before any byte."""
    with pytest.raises(WireError) as caught:
        Decoder(encoding)
    assert caught.value.code == "unknown-encoding"
    assert caught.value.help == "use one of: gzip, deflate, br, zstd, identity"


def test_long_chains_are_refused() -> None:
    """A chain of more codings than anyone sends is refused."""
    with pytest.raises(WireError):
        Decoder(", ".join(["gzip"] * 5))


BOMB = b"\0" * (8 * 1024 * 1024)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
def test_bombs_are_refused(encoding: str) -> None:
    """A body that expands far beyond what text does is refused."""
    with pytest.raises(WireError) as caught:
        Decoder(encoding).feed(CODINGS[encoding](BOMB))
    assert caught.value.code == "expands-too-far"


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_the_size_is_limited_too(encoding: str) -> None:
    """A limit in bytes holds whatever the ratio."""
    with pytest.raises(WireError) as caught:
        Decoder(encoding, limit_bytes=100).feed(CODINGS[encoding](TEXT))
    assert caught.value.message == "the body expands to more than 100 bytes"


@given(body=st.binary(max_size=80), encoding=st.sampled_from(["gzip", "deflate", "br", "zstd"]))
def test_any_bytes_give_bytes_or_a_wire_error(body: bytes, encoding: str) -> None:
    """Any bytes at all are decoded or refused."""
    with suppress(WireError):
        assert isinstance(decode(encoding, body, []), bytes)
