"""The HTTP layers: what the stock ones get wrong between a client and a teacher."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from proxy.engine_layers import BondHttpLayer
from proxy.exchange import Outcome
from proxy.gate import Refused, Wait
from tests.proxy.gatekeeper import StreamedPassage
from tests.proxy.rig import HOST, Rig, rig
from tests.proxy.upstream import Step, chunked, head

OK = head(content_length="2") + b"ok"


async def test_a_connection_is_used_again(tmp_path: Path) -> None:
    """Calls of one client to one teacher share a connection; another name gets its own."""
    async with rig(tmp_path, (OK,), is_tls=True) as wire:
        async with wire.based() as client:
            for _ in range(2):
                await client.post("/v1/chat", content=b"{}")
            assert wire.upstream.connections == 1
            wire.gate.host = "other.test"
            assert (await client.post("/v1/chat", content=b"{}")).status_code == 502
        assert wire.upstream.server_names == [HOST, "other.test"]
        assert len(wire.upstream.requests) == 2


async def test_a_teacher_may_close_between_calls(tmp_path: Path) -> None:
    """A connection that the teacher closed is replaced, and forgotten: a client costs no memory."""
    async with rig(tmp_path, (OK, Step.FIN)) as wire:
        async with wire.based() as client:
            for count in range(1, 9):
                assert (await client.post("/v1/chat", content=b"{}")).text == "ok"
                await wire.upstream.until(lambda up, count=count: up.closed == count)  # type: ignore[misc] # a default binds the loop variable
                await asyncio.sleep(0.01)
            layers = [it for it in gc.get_objects() if type(it) is BondHttpLayer]
            ours = {passage.arrival.client for passage in wire.gate.passages}
            (layer,) = [layer for layer in layers if layer.context.client.id in ours]
            assert len(layer.connections) <= 3
        assert wire.upstream.connections == 8


@pytest.mark.parametrize("answer", [b"what?\r\n\r\n", head(content_length="x"), b"HTTP/1.1 200"])
async def test_a_malformed_answer_is_not_passed_on(tmp_path: Path, answer: bytes) -> None:
    """What is no HTTP answer becomes a refusal of the gate, with no page of mitmproxy's."""
    async with rig(tmp_path, (answer, Step.FIN)) as wire:
        async with wire.based() as client:
            got = await client.post("/v1/chat", content=b"{}")
        assert (got.status_code, got.text) == (502, "unreachable")
        assert "mitmproxy" not in str(got.headers)
        assert wire.passage.ends == [Outcome.UPSTREAM_FAILED]


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /v1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1 HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        b"what?\r\n\r\n",
    ],
)
async def test_a_malformed_request_goes_nowhere(tmp_path: Path, request_head: bytes) -> None:
    """A request that could be read in two ways is answered 400 and never decided on."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        writer.write(request_head)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        assert all(passage.body is None for passage in wire.gate.passages)
        assert wire.upstream.connections == 0


async def test_a_client_may_ask_before_it_uploads(tmp_path: Path) -> None:
    """`Expect: 100-continue` is answered by the engine."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request(b"", "Expect: 100-continue").replace(b": 0", b": 2"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"{}")
        await reader.readuntil(b"ok")
        assert wire.passage.body == b"{}"


async def test_a_request_without_a_host_is_a_base_url_request(tmp_path: Path) -> None:
    """In base-URL mode the path says where to go, so `Host` may be missing or anything."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        writer.write(b"GET /openai/v1/models HTTP/1.0\r\n\r\n")
        await reader.readuntil(b"ok")
        assert (wire.passage.arrival.host, wire.passage.arrival.target) == (
            None,
            "/openai/v1/models",
        )


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ("client gone", Outcome.CLIENT_DISCONNECTED),
        ("silence", Outcome.UPSTREAM_FAILED),
        ("drain", Outcome.CUT),
    ],
)
async def test_a_dial_can_be_ended(tmp_path: Path, cause: str, outcome: Outcome) -> None:
    """A teacher that accepts and says nothing holds nobody: the dial ends for the right reason."""
    timeout_s = 0.1 if cause == "silence" else 30.0
    async with rig(tmp_path, (Step.HOLD,), upstream_timeout_s=timeout_s) as wire:
        wire.gate.scheme = "https"  # the server speaks no TLS: the handshake never ends
        async with wire.raw() as (reader, writer):
            writer.write(wire.request())
            await wire.upstream.until(lambda up: up.connections == 1)
            if cause == "drain":
                await wire.engine.drain()
            if cause != "client gone":
                assert (await reader.readline()).startswith(b"HTTP/1.1 502 ")
        assert (await wire.ended()).ends == [outcome]
        await wire.upstream.until(lambda up: up.closed == 1)
        assert b"POST" not in wire.upstream.received


async def test_a_forward_that_was_withdrawn_is_not_dialled(tmp_path: Path) -> None:
    """A call that ended while the gate decided goes nowhere (P1)."""
    async with rig(tmp_path, (OK,)) as wire, wire.raw() as (reader, writer):
        wire.gate.hold = asyncio.Event()
        writer.write(wire.request())
        await wire.asked()
        addon = wire.engine._addon
        (call,) = addon._calls.values()
        addon.blame(call.flow, Outcome.CUT)
        wire.gate.hold.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 502 ")
        assert (await wire.ended()).ends == [Outcome.CUT]
        assert wire.upstream.connections == 0


async def test_a_cut_while_the_gate_decides_ends_the_client(tmp_path: Path) -> None:
    """Where there is no teacher's connection to close yet, the client's is closed."""
    async with rig(tmp_path, (OK,)) as wire, wire.raw() as (reader, writer):
        wire.gate.hold = asyncio.Event()
        writer.write(wire.request())
        await wire.asked()
        wire.engine._addon.cut_all()
        assert await reader.read() == b""
        wire.gate.hold.set()
        assert (await wire.ended()).ends == [Outcome.CUT]
        assert wire.upstream.connections == 0


async def test_a_head_answer_has_no_body(tmp_path: Path) -> None:
    """An answer without a body is complete with its head."""
    script = (head(content_length="2"),)
    async with rig(tmp_path, script) as wire:
        async with wire.proxied() as client:
            answer = await client.head(f"http://{HOST}/v1/models")
        assert answer.status_code == 200
        assert wire.passage.ends == [Outcome.COMPLETE]


async def test_an_announced_length_ends_after_the_record(tmp_path: Path) -> None:
    """The last bytes of a body of known length are the end of the message: they wait for the record."""
    goes_on = asyncio.Event()
    script = (head(content_length="6") + b"abc", goes_on, b"def")
    async with rig(tmp_path, script) as wire, wire.dial() as (reader, writer):
        wire.gate.hold_end = asyncio.Event()
        writer.write(wire.request())
        await reader.readuntil(b"abc")
        goes_on.set()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.readuntil(b"def")
        wire.gate.hold_end.set()
        await reader.readuntil(b"def")
        assert wire.passage.ends == [Outcome.COMPLETE]


# Uploads that go on while they come in.


def _streamed(
    folder: Path, *says: Wait | Refused | None, is_tls: bool = False
) -> AbstractAsyncContextManager[Rig]:
    """An engine whose gate says this to each piece of an upload that it is shown."""
    return rig(folder, (OK,), begins=says, is_tls=is_tls)


@dataclass(slots=True)
class _Raw:
    """A teacher that keeps each byte as it comes, and answers before the upload has ended."""

    received: bytearray = field(default_factory=bytearray)
    answer_at: bytes = b"never"
    address: tuple[str, int] = ("", 0)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.received += data
                if self.received.endswith(self.answer_at):
                    writer.write(head(413, content_length="2") + b"no")
        self.closed.set()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def _raw(wire: Rig) -> AsyncIterator[_Raw]:
    """Have the gate send calls to a raw teacher for the time of the block."""
    raw = _Raw()
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    wire.gate.connect_to = server.sockets[0].getsockname()
    yield raw
    server.close()


async def _received(received: bytearray, end: bytes) -> None:
    """Wait until the bytes that were received end so."""
    async with asyncio.timeout(5):
        while not received.endswith(end):  # noqa: ASYNC110 - bytes set no events
            await asyncio.sleep(0.001)


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("is_announced", [False, True])
async def test_an_upload_goes_on_as_it_comes(
    tmp_path: Path, *, http2: bool, is_announced: bool
) -> None:
    """Once the gate has seen enough, what came and what comes goes on, byte for byte."""
    async with _streamed(tmp_path, Wait.MORE, None, is_tls=True) as wire:
        headers = {"content-length": "9"} if is_announced else {}
        async with wire.proxied(http2=http2) as client:
            answer = await client.post(
                f"https://{HOST}/v1/files", content=_pieces(b"abc", b"def", b"ghi"), headers=headers
            )
        assert answer.text == "ok"
        passage = wire.passage
        assert isinstance(passage, StreamedPassage)
        assert passage.shown == [b"abc", b"abcdef"]
        assert b"".join(passage.uploaded) == b"abcdefghi"
        assert passage.body is None
        (seen,) = wire.upstream.requests
        assert seen.body == b"abcdefghi"
        assert seen.header("content-length") == ("9" if is_announced else None)
        assert seen.header("transfer-encoding") == (None if is_announced else "chunked")
        assert (passage.upstream_bytes, passage.ends) == (0, [Outcome.COMPLETE])


async def test_an_upload_may_be_wanted_whole(tmp_path: Path) -> None:
    """A gate that wants all of it is asked as for any call; so is one for a request without a body."""
    async with _streamed(tmp_path, Wait.MORE, Wait.WHOLE) as wire:
        async with wire.based() as client:
            assert (await client.post("/v1/x", content=_pieces(b"abc", b"def", b"g"))).text == "ok"
            assert (await client.get("/v1/x")).text == "ok"
        first, second = wire.gate.passages
        assert (first.body, second.body) == (b"abcdefg", b"")
        assert isinstance(first, StreamedPassage)
        assert first.shown == [b"abc", b"abcdef"]


@pytest.mark.parametrize("is_announced", [False, True])
async def test_an_upload_wanted_whole_has_a_limit(tmp_path: Path, *, is_announced: bool) -> None:
    """What would have to be held is refused where it is too large, announced or not."""
    async with _streamed(tmp_path, Wait.WHOLE) as wire:
        wire.gate.limit_bytes = 4
        headers = {"content-length": "6"} if is_announced else {}
        async with wire.based() as client:
            answer = await client.post("/v1/x", content=_pieces(b"abc", b"def"), headers=headers)
        assert answer.status_code == 413
        assert wire.upstream.connections == 0
        assert wire.passage.ends == [Outcome.REFUSED]


async def test_an_upload_is_refused_as_it_begins(tmp_path: Path) -> None:
    """A refusal of the first piece is answered, and the rest is dropped."""
    refused = Refused(status=403, headers=(), body=b"no")
    async with _streamed(tmp_path, refused) as wire:
        async with wire.based() as client:
            answer = await client.post("/v1/x", content=_pieces(b"abc", b"def"))
        assert (answer.status_code, answer.text) == (403, "no")
        assert wire.upstream.connections == 0
        assert wire.passage.ends == [Outcome.REFUSED]


@pytest.mark.parametrize("broken", ["begin", "upload"])
async def test_a_gate_that_breaks_stops_an_upload(tmp_path: Path, broken: str) -> None:
    """What breaks while an upload is looked at lets nothing more out, and ends the call once."""
    async with _streamed(tmp_path, None) as wire:
        wire.gate.broken_in = frozenset({broken})
        async with wire.based() as client:
            with contextlib.suppress(httpx.HTTPError):
                sent = {"content-length": "6"}
                answer = await client.post("/v1/x", content=_pieces(b"abc", b"def"), headers=sent)
                assert answer.status_code in {502, 503}
        assert b"abc" not in wire.upstream.received
        assert len((await wire.ended()).ends) == 1


async def test_a_cut_stops_an_upload(tmp_path: Path) -> None:
    """Where the gate says so, nothing more goes on."""
    async with _streamed(tmp_path, None) as wire, _raw(wire) as raw:
        wire.gate.cut_at = 2
        async with wire.based() as client:
            with contextlib.suppress(httpx.HTTPError):
                await client.post("/v1/x", content=_pieces(b"abc", b"xyz", b"ghi"))
        assert (await wire.ended()).ends == [Outcome.CUT]
        await asyncio.wait_for(raw.closed.wait(), 5)
        assert b"abc" in raw.received
        assert b"xyz" not in raw.received


async def test_a_client_leaves_in_a_streamed_upload(tmp_path: Path) -> None:
    """The teacher's connection is closed, and the passage ends for the client's reason."""
    async with _streamed(tmp_path, None) as wire, _raw(wire) as raw:
        async with wire.dial() as (_, writer):
            writer.write(wire.request(b"abc").replace(b"Length: 3", b"Length: 9"))
            await _received(raw.received, b"abc")
        assert (await wire.ended()).ends == [Outcome.CLIENT_DISCONNECTED]
        await asyncio.wait_for(raw.closed.wait(), 5)


async def test_a_streamed_upload_without_a_teacher_is_answered_for(tmp_path: Path) -> None:
    """Where nobody listens the client gets the gate's excuse, and its upload is not kept."""
    async with _streamed(tmp_path, None) as wire:
        wire.gate.connect_to = ("127.0.0.1", 9)
        async with wire.based() as client:
            with contextlib.suppress(httpx.WriteError, httpx.ReadError):
                answer = await client.post("/v1/x", content=_pieces(b"abc", b"def"))
                assert answer.status_code == 502
        assert (await wire.ended()).ends == [Outcome.UPSTREAM_FAILED]


async def test_an_upload_waits_for_its_connection(tmp_path: Path) -> None:
    """While the gate looks at an upload, no more of it is read than a socket holds."""
    async with _streamed(tmp_path, None) as wire, wire.dial() as (_, writer):
        wire.gate.hold = asyncio.Event()
        size = 64 * 2**20
        writer.write(wire.request(b"abc").replace(b"Length: 3", b"Length: %d" % (size + 3)))
        await wire.met()
        written = asyncio.ensure_future(_write(writer, size))
        await asyncio.sleep(0.3)
        assert not written.done()
        wire.gate.hold.set()
        await written
        assert (await wire.ended()).ends == [Outcome.COMPLETE]


async def test_an_upload_waits_for_a_slow_teacher(tmp_path: Path) -> None:
    """While the teacher's TLS has not begun, no more is read than a socket holds; then it has failed."""
    rigged = rig(tmp_path, (OK,), begins=(None,), upstream_timeout_s=1.5)
    async with rigged as wire, _raw(wire) as raw, wire.dial() as (_, writer):
        wire.gate.scheme = "https"
        size = 64 * 2**20
        writer.write(wire.request(b"abc").replace(b"Length: 3", b"Length: %d" % (size + 3)))
        async with asyncio.TaskGroup() as group:
            written = group.create_task(_write(writer, size))
            async with asyncio.timeout(5):
                while not raw.received:  # noqa: ASYNC110 - bytes set no events
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.5)
            assert not written.done()
            written.cancel()
        assert (await wire.ended()).ends == [Outcome.UPSTREAM_FAILED]


async def _write(writer: asyncio.StreamWriter, size: int) -> None:
    for _ in range(size // 65536):
        writer.write(bytes(65536))
        await writer.drain()


async def test_an_early_answer_is_heard(tmp_path: Path) -> None:
    """A teacher may answer while the upload goes on; what still comes is sent on all the same."""
    async with _streamed(tmp_path, None) as wire, _raw(wire) as raw:
        raw.answer_at = b"abc"
        async with wire.dial() as (reader, writer):
            writer.write(wire.request(b"abc").replace(b"Length: 3", b"Length: 9"))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
            writer.write(b"defghi")
            await reader.readuntil(b"no")
            await _received(raw.received, b"abcdefghi")
        assert (await wire.ended()).ends == [Outcome.COMPLETE]


async def test_a_change_of_protocol_is_followed_where_the_gate_allows_it(tmp_path: Path) -> None:
    """After a 101 that the gate foresaw, bytes pass both ways as they come."""
    script = (head(101, connection="upgrade", upgrade="x") + b"raw", Step.HOLD)
    async with rig(tmp_path, script) as wire, wire.dial() as (reader, writer):
        wire.gate.may_switch = True
        writer.write(wire.request())
        assert (await reader.readuntil(b"raw")).startswith(b"HTTP/1.1 101 ")
        writer.write(b"and back")
        await _received(wire.upstream.received, b"and back")
        assert (await wire.ended()).ends == [Outcome.COMPLETE]


# Answers that are held, and answers that are cut.

EVENTS = (head(content_type="text/event-stream", transfer_encoding="chunked"), *chunked(b"a", b"b"))


async def test_a_held_answer_is_released_as_it_came(tmp_path: Path) -> None:
    """Nothing of it goes out before the record; then all of it, with its framing and headers."""
    goes_on = asyncio.Event()
    async with rig(tmp_path, (*EVENTS[:2], goes_on, *EVENTS[2:])) as wire:
        wire.gate.buffer_bytes = 2
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            passage = await wire.asked()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.readline()
            goes_on.set()
            got = await reader.readuntil(b"\r\n0\r\n\r\n")
        assert b"text/event-stream" in got
        assert got.endswith(b"2\r\nab\r\n0\r\n\r\n")
        assert (passage.chunks, passage.ends) == ([b"a", b"b"], [Outcome.COMPLETE])


@pytest.mark.parametrize("is_durable", [False, True])
async def test_a_held_answer_may_be_withheld(tmp_path: Path, *, is_durable: bool) -> None:
    """Where the gate says no, or its record is not durable, the client gets a refusal instead."""
    async with rig(tmp_path, (head(content_length="6") + b"secret",)) as wire:
        wire.gate.buffer_bytes = 100
        wire.gate.withhold = Refused(status=403, headers=(("x-a", "b"),), body=b"no")
        if not is_durable:
            wire.gate.broken_in = frozenset({"end"})
        async with wire.based() as client:
            answer = await client.post("/v1/x", content=b"{}")
        assert answer.status_code == (403 if is_durable else 503)
        assert "secret" not in answer.text
        assert wire.passage.chunks == [b"secret"]


async def test_a_gate_that_breaks_withholds(tmp_path: Path) -> None:
    """A gate that cannot say whether an answer may go out keeps it (P9)."""
    async with rig(tmp_path, (OK,)) as wire:
        wire.gate.buffer_bytes, wire.gate.broken_in = 100, frozenset({"withheld"})
        async with wire.based() as client:
            answer = await client.post("/v1/x", content=b"{}")
        assert (answer.status_code, answer.text) == (503, "failed")


@pytest.mark.parametrize("cause", ["size", "tap", "close"])
async def test_a_held_answer_that_fails_is_answered_for(tmp_path: Path, cause: str) -> None:
    """Nothing was sent yet, so the client gets a whole answer in its own format, and why."""
    script = (
        head(content_length="9") + b"abc",
        b"def",
        Step.FIN if cause == "close" else Step.HOLD,
    )
    async with rig(tmp_path, script) as wire:
        wire.gate.buffer_bytes = 5 if cause == "size" else 100
        if cause == "tap":
            wire.gate.cut_at = 1
        async with wire.based() as client:
            answer = await client.post("/v1/x", content=b"{}")
        assert (answer.status_code, answer.text) == (502, "unreachable")
        assert ("limits.answer_bytes" in wire.passage.reasons[0]) is (cause == "size")
        outcome = Outcome.UPSTREAM_FAILED if cause == "close" else Outcome.CUT
        assert wire.passage.ends == [outcome]


async def test_a_client_leaves_while_its_answer_is_held(tmp_path: Path) -> None:
    """The call ends for the client's reason, once."""
    async with rig(tmp_path, (*EVENTS[:2], Step.HOLD)) as wire:
        wire.gate.buffer_bytes = 100
        async with wire.dial() as (_, writer):
            writer.write(wire.request())
            await wire.asked()
            await asyncio.sleep(0.1)
        assert (await wire.ended()).ends == [Outcome.CLIENT_DISCONNECTED]


@pytest.mark.parametrize("http2", [False, True])
async def test_a_cut_stream_says_why(tmp_path: Path, *, http2: bool) -> None:
    """The error event of the format is the last that the client gets; the message has no end."""
    async with rig(tmp_path, (*EVENTS[:2], Step.HOLD), is_tls=True) as wire:
        wire.gate.words = b"event: error"
        async with wire.proxied(http2=http2) as client:
            got = b""
            with contextlib.suppress(httpx.RemoteProtocolError):
                async with client.stream("POST", f"https://{HOST}/v1", content=b"{}") as answer:
                    async for chunk in answer.aiter_raw():
                        got += chunk
                        wire.engine._addon.cut_all()
            assert got == b"aevent: error"
        assert (await wire.ended()).ends == [Outcome.CUT]


@pytest.mark.parametrize("broken", [False, True])
async def test_nothing_is_added_where_nothing_fits(tmp_path: Path, *, broken: bool) -> None:
    """An announced length leaves no room for an event, and a gate that breaks says nothing."""
    start = EVENTS[:2] if broken else (head(content_length="9") + b"a",)
    async with rig(tmp_path, (*start, Step.HOLD)) as wire:
        wire.gate.words = b"event: error"
        if broken:
            wire.gate.broken_in = frozenset({"last_words"})
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            await reader.readuntil(b"a")
            await asyncio.sleep(0.05)
            wire.engine._addon.cut_all()
            assert b"event: error" not in await reader.read(-1)
        assert (await wire.ended()).ends == [Outcome.CUT]
