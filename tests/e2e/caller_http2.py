"""A client that speaks HTTP/2 frame by frame inside an opened tunnel, so that a test can leave when it wants to."""

import ssl
from dataclasses import dataclass, field
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from tests.e2e.caller import Answer, Caller

__all__ = ["Http2Caller"]

_STREAM = 1


def _connection() -> H2Connection:
    return H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))


@dataclass(slots=True)
class Http2Caller(Caller):
    """One request to one teacher through the proxy, on an HTTP/2 connection of its own."""

    _h2: H2Connection = field(default_factory=_connection)
    _fields: dict[str, str] = field(default_factory=dict)
    _is_whole: bool = False
    _is_over: bool = False

    def _offer(self, trust: ssl.SSLContext) -> None:
        trust.set_alpn_protocols(["h2"])

    async def send(self, body: bytes, *lines: str) -> None:
        """Send a whole request."""
        await self._ask(body, len(body), lines, is_whole=True)

    async def send_part(self, body: bytes) -> None:
        """Send a request without the last byte of its body."""
        await self._ask(body[:-1], len(body), (), is_whole=False)

    async def _ask(
        self, sent: bytes, length: int, lines: tuple[str, ...], *, is_whole: bool
    ) -> None:
        more = [tuple(line.lower().split(": ", 1)) for line in lines]
        self._h2.initiate_connection()
        self._h2.send_headers(
            _STREAM,
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", f"{self.teacher}.teacher.test"),
                (":path", self.path),
                ("content-type", "application/json"),
                ("content-length", str(length)),
                *((name, value) for name, value in more),
            ],
        )
        self._h2.send_data(_STREAM, sent, end_stream=is_whole)
        await self._flush()

    async def reset(self) -> None:
        """Give up the request, and keep the connection."""
        self._h2.reset_stream(_STREAM, ErrorCodes.CANCEL)
        await self._flush()

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()

    async def read_until(self, mark: bytes) -> None:
        """Read until these bytes of the body have come."""
        while mark not in self.received:
            assert await self._more(), bytes(self.received)

    async def answer(self) -> Answer:
        """Read to the end of the stream, or of the connection."""
        while not self._is_over and await self._more():
            pass
        status = int(self._fields.get(":status", 0))
        return Answer(status, self._fields, bytes(self.received), is_whole=self._is_whole)

    async def _more(self) -> bool:
        try:
            data = await self._reader.read(65536)
        except (OSError, ssl.SSLError):
            data = b""
        for event in self._h2.receive_data(data) if data else ():
            self._take(event)
        await self._flush()
        return bool(data)

    def _take(self, event: Any) -> None:
        match event:
            case ResponseReceived():
                self._fields = dict(cast("list[tuple[str, str]]", event.headers))
            case DataReceived():
                self.received += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, _STREAM)
            case StreamEnded():
                self._is_whole = self._is_over = True
            case StreamReset() | ConnectionTerminated():
                self._is_over = True
