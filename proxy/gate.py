"""The gate: what happens to one call, from its first header to its durable record.

Free of mitmproxy's types, so that another front can stand before it. The engine's hooks call, in
this order: `Gate.connect` (a CONNECT), `Gate.open` (request headers), `Passage.request` (the whole
request body), `Passage.respond` (response headers), `Passage.tap` (each chunk), `Passage.end`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from proxy.exchange import Headers, Outcome

__all__ = ["Arrival", "Forward", "GateKeeper", "Passage", "Refused", "Tunnel"]


class Tunnel(Enum):
    """What to do with a CONNECT."""

    INTERCEPT = "intercept"
    """Open TLS: the host is registered."""
    PASS = "pass"  # noqa: S105 - a verdict on a tunnel, not a secret
    """Carry the bytes unopened: an unlisted host under `unlisted: tunnel`."""


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

    `connect` is the address to dial; `host` goes into `Host` and SNI. `headers` is the whole list to
    send: hop-by-hop, `TE`, `x-inbond-*` and client keys are gone, the provider's key is in.
    """

    scheme: Literal["http", "https"]
    host: str
    connect: tuple[str, int]
    target: str
    headers: Headers


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
