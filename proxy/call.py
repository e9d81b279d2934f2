"""One call under way: read, decided, recorded, once. Free of mitmproxy's types.

`request` gives `Forward` only after the `call` entry is durable (P1). `end` writes exactly one
`exchange` per `call`; what cannot be written now is handed on to be tried again until it is, and is
then never admitted (P2, P9). A reader that stumbled poisons the record: it is kept, and never
admitted (P5).
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import TypedDict

from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Effect, Fact, Gate
from proxy.clock import new_id
from proxy.contributors import ContributorError, names_any
from proxy.counting import Counted, Settling
from proxy.delivery import withholding
from proxy.detect import NOTHING_SEEN, Sighting
from proxy.enforce import body_facts, head_facts
from proxy.entries import Entries
from proxy.errors import LedgerError, RouteError, WireError
from proxy.exchange import Headers, Outcome, Request, RequestHead
from proxy.forwarding import (
    SentRequest,
    forwarded_headers,
    forwarded_target,
    may_carry_credential,
    signed_headers,
)
from proxy.gate import Forward, Refused
from proxy.identity import Caller
from proxy.ledger.entry import ExchangeEntry, exchange_of
from proxy.recorder import may_pass
from proxy.redact import unmet
from proxy.refusals import Early, Refusals
from proxy.route import Route
from proxy.services import Clearance, Services
from proxy.store.bodies import Prepared
from proxy.store.log import Pending
from proxy.tap import Tap
from proxy.wire.encoding import Decoder
from proxy.wire.format import Reader
from proxy.wire.grpc import Trailed, is_grpc
from proxy.wire.last_words import Speaker
from proxy.wire.realtime import hands_out_key

__all__ = ["Call", "CallParts", "CallState"]

_LARGE_BYTES = 2**20
"""Bodies above this are sealed off the event loop."""


class CallState(Enum):
    """How far a call has come."""

    OPEN = 0
    SETTLING = 3
    """It is being decided where it is recorded: whether an `exchange` is owed, its `Settling` knows."""
    CALLED = 1
    """The `call` is durable or on its way: an `exchange` is owed."""
    ENDED = 2


class CallParts(TypedDict):
    """What a call is made of, beside its reader."""

    services: Services
    route: Route
    caller: Caller
    head: RequestHead
    sent_headers: Headers
    operation: str
    early: Early | None
    family: str | None


class Call:
    """A passage through the gate (`proxy.gate.Passage`)."""

    def __init__(  # noqa: PLR0913 - one call is route, caller, head, reader and what workers share
        self,
        *,
        services: Services,
        route: Route,
        caller: Caller,
        head: RequestHead,
        sent_headers: Headers,
        operation: str,
        reader: Reader,
        early: Early | None = None,
        family: str | None = None,
    ) -> None:
        call = new_id()
        self.exchange = exchange_of(call)
        self._is_announced = _is_announced(sent_headers)
        self._services = services
        self._route = route
        self._caller = caller
        self._head = head
        self._sent_headers = sent_headers
        self._reader = reader
        self._early = early
        self._state = CallState.OPEN
        self._counted: Counted | None = None
        self._settling: Settling | None = None
        self._at = services.now()
        self._refusals = Refusals(
            exchange=self.exchange, family=family or route.entry.family, host=route.host
        )
        self._entries = Entries(
            services=services,
            id=call,
            exchange=self.exchange,
            at=self._at,
            teacher=route.entry,
            caller=caller,
            head=head,
            is_buffered=services.delivery.holds(route.entry.id),
        )
        self._ended: ExchangeEntry | None = None
        self._seen = NOTHING_SEEN
        self._beside: tuple[Pending, ...] = ()
        """What else ends with the call, in the same transaction."""
        self._speaker: Speaker | None = None
        self._facts: dict[str, Fact] = head_facts(
            route.entry,
            operation,
            project=caller.project,
            account_id=caller.account_id,
            student=services.bundle.students.get(caller.student or ""),
            declared=services.declared.of(caller.account_id),
        )
        self._tap = Tap(
            reader,
            keep_wire=services.keep_wire and not hands_out_key(head),
            limit_bytes=services.answer_limit_bytes,
        )

    @property
    def limit_bytes(self) -> int:
        """The largest request body that is read: less where its length was not announced."""
        most, unannounced = (
            self._services.request_limit_bytes,
            self._services.unannounced_limit_bytes,
        )
        return most if self._is_announced or unannounced is None else min(most, unannounced)

    # -- the request -------------------------------------------------------------------------

    async def request(self, body: bytes) -> Forward | Refused:
        """Decide on the whole request; the `call` is durable when this gives `Forward`."""
        try:
            return await self._judge(body)
        except LedgerError as error:
            return self._refusals.unrecorded(error)

    async def _judge(self, body: bytes) -> Forward | Refused:
        if self._early is not None:
            return await self._refuse_early(body, self._early)
        try:
            if names_any(self._sent_headers):
                found = await self._services.contributors(self._sent_headers)
                self._entries = replace(self._entries, contributors=found)
            read = self._decoded(body)
            request = self._reader.request(read)
        except (ContributorError, WireError) as error:
            return await self._refuse_early(body, self._refusals.of(400, error))
        self._link(body, request.retries)
        self._facts |= body_facts(self._route.entry, request)
        self._seen = await self._look(read, request)
        self._facts |= self._seen.facts("request")
        self._counted = await self._count(body)
        if self._counted is not None and self._counted.is_asked:
            return await self._judge_by_numbers(body, self._counted)
        decision, cleared_by = self._decide_request(self._facts), None
        if decision.verdict is Effect.REVIEW:
            decision, cleared_by = await self._with_clearance(body, decision)
        if decision.verdict is not Effect.PERMIT:
            return await self._refuse(
                body, decision, self._refusals.by(decision, self._facts), problem=None
            )
        if (early := self._unmet(decision)) is not None:
            return await self._refuse(body, decision, early, problem=early.code)
        return await self._forward(body, decision, cleared_by)

    async def _look(self, body: bytes, request: Request) -> Sighting:
        """What detectors see in the decoded body, before it is decided on."""
        return await self._services.detectors.in_request(body, request)

    def _link(self, body: bytes, retries: int | None) -> None:
        """Note the call that the client's SDK tries again, where it counts its tries."""
        if retries is None:
            return
        earlier = self._services.attempts.earlier(
            call=self._entries.id,
            key=self._entries.caller.key,
            path=self._head.path,
            body=body,
            retries=retries,
            at=self._at,
        )
        if earlier is not None:
            self._entries = replace(self._entries, retry_of=earlier)

    def _unmet(self, decision: Decision) -> Early | None:
        """The refusal of a permitted call whose duties its body does not meet."""
        why = unmet(decision, self._seen)
        return self._refusals.not_redacted(why) if why else None

    async def _count(self, body: bytes) -> Counted | None:
        """What counts of this call."""
        count = self._services.counting.of
        if len(body) <= _LARGE_BYTES:
            return count(self._facts, self._at, body)
        return await asyncio.to_thread(count, self._facts, self._at, body)

    def _read(self, body: bytes) -> Request:
        return self._reader.request(self._decoded(body))

    def _decoded(self, body: bytes) -> bytes:
        encoding = self._head.header("content-encoding")
        if encoding is None:
            return body
        decoder = Decoder(encoding, limit_bytes=self._services.request_limit_bytes)
        return decoder.feed(body) + decoder.finish()

    def _decide_request(
        self, facts: Mapping[str, Fact], cleared: frozenset[str] = frozenset()
    ) -> Decision:
        moment = Moment(at=self._at, facts=facts)
        return decide(self._services.bundle, Gate.REQUEST, moment, cleared=cleared)

    async def _with_clearance(self, body: bytes, held: Decision) -> tuple[Decision, str | None]:
        """The decision that a clearance of the same call makes, if that lets it pass."""
        found = await self._services.clearance(self._facts, body)
        if found is None:
            return held, None
        # What a person said fills gaps only: no fact of this call is replaced.
        facts = {**found.facts, **self._facts}
        again = self._decide_request(facts, found.rules)
        if again.verdict is not Effect.PERMIT:
            return held, None
        self._facts = facts
        self._counted = await self._count(body)
        return again, found.entry

    async def _judge_by_numbers(self, body: bytes, counted: Counted) -> Forward | Refused:
        """Decide where the numbers are read; what is held then may have been cleared before."""
        try:
            connect = await self._address()
        except RouteError as error:
            decision = self._decide_request(self._facts)
            return await self._refuse_route(body, decision, error)
        sealed = await self._services.recorder.seal(body)
        facts, may_hold = self._facts, True
        decision = await self._settle(sealed, counted, None, may_hold=may_hold)
        if decision.verdict is Effect.REVIEW and not self._is_over():
            found = await self._services.clearance(facts, body)
            self._facts = facts if found is None else {**found.facts, **facts}
            counted = await self._count(body) or counted
            self._counted = counted
            decision = await self._settle(sealed, counted, found, may_hold=False)
        if decision.verdict is not Effect.PERMIT:
            return self._refusals.say(
                self._refusals.by(decision, self._facts), decision.verdict.value
            )
        if (early := self._unmet(decision)) is not None:
            return self._refusals.say(early, decision.verdict.value)
        return self._refusals.unsent() if self._is_over() else self._sent_to(connect, body)

    async def _settle(
        self, sealed: Prepared, counted: Counted, found: Clearance | None, *, may_hold: bool
    ) -> Decision:
        """Decide and record in one transaction; with `may_hold` a review records nothing."""
        cleared = frozenset[str]() if found is None else found.rules
        settling = Settling(
            counted=counted,
            facts=self._facts,
            decide=lambda facts: self._decide_request(facts, cleared),
            entries=self._entries.settled(
                sealed, counted, found, self._refusals, may_hold=may_hold, early=self._unmet
            ),
        )
        if self._is_over():
            return self._decide_request(self._facts)
        self._settling, self._state = settling, CallState.SETTLING
        try:
            await self._services.recorder.settle(settling, size_bytes=len(sealed.body.blob or b""))
        except LedgerError:
            self._state = CallState.ENDED
            raise
        assert settling.decision is not None  # noqa: S101 - it was run, or this line is not reached
        self._facts = dict(settling.facts)
        if not self._is_over():
            is_permitted = settling.decision.verdict is Effect.PERMIT
            is_passing = is_permitted and self._unmet(settling.decision) is None
            is_held = settling.decision.verdict is Effect.REVIEW and may_hold
            self._state = (
                CallState.CALLED if is_passing else CallState.OPEN if is_held else CallState.ENDED
            )
        return settling.decision

    async def _address(self) -> tuple[str, int]:
        connect = await self._services.resolve(self._route)
        self._check_custody(connect[0])
        return connect

    async def _refuse_route(self, body: bytes, decision: Decision, error: RouteError) -> Refused:
        early = self._refusals.of(502 if error.code == "no-address" else 403, error)
        return await self._refuse(body, decision, early, problem=error.code)

    async def _forward(
        self, body: bytes, decision: Decision, cleared_by: str | None
    ) -> Forward | Refused:
        try:
            connect = await self._address()
        except RouteError as error:
            return await self._refuse_route(body, decision, error)
        call = await self._call(body, decision, cleared_by)
        if self._counted is not None:
            call = replace(call, step=self._counted.step)
        if self._is_over():
            return self._refusals.unsent()
        self._state = CallState.CALLED
        try:
            await self._services.recorder.append(call)
        except LedgerError:
            self._state = CallState.ENDED
            raise
        return self._refusals.unsent() if self._is_over() else self._sent_to(connect, body)

    def _sent_to(self, connect: tuple[str, int], body: bytes) -> Forward:
        route = self._route
        target = forwarded_target(route.target, self._caller)
        headers = forwarded_headers(self._sent_headers, self._caller, route.authority)
        request = SentRequest(
            method=self._head.method, host=route.host, target=target, body=body, at=self._at
        )
        return Forward(
            scheme=route.scheme,
            host=route.host,
            connect=connect,
            target=target,
            headers=signed_headers(headers, self._caller, request),
            is_http2=is_grpc(self._head.header("content-type")),
            buffer_bytes=self._services.answer_limit_bytes if self._entries.is_buffered else None,
        )

    def _check_custody(self, address: str) -> None:
        """Refuse to send a key in custody where others could read it on its way."""
        is_held = not self._caller.is_pass_through
        if is_held and not may_carry_credential(self._route.scheme, address):
            raise RouteError(
                f"the key in custody for `{self._route.entry.id}` would travel in the clear",
                code="insecure-custody",
                help="speak `https` to this teacher, or reach it at a loopback address",
            )

    def _is_over(self) -> bool:
        """Whether `end` was called: the client may go at any `await`."""
        return self._state is CallState.ENDED

    async def _call(self, body: bytes, decision: Decision, cleared_by: str | None) -> Pending:
        sealed = await self._services.recorder.seal(body)
        return self._entries.call(sealed, self._facts, decision, cleared_by=cleared_by)

    # -- refusals ----------------------------------------------------------------------------

    async def too_large(self) -> Refused:
        """The refusal of a body over the limit; durable before it is given."""
        announced_bytes = None if self._is_announced else self._services.request_limit_bytes
        early = self._refusals.too_large(self.limit_bytes, announced_bytes=announced_bytes)
        try:
            return await self._refuse_early(b"", early)
        except LedgerError as error:
            return self._refusals.unrecorded(error)

    async def _refuse_early(self, body: bytes, early: Early) -> Refused:
        decision = self._decide_request(self._facts)
        return await self._refuse(body, decision, early, problem=early.code)

    async def _refuse(
        self, body: bytes, decision: Decision, early: Early, *, problem: str | None
    ) -> Refused:
        call = await self._call(body, decision, None)
        entry = self._entries.refused(early, problem=problem)
        self._state = CallState.ENDED
        await self._services.recorder.append(call, Pending(entry=entry))
        return self._refusals.say(early, decision.verdict.value)

    def fail(self, reason: str) -> Refused:
        """A 503 in the provider's shape; whatever was or will be read is never admitted (P9)."""
        self._tap.poison("hook-failed")
        return self._refusals.broken(reason)

    def unreachable(self, reason: str) -> Refused:
        """A 502 in the provider's shape: the teacher did not answer."""
        return self._refusals.unreachable(reason)

    # -- the answer --------------------------------------------------------------------------

    def respond(self, status: int, headers: Headers) -> Headers:
        """Take note of the response's head; gives the headers to add to the client's answer."""
        self._tap.respond(status, headers)
        self._speaker = Speaker(self._tap.head, self._refusals.family)
        self.trailers(headers)  # an answer without a body has its status in the head
        return (("x-inbond-exchange", self.exchange), ("x-inbond-decision", "permit"))

    def trailers(self, headers: Headers) -> None:
        """Take note of how the answer ended, where its format says so outside of the body."""
        if isinstance(self._reader, Trailed):
            self._reader.trailers(headers)

    def tap(self, chunk: bytes) -> bool:
        """Read a copy of the next chunk; what cannot be read poisons the record, not the stream."""
        self._tap.feed(chunk)
        if self._speaker is not None:
            self._speaker.hear(chunk)
        return True

    def last_words(self) -> bytes:
        """The format's own error event, for an answer under way that is cut."""
        early = self._refusals.cut()
        return b"" if self._speaker is None else self._speaker.last_words(early.code, early.message)

    def withheld(self) -> Refused | None:
        """What goes out in place of an answer that was held and may not be had."""
        entry = self._ended
        if entry is None or not entry.is_withheld:
            return None
        rules = withholding(entry.decision, self._services.bundle.rules)
        return self._refusals.say(self._refusals.withheld(rules, entry.problem), "forbid")

    async def end(self, outcome: Outcome) -> None:
        """Make the `exchange` durable, once.

        Raises:
            LedgerError: it is not durable; the recorder keeps it, writes it later, and never as
                something that may train.
        """
        state, self._state = self._state, CallState.ENDED
        if state is CallState.SETTLING and self._settling is not None:
            state = CallState.ENDED if self._settling.withdraw() else CallState.CALLED
        if state is CallState.CALLED:
            await self._end_call(outcome)
        elif state is CallState.OPEN and self._tap.problem is not None:
            # A hook broke before the call was decided on: the refusal that was sent is recorded.
            early = Early(status=503, code=self._tap.problem, message="")
            await self._refuse_early(b"", early)

    async def _ending(self, outcome: Outcome) -> Pending:
        """The end of a call that was sent."""
        return await self._entries.ended(self._tap, outcome, self._facts, self._counted)

    async def _end_call(self, outcome: Outcome) -> None:
        ending: Pending | None = None
        try:
            ending = await self._ending(outcome)
            if isinstance(ending.entry, ExchangeEntry):
                self._ended = ending.entry
            await self._services.recorder.append(ending, *self._beside)
        except LedgerError as error:
            if not may_pass(error):
                ending = None
            raise
        finally:
            # INVARIANT: no `await` between here and the queue: whatever breaks or cancels the lines
            # above, the call gets its one exchange.
            if ending is None:
                with contextlib.suppress(LedgerError):  # closing: recovery ends it at next start
                    self._services.recorder.post(Pending(self._entries.unread(self._tap)))


def _is_announced(headers: Headers) -> bool:
    """Whether the head says how long the body is (RFC 9112 §6.3: a transfer coding comes first)."""
    names = {name.lower() for name, _ in headers}
    return "content-length" in names and "transfer-encoding" not in names
