"""One call under way: read, decided, recorded, once. Free of mitmproxy's types.

`request` gives `Forward` only after the `call` entry is durable (P1). `end` writes exactly one
`exchange` per `call`; what cannot be written now is handed on to be tried again until it is, and is
then never admitted (P2, P9). A reader that stumbled poisons the record: it is kept, and never
admitted (P5).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from policies.bundle import Bundle
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Effect, Fact, Gate
from proxy.clock import new_id, new_nonce, stamp
from proxy.counting import Counted, Counting, Settling, used_in
from proxy.enforce import (
    answer_facts,
    body_facts,
    facts_at_response,
    head_facts,
    leaf_facts,
    may_train,
    plain_name,
    record_of,
    refusal_message,
    usage_of,
)
from proxy.errors import LedgerError, ProxyError, RouteError, WireError
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
from proxy.ledger.entry import CallEntry, DecisionRecord, ExchangeEntry, exchange_of
from proxy.reading import reading_of
from proxy.recorder import Recorder, may_pass
from proxy.route import Route
from proxy.store.bodies import Prepared
from proxy.store.log import Pending
from proxy.tap import Tap
from proxy.wire.encoding import Decoder
from proxy.wire.format import Reader
from proxy.wire.refusal import refusal

__all__ = ["Call", "Clearance", "Early", "Services"]

_LARGE_BYTES = 2**20
"""Bodies above this are sealed off the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """What a person decided on an earlier call of the same facts and bytes."""

    entry: str
    """The id of the `decision` or `judgement` entry."""
    rules: frozenset[str]
    facts: dict[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Early:
    """A refusal that was clear from the head: recorded once the caller's body is in."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What every call of one worker shares."""

    bundle: Bundle
    counting: Counting
    recorder: Recorder
    worker: str
    keep_wire: bool
    request_limit_bytes: int
    answer_limit_bytes: int
    unannounced_limit_bytes: int | None = None
    """For bodies that come without a length; None: as for the others."""
    now: Callable[[], datetime]
    resolve: Callable[[Route], Awaitable[tuple[str, int]]]
    """The address to dial; RouteError where it is not allowed."""
    clearance: Callable[[Mapping[str, Fact], bytes], Awaitable[Clearance | None]]
    """By the facts at the request gate and the request body."""


class _State(Enum):
    OPEN = 0
    SETTLING = 3
    """It is being decided where it is recorded: whether an `exchange` is owed, its `Settling` knows."""
    CALLED = 1
    """The `call` is durable or on its way: an `exchange` is owed."""
    ENDED = 2


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
        self._id = new_id()
        self.exchange = exchange_of(self._id)
        self._is_announced = _is_announced(sent_headers)
        self._services = services
        self._route = route
        self._caller = caller
        self._head = head
        self._sent_headers = sent_headers
        self._reader = reader
        self._early = early
        self._family = family or route.entry.family
        self._state = _State.OPEN
        self._counted: Counted | None = None
        self._settling: Settling | None = None
        self._at = services.now()
        self._facts: dict[str, Fact] = head_facts(
            route.entry,
            operation,
            project=caller.project,
            account_id=caller.account_id,
            student=services.bundle.students.get(caller.student or ""),
        )
        self._tap = Tap(
            reader, keep_wire=services.keep_wire, limit_bytes=services.answer_limit_bytes
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
            return self._unrecorded(error)

    async def _judge(self, body: bytes) -> Forward | Refused:
        if self._early is not None:
            return await self._refuse_early(body, self._early)
        try:
            request = self._read(body)
        except WireError as error:
            return await self._refuse_early(body, self._early_of(400, error))
        self._facts |= body_facts(self._route.entry, request)
        self._counted = await self._count(body)
        if self._counted is not None and self._counted.is_asked:
            return await self._judge_by_numbers(body, self._counted)
        decision, cleared_by = self._decide_request(self._facts), None
        if decision.verdict is Effect.REVIEW:
            decision, cleared_by = await self._with_clearance(body, decision)
        if decision.verdict is not Effect.PERMIT:
            return await self._refuse(body, decision, self._early_by(decision), problem=None)
        return await self._forward(body, decision, cleared_by)

    async def _count(self, body: bytes) -> Counted | None:
        """What counts of this call."""
        count = self._services.counting.of
        if len(body) <= _LARGE_BYTES:
            return count(self._facts, self._at, body)
        return await asyncio.to_thread(count, self._facts, self._at, body)

    def _early_by(self, decision: Decision) -> Early:
        """The refusal that a decision makes."""
        message = refusal_message(decision, self._facts, self.exchange)
        code = "needs-review" if decision.verdict is Effect.REVIEW else "refused-by-policy"
        return Early(status=403, code=code, message=message)

    def _read(self, body: bytes) -> Request:
        encoding = self._head.header("content-encoding")
        if encoding is not None:
            decoder = Decoder(encoding, limit_bytes=self._services.request_limit_bytes)
            body = decoder.feed(body) + decoder.finish()
        return self._reader.request(body)

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
            return self._say(self._early_by(decision), decision.verdict.value)
        return self._left() if self._is_over() else self._sent_to(connect, body)

    async def _settle(
        self, sealed: Prepared, counted: Counted, found: Clearance | None, *, may_hold: bool
    ) -> Decision:
        """Decide and record in one transaction; with `may_hold` a review records nothing."""

        def entries(facts: Mapping[str, Fact], decision: Decision) -> tuple[Pending, ...]:
            is_passing = decision.verdict is Effect.PERMIT
            if decision.verdict is Effect.REVIEW and may_hold:
                return ()
            cleared_by = found.entry if found is not None and is_passing else None
            call = self._call_of(sealed, facts, decision, cleared_by)
            if is_passing:
                return (replace(call, step=counted.step),)
            return call, Pending(self._refused_entry(self._early_by(decision), problem=None))

        cleared = frozenset[str]() if found is None else found.rules
        settling = Settling(
            counted=counted,
            facts=self._facts,
            decide=lambda facts: self._decide_request(facts, cleared),
            entries=entries,
        )
        if self._is_over():
            return self._decide_request(self._facts)
        self._settling, self._state = settling, _State.SETTLING
        try:
            await self._services.recorder.settle(settling, size_bytes=len(sealed.body.blob or b""))
        except LedgerError:
            self._state = _State.ENDED
            raise
        assert settling.decision is not None  # noqa: S101 - it was run, or this line is not reached
        self._facts = dict(settling.facts)
        if not self._is_over():
            is_passing = settling.decision.verdict is Effect.PERMIT
            is_held = settling.decision.verdict is Effect.REVIEW and may_hold
            self._state = _State.CALLED if is_passing else _State.OPEN if is_held else _State.ENDED
        return settling.decision

    async def _address(self) -> tuple[str, int]:
        connect = await self._services.resolve(self._route)
        self._check_custody(connect[0])
        return connect

    async def _refuse_route(self, body: bytes, decision: Decision, error: RouteError) -> Refused:
        early = self._early_of(502 if error.code == "no-address" else 403, error)
        return await self._refuse(body, decision, early, problem=error.code)

    async def _forward(
        self, body: bytes, decision: Decision, cleared_by: str | None
    ) -> Forward | Refused:
        try:
            connect = await self._address()
        except RouteError as error:
            return await self._refuse_route(body, decision, error)
        call = await self._call_entry(body, decision, cleared_by)
        if self._counted is not None:
            call = replace(call, step=self._counted.step)
        if self._is_over():
            return self._left()
        self._state = _State.CALLED
        try:
            await self._services.recorder.append(call)
        except LedgerError:
            self._state = _State.ENDED
            raise
        return self._left() if self._is_over() else self._sent_to(connect, body)

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
        return self._state is _State.ENDED

    def _left(self) -> Refused:
        message = f"inbond did not send this call: its client left; exchange {self.exchange}"
        return self._say(Early(status=503, code="client-left", message=message), "unsent")

    async def _call_entry(self, body: bytes, decision: Decision, cleared_by: str | None) -> Pending:
        sealed = await self._services.recorder.seal(body)
        return self._call_of(sealed, self._facts, decision, cleared_by)

    def _call_of(
        self,
        sealed: Prepared,
        facts: Mapping[str, Fact],
        decision: Decision,
        cleared_by: str | None,
    ) -> Pending:
        entry = CallEntry(
            id=self._id,
            at=stamp(self._at),
            actor=self._caller.key,
            key=self._caller.key,
            worker=self._services.worker,
            student=self._stamped,
            facts=leaf_facts(facts),
            request=sealed.record,
            decision=record_of(decision, self._services.bundle),
            cleared_by=cleared_by,
        )
        return Pending(entry=entry, bodies=(sealed.body,))

    @property
    def _stamped(self) -> str | None:
        """The student whose facts are stamped: none where the policies declare no such student."""
        student = self._caller.student
        return student if student in self._services.bundle.students else None

    # -- refusals ----------------------------------------------------------------------------

    async def too_large(self) -> Refused:
        """The refusal of a body over the limit; durable before it is given."""
        name, fix = "request_bytes", "send less at once, or raise this limit"
        if not self._is_announced:
            name = "unannounced_bytes"
            fix = f"send a `Content-Length`: up to {self._services.request_limit_bytes} bytes pass then"
        message = (
            f"inbond refused this call: its body is over {self.limit_bytes} bytes "
            f"(`limits.{name}`); {fix}; exchange {self.exchange}"
        )
        early = Early(status=413, code="request-too-large", message=message)
        try:
            return await self._refuse_early(b"", early)
        except LedgerError as error:
            return self._unrecorded(error)

    def _early_of(self, status: int, error: ProxyError) -> Early:
        fix = f"; {error.help}" if error.help else ""
        where = f" at `{error.where}`" if error.where else ""
        message = f"inbond refused this call: {error.message}{where}{fix}; exchange {self.exchange}"
        return Early(status=status, code=error.code, message=message)

    async def _refuse_early(self, body: bytes, early: Early) -> Refused:
        decision = self._decide_request(self._facts)
        return await self._refuse(body, decision, early, problem=early.code)

    async def _refuse(
        self, body: bytes, decision: Decision, early: Early, *, problem: str | None
    ) -> Refused:
        call = await self._call_entry(body, decision, None)
        entry = self._refused_entry(early, problem=problem)
        self._state = _State.ENDED
        await self._services.recorder.append(call, Pending(entry=entry))
        return self._say(early, decision.verdict.value)

    def _refused_entry(self, early: Early, *, problem: str | None) -> ExchangeEntry:
        return ExchangeEntry(
            id=self.exchange,
            at=stamp(self._services.now()),
            actor=self._services.worker,
            call=self._id,
            outcome=Outcome.REFUSED.value,
            status=early.status,
            problem=problem,
            nonce=new_nonce(),
        )

    def _unrecorded(self, error: LedgerError) -> Refused:
        message = (
            f"inbond refused this call: it could not be recorded ({error.message}); try again later"
        )
        return self._say(Early(status=503, code=error.code, message=message), "unrecorded")

    def _say(self, early: Early, verdict: str) -> Refused:
        return refusal(
            self._family,
            status=early.status,
            code=early.code,
            message=early.message,
            exchange=self.exchange,
            decision=verdict,
        )

    def fail(self, reason: str) -> Refused:
        """A 503 in the provider's shape; whatever was or will be read is never admitted (P9)."""
        self._tap.poison("hook-failed")
        message = f"inbond refused this call: {reason}; try again later"
        return self._say(Early(status=503, code="hook-failed", message=message), "failed")

    def unreachable(self, reason: str) -> Refused:
        """A 502 in the provider's shape: the teacher did not answer."""
        message = (
            f"inbond could not get an answer from `{self._route.host}`: {reason}; "
            f"exchange {self.exchange}"
        )
        return self._say(Early(status=502, code="teacher-unreachable", message=message), "permit")

    # -- the answer --------------------------------------------------------------------------

    def respond(self, status: int, headers: Headers) -> Headers:
        """Take note of the response's head; gives the headers to add to the client's answer."""
        self._tap.respond(status, headers)
        return (("x-inbond-exchange", self.exchange), ("x-inbond-decision", "permit"))

    def tap(self, chunk: bytes) -> bool:
        """Read a copy of the next chunk; what cannot be read poisons the record, not the stream."""
        self._tap.feed(chunk)
        return True

    async def end(self, outcome: Outcome) -> None:
        """Make the `exchange` durable, once.

        Raises:
            LedgerError: it is not durable; the recorder keeps it, writes it later, and never as
                something that may train.
        """
        state, self._state = self._state, _State.ENDED
        if state is _State.SETTLING and self._settling is not None:
            state = _State.ENDED if self._settling.withdraw() else _State.CALLED
        if state is _State.CALLED:
            await self._end_call(outcome)
        elif state is _State.OPEN and self._tap.problem is not None:
            # A hook broke before the call was decided on: the refusal that was sent is recorded.
            early = Early(status=503, code=self._tap.problem, message="")
            await self._refuse_early(b"", early)

    async def _end_call(self, outcome: Outcome) -> None:
        ending: Pending | None = None
        try:
            ending = await self._ending(outcome)
            await self._services.recorder.append(ending)
        except LedgerError as error:
            if not may_pass(error):
                ending = None
            raise
        finally:
            # INVARIANT: no `await` between here and the queue: whatever breaks or cancels the lines
            # above, the call gets its one exchange.
            if ending is None:
                with contextlib.suppress(LedgerError):  # closing: recovery ends it at next start
                    self._services.recorder.post(Pending(self._unread()))

    def _unread(self) -> ExchangeEntry:
        """What is recorded of an end that could not be put into words: nothing of it can train."""
        return ExchangeEntry(
            id=self.exchange,
            at=stamp(self._services.now()),
            actor=self._services.worker,
            call=self._id,
            outcome=Outcome.CUT.value,
            status=self._tap.head.status or None,
            problem="record-broken",
            nonce=new_nonce(),
        )

    async def _ending(self, wire: Outcome) -> Pending:
        exchange = self._tap.finish(wire)
        answer = exchange.answer
        is_whole = may_train(answer, self._tap.problem)
        facts = answer_facts(self._route.entry, exchange) if answer.choices else {}
        document = reading_of(
            exchange,
            request_headers=self._head.headers,
            answer_headers=self._tap.head.headers,
        )
        answer_seal = await self._services.recorder.seal(document)
        wire_seal = await self._wire_seal()
        entry = ExchangeEntry(
            id=self.exchange,
            at=stamp(self._services.now()),
            actor=self._services.worker,
            call=self._id,
            outcome=self._tap.outcome(wire, exchange).value,
            status=self._tap.head.status or None,
            facts=leaf_facts(facts),
            usage=usage_of(answer),
            response_id=plain_name(answer.response_id),
            provider_request_id=plain_name(exchange.provider_request_id),
            choices=len(answer.choices),
            is_whole=is_whole,
            problem=self._tap.problem or answer.problem,
            wire=wire_seal.record,
            answer=answer_seal.record,
            decision=self._decide_response(facts) if is_whole else None,
            nonce=new_nonce(),
        )
        step = None
        if self._counted is not None:
            step = self._counted.ended(self._services.now(), used_in(exchange))
        return Pending(entry=entry, bodies=(answer_seal.body, wire_seal.body), step=step)

    async def _wire_seal(self) -> Prepared:
        if self._tap.kept_bytes <= _LARGE_BYTES:
            return self._tap.sealed()
        return await asyncio.to_thread(self._tap.sealed)

    def _decide_response(self, answer: dict[str, Fact]) -> DecisionRecord:
        facts = facts_at_response(self._facts, answer)
        today = Moment(at=self._services.now(), facts=facts)
        bundle = self._services.bundle
        decision = decide(bundle, Gate.RESPONSE, Moment(at=self._at, facts=facts), today)
        return record_of(decision, bundle)


def _is_announced(headers: Headers) -> bool:
    """Whether the head says how long the body is (RFC 9112 §6.3: a transfer coding comes first)."""
    names = {name.lower() for name, _ in headers}
    return "content-length" in names and "transfer-encoding" not in names
