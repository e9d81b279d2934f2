"""Claims on gRPC's framing: any pieces give the same messages, and the status tells the end."""

import contextlib
import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import TeacherError
from proxy.wire.grpc import (
    STATUSES,
    EndStatus,
    MessageDecoder,
    end_of,
    is_grpc,
    only_message,
)


def framed(message: bytes, *, flag: int = 0) -> bytes:
    """A message with its prefix."""
    return bytes([flag]) + len(message).to_bytes(4) + message


@given(
    messages=st.lists(st.binary(max_size=40), max_size=5),
    cuts=st.lists(st.integers(0, 220), max_size=6).map(sorted),
)
def test_cuts_do_not_matter(messages: list[bytes], cuts: list[int]) -> None:
    """However the network cuts a stream, the same messages come out."""
    stream = b"".join(framed(message) for message in messages)
    decoder = MessageDecoder()
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    found = [each for a, b in pairwise(edges) for each in decoder.feed(stream[a:b])]
    assert (found, decoder.is_between) == (messages, True)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_a_compressed_message_is_read(compress: object) -> None:
    """A message whose flag is set is decompressed, by the kind that its bytes are of."""
    assert callable(compress)
    stream = framed(compress(b"abc" * 50), flag=1) + framed(b"plain")
    assert MessageDecoder().feed(stream) == [b"abc" * 50, b"plain"]


@given(data=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes gives messages or a `WireError`."""
    with contextlib.suppress(WireError):
        MessageDecoder().feed(data)


@pytest.mark.parametrize("prefix", [b"\x02\0\0\0\0", b"\x80\0\0\0\0", b"\0\xff\xff\xff\xff"])
def test_a_prefix_out_of_range(prefix: bytes) -> None:
    """A flag that is not known, or a length nobody sends, is no message of gRPC."""
    with pytest.raises(WireError) as raised:
        MessageDecoder().feed(prefix)
    assert raised.value.code == "malformed-frame"


def test_a_unary_request_is_one_message() -> None:
    """None, two or a cut one are refused; the message says how many there were."""
    assert only_message(framed(b"a")) == b"a"
    for body, count in ((b"", 0), (framed(b"a")[:-1], 0), (framed(b"a") * 2, 2)):
        with pytest.raises(WireError, match=f"holds {count} whole"):
            only_message(body)
    with pytest.raises(WireError, match="holds 1 whole"):
        only_message(framed(b"a") + b"\0")


def test_the_status_tells_the_end() -> None:
    """No status, the status OK, and an error with its words are told apart."""
    assert end_of((("content-type", "application/grpc"),)) is None
    assert end_of((("Grpc-Status", "0"),)) == EndStatus(None)
    said = (("grpc-status", "7"), ("grpc-message", "no%20%C5%82 way"))
    error = TeacherError(type="PERMISSION_DENIED", code="7", message="no ł way")
    assert end_of(said) == EndStatus(error)
    odd = end_of((("grpc-status", "x99"),))
    assert odd == EndStatus(TeacherError(type=None, code="x99", message=None))
    assert (len(STATUSES), STATUSES[16]) == (17, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("content_type", "is_it"),
    [
        ("application/grpc", True),
        ("Application/gRPC+proto; charset=utf-8", True),
        ("application/grpc-web", False),
        ("application/json", False),
        (None, False),
    ],
)
def test_what_is_grpc(content_type: str | None, *, is_it: bool) -> None:
    """The content type tells gRPC from its variant for browsers, which has no trailers."""
    assert is_grpc(content_type) is is_it
