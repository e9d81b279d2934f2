"""What streams cost: CPU per event, how late the first byte is, and the memory of many at once.

The real worker and the same engine without reader and ledger carry the same streams from the same
teacher, in one run. A teacher notes when it wrote its first event and a client when it came, by one
clock, since both are here; what a stream without a proxy takes is told beside it.
"""

import asyncio
import contextlib
import json
import re
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.bench_engine import _child, _commands, _cpu_s, _port_of, _rss_mb
from tests.bench.bench_proxy import Target, _dialled, _of_bench_engine, _worker, _workspace
from tests.e2e.harness import MODEL
from tests.e2e.teacher import ask, authority

EVENTS = 400
"""Of one stream, where CPU is measured."""
CLIENTS = 4
STREAMS = 12
"""Of all clients together."""
FIRSTS = 400
"""Streams whose first byte is timed: one after the other, and many at once."""
CROWD = 20
SLOW = 1000
SLOW_S = 20
"""How long each slow stream lasts, with an event a second."""

_SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_CASE = re.compile(rb"case:([a-z]+)\.([0-9]+)")


def _event(text: str, *, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    record = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    event = b"data: " + json.dumps({**record, "choices": [choice]}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


_WORD = _event(" word")
_END = _event("", finish="stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@dataclass(slots=True)
class Teacher:
    """A teacher whose pace the prompt names, and when it wrote each first event."""

    port: int = 0
    wrote_at: dict[str, float] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer on one connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                found = _CASE.search(await reader.readexactly(length))
                if found:
                    await self._speak(found[1].decode(), found[2].decode(), writer)
        writer.transport.abort()

    async def _speak(self, pace: str, number: str, writer: asyncio.StreamWriter) -> None:
        writer.write(_SSE)
        await asyncio.sleep(0.02)  # the head and the first event do not share a packet
        self.wrote_at[number] = time.perf_counter()
        writer.write(_WORD)
        events, pause_s = {"paced": (EVENTS, 0.001), "burst": (EVENTS, 0), "first": (1, 0)}.get(
            pace, (SLOW_S, 1.0)
        )
        for _ in range(events):
            if pause_s:
                await asyncio.sleep(pause_s)
            writer.write(_WORD)
        writer.write(_END)
        await writer.drain()


async def _ask(target: Target, pace: str, number: int, count: int = 1) -> list[float]:
    """Make calls on one connection; gives when the first byte of each body came."""
    came: list[float] = []
    async with _dialled(target) as (reader, writer):
        for n in range(number, number + count):
            body = ask(f"{pace}.{n}", is_streamed=True)
            head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % len(body) + body)
            got = await reader.readuntil(b"\r\n\r\n")
            if not got.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(got.decode("latin-1"))
            await reader.readuntil(b" word")
            came.append(time.perf_counter())
            await _to_end(reader)
    return came


async def _to_end(reader: asyncio.StreamReader) -> None:
    tail = b""
    while not tail.endswith(b"\r\n0\r\n\r\n"):
        piece = await reader.read(65536)
        if not piece:
            raise ConnectionError
        tail = (tail + piece)[-7:]


async def _event_us(target: Target, pace: str) -> float:
    """Microseconds of CPU per event."""
    before = _cpu_s(target.pid)
    async with asyncio.TaskGroup() as group:
        for n in range(CLIENTS):
            group.create_task(_ask(target, pace, n * 1000, STREAMS // CLIENTS))
    return (_cpu_s(target.pid) - before) / (STREAMS * EVENTS) * 1e6


async def _firsts_ms(target: Target, teacher: Teacher, clients: int) -> list[float]:
    """How long each first byte took from the teacher's write to the client, in milliseconds, sorted."""
    each = FIRSTS // clients
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(target, "first", n * each, each)) for n in range(clients)]
    came = [at for task in asked for at in task.result()]
    return sorted((at - teacher.wrote_at[str(n)]) * 1000 for n, at in enumerate(came))


async def _crowded_mb(target: Target) -> tuple[float, float]:
    """The memory of a proxy before and under many slow streams, in MB."""
    before, peak = _rss_mb(target.pid), 0.0
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_later(target, n)) for n in range(SLOW)]
        while not all(task.done() for task in tasks):
            peak = max(peak, _rss_mb(target.pid))
            await asyncio.sleep(0.25)
    return before, peak


async def _later(target: Target, n: int) -> None:
    await asyncio.sleep(n / 100)  # as clients come, not as a flood of handshakes
    await _ask(target, "slow", n)


@contextlib.asynccontextmanager
async def _teacher_server(folder: Path) -> AsyncIterator[Teacher]:
    leaf = authority().issue_cert("localhost", "sealed.teacher.test")
    authority().cert_pem.write_to_path(folder / "ca.pem")
    (folder / "mitmproxy-ca.pem").write_bytes(
        authority().private_key_pem.bytes() + authority().cert_pem.bytes()
    )
    (folder / "streaming.py").write_text("")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    teacher = Teacher()
    server = await asyncio.start_server(teacher.serve, "127.0.0.1", 0, ssl=context, backlog=1024)
    async with server:
        teacher.port = server.sockets[0].getsockname()[1]
        yield teacher


type Found = dict[str, list[float]]


async def _measure(target: Target, teacher: Teacher) -> Found:
    await _event_us(target, "paced")
    found: Found = {
        f"{pace} events": [await _event_us(target, pace)] for pace in ("paced", "burst")
    }
    for clients in (1, CROWD):
        found[f"first byte, {clients} at once"] = await _firsts_ms(target, teacher, clients)
    found["memory"] = list(await _crowded_mb(target))
    return found


async def main() -> None:
    """Measure both and print what issue 4 asks for."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with _teacher_server(folder) as teacher:
            workspace = await asyncio.to_thread(_workspace, folder, teacher.port)
            command = _of_bench_engine(_commands(folder, teacher.port)["engine"])
            with _child(command) as child:
                bare = Target(
                    pid=child.pid,
                    port=await _port_of("engine", child),
                    teacher=f"localhost:{teacher.port}",
                    credentials="",
                    trust=ssl.create_default_context(cafile=folder / "ca.pem"),
                )
                without = await _measure(bare, teacher)
            async with workspace.running() as running:
                ours = await _measure(_worker(workspace, running.worker_pids()[0]), teacher)
    _tell(ours, without)


def _tell(ours: Found, bare: Found) -> None:
    for what in ("paced events", "burst events"):
        (cost,), (other,) = ours[what], bare[what]
        sys.stdout.write(
            f"{what}: inbond {cost:.0f} µs, same engine {other:.0f} µs of CPU an event, "
            f"ratio {cost / other:.2f}\n"
        )
    for what, times in ours.items():
        if what.startswith("first"):
            for who, each in (("inbond", times), ("same engine", bare[what])):
                late = sum(one > 5 for one in each)
                sys.stdout.write(
                    f"{what}, {who}: p50 {statistics.median(each):.2f} ms, "
                    f"p99 {each[int(len(each) * 0.99)]:.2f} ms, most {each[-1]:.2f} ms; "
                    f"{late} of {len(each)} over 5 ms\n"
                )
    for who, found in (("inbond", ours), ("same engine", bare)):
        before, peak = found["memory"]
        sys.stdout.write(f"{SLOW} slow streams, {who}: {before:.0f} → {peak:.0f} MB resident\n")


if __name__ == "__main__":
    asyncio.run(main())
