"""Requests to hosts that nobody registered: model calls are refused and recorded, the rest passes.

A body is held only as long as it may still be a model call: one that begins like a JSON object, or a
form under a known path. Everything else goes on while it comes in, byte for byte and unrecorded.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from proxy.call import Call
from proxy.errors import RouteError, WireError
from proxy.exchange import Headers, Outcome, RequestHead
from proxy.forwarding import forwarded_headers
from proxy.gate import Arrival, Forward, Refused, Wait
from proxy.headers import storable_query, storable_request_headers
from proxy.identity import Caller
from proxy.refusals import Early
from proxy.route import Route
from proxy.services import Services
from proxy.unlisted import authority_of
from proxy.wire.encoding import Decoder
from proxy.wire.form import is_form
from proxy.wire.grpc import is_grpc
from proxy.wire.plain import Plain
from proxy.wire.refusal import refusal
from proxy.wire.shape import Shape, is_claimed, may_be_object, shape_of, shape_of_head

__all__ = ["Inspection", "Notes", "Passed", "is_misdirected", "unreached"]

_UNREAD = Plain("other", method="", suffixes=())
_BLANK_BYTES = 64 * 1024
"""How much white space may come before a body begins."""
_SLICE_BYTES = 16
"""How much is decoded at once to see how a body begins: what breaks behind that hides nothing."""
_MARK_BYTES = 3
"""Of what is blank, a byte order mark may be all that counts."""
_MANY_HOSTS = 1000
_OTHERS = "(other hosts)"


class Passed:
    """How many requests passed to each unlisted host; beyond a thousand hosts, to all others."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, host: str) -> None:
        """Count one request or tunnel."""
        is_known = host in self.counts or len(self.counts) < _MANY_HOSTS
        self.counts[host if is_known else _OTHERS] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """Whom an inspection tells what it found."""

    passed: Callable[[str], None]
    """A request to this host passed."""
    refused: Callable[[str, str], None]
    """One was refused for this reason."""


class Inspection:
    """One request to an unlisted host (`proxy.gate.Streamed`)."""

    def __init__(
        self, *, services: Services, arrival: Arrival, route: Route, caller: Caller, notes: Notes
    ) -> None:
        lower = tuple((name.lower(), value) for name, value in arrival.headers)
        self._services = services
        self._arrival = arrival
        self._route = route
        self._caller = caller
        self._notes = notes
        self._head = RequestHead(
            method=arrival.method,
            path=route.path,
            query=storable_query(route.query),
            headers=storable_request_headers(lower),
        )
        upgrade = _first(lower, "upgrade") or ""
        # No other protocol is switched to: HTTP/2 over one (h2c) would carry requests past us.
        self._upgrade = upgrade if upgrade.lower() == "websocket" else None
        self._shape = shape_of_head(self._head, upgrade=self._upgrade)
        self._call: Call | None = None

    @property
    def exchange(self) -> str:
        """The id of the exchange; empty as long as none is recorded."""
        return "" if self._call is None else self._call.exchange

    @property
    def limit_bytes(self) -> int:
        """How much of a body that may be a model call is held."""
        most, unannounced = (
            self._services.request_limit_bytes,
            self._services.unannounced_limit_bytes,
        )
        is_announced = _first(self._arrival.headers, "content-length") is not None
        return most if is_announced or unannounced is None else min(most, unannounced)

    # -- the request -------------------------------------------------------------------------

    async def begin(self, body: bytes) -> Forward | Refused | Wait:
        """Let a body go on that cannot be a model call; wait for the whole of any other."""
        is_claimed_form = is_form(self._head.header("content-type")) and is_claimed(self._head)
        if self._shape is not None or is_claimed_form:
            return Wait.WHOLE
        is_object = self._may_be_object(body)
        if is_object is None and len(body) < _BLANK_BYTES:
            return Wait.MORE
        return Wait.WHOLE if is_object is not False else await self._pass()

    async def request(self, body: bytes) -> Forward | Refused:
        """Refuse a model call on record; let everything else pass."""
        shape = self._shape
        if shape is None:
            read = self._decoded(body)
            if read is None and self._may_be_object(body):
                return self._unreadable()
            shape = None if read is None else shape_of(self._head, read)
        return await self._pass() if shape is None else await self._refuse(shape, body)

    def upload(self, chunk: bytes) -> bool:  # noqa: ARG002 - nothing of it is kept
        """Let the next chunk go on."""
        return True

    def _may_be_object(self, body: bytes) -> bool | None:
        """Whether a body, as far as it has come, may be a JSON object; None: more must be seen.

        One in a coding that nobody knows is taken for one under a known path alone; one that expands
        too far to be read is taken for one wherever it goes.
        """
        begun = b""
        try:
            decoder = self._decoder()
            for start in range(0, len(body), _SLICE_BYTES):
                begun += decoder.feed(body[start : start + _SLICE_BYTES])
                if (found := may_be_object(begun)) is not None:
                    return found
                begun = begun[:_MARK_BYTES]
        except WireError as error:
            return error.code == "expands-too-far" or is_claimed(self._head)
        return None

    def _decoded(self, body: bytes) -> bytes | None:
        """The whole body without its content coding; None: it cannot be undone."""
        try:
            return self._decoder().feed(body)
        except WireError:
            return None

    def _decoder(self) -> Decoder:
        # A header that is given twice is one list (RFC 9110 §5.3).
        codings = [value for name, value in self._head.headers if name == "content-encoding"]
        limit_bytes = self._services.request_limit_bytes
        return Decoder(", ".join(codings) or None, limit_bytes=limit_bytes)

    async def _pass(self) -> Forward | Refused:
        try:
            connect = await self._services.resolve(self._route)
        except RouteError as error:
            early = unreached(error)
            return self._say(early.status, early.code, early.message)
        host = _first(self._arrival.headers, "host") or authority_of(self._route)
        headers = forwarded_headers(self._arrival.headers, self._caller, host)
        if self._upgrade is not None:
            headers = (*headers, ("Connection", "Upgrade"), ("Upgrade", self._upgrade))
        self._notes.passed(self._route.host)
        return Forward(
            scheme=self._route.scheme,
            host=self._route.host,
            connect=connect,
            target=self._route.target,
            headers=headers,
            may_switch=self._upgrade is not None,
            is_http2=is_grpc(self._head.header("content-type")),
        )

    # -- refusals ----------------------------------------------------------------------------

    async def _refuse(self, shape: Shape, body: bytes) -> Forward | Refused:
        self._call = Call(
            services=self._services,
            route=self._route,
            caller=self._caller,
            head=self._head,
            sent_headers=self._arrival.headers,
            operation=shape.operation,
            reader=_UNREAD.reader(self._head),
            early=self._early(),
            family=shape.family,
        )
        self._notes.refused(self._route.host, "unlisted-gateway")
        return await self._call.request(body)

    def _early(self) -> Early:
        message = (
            f"inbond refused this call: `{self._route.host}` is not a registered teacher, and this "
            "is a call to a model; add it to `teachers` in inbond.yaml with the repository, revision "
            "and licence of the weights it serves, or call a provider that the registry knows"
        )
        return Early(status=403, code="unlisted-gateway", message=message)

    async def too_large(self) -> Refused:
        """The refusal of a body over the limit, which may be a model call."""
        return self._say(
            413,
            "unlisted-too-large",
            f"inbond refused this request to `{self._route.host}`: it looks like JSON, which is "
            f"read, and is over {self.limit_bytes} bytes; raise `limits.request_bytes`, or name the "
            "host in `unlisted_hosts.tunnel` if no model answers there",
        )

    def _unreadable(self) -> Refused:
        return self._say(
            415,
            "unlisted-unreadable",
            f"inbond refused this request to `{self._route.host}`: it may be a call to a model, and its "
            "`content-encoding` cannot be undone; use one of: gzip, deflate, br, zstd, and less of it",
        )

    def unreachable(self, reason: str) -> Refused:
        """A 502: the host did not answer."""
        return self._say(
            502,
            "unlisted-unreachable",
            f"inbond could not get an answer from `{self._route.host}` ({reason}); if it asks clients for a "
            "certificate, name it in `unlisted_hosts.tunnel`; if a private authority vouches for it, "
            "name that in `upstream.ca`",
        )

    def fail(self, reason: str) -> Refused:
        """A hook of ours broke: a 503, and nothing goes on (P9)."""
        if self._call is not None:
            return self._call.fail(reason)
        return self._say(503, "hook-failed", f"inbond refused this request: {reason}; try again")

    def _say(self, status: int, code: str, message: str) -> Refused:
        self._notes.refused(self._route.host, code)
        return refusal("plain", status=status, code=code, message=message, exchange=None)

    # -- the answer --------------------------------------------------------------------------

    def respond(self, status: int, headers: Headers) -> Headers:  # noqa: ARG002 - nothing of it is kept
        """Add nothing to an answer that is not recorded."""
        return ()

    def tap(self, chunk: bytes) -> bool:  # noqa: ARG002 - nothing of it is kept
        """Let the next chunk pass."""
        return True

    async def end(self, outcome: Outcome) -> None:
        """End the record, where there is one.

        Raises:
            LedgerError: it could not be made durable.
        """
        if self._call is not None:
            await self._call.end(outcome)


def unreached(error: RouteError) -> Early:
    """The refusal of an unlisted host that has no address, or one that may not be dialled."""
    fix = error.help
    if error.code == "private-address":
        fix = (
            "name the host in `unlisted_hosts.private` if it may be reached, or leave it out of the "
            "proxy with NO_PROXY"
        )
    status = 502 if error.code == "no-address" else 403
    message = f"inbond refused this request: {error.message}; {fix}"
    return Early(status=status, code=f"unlisted-{error.code}", message=message)


def is_misdirected(arrival: Arrival, route: Route) -> bool:
    """Whether a request names another host than the one it is sent to (RFC 9110 §7.4).

    Such a name leads behind a shared front to a host that was never looked at.
    """
    named = _first(arrival.headers, "host")
    if named is None:
        return False
    bare = authority_of(route).lower()
    return named.lower() not in {bare, f"{bare}:{route.port}"}


def _first(headers: Headers, name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)
