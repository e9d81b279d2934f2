"""A gate for the engine's own tests: it forwards by a table, records, refuses, cuts or breaks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from proxy.exchange import Headers, Outcome
from proxy.gate import Arrival, Forward, Refused, Tunnel, Wait

__all__ = ["BrokenError", "RecordedPassage", "RecordingGate", "StreamedPassage"]

_NOT_SENT = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}
    | {"proxy-authorization", "proxy-connection"}
)


class BrokenError(Exception):
    """Raised where a test says that the gate breaks."""


def _refusal(status: int, text: str) -> Refused:
    headers = (("content-type", "application/json"), ("x-inbond-exchange", "refused"))
    return Refused(status=status, headers=headers, body=text.encode())


@dataclass(slots=True, kw_only=True)
class RecordingGate:
    """A `GateKeeper` whose answers a test sets, and which remembers all it was told."""

    host: str = "teacher.test"
    scheme: Literal["http", "https"] = "http"
    connect_to: tuple[str, int] = ("127.0.0.1", 9)
    verdict: Tunnel | Refused = field(default_factory=Tunnel)
    refuse_open: Refused | None = None
    refuse_request: Refused | None = None
    begins: tuple[Wait | Refused | None, ...] | None = None
    """What a streamed passage says to each piece that it is shown; None in it: the body goes on."""
    may_switch: bool = False
    buffer_bytes: int | None = None
    withhold: Refused | None = None
    """What goes out in place of an answer that was held."""
    words: bytes = b""
    """What is added to an answer that is cut."""
    limit_bytes: int = 1_000_000
    cut_at: int | None = None
    """The chunk, counted from one, at which `tap` says: cut."""
    broken_in: frozenset[str] = frozenset()
    hold: asyncio.Event | None = None
    """While unset, `request` does not decide."""
    hold_open: asyncio.Event | None = None
    opening: int = 0
    """How often `open` was asked."""
    hold_end: asyncio.Event | None = None
    upstream_bytes: Callable[[], int] = lambda: 0
    connects: list[tuple[str, int, Headers]] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    passages: list["RecordedPassage"] = field(default_factory=list)

    def breaks(self, where: str) -> None:
        """Raise where the test asked for it."""
        if where in self.broken_in:
            raise BrokenError(where)

    async def connect(
        self, client: str, host: str, port: int, headers: Headers
    ) -> Tunnel | Refused:
        """Give the verdict the test set."""
        self.breaks("connect")
        self.clients.append(client)
        self.connects.append((host, port, headers))
        return self.verdict

    def disconnect(self, client: str) -> None:
        """Note that the client is gone."""
        self.breaks("disconnect")
        self.gone.append(client)

    async def open(self, arrival: Arrival) -> "RecordedPassage | Refused":
        """Give a passage, or the refusal the test set."""
        self.opening += 1
        if self.hold_open:
            await self.hold_open.wait()
        self.breaks("open")
        if self.refuse_open:
            return self.refuse_open
        kind = RecordedPassage if self.begins is None else StreamedPassage
        passage = kind(gate=self, arrival=arrival, exchange=f"x{len(self.passages)}")
        self.passages.append(passage)
        return passage

    def broken(self, reason: str) -> Refused:
        """A 503 of the test's gate."""
        self.breaks("broken")
        self.reasons.append(reason)
        return _refusal(503, "broken")


@dataclass(slots=True, kw_only=True)
class RecordedPassage:
    """A `Passage` that remembers what the engine told it."""

    gate: RecordingGate
    arrival: Arrival
    exchange: str
    body: bytes | None = None
    upstream_bytes: int = 0
    """What the upstream had received when the call was let go: nothing, or P1 is broken."""
    status: int | None = None
    headers: Headers = ()
    chunks: list[bytes] = field(default_factory=list)
    ends: list[Outcome] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def limit_bytes(self) -> int:
        """The gate's limit."""
        return self.gate.limit_bytes

    async def too_large(self) -> Refused:
        """A 413 of the test's gate."""
        self.gate.breaks("too_large")
        return _refusal(413, "too large")

    async def request(self, body: bytes) -> Forward | Refused:
        """Forward to where the test's gate says, once it may decide."""
        self.asked.set()
        if self.gate.hold:
            await self.gate.hold.wait()
        self.gate.breaks("request")
        self.body = body
        if self.gate.refuse_request:
            return self.gate.refuse_request
        return self.forward()

    def forward(self) -> Forward:
        """Where the test's gate says."""
        self.upstream_bytes = self.gate.upstream_bytes()
        kept = tuple(p for p in self.arrival.headers if p[0].lower() not in _NOT_SENT)
        return Forward(
            scheme=self.gate.scheme,
            host=self.gate.host,
            connect=self.gate.connect_to,
            target=self.arrival.target,
            headers=(("Host", self.gate.host), *kept),
            may_switch=self.gate.may_switch,
            buffer_bytes=self.gate.buffer_bytes,
        )

    def respond(self, status: int, headers: Headers) -> Headers:
        """Note the head; add the id of the exchange."""
        self.gate.breaks("respond")
        self.status, self.headers = status, headers
        return (("x-inbond-exchange", self.exchange),)

    def tap(self, chunk: bytes) -> bool:
        """Keep the chunk; cut where the test said."""
        self.chunks.append(chunk)
        self.gate.breaks("tap")
        return self.gate.cut_at is None or len(self.chunks) < self.gate.cut_at

    async def end(self, outcome: Outcome) -> None:
        """Note the outcome."""
        if self.gate.hold_end:
            await self.gate.hold_end.wait()
        self.ends.append(outcome)
        self.ended.set()
        self.gate.breaks("end")

    def withheld(self) -> Refused | None:
        """What the test said."""
        self.gate.breaks("withheld")
        return self.gate.withhold

    def last_words(self) -> bytes:
        """What the test said."""
        self.gate.breaks("last_words")
        return self.gate.words

    def unreachable(self, reason: str) -> Refused:
        """A 502 of the test's gate."""
        self.gate.breaks("unreachable")
        self.reasons.append(reason)
        return _refusal(502, "unreachable")

    def fail(self, reason: str) -> Refused:
        """A 503 of the test's gate."""
        self.gate.breaks("fail")
        self.reasons.append(reason)
        return _refusal(503, "failed")


@dataclass(slots=True, kw_only=True)
class StreamedPassage(RecordedPassage):
    """A `Streamed` passage that remembers what it was shown, and what went on."""

    shown: list[bytes] = field(default_factory=list)
    uploaded: list[bytes] = field(default_factory=list)

    async def begin(self, body: bytes) -> Forward | Refused | Wait:
        """Say what the test said about this piece."""
        self.shown.append(body)
        if self.gate.hold:
            await self.gate.hold.wait()
        self.gate.breaks("begin")
        assert self.gate.begins is not None
        verdict = self.gate.begins[min(len(self.shown), len(self.gate.begins)) - 1]
        return self.forward() if verdict is None else verdict

    def upload(self, chunk: bytes) -> bool:
        """Keep the chunk; cut where the test said."""
        self.uploaded.append(chunk)
        self.gate.breaks("upload")
        return self.gate.cut_at is None or len(self.uploaded) < self.gate.cut_at
