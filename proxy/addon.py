"""The hooks, each fail-closed, nothing else.

A hook that breaks refuses its call, and nothing is dialled without the `Forward` that the gate
returned: `forward_of` is the only way for the engine to learn an upstream address. Whatever happens
on the wire, each passage that the gate opened is ended exactly once.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mitmproxy.connection import Client
from mitmproxy.http import Headers as HeaderFields
from mitmproxy.http import HTTPFlow, Response

from proxy.exchange import Headers, Outcome
from proxy.gate import Arrival, Forward, GateKeeper, Passage, Refused, Tunnel

__all__ = ["BASE_URL_HOST", "Addon", "Wire"]

BASE_URL_HOST = "base-url.invalid"
"""Stands for "no host" in a flow: an origin-form request to the proxy itself (RFC 2606 §2)."""

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE"})
_LAST_RESORT = Refused(
    status=503,
    headers=(("content-type", "application/json"),),
    body=b'{"error": {"message": "inbond refused this call: it could not be decided; try again"}}',
)

_log = logging.getLogger(__name__)


class Wire(Protocol):
    """What the hooks need of the engine."""

    def hang_up(self, flow: HTTPFlow) -> None:
        """Close the call's connection at once; the `error` hook of the flow follows."""

    def is_backed_up(self, flow: HTTPFlow) -> bool:
        """Whether bytes wait for a slow client, so that silence is not the teacher's fault."""


@dataclass(slots=True, kw_only=True)
class _Call:
    """What is known of one passage between its hooks."""

    passage: Passage
    flow: HTTPFlow
    forward: Forward | None = None
    outcome: Outcome | None = None
    is_too_large: bool = False
    is_deciding: bool = False
    is_answering: bool = False
    is_ended: bool = False
    heard_at: float = 0.0
    timer: asyncio.TimerHandle | None = None


def _text(fields: tuple[tuple[bytes, bytes], ...]) -> Headers:
    """Header fields as text, byte for byte (latin-1 loses nothing)."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


def _fields(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _response(refused: Refused) -> Response:
    """A refusal as mitmproxy sends it; its `content-length` is counted here."""
    return Response.make(refused.status, refused.body, HeaderFields(_fields(refused.headers)))


def _framed(headers: Headers, method: str, body: bytes) -> Headers:
    """The headers with the length of the body: it goes out whole, whatever its framing was."""
    kept = tuple(pair for pair in headers if pair[0].lower() != "transfer-encoding")
    has_length = any(name.lower() == "content-length" for name, _ in kept)
    if has_length or (not body and method.upper() in _BODILESS):
        return kept
    return (*kept, ("Content-Length", str(len(body))))


def _is_gone(flow: HTTPFlow) -> bool:
    """Whether the client left while the gate was asked, so that no other hook may follow."""
    return flow.client_conn.timestamp_end is not None


class Addon:
    """The engine's hooks: they tell a `GateKeeper` what arrives and do what it says."""

    def __init__(self, gate: GateKeeper, wire: Wire, *, upstream_timeout_s: float) -> None:
        self._gate = gate
        self._wire = wire
        self._timeout_s = upstream_timeout_s
        self._calls: dict[str, _Call] = {}
        self._passed: set[str] = set()

    # What the engine asks.

    @property
    def open_calls(self) -> int:
        """How many passages have not ended."""
        return len(self._calls)

    def is_busy(self, client: str) -> bool:
        """Whether a client connection carries a call or an unopened tunnel."""
        return client in self._passed or any(
            call.flow.client_conn.id == client for call in self._calls.values()
        )

    def is_passed(self, client: str) -> bool:
        """Whether the client's tunnel is carried unopened."""
        return client in self._passed

    def forward_of(self, flow: HTTPFlow) -> Forward | None:
        """Where the gate lets this call go; None: nowhere, and nothing may be dialled."""
        call = self._calls.get(flow.id)
        return call.forward if call and not call.outcome and not call.is_ended else None

    def limit_of(self, flow: HTTPFlow) -> int:
        """The largest body that may be kept in memory, in bytes."""
        call = self._calls.get(flow.id)
        return call.passage.limit_bytes if call else 0

    def blame(self, flow: HTTPFlow, outcome: Outcome) -> None:
        """Note why a call is failing; the first word counts."""
        call = self._calls.get(flow.id)
        if call and not call.outcome:
            call.outcome = outcome

    # Connections.

    async def http_connect(self, flow: HTTPFlow) -> None:
        """Decide on a CONNECT before any byte of TLS."""
        client = flow.client_conn.id
        try:
            verdict = await self._gate.connect(
                client, flow.request.host, flow.request.port, _text(flow.request.headers.fields)
            )
            if isinstance(verdict, Refused):
                flow.response = _response(verdict)
            elif verdict is Tunnel.PASS and not _is_gone(flow):
                self._passed.add(client)
        except Exception as error:  # noqa: BLE001 - a hook is a rim: whatever breaks here refuses
            flow.response = self._broken("http_connect", error, None)

    def client_disconnected(self, client: Client) -> None:
        """Forget the client; its calls end through their own hooks."""
        self._passed.discard(client.id)
        try:
            self._gate.disconnect(client.id)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            _log.error("hook `client_disconnected` broke: %s", type(error).__name__)

    async def sweep(self, client: str) -> None:
        """End what a closed client connection left behind: a crash below us loses no record (P2)."""
        for key, call in list(self._calls.items()):
            if call.flow.client_conn.id == client and not call.is_deciding:
                await self._end(key, call, Outcome.CLIENT_DISCONNECTED)

    # The request.

    async def requestheaders(self, flow: HTTPFlow) -> None:
        """Route and identify the call; refuse what is too large before a byte of it is kept."""
        if flow.error:  # malformed: mitmproxy answers 400 itself, and there is nothing to route
            return
        try:
            opened = await self._gate.open(self._arrival(flow))
            if isinstance(opened, Refused):
                flow.response = _response(opened)
                return
            call = self._calls[flow.id] = _Call(passage=opened, flow=flow)
            if _is_gone(flow):
                await self._end(flow.id, call, Outcome.CLIENT_DISCONNECTED)
                return
            length = flow.request.headers.get("content-length", "")
            if length.isdecimal() and int(length) > opened.limit_bytes:
                await self._refuse_size(flow, call)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._refuse_broken(flow, "requestheaders", error)

    def _arrival(self, flow: HTTPFlow) -> Arrival:
        request = flow.request
        is_base_url = request.data.host == BASE_URL_HOST
        return Arrival(
            client=flow.client_conn.id,
            method=request.data.method.decode("latin-1"),
            scheme="https" if request.data.scheme == b"https" else "http",
            host=None if is_base_url else request.data.host,
            port=None if is_base_url else request.data.port,
            target=request.data.path.decode("latin-1"),
            headers=_text(request.headers.fields),
        )

    def overflow(self, flow: HTTPFlow) -> None:
        """Note that a body without a length went over the limit; `request` then refuses it."""
        call = self._calls.get(flow.id)
        if call:
            call.is_too_large = True

    async def _refuse_size(self, flow: HTTPFlow, call: _Call) -> None:
        flow.response = _response(await call.passage.too_large())
        call.outcome = Outcome.REFUSED

    async def request(self, flow: HTTPFlow) -> None:
        """Ask the gate with the whole body; only its `Forward` lets the call go on (P1)."""
        call = self._calls.get(flow.id)
        if flow.response or flow.error:
            return
        if call is None:
            flow.response = _response(_LAST_RESORT)
            return
        call.is_deciding = True
        try:
            await self._decide(flow, call)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._refuse_broken(flow, "request", error)
        finally:
            call.is_deciding = False
        if _is_gone(flow):
            await self._end(flow.id, call, Outcome.CLIENT_DISCONNECTED)

    async def _decide(self, flow: HTTPFlow, call: _Call) -> None:
        if call.is_too_large:
            await self._refuse_size(flow, call)
            return
        body = flow.request.raw_content or b""
        verdict = await call.passage.request(body)
        if isinstance(verdict, Refused):
            flow.response = _response(verdict)
            call.outcome = Outcome.REFUSED
            return
        self._readdress(flow, verdict, body)
        call.forward = verdict
        self._watch(call)

    def _readdress(self, flow: HTTPFlow, forward: Forward, body: bytes) -> None:
        """Set exactly what the gate said; the setters of mitmproxy would touch `Host` again."""
        data = flow.request.data
        headers = _framed(forward.headers, flow.request.method, body)
        data.host, data.port = forward.connect
        data.scheme = forward.scheme.encode()
        data.path = forward.target.encode("latin-1")
        data.authority = b""
        data.trailers = None
        flow.request.headers = HeaderFields(_fields(headers))

    # The answer.

    async def responseheaders(self, flow: HTTPFlow) -> None:
        """Note the answer's head and put the tap on its body."""
        call = self._calls.get(flow.id)
        if call is None or call.forward is None or flow.response is None:
            return
        try:
            call.heard_at = asyncio.get_running_loop().time()
            fields = flow.response.headers.fields
            added = call.passage.respond(flow.response.status_code, _text(fields))
            flow.response.headers = HeaderFields([*fields, *_fields(added)])
            flow.response.stream = self._tap(call)
            call.is_answering = True
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._refuse_broken(flow, "responseheaders", error)
            await self._end(flow.id, call, Outcome.CUT)

    def _tap(self, call: _Call) -> Callable[[bytes], list[bytes]]:
        """The stream function of one answer: it never raises and never changes a byte (P3)."""
        tap, now = call.passage.tap, asyncio.get_running_loop().time

        def stream(chunk: bytes) -> list[bytes]:
            if call.outcome or not chunk:  # ended by us; or mitmproxy's mark of the end
                return []
            call.heard_at = now()
            try:
                goes_on = tap(chunk)
            except Exception as error:  # noqa: BLE001 - mitmproxy would drop the chunk and go on
                self._broken("tap", error, call.passage)
                goes_on = False
            if not goes_on:
                self._stop(call, Outcome.CUT)
                return []
            return [chunk]

        return stream

    async def response(self, flow: HTTPFlow) -> None:
        """Make the record durable; mitmproxy releases the end of the message after this hook."""
        call = self._calls.get(flow.id)
        if call is None:
            return
        is_durable = await self._end(flow.id, call, Outcome.COMPLETE)
        is_whole = call.outcome in {Outcome.COMPLETE, Outcome.REFUSED}
        is_ours = call.outcome is Outcome.REFUSED
        if not is_whole or not (is_durable or is_ours):
            flow.kill()  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped

    async def error(self, flow: HTTPFlow) -> None:
        """End a call that failed; before an answer began, the client gets one in its own format."""
        call = self._calls.get(flow.id)
        if call is None:
            return
        self.blame(flow, Outcome.CLIENT_DISCONNECTED)
        if not call.is_answering and call.outcome in {Outcome.UPSTREAM_FAILED, Outcome.CUT}:
            self._excuse(flow, call)
        await self._end(flow.id, call, Outcome.CLIENT_DISCONNECTED)

    def _excuse(self, flow: HTTPFlow, call: _Call) -> None:
        try:
            flow.response = _response(call.passage.unreachable("the teacher gave no answer"))
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            flow.response = self._broken("error", error, call.passage)

    # Ends.

    def cut_all(self) -> None:
        """Cut every call under way: the deadline of a drain has passed."""
        for call in list(self._calls.values()):
            self._stop(call, Outcome.CUT)

    def _stop(self, call: _Call, outcome: Outcome) -> None:
        call.outcome = call.outcome or outcome
        self._wire.hang_up(call.flow)

    def _watch(self, call: _Call) -> None:
        """End the call as failed when the teacher is silent for too long."""
        loop = asyncio.get_running_loop()
        call.heard_at = loop.time()

        def look() -> None:
            if call.is_ended:
                return
            if self._wire.is_backed_up(call.flow):
                call.heard_at = loop.time()
            due = call.heard_at + self._timeout_s
            if due <= loop.time():
                self._stop(call, Outcome.UPSTREAM_FAILED)
            else:
                call.timer = loop.call_at(due, look)

        call.timer = loop.call_later(self._timeout_s, look)

    async def _end(self, key: str, call: _Call, default: Outcome) -> bool:
        """End a passage once; tells whether its record is durable."""
        if call.is_ended:
            return True
        call.is_ended = True
        call.outcome = call.outcome or default
        if call.timer:
            call.timer.cancel()
        try:
            await call.passage.end(call.outcome)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._broken("end", error, call.passage)
            return False
        else:
            return True
        finally:
            self._calls.pop(key, None)

    def _refuse_broken(self, flow: HTTPFlow, hook: str, error: Exception) -> None:
        call = self._calls.get(flow.id)
        flow.response = self._broken(hook, error, call.passage if call else None)
        if call:
            call.forward = None
            call.outcome = Outcome.CUT if hook == "responseheaders" else Outcome.REFUSED

    def _broken(self, hook: str, error: Exception, passage: Passage | None) -> Response:
        """The refusal after a failure of ours; an error's text may hold a secret, so only its name."""
        _log.error("hook `%s` broke: %s", hook, type(error).__name__)
        reason = f"hook `{hook}` broke"
        try:
            return _response(passage.fail(reason) if passage else self._gate.broken(reason))
        except Exception as worse:  # noqa: BLE001 - the last line of the rim
            _log.error("refusal after `%s` broke: %s", hook, type(worse).__name__)
            return _response(_LAST_RESORT)
