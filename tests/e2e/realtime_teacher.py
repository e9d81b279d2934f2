"""A teacher that speaks OpenAI's realtime events over a WebSocket on TLS: a real server of ours."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.e2e.harness import MODEL
from tests.e2e.teacher import _server_tls, case_of

__all__ = ["WORDS", "RealtimeTeacher", "live_teacher", "realtime_teacher"]

WORDS = ("The ", "quick ", "answer: ł.")
"""What it says, piece by piece."""


@dataclass(slots=True)
class RealtimeTeacher:
    """What it saw, and what it does beside answering."""

    port: int = 0
    ledger_size: Callable[[], int] = lambda: 0
    heads: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    """How many entries were durable when a case was asked for."""
    received: list[str | bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0
    _sessions: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether every session is over."""
        return not self._sessions

    def forget(self) -> None:
        """Be as if nothing had been; nobody may be connected."""
        for kept in (self.heads, self.paths, self.sizes, self.received):
            kept.clear()
        self.gone.clear()
        self.ledger_size = lambda: 0
        self._count = 0

    async def serve(self, socket: ServerConnection) -> None:
        """One session."""
        assert socket.request is not None
        self._sessions += 1
        self.paths.append(socket.request.path)
        self.heads.append({k.lower(): v for k, v in socket.request.headers.raw_items()})
        session = {"type": "realtime", "model": MODEL}
        await self._say(socket, "session.created", session=session)
        case = ""
        try:
            async for message in socket:
                self.received.append(message)
                said = json.loads(message)
                case = case_of(json.dumps(said).encode()) or case
                if said["type"] == "response.create":
                    self.sizes[case] = self.ledger_size()
                    await self._respond(socket, case)
        except ConnectionClosed:
            pass
        finally:
            self._sessions -= 1
            self.gone.set()

    async def _respond(self, socket: ServerConnection, case: str) -> None:
        self._count += 1
        named = {"response_id": f"resp-{self._count}"}
        if case.endswith("error"):
            error = {"type": "invalid_request_error", "code": "busy", "message": "not now"}
            await self._say(socket, "error", error=error)
            return
        response = {"id": named["response_id"], "object": "realtime.response"}
        await self._say(socket, "response.created", response=response | {"status": "in_progress"})
        for word in WORDS:
            await self._say(socket, "response.output_text.delta", **named, item_id="i", delta=word)
            if case.endswith("held"):
                await socket.wait_closed()
            if case.endswith("breaks"):
                socket.transport.abort()
                return
        part = {"type": "output_text", "text": "".join(WORDS)}
        item = {"id": "i", "type": "message", "role": "assistant", "content": [part]}
        usage = {"total_tokens": 9, "input_tokens": 5, "output_tokens": 4}
        done = response | {"status": "completed", "output": [item], "usage": usage}
        await self._say(socket, "response.done", response=done)

    async def _say(self, socket: ServerConnection, kind: str, **more: Any) -> None:
        await socket.send(json.dumps({"type": kind, "event_id": f"e-{kind}", **more}))


@contextlib.asynccontextmanager
async def realtime_teacher() -> AsyncIterator[RealtimeTeacher]:
    """A server on a free port for the time of the block."""
    teacher = RealtimeTeacher()
    async with serve(teacher.serve, "127.0.0.1", 0, ssl=_server_tls()) as server:
        teacher.port = next(iter(server.sockets)).getsockname()[1]
        yield teacher
        server.close(close_connections=True)


async def _live(socket: ServerConnection) -> None:
    """One session of Google's Live API: its frames are binary."""
    async for message in socket:
        said = json.loads(message)
        if "setup" in said:
            await socket.send(json.dumps({"setupComplete": {}}).encode())
            continue
        for word in WORDS:
            turn = {"modelTurn": {"parts": [{"text": word}]}}
            await socket.send(json.dumps({"serverContent": turn}).encode())
        usage = {"promptTokenCount": 5, "responseTokenCount": 4, "totalTokenCount": 9}
        end = {"serverContent": {"turnComplete": True}, "usageMetadata": usage}
        await socket.send(json.dumps(end).encode())


@contextlib.asynccontextmanager
async def live_teacher() -> AsyncIterator[int]:
    """A server of the Live API for the time of the block; gives its port."""
    async with serve(_live, "127.0.0.1", 0, ssl=_server_tls()) as server:
        yield next(iter(server.sockets)).getsockname()[1]
