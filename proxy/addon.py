"""The hooks, each fail-closed, nothing else.

A hook that breaks refuses its call, and nothing is dialled without the `Forward` that the gate
returned: `forward_of` is the only way for the engine to learn an upstream address. Whatever happens
on the wire, each passage that the gate opened is ended exactly once.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from mitmproxy.connection import Client
from mitmproxy.http import HTTPFlow, Response

from proxy.engine_call import EngineCall, is_gone
from proxy.engine_http2 import put_late
from proxy.engine_messages import (
    LAST_RESORT,
    arrival_of,
    framed,
    framed_as_it_comes,
    readdress,
    response_of,
    text_of,
    with_added,
)
from proxy.engine_websocket import Heard
from proxy.exchange import Outcome
from proxy.gate import (
    BeyondParent,
    Delivered,
    Forward,
    GateKeeper,
    Passage,
    Refused,
    Relay,
    Socketed,
    Streamed,
    Trailed,
    Wait,
)

__all__ = ["Addon", "Wire"]

_GOES_ON = frozenset({None, Outcome.COMPLETE})
"""How a call stands while bodies pass: an answer may end before its upload does."""
_SWITCHED = 101
_log = logging.getLogger(__name__)


class Wire(Protocol):
    """What the hooks need of the engine."""

    def hang_up(self, flow: HTTPFlow) -> None:
        """Close the call's connection at once; the `error` hook of the flow follows."""

    def is_backed_up(self, flow: HTTPFlow) -> bool:
        """Whether bytes wait for a slow client, so that silence is not the teacher's fault."""


class Addon:
    """The engine's hooks: they tell a `GateKeeper` what arrives and do what it says."""

    def __init__(self, gate: GateKeeper, wire: Wire, *, upstream_timeout_s: float) -> None:
        self._gate = gate
        self._wire = wire
        self._timeout_s = upstream_timeout_s
        self._calls: dict[str, EngineCall] = {}
        self._passed: set[str] = set()
        self._beyond: set[str] = set()
        self._dialling: Counter[str] = Counter()

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

    def is_beyond(self, client: str) -> bool:
        """Whether the parent proxy is asked for the way of the client's unopened tunnel."""
        return client in self._beyond

    def forward_of(self, flow: HTTPFlow) -> Forward | None:
        """Where the gate lets this call go; None: nowhere, and nothing may be dialled."""
        call = self._calls.get(flow.id)
        return call.forward if call and not call.outcome and not call.is_ended else None

    def limit_of(self, flow: HTTPFlow) -> int:
        """The largest body that may be kept in memory, in bytes."""
        call = self._calls.get(flow.id)
        return call.passage.limit_bytes if call else 0

    def is_peeking(self, flow: HTTPFlow) -> bool:
        """Whether the gate wants to see the body while it comes in, and has not decided yet."""
        call = self._calls.get(flow.id)
        return call is not None and call.streamed is not None

    def is_held(self, client: str) -> bool:
        """Whether no more may be read of a client: its upload has no connection to go to yet."""
        return client in self._dialling

    @contextmanager
    def dialling(self, flow: HTTPFlow) -> Iterator[None]:
        """Hold the client's upload back for the time of the block."""
        client = flow.client_conn.id
        self._dialling[client] += 1
        try:
            yield
        finally:
            self._dialling[client] -= 1
            if not self._dialling[client]:
                del self._dialling[client]

    def carry(self, flow: HTTPFlow) -> None:
        """Note that a connection changed its protocol, and is carried unread from here on."""
        if not is_gone(flow):
            self._passed.add(flow.client_conn.id)

    def blame(self, flow: HTTPFlow, outcome: Outcome) -> None:
        """Note why a call is failing; the first word counts."""
        call = self._calls.get(flow.id)
        if call and not call.outcome:
            call.outcome = outcome

    def explain(self, flow: HTTPFlow, excuse: str | None) -> None:
        """Note what to tell the client of a call that fails, unless we have ended it ourselves."""
        call = self._calls.get(flow.id)
        if call and excuse and not call.outcome:
            call.excuse = excuse

    # Connections.

    async def http_connect(self, flow: HTTPFlow) -> None:
        """Decide on a CONNECT before any byte of TLS."""
        client = flow.client_conn.id
        try:
            verdict = await self._gate.connect(
                client, flow.request.host, flow.request.port, text_of(flow.request.headers.fields)
            )
            if isinstance(verdict, Refused):
                flow.response = response_of(verdict)
            elif verdict.carried_to is not None and not is_gone(flow):
                flow.request.data.host, flow.request.data.port = verdict.carried_to
                self._passed.add(client)
                if isinstance(verdict.carried_to, BeyondParent):
                    self._beyond.add(client)
        except Exception as error:  # noqa: BLE001 - a hook is a rim: whatever breaks here refuses
            flow.response = self._broken("http_connect", error, None)

    def client_disconnected(self, client: Client) -> None:
        """Forget the client; its calls end through their own hooks."""
        self._passed.discard(client.id)
        self._beyond.discard(client.id)
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
            opened = await self._gate.open(arrival_of(flow))
            if isinstance(opened, Refused):
                flow.response = response_of(opened)
                return
            call = self._calls[flow.id] = EngineCall(passage=opened, flow=flow)
            if is_gone(flow):
                await self._end(flow.id, call, Outcome.CLIENT_DISCONNECTED)
                return
            if isinstance(opened, Streamed):
                call.streamed = opened
            else:
                await self._measure(flow, call)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._refuse_broken(flow, "requestheaders", error)

    async def _measure(self, flow: HTTPFlow, call: EngineCall) -> None:
        """Refuse a body that is announced as larger than what may be held."""
        length = flow.request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > call.passage.limit_bytes:
            await self._refuse_size(flow, call)

    async def upload_begins(self, flow: HTTPFlow) -> None:
        """Ask the gate with the bytes that have come whether they, and the rest, may go on."""
        call = self._calls.get(flow.id)
        if call is None or call.streamed is None or flow.response or flow.error:
            return
        call.is_deciding = True
        try:
            await self._decide_on_begin(flow, call, call.streamed)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._refuse_broken(flow, "upload_begins", error)
        finally:
            call.is_deciding = False
        if is_gone(flow):
            await self._end(flow.id, call, Outcome.CLIENT_DISCONNECTED)

    async def _decide_on_begin(self, flow: HTTPFlow, call: EngineCall, streamed: Streamed) -> None:
        verdict = await streamed.begin(flow.request.raw_content or b"")
        if verdict is Wait.MORE:
            return
        call.streamed = None
        if verdict is Wait.WHOLE:
            await self._measure(flow, call)
        elif isinstance(verdict, Refused):
            flow.response = response_of(verdict)
            call.outcome = Outcome.REFUSED
        elif isinstance(verdict, Forward):
            headers = verdict.headers
            if not verdict.is_http2:  # its frames tell the end
                headers = framed_as_it_comes(headers)
            readdress(flow, verdict, headers)
            flow.request.stream = self._tap(call, streamed.upload)
            call.forward = verdict
            self._watch(call)

    def overflow(self, flow: HTTPFlow) -> None:
        """Note that a body without a length went over the limit; `request` then refuses it."""
        call = self._calls.get(flow.id)
        if call:
            call.is_too_large = True

    async def _refuse_size(self, flow: HTTPFlow, call: EngineCall) -> None:
        flow.response = response_of(await call.passage.too_large())
        call.outcome = Outcome.REFUSED

    async def request(self, flow: HTTPFlow) -> None:
        """Ask the gate with the whole body; only its `Forward` lets the call go on (P1)."""
        call = self._calls.get(flow.id)
        if flow.response or flow.error:
            return
        if call is None:
            flow.response = response_of(LAST_RESORT)
            return
        if flow.request.stream:  # it was decided on as it began, and has been sent
            return
        call.is_deciding = True
        try:
            await self._decide(flow, call)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._refuse_broken(flow, "request", error)
        finally:
            call.is_deciding = False
        if is_gone(flow):
            await self._end(flow.id, call, Outcome.CLIENT_DISCONNECTED)

    async def _decide(self, flow: HTTPFlow, call: EngineCall) -> None:
        if call.is_too_large:
            await self._refuse_size(flow, call)
            return
        body = flow.request.raw_content or b""
        verdict = await call.passage.request(body)
        if isinstance(verdict, Refused):
            flow.response = response_of(verdict)
            call.outcome = Outcome.REFUSED
            return
        headers = verdict.headers
        if not verdict.is_http2:  # its frames tell the end
            headers = framed(headers, flow.request.method, body)
        readdress(flow, verdict, headers)
        call.forward = verdict
        self._watch(call)

    # The answer.

    async def responseheaders(self, flow: HTTPFlow) -> None:
        """Note the answer's head and put the tap on its body."""
        call = self._calls.get(flow.id)
        if call is None or call.forward is None or flow.response is None:
            return
        try:
            call.heard_at = asyncio.get_running_loop().time()
            fields = flow.response.headers.fields
            added = call.passage.respond(flow.response.status_code, text_of(fields))
            flow.response.headers = with_added(fields, added)
            tap = self._tap(call, call.passage.tap)
            if call.forward.buffer_bytes is None:
                flow.response.stream = tap
                call.is_answering = True
            else:
                call.keep = tap
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._refuse_broken(flow, "responseheaders", error)
            await self._end(flow.id, call, Outcome.CUT)

    def _tap(
        self, call: EngineCall, tap: Callable[[bytes], bool]
    ) -> Callable[[bytes], list[bytes]]:
        """The stream function of one body: it never raises and never changes a byte (P3)."""
        now = asyncio.get_running_loop().time

        def stream(chunk: bytes) -> list[bytes]:
            if call.outcome not in _GOES_ON or not chunk:  # cut; or mitmproxy's mark of the end
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

    def is_kept(self, flow: HTTPFlow) -> bool:
        """Whether the answer is held until it was decided on."""
        call = self._calls.get(flow.id)
        return call is not None and call.keep is not None

    def keep(self, flow: HTTPFlow, chunk: bytes) -> bool:
        """Read the next chunk of an answer that is held; False: it is not wanted any more."""
        call = self._calls.get(flow.id)
        if call is None or call.keep is None or call.forward is None:
            return False
        call.kept_bytes += len(chunk)
        most = call.forward.buffer_bytes
        if most is not None and call.kept_bytes > most:
            call.excuse = f"it is over {most} bytes, more than is held back (`limits.answer_bytes`)"
            self._stop(call, Outcome.CUT)
            return False
        return bool(call.keep(chunk))

    def last_words(self, flow: HTTPFlow) -> bytes:
        """What to add to an answer under way that we cut."""
        call = self._calls.get(flow.id)
        if call is None or call.outcome is not Outcome.CUT or not call.is_answering:
            return b""
        try:
            return call.passage.last_words() if isinstance(call.passage, Delivered) else b""
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._broken("last_words", error, call.passage)
            return b""

    async def response(self, flow: HTTPFlow) -> None:
        """Make the record durable; mitmproxy releases the end of the message after this hook."""
        call = self._calls.get(flow.id)
        if call is None:
            return
        self._hear_trailers(flow, call)
        if self.is_socket(flow):  # it goes on, and ends when the socket does
            return
        is_durable = await self._end(flow.id, call, Outcome.COMPLETE)
        if call.keep is not None:
            flow.response = self._released(flow, call, is_durable=is_durable)
            return
        is_whole = call.outcome in {Outcome.COMPLETE, Outcome.REFUSED}
        is_ours = call.outcome is Outcome.REFUSED
        if not is_whole or not (is_durable or is_ours):
            flow.kill()  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped

    # A socket.

    def is_socket(self, flow: HTTPFlow) -> bool:
        """Whether a call has become a socket that the gate reads."""
        call = self._calls.get(flow.id)
        is_switched = flow.response is not None and flow.response.status_code == _SWITCHED
        if call is None or call.outcome or not is_switched or not call.forward:
            return False
        return call.forward.may_switch and isinstance(call.passage, Socketed)

    async def socket_heard(self, heard: Heard) -> None:
        """Ask the gate what goes on of what came; a failure ends the socket."""
        call = self._calls.get(heard.flow.id)
        if call is None or call.outcome or not isinstance(call.passage, Socketed):
            return
        call.heard_at = asyncio.get_running_loop().time()
        call.is_deciding = True
        try:
            heard.relay = await call.passage.heard(heard.data, is_client=heard.is_client)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._broken("socket_heard", error, call.passage)
        finally:
            call.is_deciding = False
        if heard.relay.is_over:
            call.outcome = call.outcome or Outcome.CUT
        if is_gone(heard.flow):
            await self._end(heard.flow.id, call, Outcome.CLIENT_DISCONNECTED)

    async def socket_ended(self, heard: Heard) -> None:
        """Make the record durable; then the client is told, where it is still there."""
        call = self._calls.get(heard.flow.id)
        if call is None or not isinstance(call.passage, Socketed):
            return
        is_told = bool(heard.data)  # the gate closed it, with its own words
        try:
            outcome = call.passage.parted(by_client=heard.is_client)
            await self._end(heard.flow.id, call, outcome)
            if not is_told and not heard.is_client:
                heard.relay = Relay(
                    to_client=call.passage.farewell(call.outcome or outcome), is_over=True
                )
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._broken("socket_ended", error, call.passage)
            await self._end(heard.flow.id, call, Outcome.CUT)

    def _hear_trailers(self, flow: HTTPFlow, call: EngineCall) -> None:
        trailers = flow.response.trailers if flow.response else None
        if trailers is None or not isinstance(call.passage, Trailed):
            return
        try:
            call.passage.trailers(text_of(trailers.fields))
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            self._broken("response", error, call.passage)
            call.outcome = call.outcome or Outcome.CUT

    def _released(self, flow: HTTPFlow, call: EngineCall, *, is_durable: bool) -> Response | None:
        """What the client gets of an answer that was held: the answer, or a refusal in its place."""
        try:
            if not is_durable:
                return response_of(call.passage.fail("the answer could not be recorded"))
            held = call.passage.withheld() if isinstance(call.passage, Delivered) else None
            return flow.response if held is None else response_of(held)
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            return self._broken("response", error, call.passage)

    async def error(self, flow: HTTPFlow) -> None:
        """End a call that failed; before an answer began, the client gets one in its own format."""
        call = self._calls.get(flow.id)
        if call is None:
            return
        self.blame(flow, Outcome.CLIENT_DISCONNECTED)
        if call.outcome in {Outcome.UPSTREAM_FAILED, Outcome.CUT}:
            self._excuse(flow, call)
        await self._end(flow.id, call, Outcome.CLIENT_DISCONNECTED)

    def _excuse(self, flow: HTTPFlow, call: EngineCall) -> None:
        try:
            if not call.is_answering:
                flow.response = response_of(call.passage.unreachable(call.excuse))
            elif call.forward is not None and call.forward.is_http2:
                put_late(flow, call.passage.unreachable("the answer broke off"))
        except Exception as error:  # noqa: BLE001 - a hook is a rim
            flow.response = self._broken("error", error, call.passage)

    # Ends.

    def cut_all(self) -> None:
        """Cut every call under way: the deadline of a drain has passed."""
        for call in list(self._calls.values()):
            self._stop(call, Outcome.CUT)

    def _stop(self, call: EngineCall, outcome: Outcome) -> None:
        call.outcome = call.outcome or outcome
        self._wire.hang_up(call.flow)

    def _watch(self, call: EngineCall) -> None:
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

    async def _end(self, key: str, call: EngineCall, default: Outcome) -> bool:
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
            return response_of(passage.fail(reason) if passage else self._gate.broken(reason))
        except Exception as worse:  # noqa: BLE001 - the last line of the rim
            _log.error("refusal after `%s` broke: %s", hook, type(worse).__name__)
            return response_of(LAST_RESORT)
