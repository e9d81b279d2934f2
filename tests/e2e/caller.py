"""A client that speaks HTTP/1.1 byte by byte, so that a test can leave when it wants to."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.e2e.harness import Workspace

__all__ = ["Answer", "Caller"]

_BOUND_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, as far as it came: `is_whole` says that the message had its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


@dataclass(slots=True)
class Caller:
    """One request to one teacher through the proxy, by one mode."""

    workspace: Workspace
    teacher: str
    is_proxied: bool
    """By CONNECT and an opened tunnel; else by base URL."""
    key: str = ""
    is_bare: bool = False
    """Without any credentials of its own."""
    path: str = "/v1/chat/completions"
    received: bytearray = field(default_factory=bytearray)
    refusal: Answer | None = None
    """What was said instead of opening the tunnel."""
    _reader: asyncio.StreamReader = field(init=False)
    _writer: asyncio.StreamWriter = field(init=False)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator["Caller"]:
        """A connection for the time of the block; a bound keeps what hangs from hanging for ever."""
        listen = self.workspace.settings.listen
        async with asyncio.timeout(_BOUND_S):
            self._reader, self._writer = await asyncio.open_connection(listen.host, listen.port)
            try:
                if self.is_proxied:
                    await self._open_tunnel()
                yield self
            finally:
                self.leave()

    async def _open_tunnel(self) -> None:
        host = f"{self.teacher}.teacher.test"
        name = base64.b64encode(f"{self.key or self.workspace.key}:".encode()).decode()
        head = f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n"
        proof = "" if self.is_bare else f"Proxy-Authorization: Basic {name}\r\n"
        self._writer.write(f"{head}{proof}\r\n".encode())
        said = await self._reader.readuntil(b"\r\n\r\n")
        if said.split()[1] != b"200":
            self.refusal = _parse(said)
            return
        authority = self.workspace.settings.keys_directory / "ca.pem"
        trust = ssl.create_default_context(cafile=str(authority))
        self._offer(trust)
        await self._writer.start_tls(trust, server_hostname=host)

    def _offer(self, trust: ssl.SSLContext) -> None:
        """Offer no protocol: HTTP/1.1 is spoken."""

    def head(self, length: int, *lines: str) -> bytes:
        """The head of a request with a body of this length."""
        target = self.path if self.is_proxied else f"/{self.teacher}{self.path}"
        named = f"{self.teacher}.teacher.test" if self.is_proxied else "localhost"
        is_named = not (self.is_proxied or self.is_bare)
        own = [f"Authorization: Bearer {self.key or self.workspace.key}"] if is_named else []
        head = [f"POST {target} HTTP/1.1", f"Host: {named}", "Content-Type: application/json"]
        return "\r\n".join([*head, *own, *lines, f"Content-Length: {length}", "", ""]).encode()

    async def send(self, body: bytes, *lines: str) -> None:
        """Send a whole request."""
        self._writer.write(self.head(len(body), *lines) + body)
        await self._writer.drain()

    async def send_part(self, body: bytes) -> None:
        """Send a request without the last byte of its body."""
        self._writer.write(self.head(len(body)) + body[:-1])
        await self._writer.drain()

    async def read_until(self, mark: bytes) -> None:
        """Read until these bytes have come."""
        while mark not in self.received:
            piece = await self._reader.read(65536)
            assert piece, bytes(self.received)
            self.received += piece

    def leave(self) -> None:
        """Drop the connection at once."""
        self._writer.transport.abort()

    async def answer(self) -> Answer:
        """Read to the end of the message, or of the connection."""
        while not _is_whole(self.received):
            try:
                piece = await self._reader.read(65536)
            except (OSError, ssl.SSLError):
                piece = b""
            if not piece:
                break
            self.received += piece
        return _parse(bytes(self.received))


def _split(data: bytes | bytearray) -> tuple[list[str], dict[str, str], bytes]:
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines[1:])
    return lines[0].split(" "), {name.lower(): value.strip() for name, _, value in fields}, body


def _is_whole(data: bytes | bytearray) -> bool:
    if b"\r\n\r\n" not in data:
        return False
    _, headers, body = _split(data)
    if headers.get("transfer-encoding") == "chunked":
        return body.endswith(b"0\r\n\r\n")
    return "content-length" in headers and len(body) >= int(headers["content-length"])


def _parse(data: bytes) -> Answer:
    if b"\r\n\r\n" not in data:
        return Answer(0, {}, b"", is_whole=False)
    start, headers, body = _split(data)
    return Answer(int(start[1]), headers, body, is_whole=_is_whole(data))
