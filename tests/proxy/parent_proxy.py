"""A real parent proxy for tests: it opens tunnels (CONNECT), or says no as its script has it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from proxy.parent import Parent
from proxy.secret import Secret

__all__ = ["OPENED", "ParentProxy", "parent_proxy"]

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(slots=True)
class ParentProxy:
    """A running parent; whatever name it is asked for, it dials `leads_to`."""

    leads_to: tuple[str, int] = ("127.0.0.1", 9)
    says: tuple[bytes, ...] = (OPENED,)
    """The answer to a CONNECT, in pieces; without a tunnel it is the last word."""
    opens: bool | None = None
    """Whether a tunnel follows; None: where the answer says 200."""
    is_silent: bool = False
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    closed: int = 0
    address: tuple[str, int] = ("", 0)
    is_tls: bool = False

    def settings(self, credentials: str | None = None) -> Parent:
        """What inbond is told of it."""
        secret = None if credentials is None else Secret(credentials)
        host, port = self.address
        return Parent(is_tls=self.is_tls, host=host, port=port, credentials=secret)

    async def until_closed(self, count: int) -> None:
        """Wait until so many of its connections are over."""
        async with asyncio.timeout(5):
            while self.closed < count:  # noqa: ASYNC110 - a count sets no event
                await asyncio.sleep(0.001)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                await self._answer(reader, writer)
        finally:
            self.closed += 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_silent:
            await reader.read()
        for piece in self.says:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        is_open = b" 200 " in b"".join(self.says) if self.opens is None else self.opens
        if not is_open:
            return
        there, back = await asyncio.open_connection(*self.leads_to)
        async with asyncio.TaskGroup() as group:
            ways = [group.create_task(_carry(*way)) for way in ((reader, back), (there, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        back.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def parent_proxy(tls: ssl.SSLContext | None = None) -> AsyncIterator[ParentProxy]:
    """A parent proxy on a free port of 127.0.0.1 for the time of the block."""
    parent = ParentProxy(is_tls=tls is not None)
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.append(group.create_task(parent.serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
        parent.address = server.sockets[0].getsockname()
        try:
            yield parent
        finally:
            server.close()
            for task in tasks:
                task.cancel()
