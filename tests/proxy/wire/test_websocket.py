"""Claims on reading frames: what a genuine implementation writes is read alike, in any pieces."""

import contextlib
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate

from proxy.errors import WireError
from proxy.wire.websocket import (
    Compression,
    Frame,
    FrameReader,
    close_frame,
    compression_of,
    text_frame,
)

_LIMIT_BYTES = 100_000
_EVENTS = st.lists(
    st.one_of(
        st.builds(TextMessage, data=st.text(max_size=300), message_finished=st.booleans()),
        st.builds(Ping, payload=st.binary(max_size=20)),
    ),
    max_size=8,
)


def _peer(side: ConnectionType, *, is_compressed: bool) -> Connection:
    extensions: list[Extension] = []
    if is_compressed:
        deflate = PerMessageDeflate()
        deflate.finalize("permessage-deflate")
        extensions.append(deflate)
    return Connection(side, extensions)


def _read(reader: FrameReader, stream: bytes, cuts: list[int]) -> list[Frame]:
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [frame for a, b in pairwise(edges) for frame in reader.feed(stream[a:b])]


@pytest.mark.parametrize("side", [ConnectionType.CLIENT, ConnectionType.SERVER])
@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "deflate"])
@given(events=_EVENTS, cuts=st.lists(st.integers(0, 3000), max_size=6))
def test_what_wsproto_writes_is_read(
    side: ConnectionType, events: list[Event], cuts: list[int], *, is_compressed: bool
) -> None:
    """Masked, fragmented, compressed, with pings between: the messages and the very bytes come out."""
    peer = _peer(side, is_compressed=is_compressed)
    stream = b"".join(peer.send(event) for event in events)
    reader = FrameReader(keeps=True if is_compressed else None, limit_bytes=_LIMIT_BYTES)
    frames = _read(reader, stream, cuts)
    wanted, begun = [], ""
    for event in events:
        if isinstance(event, TextMessage):
            begun += event.data
            if event.message_finished:
                wanted.append(begun.encode())
                begun = ""
    assert [frame.message for frame in frames if frame.message is not None] == wanted
    assert b"".join(frame.raw for frame in frames) == stream
    assert sum(frame.is_control for frame in frames) == sum(isinstance(e, Ping) for e in events)


def test_a_long_message_and_a_farewell() -> None:
    """Lengths in eight bytes are read, and a frame that takes leave says so."""
    peer = _peer(ConnectionType.CLIENT, is_compressed=False)
    stream = peer.send(BytesMessage(b"x" * 70_000)) + peer.send(CloseConnection(1000, "bye"))
    first, last = FrameReader(keeps=None, limit_bytes=_LIMIT_BYTES).feed(stream)
    assert (first.message, first.is_close) == (b"x" * 70_000, False)
    assert (last.message, last.is_close, last.is_control) == (None, True, True)


def test_a_side_that_forgets_each_message() -> None:
    """Where no context is kept each message is inflated by itself."""

    def deflated(text: bytes) -> bytes:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(b"\0\0\xff\xff")

    reader = FrameReader(keeps=False, limit_bytes=_LIMIT_BYTES)
    data = b"".join(b"\xc1" + bytes([len(d)]) + d for d in map(deflated, (b"abc" * 9, b"abc" * 9)))
    assert [frame.message for frame in reader.feed(data)] == [b"abc" * 9] * 2


@given(data=st.binary(max_size=60), keeps=st.none() | st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, keeps: bool | None) -> None:  # noqa: FBT001 - a strategy gives it
    """Whatever comes gives frames or a `WireError`."""
    with contextlib.suppress(WireError):
        FrameReader(keeps=keeps, limit_bytes=1000).feed(data)


@pytest.mark.parametrize(
    ("data", "keeps"),
    [
        (b"\x80\x00", None),  # goes on from nothing
        (b"\x01\x00\x81\x00", None),  # begins anew in the middle
        (b"\x83\x00", None),  # a kind that is not known
        (b"\xa1\x00", None),  # a bit that nobody agreed on
        (b"\xc1\x00", None),  # compressed, which nobody agreed on
        (b"\x01\x00\xc0\x00", True),  # compressed from the middle on
        (b"\xc1\x03\xff\xff\xff", True),  # no deflate
    ],
)
def test_frames_out_of_order(data: bytes, keeps: bool | None) -> None:  # noqa: FBT001 - as above
    """What a peer may not send is no frame."""
    with pytest.raises(WireError) as raised:
        FrameReader(keeps=keeps, limit_bytes=1000).feed(data)
    assert raised.value.code == "malformed-frame"


def test_a_message_over_the_limit() -> None:
    """Too long in one frame, in several, or once it is inflated."""
    bomb = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = bomb.compress(b"a" * 5000) + bomb.flush(zlib.Z_SYNC_FLUSH)
    inflated = b"\xc1" + bytes([len(data)]) + data
    for stream in (b"\x81\x7e\x07\xd0", b"\x01\x64" + b"a" * 100 + b"\x80\x7e\x03\xe8", inflated):
        with pytest.raises(WireError, match="over 1000 bytes"):
            FrameReader(keeps=True, limit_bytes=1000).feed(stream)


@pytest.mark.parametrize(
    ("said", "agreed"),
    [
        ("", None),
        ("permessage-deflate", Compression()),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
            Compression(server_keeps=False),
        ),
        ("permessage-deflate; client_no_context_takeover", Compression(client_keeps=False)),
    ],
)
def test_what_was_agreed_on(said: str, agreed: Compression | None) -> None:
    """The answer to the upgrade tells whether messages are compressed, and how."""
    assert compression_of(said) == agreed


@pytest.mark.parametrize("said", ["x-webkit-deflate-frame", "permessage-deflate, other"])
def test_another_extension(said: str) -> None:
    """Frames of an extension that is not known cannot be read."""
    with pytest.raises(WireError) as raised:
        compression_of(said)
    assert raised.value.code == "unread-extension"


@pytest.mark.parametrize("size", [0, 125, 126, 70_000])
def test_what_is_written_is_read(size: int) -> None:
    """A text of any length is one frame that a genuine client reads."""
    client = _peer(ConnectionType.CLIENT, is_compressed=False)
    client.receive_data(text_frame("a" * size))
    assert "".join(e.data for e in client.events() if isinstance(e, TextMessage)) == "a" * size


def test_a_farewell_fits() -> None:
    """A long reason is cut between characters, to what a control frame may hold."""
    client = _peer(ConnectionType.CLIENT, is_compressed=False)
    client.receive_data(close_frame(1008, "ł" * 100))
    (event,) = client.events()
    assert isinstance(event, CloseConnection)
    assert (event.code, event.reason) == (1008, "ł" * 61)
