"""The HTTP layers: what the stock ones get wrong between a client and a teacher."""

import asyncio
import gc
from pathlib import Path

import pytest

from proxy.engine_layers import BondHttpLayer
from proxy.exchange import Outcome
from tests.proxy.rig import HOST, rig
from tests.proxy.upstream import Step, chunked, head

OK = head(content_length="2") + b"ok"


async def test_trailers_of_an_answer_are_dropped(tmp_path: Path) -> None:
    """An answer with HTTP/1 trailers ends well; the trailers go no further."""
    script = (head(transfer_encoding="chunked"), *chunked(b"hello", end=b"0\r\nX-T: 1\r\n\r\n"))
    async with rig(tmp_path, script) as wire, wire.dial() as (reader, writer):
        for _ in range(2):
            writer.write(wire.request())
            got = await reader.readuntil(b"\r\n0\r\n\r\n")
            assert b"5\r\nhello\r\n" in got
            assert b"X-T" not in got
        assert [passage.ends for passage in wire.gate.passages] == [[Outcome.COMPLETE]] * 2
        assert wire.upstream.connections == 1


async def test_trailers_of_a_request_are_dropped(tmp_path: Path) -> None:
    """A request with HTTP/1 trailers is forwarded without them."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        writer.write(b"POST /v1/chat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"2\r\n{}\r\n0\r\nX-T: 1\r\n\r\n")
        await reader.readuntil(b"ok")
        assert wire.passage.body == b"{}"
        assert b"X-T" not in wire.upstream.received


@pytest.mark.parametrize("status", [100, 102, 103])
async def test_informational_answers_are_not_the_answer(tmp_path: Path, status: int) -> None:
    """Answers that come before the final one are dropped, however they are cut."""
    early = head(status, Link="</a>; rel=preload")
    script = (early[:9], early[9:20], early[20:] + early + OK[:5], OK[5:])
    async with rig(tmp_path, script) as wire:
        async with wire.based() as client:
            answer = await client.post("/v1/chat", content=b"{}")
        assert (answer.status_code, answer.text) == (200, "ok")
        assert wire.passage.status == 200


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
