"""CPU per request of the engine, against stock mitmdump with a streaming addon, in one run.

Both proxies open TLS, carry the same load from the
same clients to the same teacher, and stream every answer; the engine's gate forwards all.
"""

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from proxy.engine import Engine, EngineOptions
from proxy.exchange import Headers, Outcome
from proxy.gate import Arrival, Forward, Refused, Tunnel

CLIENTS = 4
REQUESTS = 150
"""Per client and kind of answer."""
EVENTS = 20
HOST = "localhost"

_HEAD = b"POST /%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n" + b"x" * 500
_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n"
_SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = b"40\r\ndata: " + b"y" * 56 + b"\n\n\r\n"
_STREAMING = "def responseheaders(flow):\n    flow.response.stream = lambda chunk: chunk\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passage:
    """A passage that forwards all and records nothing."""

    arrival: Arrival
    port: int
    exchange: str = "bench"
    limit_bytes: int = 1_000_000

    async def too_large(self) -> Refused:
        return Refused(status=413, headers=(), body=b"")

    async def request(self, body: bytes) -> Forward | Refused:
        return Forward(
            scheme="https",
            host=HOST,
            connect=(HOST, self.port),
            target=self.arrival.target,
            headers=self.arrival.headers,
        )

    def respond(self, status: int, headers: Headers) -> Headers:
        return (("x-inbond-exchange", self.exchange),)

    def tap(self, chunk: bytes) -> bool:
        return True

    async def end(self, outcome: Outcome) -> None:
        """Nothing is recorded."""

    def unreachable(self, reason: str) -> Refused:
        return Refused(status=502, headers=(), body=b"")

    def fail(self, reason: str) -> Refused:
        return Refused(status=503, headers=(), body=b"")


@dataclass(frozen=True, slots=True)
class _Gate:
    """A gate that forwards all."""

    port: int

    async def connect(
        self, client: str, host: str, port: int, headers: Headers
    ) -> Tunnel | Refused:
        return Tunnel()

    def disconnect(self, client: str) -> None:
        """Nothing is known of it."""

    async def open(self, arrival: Arrival) -> _Passage | Refused:
        return _Passage(arrival=arrival, port=self.port)

    def broken(self, reason: str) -> Refused:
        return Refused(status=503, headers=(), body=b"")


async def _engine(folder: Path, upstream_port: int) -> None:
    """The process under test that is ours: prints its port, then serves until it is ended."""
    options = EngineOptions(
        host="127.0.0.1",
        port=0,
        authority=folder / "mitmproxy-ca.pem",
        confdir=folder / "engine",
        upstream_ca=folder / "ca.pem",
    )
    _, port = await Engine(options, _Gate(upstream_port)).start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def _teacher(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(500)
            if head.startswith(b"POST /json"):
                writer.write(_JSON + b"z" * 2000)
            else:
                await _speak(writer)
    writer.transport.abort()


async def _speak(writer: asyncio.StreamWriter) -> None:
    writer.write(_SSE)
    for _ in range(EVENTS):
        writer.write(_EVENT)
        await asyncio.sleep(0.001)
    writer.write(b"0\r\n\r\n")


async def _client(port: int, upstream_port: int, kind: bytes, trust: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"CONNECT {HOST}:{upstream_port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(trust, server_hostname=HOST)
    for _ in range(REQUESTS):
        writer.write(_HEAD % kind)
        await reader.readuntil(b"\r\n\r\n")
        if kind == b"json":
            await reader.readexactly(2000)
        else:
            await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.transport.abort()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@contextlib.contextmanager
def _child(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.terminate()
        child.wait()


@contextlib.asynccontextmanager
async def _teachers(folder: Path) -> AsyncIterator[int]:
    authority = trustme.CA()
    leaf = authority.issue_cert(HOST)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "mitmproxy-ca.pem").write_bytes(
        authority.private_key_pem.bytes() + authority.cert_pem.bytes()
    )
    (folder / "streaming.py").write_text(_STREAMING)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    server = await asyncio.start_server(_teacher, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _measure(pid: int, port: int, upstream_port: int, folder: Path) -> dict[str, float]:
    """Milliseconds of CPU per request, by kind of answer; the first round warms up."""
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    costs: dict[str, float] = {}
    for kind in (b"json", b"json", b"sse"):
        before = _cpu_s(pid)
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(_client(port, upstream_port, kind, trust))
        costs[kind.decode()] = (_cpu_s(pid) - before) / (CLIENTS * REQUESTS) * 1000
        costs[f"rss after {kind.decode()}"] = _rss_mb(pid)
    return costs


def _commands(folder: Path, upstream_port: int) -> dict[str, list[str]]:
    ours = [sys.executable, __file__, str(folder), str(upstream_port)]
    stock = [str(Path(sys.executable).with_name("mitmdump")), "-q", "-p", "0"]
    settings = [f"confdir={folder}", f"ssl_verify_upstream_trusted_ca={folder / 'ca.pem'}"]
    for setting in settings:
        stock += ["--set", setting]
    return {"engine": ours, "mitmdump": [*stock, "-s", str(folder / "streaming.py")]}


async def _port_of(name: str, child: "subprocess.Popen[str]") -> int:
    """Ours prints its port; of mitmdump the kernel is asked."""
    if name == "engine":
        assert child.stdout
        return int(await asyncio.to_thread(child.stdout.readline))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for port in _listening(child.pid):
            return port
        await asyncio.sleep(0.1)
    raise TimeoutError(name)


def _listening(pid: int) -> Iterator[int]:
    links = (link for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink())
    sockets = {link.readlink().name.removeprefix("socket:[").rstrip("]") for link in links}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in sockets:
            yield int(fields[1].split(":")[1], 16)


async def main() -> None:
    """Measure both and print the ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs: dict[str, dict[str, float]] = {}
        async with _teachers(folder) as upstream_port:
            for proxy, command in _commands(folder, upstream_port).items():
                with _child(command) as child:
                    port = await _port_of(proxy, child)
                    costs[proxy] = await _measure(child.pid, port, upstream_port, folder)
    for kind in ("json", "sse"):
        ours, stock = costs["engine"][kind], costs["mitmdump"][kind]
        sys.stdout.write(
            f"{kind}: engine {ours:.2f} ms, mitmdump {stock:.2f} ms of CPU a request, "
            f"ratio {ours / stock:.2f}\n"
        )
    for proxy, values in costs.items():
        rss = [f"{values[key]:.0f}" for key in ("rss after json", "rss after sse")]
        sys.stdout.write(f"{proxy}: {' then '.join(rss)} MB resident\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(_engine(Path(sys.argv[1]), int(sys.argv[2])))
    else:
        asyncio.run(main())
