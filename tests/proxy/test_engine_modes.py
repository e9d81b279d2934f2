"""Client connections: the prepared table of hooks, and what breaks below them."""

import gc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.tls import TLSLayer
from mitmproxy.proxy.server_hooks import ClientConnectedHook
from OpenSSL import SSL

from proxy.exchange import Outcome
from tests.proxy.rig import Rig, rig
from tests.proxy.upstream import Step, head

OK = head(content_length="2") + b"ok"
CANARY = "sk-canary-0123456789"


def _break(_: object) -> None:
    raise RuntimeError(CANARY)


@pytest.mark.parametrize("hook", ["next_layer", "server_connect", "request"])
async def test_a_hook_outside_ours_that_breaks_ends_the_connection(
    tmp_path: Path, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The stock master would log the error and let the call go on; here nothing goes upstream."""
    async with rig(tmp_path, (OK,)) as wire:
        _sabotage(wire, hook)
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            assert b"200" not in await reader.read(-1)
        await wire.left()
        assert wire.upstream.connections == 0
        assert all(passage.ends for passage in wire.gate.passages)
        assert f"{hook}: RuntimeError" in caplog.text
        assert CANARY not in caplog.text


async def test_no_tls_without_its_hook(tmp_path: Path) -> None:
    """Where no certificate could be made, the tunnel is closed, not passed on."""
    async with rig(tmp_path, (OK,), is_tls=True) as wire:
        _sabotage(wire, "tls_start_client")
        with pytest.raises(ConnectionError):
            async with wire.dial():
                pass
        assert wire.upstream.connections == 0


def _sabotage(wire: Rig, hook: str) -> None:
    hooks = wire.engine._instance._site.hooks
    assert isinstance(hooks, dict)
    hooks[hook] = (_break, *hooks[hook])


async def test_a_layer_that_breaks_loses_no_record(tmp_path: Path) -> None:
    """A crash inside mitmproxy ends the connection, and its calls end with it (P2)."""
    async with rig(tmp_path, (Step.HOLD,)) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request())
        await wire.upstream.until(lambda up: len(up.requests) == 1)
        (handler,) = wire.engine._server.connections.values()

        def crash(_: object) -> None:
            raise RuntimeError(CANARY)

        handler.layer.handle_event = crash  # type: ignore[assignment,method-assign] # the crash under test
        writer.write(b"x")
        assert await reader.read(-1) == b""
        assert (await wire.ended()).ends == [Outcome.CLIENT_DISCONNECTED]
        await wire.upstream.until(lambda up: up.closed == 1)
        assert wire.engine._addon.open_calls == 0


async def test_mitmproxys_own_log_is_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """The messages of mitmproxy quote what clients sent; none of it is logged or printed (P4)."""
    caplog.set_level("DEBUG")
    async with rig(tmp_path, (OK,)) as wire:
        for sent in (
            f"POST /v1 HTTP/1.1\r\nAuthorization: {CANARY}\r\n",
            f"nonsense {CANARY}\r\n\r\n",
            f"GET /v1?key={CANARY} HTTP/1.1\r\nHost: {CANARY}\r\nX: {CANARY}\r\n\r\n",
        ):
            async with wire.dial() as (reader, writer):
                writer.write(sent.encode())
                writer.write_eof()
                await reader.read(-1)
    out, err = capfd.readouterr()
    assert CANARY not in caplog.text + out + err


async def test_an_unknown_command_ends_the_connection(tmp_path: Path) -> None:
    """What a layer asks for and nobody here knows how to do is a crash, not passed over (P9)."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request())
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        (handler,) = wire.engine._server.connections.values()
        asks: list[commands.Command] = [commands.ConnectionCommand(handler.client)]
        handler.layer.handle_event = lambda _: iter(asks)  # type: ignore[assignment,method-assign,return-value] # as a layer would ask
        writer.write(b"x")
        assert await reader.read(-1) == b""


async def test_layers_finish_an_event_before_what_a_hook_answers(tmp_path: Path) -> None:
    """A hook runs at once, but its answer waits: no layer is entered while it is at work."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        writer.write(wire.request())
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        (handler,) = wire.engine._server.connections.values()
        seen: list[str] = []

        def layers(event: events.Event) -> Iterator[commands.Command]:
            seen.append(type(event).__name__)
            if isinstance(event, events.DataReceived):
                yield ClientConnectedHook(handler.client)
                seen.append("at work")
                yield commands.CloseConnection(handler.client)

        handler.layer.handle_event = layers  # type: ignore[assignment,method-assign] # as a layer would ask
        writer.write(b"x")
        assert await reader.read(-1) == b""
        assert seen[:3] == ["DataReceived", "at work", "HookCompleted"]


async def test_a_client_that_does_not_trust_us_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only we can say for which host: its own error names a certificate and no setting."""
    async with rig(tmp_path, is_tls=True) as wire:
        proxy = f"http://{wire.address[0]}:{wire.address[1]}"
        async with httpx.AsyncClient(proxy=proxy, trust_env=False) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("https://pinned.test/")
        await wire.left()
        assert "certificate for `pinned.test`" in caplog.text
        assert wire.gate.passages == []


async def test_a_quiet_stream_holds_no_buffers_of_tls(tmp_path: Path) -> None:
    """OpenSSL gives its buffers back between records, on both sides: with many streams they are most of all."""
    async with rig(tmp_path, (Step.HOLD,), is_tls=True) as wire, wire.dial() as (_, writer):
        writer.write(wire.request())
        await wire.upstream.until(lambda up: len(up.requests) == 1)
        # Their own type is asked: other packages' lazy objects warn when they are asked for a class.
        layers = [it for it in gc.get_objects() if issubclass(type(it), TLSLayer)]
        ends = [layer.tls for layer in layers if layer.tls]
        modes = [SSL._lib.SSL_clear_mode(end._ssl, 0) for end in ends]  # type: ignore[attr-defined] # there is no other way to ask
        assert len(modes) >= 2
        assert all(mode & SSL.MODE_RELEASE_BUFFERS for mode in modes)
