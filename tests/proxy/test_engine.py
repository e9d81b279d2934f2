"""The contract with mitmproxy 12.2.3: what design §4 says the engine does, row by row."""

import asyncio
import contextlib
import gzip
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import certifi
import pytest
from mitmproxy.http import Headers, MessageData

from proxy.engine import Engine, EngineOptions
from proxy.errors import ProxyError
from proxy.exchange import Outcome
from proxy.gate import Tunnel
from tests.proxy.gatekeeper import RecordingGate
from tests.proxy.rig import HOST, Rig, rig
from tests.proxy.upstream import Script, Step, chunked, head

OK = head(content_length="2") + b"ok"


def url_of(wire: Rig) -> str:
    """The teacher's address as a client in proxy mode writes it."""
    return f"{'https' if wire.is_tls else 'http'}://{HOST}/v1/chat"


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_nothing_is_dialled_before_the_decision(tmp_path: Path, *, is_tls: bool) -> None:
    """The teacher's host sees no connection, let alone a byte, until the gate forwards (P1)."""
    async with rig(tmp_path, (OK,), is_tls=is_tls) as wire, wire.dial() as (reader, writer):
        wire.gate.hold = asyncio.Event()
        writer.write(wire.request())
        await wire.asked()
        assert wire.upstream.connections == 0
        wire.gate.hold.set()
        await reader.readuntil(b"ok")
        assert wire.upstream.connections == 1


async def test_both_modes_share_the_port(tmp_path: Path) -> None:
    """One port takes CONNECT and base-URL requests; the teacher cannot tell them apart."""
    async with rig(tmp_path, (OK,), is_tls=True) as wire:
        async with wire.proxied() as client:
            first = await client.post(url_of(wire), content=b"{}")
        async with wire.based() as client:
            second = await client.post("/v1/chat", content=b"{}")
        assert first.text == second.text == "ok"
        lines = [seen.line for seen in wire.upstream.requests]
        assert lines == ["POST /v1/chat HTTP/1.1"] * 2
        assert wire.upstream.requests[0].headers[0] == wire.upstream.requests[1].headers[0]


async def test_a_passed_tunnel_is_not_opened(tmp_path: Path) -> None:
    """The client of a passed tunnel sees the teacher's own certificate, and the gate no request."""
    async with rig(tmp_path, (OK,), is_tls=True) as wire:
        wire.gate.verdict = Tunnel(carried_to=wire.upstream.address)
        host, port = wire.upstream.address
        async with wire.raw() as (reader, writer):
            writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            await writer.start_tls(wire.trust_upstream(), server_hostname=HOST)
            writer.write(wire.request())
            assert (await reader.readuntil(b"ok")).endswith(b"ok")
        assert wire.gate.passages == []


async def test_the_teachers_certificate_is_verified(tmp_path: Path) -> None:
    """A teacher whose certificate is not for its name gets no byte of the request."""
    async with rig(tmp_path, (OK,), is_tls=True) as wire:
        wire.gate.host = "other.test"
        async with wire.based() as client:
            answer = await client.post("/v1/chat", content=b"{}")
        assert (answer.status_code, answer.text) == (502, "unreachable")
        assert wire.upstream.received == b""
        assert wire.passage.ends == [Outcome.UPSTREAM_FAILED]


async def test_the_name_is_the_gates_not_the_addresss(tmp_path: Path) -> None:
    """SNI and `Host` are the gate's host, whatever address is dialled."""
    async with rig(tmp_path, (OK,), is_tls=True) as wire:
        async with wire.based() as client:
            await client.post("/v1/chat", content=b"{}")
        assert wire.upstream.server_names == [HOST]
        assert wire.upstream.requests[0].header("host") == HOST


async def test_an_http2_client_is_not_throttled(tmp_path: Path) -> None:
    """Twenty calls over one HTTP/2 connection are all with the teacher at once."""
    release = asyncio.Event()
    async with rig(tmp_path, (OK,), is_tls=True) as wire:
        async with wire.proxied(http2=True) as client, asyncio.TaskGroup() as group:
            await client.post(url_of(wire), content=b"{}")
            wire.upstream.script = (release, OK)
            calls = [group.create_task(client.post(url_of(wire), content=b"{}")) for _ in range(20)]
            await wire.upstream.until(lambda up: len(up.requests) == 21)
            release.set()
        assert {(call.result().http_version, call.result().text) for call in calls} == {
            ("HTTP/2", "ok")
        }
        assert len(set(wire.gate.clients)) == 1
        assert [passage.ends for passage in wire.gate.passages] == [[Outcome.COMPLETE]] * 21


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_bodies_pass_byte_for_byte(tmp_path: Path, framing: str, *, is_tls: bool) -> None:
    """Bodies go both ways unchanged, compressed and cut anyhow, and the tap sees the same (P3)."""
    source = random.Random(7)
    sent, answer = source.randbytes(50_000), gzip.compress(source.randbytes(50_000))
    pieces = [answer[i : i + 977] for i in range(0, len(answer), 977)]
    scripts: dict[str, Script] = {
        "length": (head(content_encoding="gzip", content_length=str(len(answer))), *pieces),
        "chunked": (
            head(content_encoding="gzip", transfer_encoding="chunked"),
            *chunked(*pieces),
        ),
        "until close": (head(content_encoding="gzip"), *pieces, Step.FIN),
    }
    async with rig(tmp_path, scripts[framing], is_tls=is_tls) as wire:

        async def upload() -> AsyncIterator[bytes]:
            for i in range(0, len(sent), 1013):
                yield sent[i : i + 1013]

        async with wire.proxied() as client:
            content = sent if framing == "length" else upload()
            async with client.stream("POST", url_of(wire), content=content) as response:
                got = b"".join([piece async for piece in response.aiter_raw()])
        assert got == answer == b"".join(wire.passage.chunks)
        assert wire.upstream.requests[0].body == sent == wire.passage.body
        assert wire.upstream.requests[0].header("content-length") == str(len(sent))
        assert wire.passage.ends == [Outcome.COMPLETE]


async def test_no_trace_of_the_proxy_goes_upstream(tmp_path: Path) -> None:
    """The teacher receives the gate's headers and no byte more."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request(b"{}", "TE: trailers", "Proxy-Authorization: Basic eA=="))
        await reader.readuntil(b"ok")
        expected = b"POST /v1/chat HTTP/1.1\r\nHost: teacher.test\r\nContent-Length: 2\r\n\r\n{}"
        assert bytes(wire.upstream.received) == expected


async def test_the_engine_does_not_dial_itself(tmp_path: Path) -> None:
    """A route that leads back to the proxy ends at once instead of turning in a circle."""
    async with rig(tmp_path) as wire:
        wire.gate.connect_to = wire.address
        async with wire.based() as client:
            answer = await client.post("/v1/chat", content=b"{}")
        assert (answer.status_code, answer.text) == (502, "unreachable")
        assert len(wire.gate.passages) == 1


async def test_the_answer_streams(tmp_path: Path) -> None:
    """The first event is with the client while the teacher still speaks."""
    release = asyncio.Event()
    sse = head(content_type="text/event-stream", transfer_encoding="chunked")
    first, second, end = chunked(b"data: 1\n\n", b"data: 2\n\n")
    script: Script = (sse, first, release, second, end)
    async with rig(tmp_path, script) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request())
        await reader.readuntil(b"data: 1\n\n")
        release.set()
        await reader.readuntil(b"data: 2\n\n")
        await reader.readuntil(b"0\r\n\r\n")


async def test_mitmproxy_is_set_up_as_designed(tmp_path: Path) -> None:
    """Five core addons and no other; nothing is dialled early, verified loosely or passed raw."""
    async with rig(tmp_path) as wire:
        owner = wire.engine._instance._site.master
        names = {"core", "disableh2c", "proxyserver", "nextlayer", "tlsconfig"}
        assert set(owner.addons.lookup) == names
        chosen = owner.options
        assert chosen.connection_strategy == "lazy"
        assert chosen.tcp_timeout == 3600
        loose = (chosen.upstream_cert, chosen.rawtcp, chosen.websocket, chosen.ssl_insecure)
        assert loose == (False, False, False, False)


async def test_messages_are_taken_as_they_are_read(tmp_path: Path) -> None:
    """The check of mitmproxy on each field of each message is off, as under `python -O`."""
    async with rig(tmp_path):
        made = MessageData("text", Headers(), b"", None, 1.1, None)  # type: ignore[arg-type] # that it is not checked is the claim
    assert vars(made)["http_version"] == "text"


def test_an_extra_authority_does_not_replace_the_roots(tmp_path: Path) -> None:
    """`upstream_ca` is trusted beside the public roots, which are the only ones without it."""
    public = options(tmp_path, 0)
    assert Engine(public, RecordingGate())._roots() == certifi.where()
    public.confdir.mkdir()
    extra = tmp_path / "extra.pem"
    extra.write_bytes(b"extra")
    roots = Engine(replace(public, upstream_ca=extra), RecordingGate())._roots()
    expected = Path(certifi.where()).read_bytes() + b"\nextra"
    assert Path(roots).read_bytes() == expected


async def test_an_unasked_switch_of_protocol_is_not_followed(tmp_path: Path) -> None:
    """A teacher that answers 101 gets no raw tunnel to the client."""
    script = (head(101, connection="upgrade", upgrade="websocket") + b"raw", Step.HOLD)
    async with rig(tmp_path, script) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request())
        assert b"raw" not in await reader.read(-1)
        await wire.upstream.until(lambda up: up.closed == 1)
        assert len((await wire.ended()).ends) == 1


# Starting and stopping.


def options(folder: Path, port: int, *, is_shared: bool = False) -> EngineOptions:
    """Options for an engine whose authority the rig has written."""
    return EngineOptions(
        host="127.0.0.1",
        port=port,
        authority=folder / "authority.pem",
        confdir=folder / "second",
        is_shared_port=is_shared,
        drain_s=0,
    )


async def test_a_taken_port_is_said(tmp_path: Path) -> None:
    """A port in use is an error that says which, and what to do."""
    async with rig(tmp_path) as wire:
        engine = Engine(options(tmp_path, wire.address[1]), RecordingGate())
        with pytest.raises(ProxyError) as caught:
            await engine.start()
    assert caught.value.message == f"cannot listen on `127.0.0.1:{wire.address[1]}`"
    assert caught.value.help == "stop the program that listens there, or choose another port"


@pytest.mark.parametrize("content", [None, b"", b"not a key"])
async def test_a_bad_authority_is_said(tmp_path: Path, content: bytes | None) -> None:
    """Without a readable authority nothing starts, and none is made up."""
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ProxyError) as caught:
        await Engine(options(tmp_path, 0), RecordingGate()).start()
    assert caught.value.message == f"cannot read the certificate authority `{path}`"
    assert path.exists() is (content is not None)


async def test_workers_share_a_port(tmp_path: Path) -> None:
    """A second engine may listen on the port of the first when both were told to share."""
    async with rig(tmp_path):
        first = Engine(options(tmp_path, 0, is_shared=True), RecordingGate())
        address = await first.start()
        second = Engine(options(tmp_path, address[1], is_shared=True), RecordingGate())
        assert await second.start() == address
        await first.drain()
        await second.drain()


async def test_a_drain_lets_calls_finish(tmp_path: Path) -> None:
    """A drain takes no new client, waits for the call under way, and returns when it has ended."""
    release = asyncio.Event()
    async with rig(tmp_path, (release, OK), drain_s=5) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request())
        await wire.upstream.until(lambda up: len(up.requests) == 1)
        async with asyncio.TaskGroup() as group:
            drain = group.create_task(wire.engine.drain())
            while not await refuses(wire.address):  # noqa: ASYNC110 - a closing port has no event
                await asyncio.sleep(0.001)
            assert not drain.done()
            release.set()
            assert (await reader.read(-1)).endswith(b"ok")
        assert wire.passage.ends == [Outcome.COMPLETE]


async def refuses(address: tuple[str, int]) -> bool:
    """Whether nobody accepts connections any more."""
    try:
        _, writer = await asyncio.open_connection(*address)
    except ConnectionError:
        return True
    writer.transport.abort()
    return False


async def test_a_drain_ends_idle_clients_at_once(tmp_path: Path) -> None:
    """A client that only keeps its connection open does not hold up a drain."""
    async with rig(tmp_path, (OK,), drain_s=60) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request())
        await reader.readuntil(b"ok")
        async with asyncio.timeout(5):
            await wire.engine.drain()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


async def test_ends_are_durable_when_a_drain_returns(tmp_path: Path) -> None:
    """What the deadline cut has ended its passage before the ledger may be closed."""
    async with rig(tmp_path, (Step.HOLD,)) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request())
        await wire.upstream.until(lambda up: len(up.requests) == 1)
        await wire.engine.drain()
        assert wire.passage.ends == [Outcome.CUT]
        assert (await reader.readline()).startswith(b"HTTP/1.1 502 ")


async def test_an_upload_is_ended_at_the_deadline(tmp_path: Path) -> None:
    """A client that never finishes its upload does not hold up a drain."""
    async with rig(tmp_path) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request(b"x" * 100)[:-50])
        passage = await wire.met()
        await wire.engine.drain()
        assert passage.ends == [Outcome.CUT]
        assert await reader.read() == b""


def test_the_port_is_free_again(tmp_path: Path) -> None:
    """After a drain the port can be bound by another program."""

    async def run() -> tuple[str, int]:
        async with rig(tmp_path) as wire:
            return wire.address

    address = asyncio.run(run())
    with socket.create_server(address):
        pass
