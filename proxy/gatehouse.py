"""The gatehouse: routes and identifies what arrives, and opens one `Call` for each request.

Requests without a valid key get an answer, a counted log line and no entry (design §6).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from proxy.batch_call import BatchCall
from proxy.batch_upload import UploadCall
from proxy.call import Call, CallParts
from proxy.errors import LedgerError, RouteError
from proxy.exchange import Headers, RequestHead
from proxy.gate import Arrival, Passage, Refused, Tunnel
from proxy.headers import storable_query, storable_request_headers
from proxy.identity import Caller, CallerError, Credential, identify, identify_tunnel
from proxy.inspection import Inspection, Notes, Passed, is_misdirected, unreached
from proxy.keyring import LedgerKeyRing
from proxy.providers import matches, plain_host
from proxy.realtime import RealtimeCall, unfolded
from proxy.refusals import Early
from proxy.route import Entry, Registry, Route, Unlisted
from proxy.services import Services
from proxy.unlisted import UnlistedHosts
from proxy.wire.batch_reading import BatchReader
from proxy.wire.dialects import format_for
from proxy.wire.format import Reader, WireFormat
from proxy.wire.gemini_live import GeminiLive
from proxy.wire.grpc import is_grpc
from proxy.wire.plain import Plain
from proxy.wire.realtime import Realtime
from proxy.wire.refusal import family_of, refusal
from proxy.wire.unread import advice_for

__all__ = ["Gatehouse", "Identities"]

_LOG = structlog.get_logger("inbond.gate")
_UNCLASSIFIED = Plain("other", method="", suffixes=())
_CHALLENGE = (("proxy-authenticate", 'Basic realm="inbond"'),)
_WRONG_HOST = (
    "inbond refused this request: its `Host` is not the host that its connection leads to; "
    "open a connection to that host"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """What it takes to know a caller."""

    ring: LedgerKeyRing
    custody: Mapping[str, Credential]
    fingerprint_key: bytes


class Gatehouse:
    """A `GateKeeper`: nothing passes it that is not routed, identified and decided on."""

    def __init__(
        self,
        *,
        services: Services,
        registry: Registry,
        identities: Identities,
        unlisted: UnlistedHosts,
    ) -> None:
        self.counts: Counter[str] = Counter()
        """What passed or was turned away without an entry, by reason."""
        self.passed = Passed()
        """What passed to unlisted hosts, by host."""
        self._services = services
        self._registry = registry
        self._identities = identities
        self._unlisted = unlisted
        self._tunnels: dict[str, str] = {}
        self._held: LedgerError | None = None

    async def connect(
        self, client: str, host: str, port: int, headers: Headers
    ) -> Tunnel | Refused:
        """Open TLS of registered hosts; carry or refuse the rest.

        A CONNECT to a registered host may identify itself inside the tunnel instead.
        """
        try:
            digest = await self._tunnel_digest(headers)
        except CallerError as error:
            return self._turn_away(error, "")
        except LedgerError as error:
            return self._unreadable(error, "")
        if digest is not None:
            self._tunnels[client] = digest
        try:
            is_registered = self._registry.by_host(host, port) is not None
        except RouteError as error:
            self._count(error.code)
            return self._plain(403, error.code, f"inbond refused this call: {_said(error)}")
        if is_registered:
            return Tunnel()
        if digest is None:
            return self._unlisted_without_key(host)
        return await self._unlisted_tunnel(host, port)

    async def _unlisted_tunnel(self, host: str, port: int) -> Tunnel | Refused:
        match self._unlisted.mode_of(host, port):
            case "inspect":
                return Tunnel()
            case "tunnel":
                return await self._carried(host, port)
            case "refuse":
                self._count("refused-unlisted")
                return self._plain(403, "unlisted-host", _unlisted(host))

    async def _carried(self, host: str, port: int) -> Tunnel | Refused:
        """A tunnel that stays closed, to an address that was looked at."""
        try:
            address = await self._services.resolve(self._unlisted.route_of(host, port, "https"))
        except RouteError as error:
            answer = unreached(error)
            self._count(answer.code)
            return self._plain(answer.status, answer.code, answer.message)
        self._count("tunnel-unlisted")
        self.passed.add(plain_host(host))
        return Tunnel(carried_to=address)

    def _unlisted_without_key(self, host: str) -> Refused:
        message = (
            f"inbond goes to the unlisted host `{host}` for known callers only; "
            "give a client key as the proxy's user name"
        )
        self._count("unlisted-without-key")
        return self._plain(407, "no-client-key", message, _CHALLENGE)

    def disconnect(self, client: str) -> None:
        """Forget what a client connection told us."""
        self._tunnels.pop(client, None)

    async def open(self, arrival: Arrival) -> Passage | Refused:
        """Route and identify a request from its headers alone."""
        arrival = unfolded(arrival)
        try:
            route = self._registry.route(
                host=arrival.host, port=arrival.port, target=arrival.target
            )
        except RouteError as error:
            self._count(error.code)
            return self._plain(400, error.code, f"inbond refused this call: {_said(error)}")
        if isinstance(route, Unlisted):
            if route.entry is None:
                return await self._open_unlisted(arrival)
            route = _uncovered(route.entry, route.path, arrival.target)
        try:
            caller = await self._caller(arrival, route)
        except CallerError as error:
            return self._turn_away(error, _expected(arrival, route))
        except LedgerError as error:
            return self._unreadable(error, _expected(arrival, route))
        if self._held is not None:
            return self._unreadable(self._held, _expected(arrival, route))
        return self._call(arrival, route, caller)

    async def _open_unlisted(self, arrival: Arrival) -> Passage | Refused:
        """Look into a request to a host that nobody registered, where the settings say so."""
        host, port = arrival.host, arrival.port
        if host is None or port is None or not self._unlisted.looks_into(host):
            return self._refuse_unlisted(arrival)
        route = self._unlisted.route(arrival, host, port)
        try:
            caller = await self._caller(arrival, route)
        except CallerError as error:
            if error.code == "no-client-key":
                return self._unlisted_without_key(host)
            return self._turn_away(error, route.entry.family)
        except LedgerError as error:
            return self._unreadable(error, route.entry.family)
        if is_misdirected(arrival, route):
            self._count("wrong-host")
            return self._plain(421, "wrong-host", _WRONG_HOST)
        return Inspection(
            services=self._services,
            arrival=arrival,
            route=route,
            caller=caller,
            notes=Notes(passed=self.passed.add, refused=self._note_refused),
        )

    def _note_refused(self, host: str, reason: str) -> None:
        self.counts[reason] += 1
        if reason == "unlisted-gateway":
            _LOG.warning("unlisted gateway", host=host)
        else:
            _LOG.info("turned away", reason=reason)

    def renew(self, services: Services) -> None:
        """Serve what arrives from now on by these; calls under way end by those they began with."""
        self._services = services

    def hold(self, reason: LedgerError | None) -> None:
        """Refuse every call from now on, with this reason; None lets them through again."""
        self._held = reason

    @property
    def is_open(self) -> bool:
        """Whether calls are let through, each on its own merits."""
        return self._held is None

    def broken(self, reason: str) -> Refused:
        """The refusal when a hook failed and there is no call to ask."""
        self._count("hook-failed")
        return self._plain(503, "hook-failed", f"inbond refused this call: {reason}; try again")

    def _call(self, arrival: Arrival, route: Route, caller: Caller) -> Call:
        lower = tuple((name.lower(), value) for name, value in arrival.headers)
        head = RequestHead(
            method=arrival.method,
            path=route.path,
            query=storable_query(route.query),
            headers=storable_request_headers(lower),
        )
        is_covered = any(matches(route.path, pattern) for pattern in route.entry.paths)
        wire_format = format_for(head, route.entry.formats) if is_covered else None
        operation = None if wire_format is None else wire_format.claims(head)
        reader: Reader = (
            _UNCLASSIFIED.reader(head) if wire_format is None else wire_format.reader(head)
        )
        batches = self._services.batches
        is_known = operation is not None and not (
            isinstance(reader, BatchReader) and batches is None
        )
        parts: CallParts = {
            "services": self._services,
            "route": route,
            "caller": caller,
            "head": head,
            "sent_headers": arrival.headers,
            "operation": operation or "other",
            "early": None if is_known else _unclassified(arrival.method, route),
            "family": _expected(arrival, route, wire_format),
        }
        if isinstance(reader, BatchReader) and batches is not None:
            kind = UploadCall if reader.door.does == "upload" else BatchCall
            return kind(batches=batches, reader=reader, **parts)
        if isinstance(wire_format, Realtime | GeminiLive) and _asks_for_socket(lower):
            return RealtimeCall(kind=wire_format, query=route.query, **parts)
        return Call(reader=reader, **parts)

    # -- who calls ---------------------------------------------------------------------------

    async def _tunnel_digest(self, headers: Headers) -> str | None:
        try:
            return identify_tunnel(headers, self._identities.ring)
        except CallerError as error:
            if error.code != "unknown-key":
                raise
            await self._identities.ring.refresh()  # it may be younger than the last refresh
            return identify_tunnel(headers, self._identities.ring)

    async def _caller(self, arrival: Arrival, route: Route) -> Caller:
        try:
            return self._identify(arrival, route)
        except CallerError as error:
            if error.code != "unknown-key":
                raise
            await self._identities.ring.refresh()
            return self._identify(arrival, route)

    def _identify(self, arrival: Arrival, route: Route) -> Caller:
        return identify(
            arrival.headers,
            query=route.query,
            tunnel=self._tunnels.get(arrival.client),
            auth=route.entry.auth,
            custody=self._identities.custody.get(route.entry.id),
            ring=self._identities.ring,
            fingerprint_key=self._identities.fingerprint_key,
        )

    # -- answers without an entry ------------------------------------------------------------

    def _turn_away(self, error: CallerError, family: str) -> Refused:
        self._count(error.code)
        message = f"inbond refused this call: {error.message}; {error.help}"
        if error.status == 407:
            return self._plain(407, error.code, message, _CHALLENGE)
        return refusal(family, status=error.status, code=error.code, message=message, exchange=None)

    def _unreadable(self, error: LedgerError, family: str) -> Refused:
        """Nobody can be known while the ledger cannot be read."""
        self._count(error.code)
        message = f"inbond refused this call: {error.message}; try again later"
        return refusal(family, status=503, code=error.code, message=message, exchange=None)

    def _refuse_unlisted(self, arrival: Arrival) -> Refused:
        if arrival.host is None:
            prefixes = ", ".join(f"`/{entry.prefix}/`" for entry in self._registry.entries)
            self._count("unknown-prefix")
            message = f"no teacher is registered under this path; known are {prefixes}"
            return self._plain(404, "unknown-prefix", message)
        self._count("refused-unlisted")
        return self._plain(403, "unlisted-host", _unlisted(arrival.host))

    def _plain(self, status: int, code: str, message: str, extra: Headers = ()) -> Refused:
        answer = refusal("plain", status=status, code=code, message=message, exchange=None)
        return Refused(status=status, headers=(*answer.headers, *extra), body=answer.body)

    def _count(self, reason: str) -> None:
        self.counts[reason] += 1
        _LOG.info("turned away" if reason != "tunnel-unlisted" else "tunnel", reason=reason)


def _expected(arrival: Arrival, route: Route, wire_format: WireFormat | None = None) -> str:
    """The shape of errors that the caller expects: its format's, and where that has none the host's.

    A client of gRPC reads no other, whatever it asks for.
    """
    said = next((v for name, v in arrival.headers if name.lower() == "content-type"), None)
    if is_grpc(said):
        return "grpc"
    family = "plain" if wire_format is None else family_of(wire_format.name)
    return route.entry.family if family == "plain" else family


def _asks_for_socket(lower: Headers) -> bool:
    return any(pair[0] == "upgrade" and pair[1].lower() == "websocket" for pair in lower)


def _said(error: RouteError) -> str:
    return f"{error.message}; {error.help}" if error.help else error.message


def _unlisted(host: str) -> str:
    return (
        f"inbond refused this call: `{host}` is not a registered teacher; "
        "add it to `teachers` in inbond.yaml with the licence of the weights it serves"
    )


def _uncovered(entry: Entry, path: str, target: str) -> Route:
    """A way on a registered host that its contract does not cover: a call to refuse and record."""
    return Route(
        entry=entry,
        host=entry.hosts[0],
        port=entry.port,
        scheme=entry.scheme,
        connect=entry.connect or (entry.hosts[0], entry.port),
        target=target,
        path=path,
        query="",
    )


def _unclassified(method: str, route: Route) -> Early:
    advice = advice_for(route.path)
    return Early(
        status=403,
        code="unclassified",
        message=f"inbond refused this call: it cannot read `{method} {route.path}` of "
        f"`{route.entry.id}`, so it cannot judge what comes back"
        + (f"; {advice}" if advice else ""),
    )
