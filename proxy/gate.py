"""The gate: what happens to one call, from its first header to its durable record.

Free of mitmproxy's types, so that another front can stand before it. The engine's hooks call, in
this order: `Gate.connect` (a CONNECT), `Gate.open` (request headers), `Passage.request` (the whole
request body), `Passage.respond` (response headers), `Passage.tap` (each chunk), `Passage.end`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from proxy.exchange import Headers, Outcome

__all__ = [
    "Arrival",
    "BeyondParent",
    "Delivered",
    "Forward",
    "GateKeeper",
    "Passage",
    "Refused",
    "Relay",
    "Socketed",
    "Streamed",
    "Trailed",
    "Tunnel",
    "Wait",
]


class BeyondParent(NamedTuple):
    """An address that is not dialled from here: the parent proxy is asked for the way to it."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """What to do with a CONNECT: open its TLS, or carry its bytes unopened."""

    carried_to: tuple[str, int] | None = None
    """The address to dial, or a `BeyondParent`, for bytes that are carried unopened; None: TLS is opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request as it arrived, before anything was changed.

    `host` and `port` are the target of a CONNECT or of an absolute-form request; None in base-URL
    mode. `target` is the raw path with query. Header names keep their case and order.
    """

    client: str
    """An id of the client connection: credentials given on its CONNECT count inside the tunnel."""
    method: str
    scheme: Literal["http", "https"]
    host: str | None
    port: int | None
    target: str
    headers: Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An answer of ours, in the provider's own error shape."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Where and how to send the call on. The body is never touched (P3).

    `connect` is the address to dial, or a `BeyondParent`; `host` goes into `Host` and SNI. `headers` is the whole list to
    send: hop-by-hop, `TE`, `x-inbond-*` and client keys are gone, the provider's key is in.
    """

    scheme: Literal["http", "https"]
    host: str
    connect: tuple[str, int]
    target: str
    headers: Headers
    may_switch: bool = False
    """Whether the answer may change the protocol (101): what follows is then carried as it comes."""
    buffer_bytes: int | None = None
    """How much of the answer is held until it was decided on as a whole; None: it goes on as it comes."""
    is_http2: bool = False
    """Whether the teacher is to be asked in HTTP/2 alone, whose trailers gRPC needs."""


class Wait(Enum):
    """What a streamed passage needs before it decides."""

    MORE = "more"
    """The next piece of the body."""
    WHOLE = "whole"
    """All of it: `Passage.request` is asked with the whole, as of any call."""


class Passage(Protocol):
    """One call under way."""

    @property
    def exchange(self) -> str:
        """The id of the exchange: it stands in `x-inbond-exchange`."""

    @property
    def limit_bytes(self) -> int:
        """The largest request body that is read."""

    async def too_large(self) -> Refused:
        """The refusal of a body over the limit; durable before it is given."""

    async def request(self, body: bytes) -> Forward | Refused:
        """Decide on the whole request; when this returns `Forward`, the `call` is durable (P1).

        A refusal is durable too (`call` and `exchange`) where the caller is known.
        """

    def respond(self, status: int, headers: Headers) -> Headers:
        """Take note of the response's head; gives the headers to add to the client's answer."""

    def tap(self, chunk: bytes) -> bool:
        """Read a copy of the next chunk. Never raises; False means: cut the call now."""

    async def end(self, outcome: Outcome) -> None:
        """Make the `exchange` durable, once; later calls do nothing.

        For `complete` this must be awaited before the client sees the end of the message.

        Raises:
            LedgerError: it could not be made durable; the engine cuts the call.
        """

    def unreachable(self, reason: str) -> Refused:
        """A 502 in the provider's shape: the teacher gave no answer; `end` follows."""

    def fail(self, reason: str) -> Refused:
        """A hook of ours broke: a 503 in the provider's shape; the record is poisoned (P9)."""


@runtime_checkable
class Trailed(Passage, Protocol):
    """A call whose answer may say in its trailers how it ended."""

    def trailers(self, headers: Headers) -> None:
        """Take note of the answer's trailers, before `end`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """What goes on of what was heard on a socket; both are bytes as they go on the wire."""

    to_client: bytes = b""
    to_server: bytes = b""
    is_over: bool = False
    """Whether the socket is closed once this was sent."""


@runtime_checkable
class Socketed(Passage, Protocol):
    """A call that became a socket, once its answer said 101; `end` comes when the socket is closed."""

    async def heard(self, data: bytes, *, is_client: bool) -> Relay:
        """Read what came from one side, and say what goes on."""

    def parted(self, *, by_client: bool) -> Outcome:
        """How a socket ended whose connection to one side is over."""

    def farewell(self, outcome: Outcome) -> bytes:
        """What to tell the client of a socket that ended so, where its connection is still there."""


@runtime_checkable
class Streamed(Passage, Protocol):
    """A call whose body may go on while it comes in: read as it passes, and never held.

    A request without a body is asked about with `Passage.request`, as of any call.
    """

    async def begin(self, body: bytes) -> Forward | Refused | Wait:
        """Decide on the first bytes of the body; `Forward` sends them, and all that follow, on.

        What P1 asks for is durable before this gives `Forward`.
        """

    def upload(self, chunk: bytes) -> bool:
        """Read a copy of what is sent on. Never raises; False means: cut the call now.

        A teacher may answer before it has read everything, so this may come after `end`.
        """


@runtime_checkable
class Delivered(Passage, Protocol):
    """A call that has a say in what its client gets of the answer."""

    def withheld(self) -> Refused | None:
        """After `end`, of an answer that was held: what goes out in its place; None: it goes out."""

    def last_words(self) -> bytes:
        """What to add to an answer under way that is cut: its format's own error event, or nothing."""


class GateKeeper(Protocol):
    """What the engine's addon needs of the gate."""

    async def connect(
        self, client: str, host: str, port: int, headers: Headers
    ) -> Tunnel | Refused:
        """Decide on a CONNECT, before any byte of TLS."""

    def disconnect(self, client: str) -> None:
        """Forget what a client connection told us."""

    async def open(self, arrival: Arrival) -> Passage | Refused:
        """Route and identify a request from its headers alone."""

    def broken(self, reason: str) -> Refused:
        """The refusal when a hook failed and there is no passage to ask."""
