"""An engine between a test's client and a test's upstream, all on loopback."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx
import trustme

from proxy.engine import Engine, EngineOptions
from proxy.gate import Refused, Wait
from proxy.parent import Parent
from tests.proxy.gatekeeper import RecordedPassage, RecordingGate
from tests.proxy.upstream import Script, Upstream, serve

__all__ = ["HOST", "Rig", "parent_tls", "rig"]

HOST = "teacher.test"
_WAIT_S = 5


@functools.cache
def _authorities() -> tuple[trustme.CA, trustme.CA]:
    """The CA of the engine and the CA of the upstream."""
    return trustme.CA(), trustme.CA()


@functools.cache
def _leaf() -> trustme.LeafCert:
    return _authorities()[1].issue_cert(HOST)


def _server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _leaf().configure_cert(context)
    return context


def parent_tls(name: str = "127.0.0.1") -> ssl.SSLContext:
    """What a parent proxy on TLS needs whose certificate is for a name; the upstream's CA signs it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authorities()[1].issue_cert(name).configure_cert(context)
    return context


class _PreferHttp2(ssl.SSLContext):
    """httpx offers HTTP/1.1 first; most other HTTP/2 clients do not."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Offer HTTP/2 first."""
        super().set_alpn_protocols(sorted(alpn_protocols))


@dataclass(slots=True, kw_only=True)
class Rig:
    """The parts of a running journey."""

    engine: Engine
    gate: RecordingGate
    upstream: Upstream
    address: tuple[str, int]
    is_tls: bool

    @property
    def passage(self) -> RecordedPassage:
        """The only passage there was."""
        (passage,) = self.gate.passages
        return passage

    def trust(self) -> ssl.SSLContext:
        """What a client needs that goes through an opened tunnel."""
        context = _PreferHttp2(ssl.PROTOCOL_TLS_CLIENT)
        _authorities()[0].configure_trust(context)
        return context

    def trust_upstream(self) -> ssl.SSLContext:
        """What a client needs that speaks to the upstream through an unopened tunnel."""
        context = ssl.create_default_context()
        _authorities()[1].configure_trust(context)
        return context

    def proxied(self, *, http2: bool = False) -> httpx.AsyncClient:
        """A client in proxy mode."""
        proxy = f"http://{self.address[0]}:{self.address[1]}"
        return httpx.AsyncClient(proxy=proxy, verify=self.trust(), http2=http2, trust_env=False)

    def based(self) -> httpx.AsyncClient:
        """A client in base-URL mode."""
        url = f"http://{self.address[0]}:{self.address[1]}"
        return httpx.AsyncClient(base_url=url, trust_env=False)

    @contextlib.asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A raw connection to the proxy itself."""
        async with asyncio.timeout(_WAIT_S * 2):
            reader, writer = await asyncio.open_connection(*self.address)
            try:
                yield reader, writer
            finally:
                writer.transport.abort()

    @contextlib.asynccontextmanager
    async def dial(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A raw connection: to the proxy itself, or inside an opened tunnel under TLS."""
        async with self.raw() as (reader, writer):
            if self.is_tls:
                writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
                await reader.readuntil(b"\r\n\r\n")
                await writer.start_tls(self.trust(), server_hostname=HOST)
            yield reader, writer

    def request(self, body: bytes = b"{}", *lines: str) -> bytes:
        """A POST as a raw client writes it: absolute-form, or origin-form inside a tunnel."""
        target = "/v1/chat" if self.is_tls else f"http://{HOST}/v1/chat"
        head = [f"POST {target} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}", *lines]
        return "\r\n".join([*head, "", ""]).encode() + body

    async def met(self) -> RecordedPassage:
        """The passage, once its head has arrived."""
        async with asyncio.timeout(_WAIT_S):
            while not self.gate.passages:  # noqa: ASYNC110 - the gate is told by calls, not by events
                await asyncio.sleep(0.001)
        return self.passage

    async def asked(self) -> RecordedPassage:
        """The passage, once its whole request has arrived."""
        passage = await self.met()
        async with asyncio.timeout(_WAIT_S):
            await passage.asked.wait()
        return passage

    async def ended(self) -> RecordedPassage:
        """The passage, once it has ended."""
        passage = await self.met()
        async with asyncio.timeout(_WAIT_S):
            await passage.ended.wait()
        return passage

    async def left(self) -> None:
        """Wait until the gate has heard that a client is gone."""
        async with asyncio.timeout(_WAIT_S):
            while not self.gate.gone:  # noqa: ASYNC110 - the gate is told by calls, not by events
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def rig(
    folder: Path,
    script: Script = (),
    *,
    is_tls: bool = False,
    drain_s: float = 0.0,
    upstream_timeout_s: float = 30.0,
    discard_bytes: int = 1 << 28,
    begins: tuple[Wait | Refused | None, ...] | None = None,
    parent: Parent | None = None,
) -> AsyncIterator[Rig]:
    """An upstream that plays the script, and an engine before it, for the time of the block."""
    ours, theirs = _authorities()
    authority, upstream_ca = folder / "authority.pem", folder / "upstream.pem"
    authority.write_bytes(ours.private_key_pem.bytes() + ours.cert_pem.bytes())
    upstream_ca.write_bytes(theirs.cert_pem.bytes())
    async with serve(script, tls=_server_tls() if is_tls else None) as upstream:
        gate = RecordingGate(
            scheme="https" if is_tls else "http",
            connect_to=upstream.address,
            upstream_bytes=lambda: len(upstream.received),
            begins=begins,
        )
        options = EngineOptions(
            host="127.0.0.1",
            port=0,
            authority=authority,
            confdir=folder / "engine",
            upstream_ca=upstream_ca,
            parent=parent,
            drain_s=drain_s,
            upstream_timeout_s=upstream_timeout_s,
            discard_bytes=discard_bytes,
        )
        engine = Engine(options, gate)
        address = await engine.start()
        try:
            yield Rig(engine=engine, gate=gate, upstream=upstream, address=address, is_tls=is_tls)
        finally:
            await engine.drain()
