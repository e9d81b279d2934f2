"""Hosts that nobody registered: model calls are refused and found, everything else passes.

One proxy and one host serve all who need no settings of their own.
"""

import asyncio
import base64
import contextlib
import functools
import gzip
import json
import os
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
import trustme

from tests.e2e.harness import Running, Workspace, until
from tests.e2e.teacher import ask
from tests.proxy.upstream import Seen, Step, Upstream, head, serve

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

_OK = (head(content_length="2") + b"ok",)
_LARGE_BYTES = 32 * 2**20
_MOST_GROWTH_KIB = 16 * 1024


@functools.cache
def _authority() -> trustme.CA:
    """Who vouches for the unlisted host: an authority that clients of inbond do not know."""
    return trustme.CA()


def _server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


class _PreferHttp2(ssl.SSLContext):
    """httpx offers HTTP/1.1 first; most other HTTP/2 clients do not."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Offer HTTP/2 first."""
        super().set_alpn_protocols(sorted(alpn_protocols))


@dataclass(slots=True)
class _Site:
    """A running proxy, and an unlisted host on TLS that anybody may reach through it."""

    workspace: Workspace
    running: Running
    host: Upstream

    @property
    def name(self) -> str:
        """The host with its port."""
        return f"localhost:{self.host.address[1]}"

    def trust(self) -> ssl.SSLContext:
        """What a client of inbond trusts: the interception CA alone."""
        context = _PreferHttp2(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.workspace.settings.keys_directory / "ca.pem")
        return context

    @property
    def proxy(self) -> str:
        """The proxy with the client key as its user."""
        return self.running.url.replace("://", f"://{self.workspace.key}:@")

    def client(
        self, *, http2: bool = False, key: str | None = None, trust: ssl.SSLContext | None = None
    ) -> httpx.AsyncClient:
        """A client in proxy mode."""
        name = self.workspace.key if key is None else key
        proxy = httpx.Proxy(self.running.url, auth=(name, "") if name else None)
        verify = trust or self.trust()
        return httpx.AsyncClient(
            proxy=proxy, verify=verify, http2=http2, trust_env=False, timeout=60
        )

    @contextlib.asynccontextmanager
    async def tunnel(
        self, *, is_tls: bool = True
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A raw connection inside a tunnel to the host."""
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(*self.running.address)
            name = base64.b64encode(f"{self.workspace.key}:".encode()).decode()
            writer.write(
                f"CONNECT {self.name} HTTP/1.1\r\nHost: {self.name}\r\n"
                f"Proxy-Authorization: Basic {name}\r\n\r\n".encode()
            )
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            if is_tls:
                await writer.start_tls(self.trust(), server_hostname="localhost")
            try:
                yield reader, writer
            finally:
                writer.transport.abort()

    def peak_kib(self) -> int:
        """The most memory the worker ever held."""
        (pid,) = self.running.worker_pids()
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])


@contextlib.asynccontextmanager
async def _site(
    template: Path, folder: Path, *, more: str = "", is_reachable: bool = True
) -> AsyncIterator[_Site]:
    async with serve(tls=_server_tls()) as host:
        host.script = _OK
        port = host.address[1]
        known = f"'localhost:{port}', '127.0.0.1:{port}'" if is_reachable else ""
        workspace = Workspace.copy(
            template,
            folder / "w",
            authority=_authority().cert_pem.bytes(),
            more=f"unlisted_hosts: {{private: [{known}]{more}}}\n",
        )
        async with workspace.running() as running:
            yield _Site(workspace, running, host)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[_Site]:
    async with _site(template, tmp_path_factory.mktemp("unlisted")) as site:
        yield site


@pytest.fixture
def site(_shared: _Site) -> _Site:
    """The shared proxy and its host, as if nothing had been."""
    _shared.host.script = _OK
    _shared.host.received.clear()
    _shared.host.requests.clear()
    return replace(_shared, workspace=_shared.workspace.from_now())


async def _status(workspace: Workspace) -> dict[str, Any]:
    found: dict[str, Any] = (await workspace.said("status")).record
    return found


@pytest.mark.parametrize("http2", [False, True])
async def test_other_traffic_passes_byte_for_byte(site: _Site, *, http2: bool) -> None:
    """What is no model call passes both ways unchanged, leaves no entry, and is counted."""
    bodies = [
        b'{"q": "shoes", "model": "sandal"}',
        b'{"half": ',
        os.urandom(100_000),
        b"[1, 2]",
        b" \n\t",
        b"",
    ]
    site.host.script = lambda seen: (head(content_length=str(len(seen.body))), seen.body)
    async with site.client(http2=http2) as client:
        for body in bodies:
            answer = await client.post(
                f"https://{site.name}/search//completions?q=%2f&k=a%20b",
                content=body,
                headers={"content-type": "application/json", "cookie": "session=1"},
            )
            assert answer.content == body
            assert "x-inbond-exchange" not in answer.headers
        async with client.stream(
            "PUT", f"https://{site.name}/blob", content=_pieces(b"x" * 1000, 7)
        ) as streamed:
            assert await streamed.aread() == b"x" * 7000
    assert [seen.line.split()[1] for seen in site.host.requests[:-1]] == [
        "/search//completions?q=%2f&k=a%20b"
    ] * len(bodies)
    assert {seen.header("host") for seen in site.host.requests} == {site.name}
    assert {seen.header("cookie") for seen in site.host.requests[:-1]} == {"session=1"}
    told = repr([seen.headers for seen in site.host.requests])
    assert site.workspace.key not in told
    assert site.workspace.records() == []


async def _pieces(piece: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield piece


async def test_an_unlisted_gateway_is_refused_and_found(site: _Site) -> None:
    """A model call to a host nobody registered goes nowhere, raises in its SDK and is on record."""
    client = openai.AsyncOpenAI(
        base_url=f"https://{site.name}/gateway/v7",
        api_key="not-ours",
        http_client=openai.DefaultAsyncHttpxClient(
            proxy=site.proxy, verify=site.trust(), trust_env=False
        ),
        max_retries=0,
    )
    async with client:
        with pytest.raises(openai.PermissionDeniedError, match="is not a registered teacher"):
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hello"}]
            )
    assert site.host.received == b""
    (record,) = site.workspace.records()
    assert record.call.facts["route"] == "unlisted"
    assert record.call.facts["project"] == "for-shop-assistant"
    assert record.exchange.outcome == "refused"
    assert record.exchange.problem == "unlisted-gateway"
    assert b"hello" in record.body
    status = await _status(site.workspace)
    assert "unlisted gateway" in site.workspace.log_text
    (finding,) = status["findings"]
    found = [each.exchange.problem for each in replace(site.workspace, earlier=0).records()]
    assert set(found) == {"unlisted-gateway"}
    assert (finding["host"], finding["calls"]) == ("localhost", len(found))
    assert finding["projects"] == ["for-shop-assistant"]


_ESCAPES = (
    ("/odd/v1/messages", ask("x"), "application/json"),
    ("/x/models/g:generateContent", b'{"contents": [{"parts": [{"text": "x"}]}]}', ""),
    ("/v1%2Fchat%2Fcompletions", ask("x"), "text/plain"),
    ("/graphql", ask("x"), "application/x-www-form-urlencoded"),
    ("/v1/responses/", b'{"model": "m", "input": "x"}', "application/json"),
    (
        "/v1/audio/transcriptions",
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
)


async def test_a_gateway_does_not_escape(site: _Site) -> None:
    """Neither prefix, escapes, content type, coding nor framing let a model call through."""
    async with site.client() as client:
        for path, body, content_type in _ESCAPES:
            zipped = {"content-type": content_type, "content-encoding": "gzip"}
            plain = {"content-type": content_type}
            for content, headers in (
                (body, plain),
                (_pieces(body, 1), plain),
                (gzip.compress(body, mtime=0), zipped),
            ):
                answer = await client.post(
                    f"https://{site.name}{path}", content=content, headers=headers
                )
                assert answer.status_code == 403, path
                assert "x-inbond-exchange" in answer.headers
        assert site.host.received == b""
        assert len(site.workspace.records()) == 3 * len(_ESCAPES)


async def test_large_bodies_pass_at_constant_memory(site: _Site) -> None:
    """An upload and a download, each many times larger than what may be held, cost little memory."""
    piece = bytes(64 * 1024)

    def script(seen: Seen) -> tuple[bytes, ...]:
        if "upload" in seen.line:
            return (head(content_length="2") + b"ok",)
        return (
            head(content_length=str(_LARGE_BYTES)),
            *[piece] * (_LARGE_BYTES // len(piece)),
        )

    site.host.script = script
    async with site.client() as client:
        await client.get(f"https://{site.name}/upload")
        before = site.peak_kib()
        pieces = _pieces(piece, _LARGE_BYTES // len(piece))
        answer = await client.put(f"https://{site.name}/upload", content=pieces)
        assert answer.text == "ok"
        assert len(site.host.requests[-1].body) == _LARGE_BYTES
        got = 0
        async with client.stream("GET", f"https://{site.name}/download") as download:
            async for chunk in download.aiter_raw():
                got += len(chunk)
        assert got == _LARGE_BYTES
        assert site.peak_kib() - before < _MOST_GROWTH_KIB


async def test_a_websocket_passes(site: _Site) -> None:
    """After a change of protocol bytes pass both ways as they come; a model's socket is refused."""
    said = asyncio.Event()
    site.host.script = (
        head(101, connection="Upgrade", upgrade="websocket") + b"\x81\x02hi",
        said,
        b"\x81\x03you",
        Step.HOLD,
    )
    ask_for = "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with site.tunnel() as (reader, writer):
        writer.write(ask_for.format("/feed", site.name).encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(4) == b"\x81\x02hi"
        writer.write(b"\x81\x81maskx")
        said.set()
        assert await reader.readexactly(5) == b"\x81\x03you"
        await until(lambda: site.host.received.endswith(b"\x81\x81maskx"))
    (seen,) = site.host.requests
    assert (seen.header("upgrade"), seen.header("connection")) == ("websocket", "Upgrade")
    async with site.tunnel() as (reader, writer):
        writer.write(ask_for.format("/v1/realtime", site.name).encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 403 ")
    (record,) = site.workspace.records()
    assert record.exchange.problem == "unlisted-gateway"


async def test_a_host_that_is_excepted_stays_closed(template: Path, tmp_path: Path) -> None:
    """A client that trusts its host's certificate alone gets it, and nobody looks inside."""
    async with _site(template, tmp_path, more=", tunnel: ['localhost']") as site:
        pinned = ssl.create_default_context()
        _authority().configure_trust(pinned)
        async with site.client(trust=pinned) as client:
            answer = await client.post(f"https://{site.name}/v1/chat/completions", content=ask("x"))
        assert answer.text == "ok"
        assert site.workspace.records() == []


async def test_what_is_not_let_through_is_said(site: _Site) -> None:
    """Strangers, other people's names, other protocols and clients that do not trust us go nowhere."""
    async with site.client(key="") as client:
        with pytest.raises(httpx.ProxyError, match="407"):
            await client.get(f"https://{site.name}/")
        plain = await client.get(f"http://{site.name}/")
        assert plain.status_code == 407
    async with site.client() as client:
        url = f"https://{site.name}/"
        answer = await client.get(url, headers={"host": "api.openai.com"})
        assert (answer.status_code, answer.json()["code"]) == (421, "wrong-host")
    pinned = ssl.create_default_context()
    _authority().configure_trust(pinned)
    async with site.client(trust=pinned) as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(f"https://{site.name}/")
    async with site.tunnel(is_tls=False) as (reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        assert (await reader.read(-1)).startswith(b"HTTP/1.1 400 ")
    told = "did not accept inbond's certificate for `localhost`"
    await until(lambda: told in site.workspace.log_text)
    assert site.host.received == b""
    assert site.workspace.records() == []


async def test_this_network_is_not_reached(template: Path, tmp_path: Path) -> None:
    """An unlisted host that leads to this machine is dialled only where the settings say so."""
    async with _site(
        template, tmp_path, is_reachable=False, more=", tunnel: ['127.0.0.1']"
    ) as site:
        async with site.client() as client:
            answer = await client.get(f"https://{site.name}/")
            assert (answer.status_code, answer.json()["code"]) == (403, "unlisted-private-address")
            assert "unlisted_hosts.private" in answer.json()["detail"]
            plain = await client.get(f"http://{site.name}/latest/meta-data")
            assert plain.status_code == 403
            with pytest.raises(httpx.ProxyError, match="403"):
                await client.get(f"https://127.0.0.1:{site.host.address[1]}/")
        assert site.host.connections == 0


async def test_other_traffic_is_counted(site: _Site) -> None:
    """`inbond status` says how many requests passed to which unlisted host."""
    async with site.client() as client:
        for _ in range(3):
            await client.get(f"https://127.0.0.1:{site.host.address[1]}/")
    (said,) = site.workspace.settings.run_directory.glob("worker-*.json")
    await until(lambda: json.loads(said.read_bytes())["passed"].get("127.0.0.1") == 3)
    assert (await _status(site.workspace))["passed"]["127.0.0.1"] == 3
    text = await asyncio.to_thread(site.workspace.inbond, "status", is_child=True)
    assert "127.0.0.1" in text.out
