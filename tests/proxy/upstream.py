"""A real teacher's server for tests: HTTP/1.1 over TCP or TLS, doing what its script says.

It remembers every byte it received, and when each connection was closed by the other side.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Script", "Seen", "Step", "Upstream", "chunked", "head", "serve"]


class Step(Enum):
    """What a script may do beside sending bytes."""

    RESET = "reset"
    """Reset the connection (RST)."""
    FIN = "fin"
    """Close the connection."""
    HOLD = "hold"
    """Say nothing more until the other side closes."""


type Script = tuple[bytes | Step | asyncio.Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it came in."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(slots=True)
class Upstream:
    """A running server; set `script` to say how it answers."""

    script: Script | Callable[[Seen], Script] = ()
    address: tuple[str, int] = ("", 0)
    received: bytearray = field(default_factory=bytearray)
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    closed: int = 0
    server_names: list[str | None] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, is_so: Callable[["Upstream"], bool]) -> None:
        """Wait until something is true of this server; fails after five seconds."""
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: is_so(self))

    async def _note(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self.connections += 1
        await self._note()
        try:
            while await self._exchange(_Tee(reader, self.received), writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed += 1
            writer.transport.abort()
            await self._note()

    async def _exchange(self, reader: "_Tee", writer: asyncio.StreamWriter) -> bool:
        seen = await _read(reader)
        if seen is None:
            return False
        self.requests.append(seen)
        await self._note()
        script = self.script(seen) if callable(self.script) else self.script
        for step in script:
            if isinstance(step, Step):
                await _stop(step, reader, writer)
                return False
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                writer.write(step)
                await writer.drain()
        return True


async def _stop(step: Step, reader: "_Tee", writer: asyncio.StreamWriter) -> None:
    """Do the last step of a script; the caller closes."""
    match step:
        case Step.FIN:
            pass
        case Step.RESET:
            plug: socket.socket = writer.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        case Step.HOLD:
            while await reader.some():
                pass


@dataclass(slots=True)
class _Tee:
    """Reads, and keeps a copy."""

    reader: asyncio.StreamReader
    copy: bytearray

    async def line(self) -> bytes:
        data = await self.reader.readline()
        self.copy += data
        return data

    async def exactly(self, size: int) -> bytes:
        data = await self.reader.readexactly(size)
        self.copy += data
        return data

    async def some(self) -> bytes:
        data = await self.reader.read(65536)
        self.copy += data
        return data


async def _read(reader: _Tee) -> Seen | None:
    line = await reader.line()
    if not line:
        return None
    headers: list[tuple[str, str]] = []
    while (field_line := await reader.line()).strip():
        name, _, value = field_line.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    lower = {name.lower(): value for name, value in headers}
    body = await _body(reader, lower)
    return Seen(line=line.decode("latin-1").strip(), headers=tuple(headers), body=body)


async def _body(reader: _Tee, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.exactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.line(), 16):
        body += await reader.exactly(size)
        await reader.line()
    await reader.line()
    return body


def head(status: int = 200, **headers: str) -> bytes:
    """A response head; underscores in names stand for dashes."""
    lines = [f"HTTP/1.1 {status} X", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> tuple[bytes, ...]:
    """The pieces as chunks of a chunked body, and its end."""
    return (*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), end)


@contextlib.asynccontextmanager
async def serve(
    script: Script = (), *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Upstream]:
    """A server on a free port of 127.0.0.1 for the time of the block."""
    upstream = Upstream(script=script)
    if tls:
        tls.sni_callback = lambda _sock, name, _context: upstream.server_names.append(name)
    async with asyncio.TaskGroup() as group:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.append(group.create_task(upstream.connected(reader, writer)))

        tasks: list[asyncio.Task[None]] = []
        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
        upstream.address = server.sockets[0].getsockname()
        try:
            yield upstream
        finally:
            server.close()
            for task in tasks:
                task.cancel()
