"""What policy and ledger cost: the real worker, the same engine without them, and stock mitmdump.

All three open TLS and carry the same load from the same clients to the same teacher, in one run: a
few clients, whose records seldom share a commit, and many, as a job that makes data calls. Prints CPU
per request with the ratios, the latency that durable records add at 50 requests/s, and the memory of
the worker over 20,000 requests.
"""

import asyncio
import base64
import contextlib
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench_engine import _STREAMING, _child, _commands, _cpu_s, _port_of, _rss_mb
from tests.e2e.harness import Workspace, found_template
from tests.e2e.teacher import ask, authority, events, whole

CLIENTS = 4
CROWDS = (4, 32)
"""How many clients call at once where CPU is measured."""
REQUESTS = 600
"""Of all clients together, for each crowd and kind of answer."""
RATE = 50
"""Requests a second where latency is measured."""
SECONDS = 10
LONG = 20_000
"""Requests over which memory is watched."""

_EVENTS = [b"%x\r\n%b\r\n" % (len(event), event) for event in events("bench")]
_SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A proxy under test and how its clients name the teacher."""

    pid: int
    port: int
    teacher: str
    credentials: str
    trust: ssl.SSLContext


async def _teacher(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answer = _JSON % (len(whole("bench")), whole("bench"))
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            body = await reader.readexactly(length)
            if b'"stream": true' not in body:
                writer.write(answer)
                continue
            writer.write(_SSE)
            for event in _EVENTS:
                writer.write(event)
                await asyncio.sleep(0.001)
            writer.write(b"0\r\n\r\n")
    writer.transport.abort()


@contextlib.asynccontextmanager
async def _dialled(
    target: Target,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    head = f"CONNECT {target.teacher} HTTP/1.1\r\nHost: {target.teacher}\r\n"
    writer.write(f"{head}{target.credentials}\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    name = target.teacher.partition(":")[0]
    await writer.start_tls(target.trust, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_streamed: bool
) -> None:
    body = ask("bench", is_streamed=is_streamed, user="x" * 400)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % len(body) + body)
    got = await reader.readuntil(b"\r\n\r\n")
    if not got.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(got.decode("latin-1"))
    if is_streamed:
        await reader.readuntil(b"\r\n0\r\n\r\n")
    else:
        await reader.readexactly(len(whole("bench")))


async def _client(target: Target, count: int, *, is_streamed: bool) -> None:
    async with _dialled(target) as (reader, writer):
        for _ in range(count):
            await _call(reader, writer, is_streamed=is_streamed)


async def _load(target: Target, clients: int, *, is_streamed: bool, requests: int) -> float:
    """Milliseconds of CPU per request."""
    before = _cpu_s(target.pid)
    count = requests // clients
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_client(target, count, is_streamed=is_streamed))
    return (_cpu_s(target.pid) - before) / (clients * count) * 1000


type Costs = dict[tuple[str, int], float]
"""Milliseconds of CPU per request, by kind of answer and number of clients."""


async def _costs(target: Target) -> Costs:
    """The costs of one proxy, after a round that warms up."""
    await _load(target, CLIENTS, is_streamed=False, requests=REQUESTS)
    return {
        (kind, clients): await _load(target, clients, is_streamed=kind == "sse", requests=REQUESTS)
        for kind in ("json", "sse")
        for clients in CROWDS
    }


async def _latency_ms(target: Target) -> float:
    """The median time of a call at a steady rate, in milliseconds."""
    took: list[float] = []
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(_dialled(target)) for _ in range(CLIENTS)]
        began = time.monotonic()
        for n in range(RATE * SECONDS):
            await asyncio.sleep(max(0.0, began + n / RATE - time.monotonic()))
            start = time.perf_counter()
            await _call(*wires[n % CLIENTS], is_streamed=False)
            took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took)


@contextlib.asynccontextmanager
async def _teacher_server(folder: Path) -> AsyncIterator[int]:
    """The teacher, and in the folder what proxies need to stand before it."""
    leaf = authority().issue_cert("localhost", "sealed.teacher.test")
    authority().cert_pem.write_to_path(folder / "ca.pem")
    (folder / "mitmproxy-ca.pem").write_bytes(
        authority().private_key_pem.bytes() + authority().cert_pem.bytes()
    )
    (folder / "streaming.py").write_text(_STREAMING)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    server = await asyncio.start_server(_teacher, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _workspace(folder: Path, port: int) -> Workspace:
    template = found_template(folder / "template")
    pem = authority().cert_pem.bytes()
    return Workspace.copy(template, folder / "workspace", sealed=port, authority=pem)


def _worker(workspace: Workspace, pid: int) -> Target:
    name = base64.b64encode(f"{workspace.key}:".encode()).decode()
    return Target(
        pid=pid,
        port=workspace.settings.listen.port,
        teacher="sealed.teacher.test:443",
        credentials=f"Proxy-Authorization: Basic {name}\r\n",
        trust=ssl.create_default_context(cafile=workspace.settings.keys_directory / "ca.pem"),
    )


async def _bare(folder: Path, upstream_port: int) -> tuple[dict[str, Costs], float]:
    """The costs of the two proxies that record nothing, and the latency of the first."""
    costs: dict[str, Costs] = {}
    latency_ms = 0.0
    for name, command in _commands(folder, upstream_port).items():
        with _child(_of_bench_engine(command)) as child:
            target = Target(
                pid=child.pid,
                port=await _port_of(name, child),
                teacher=f"localhost:{upstream_port}",
                credentials="",
                trust=ssl.create_default_context(cafile=folder / "ca.pem"),
            )
            costs[name] = await _costs(target)
            if name == "engine":
                latency_ms = await _latency_ms(target)
    return costs, latency_ms


def _of_bench_engine(command: list[str]) -> list[str]:
    """The command as it runs from here: the file that has the bare engine stands beside this one."""
    bare = str(Path(__file__).with_name("bench_engine.py"))
    return [bare if part.endswith("bench_engine.py") else part for part in command]


async def main() -> None:
    """Measure all and print the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with _teacher_server(folder) as upstream_port:
            workspace = await asyncio.to_thread(_workspace, folder, upstream_port)
            costs, bare_ms = await _bare(folder, upstream_port)
            async with workspace.running() as running:
                target = _worker(workspace, running.worker_pids()[0])
                costs["inbond"] = await _costs(target)
                added_ms = await _latency_ms(target) - bare_ms
                memory = [_rss_mb(target.pid)]
                for _ in range(4):
                    await _load(target, CROWDS[-1], is_streamed=False, requests=LONG // 4)
                    memory.append(_rss_mb(target.pid))
    _tell(costs, bare_ms, added_ms, memory)


def _tell(costs: dict[str, Costs], bare_ms: float, added_ms: float, memory: list[float]) -> None:
    for kind, clients in costs["inbond"]:
        ours, bare, stock = (
            costs[name][kind, clients] for name in ("inbond", "engine", "mitmdump")
        )
        sys.stdout.write(
            f"{kind}, {clients} clients: inbond {ours:.2f} ms, same engine {bare:.2f} ms, mitmdump "
            f"{stock:.2f} ms of CPU a request; ratios {ours / bare:.2f} and {ours / stock:.2f}\n"
        )
    sys.stdout.write(
        f"latency at {RATE}/s: p50 {bare_ms:.2f} ms without records, {added_ms:.2f} ms added\n"
    )
    steps = " → ".join(f"{each:.0f}" for each in memory)
    sys.stdout.write(f"resident over {LONG} requests: {steps} MB\n")


if __name__ == "__main__":
    asyncio.run(main())
