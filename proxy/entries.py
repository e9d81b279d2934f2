"""What one call leaves in the ledger: its `call` entry, and the `exchange` that ends it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from policies.decision import Decision, Moment
from policies.engine import decide
from policies.facts import mistyped
from policies.model import Effect, Fact, Gate
from proxy.clock import new_nonce, stamp
from proxy.contributors import Contributors
from proxy.counting import Counted, used_in
from proxy.delivery import is_unjudged, is_unreadable, withholding
from proxy.enforce import (
    answer_facts,
    facts_at_response,
    leaf_facts,
    may_train,
    plain_name,
    record_of,
    usage_of,
)
from proxy.exchange import Outcome, RequestHead
from proxy.identity import Caller
from proxy.ledger.entry import CallEntry, DecisionRecord, ExchangeEntry, FactValue
from proxy.providers import Entry
from proxy.reading import reading_of
from proxy.redact import redacted_reading, redaction_of
from proxy.refusals import Early, Refusals
from proxy.services import Clearance, Services
from proxy.store.bodies import Prepared
from proxy.store.counters import Step
from proxy.store.log import Pending
from proxy.tap import Tap

__all__ = ["Entries"]

_LOG = structlog.get_logger("inbond.entries")

_LARGE_BYTES = 2**20
"""Wires kept above this are sealed off the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """The entries of one call. They are made here and appended by the call."""

    services: Services
    id: str
    exchange: str
    at: datetime
    """When the call was made."""
    teacher: Entry
    caller: Caller
    head: RequestHead
    is_buffered: bool = False
    """Whether the answer waits for its decision before it goes to the client."""
    contributors: Contributors = field(default_factory=Contributors)
    """What the client says the call was made from."""
    retry_of: str | None = None
    """The call that this is another try of."""

    def call(
        self,
        sealed: Prepared,
        facts: Mapping[str, Fact],
        decision: Decision,
        *,
        cleared_by: str | None = None,
        step: Step | None = None,
    ) -> Pending:
        """The intent: `facts` are those at the request gate, `sealed` is the request's body."""
        entry = CallEntry(
            id=self.id,
            at=stamp(self.at),
            actor=self.caller.key,
            key=self.caller.key,
            worker=self.services.worker,
            student=self._stamped,
            facts=self._facts(facts),
            request=sealed.record,
            decision=record_of(decision, self.services.bundle),
            cleared_by=cleared_by,
            host=self._host,
            parents=list(self.contributors.parents),
            sources=list(self.contributors.sources),
            retry_of=self.retry_of,
        )
        return Pending(entry=entry, bodies=(sealed.body,), step=step)

    def _facts(self, facts: Mapping[str, Fact]) -> dict[str, FactValue]:
        """Facts as a leaf keeps them; one of the wrong type, which counts as unknown, is told of."""
        if wrong := mistyped(facts):
            _LOG.warning("mistyped fact", exchange=self.exchange, facts=wrong)
        return leaf_facts(facts)

    @property
    def _host(self) -> str | None:
        """The host, where no contract says it."""
        return self.teacher.hosts[0] if self.teacher.route == "unlisted" else None

    @property
    def _stamped(self) -> str | None:
        """The student whose facts are stamped: none where the policies declare no such student."""
        student = self.caller.student
        return student if student in self.services.bundle.students else None

    def settled(
        self,
        sealed: Prepared,
        counted: Counted,
        found: Clearance | None,
        refusals: Refusals,
        *,
        may_hold: bool,
        early: Callable[[Decision], Early | None] = lambda _: None,
    ) -> Callable[[Mapping[str, Fact], Decision], tuple[Pending, ...]]:
        """What makes the entries of a call once its numbers are read and it is decided.

        With `may_hold` a review records nothing: a person may have cleared the call before. `early`
        says why a call that is permitted is refused all the same.
        """

        def entries(facts: Mapping[str, Fact], decision: Decision) -> tuple[Pending, ...]:
            is_permitted = decision.verdict is Effect.PERMIT
            unmet = early(decision) if is_permitted else None
            if decision.verdict is Effect.REVIEW and may_hold:
                return ()
            if is_permitted and unmet is None:
                by = found.entry if found is not None else None
                return (self.call(sealed, facts, decision, cleared_by=by, step=counted.step),)
            refused = (
                self.refused(refusals.by(decision, facts), problem=None)
                if unmet is None
                else self.refused(unmet, problem=unmet.code)
            )
            return self.call(sealed, facts, decision), Pending(refused)

        return entries

    def refused(self, early: Early, *, problem: str | None) -> ExchangeEntry:
        """The end of a call that was not sent."""
        return ExchangeEntry(
            id=self.exchange,
            at=stamp(self.services.now()),
            actor=self.services.worker,
            call=self.id,
            outcome=Outcome.REFUSED.value,
            status=early.status,
            problem=problem,
            nonce=new_nonce(),
        )

    def unread(self, tap: Tap) -> ExchangeEntry:
        """The end that could not be put into words: nothing of it can train."""
        return ExchangeEntry(
            id=self.exchange,
            at=stamp(self.services.now()),
            actor=self.services.worker,
            call=self.id,
            outcome=Outcome.CUT.value,
            status=tap.head.status or None,
            problem="record-broken",
            nonce=new_nonce(),
        )

    async def ended(
        self, tap: Tap, wire: Outcome, facts: Mapping[str, Fact], counted: Counted | None
    ) -> Pending:
        """The end of a call that was sent: `facts` are those at the request gate."""
        exchange = tap.finish(wire)
        answer = exchange.answer
        is_whole = may_train(answer, tap.problem)
        said = answer_facts(self.teacher, exchange) if answer.choices else {}
        seen = await self.services.detectors.in_answer(answer)
        if answer.choices:
            said |= seen.facts("response")
        decision = self._decide(facts, said) if is_whole else None
        document = reading_of(
            exchange, request_headers=self.head.headers, answer_headers=tap.head.headers
        )
        wanted = redaction_of(decision, self.services.bundle.rules)
        kept = redacted_reading(document, wanted, seen) if wanted else document
        answer_seal = await self.services.recorder.seal(
            document if kept is None else kept, is_kept=kept is not None
        )
        wire_seal = await _sealed(tap)
        problem = tap.problem or answer.problem
        if wanted:
            wire_seal = replace(wire_seal, body=replace(wire_seal.body, blob=None))
        if kept is None:  # a duty that cannot be met: nothing is kept that could be learned from
            is_whole, decision, problem = False, None, problem or "not-redacted"
        record = None if decision is None else record_of(decision, self.services.bundle)
        entry = ExchangeEntry(
            id=self.exchange,
            at=stamp(self.services.now()),
            actor=self.services.worker,
            call=self.id,
            outcome=tap.outcome(wire, exchange).value,
            status=tap.head.status or None,
            facts=self._facts(said),
            usage=usage_of(answer),
            response_id=plain_name(answer.response_id),
            continues=plain_name(exchange.request.previous_response_id),
            provider_request_id=plain_name(exchange.provider_request_id),
            choices=len(answer.choices),
            is_whole=is_whole,
            problem=problem,
            wire=wire_seal.record,
            answer=answer_seal.record,
            decision=record,
            is_withheld=self.is_buffered
            and (
                self._withholds(record, tap.head.status, problem)
                or is_unjudged(record, self.services.bundle.rules, has_words=bool(answer.choices))
            ),
            redacted=sorted(wanted) if kept is not None else [],
            nonce=new_nonce(),
        )
        step = None
        if counted is not None:
            step = counted.ended(self.services.now(), used_in(exchange))
        return Pending(entry=entry, bodies=(answer_seal.body, wire_seal.body), step=step)

    def _withholds(self, decision: DecisionRecord | None, status: int, problem: str | None) -> bool:
        rules = self.services.bundle.rules
        return bool(withholding(decision, rules)) or is_unreadable(status, problem)

    def _decide(self, asked: Mapping[str, Fact], said: Mapping[str, Fact]) -> Decision:
        facts = facts_at_response(asked, said)
        today = Moment(at=self.services.now(), facts=facts)
        bundle = self.services.bundle
        return decide(bundle, Gate.RESPONSE, Moment(at=self.at, facts=facts), today)


async def _sealed(tap: Tap) -> Prepared:
    if tap.kept_bytes <= _LARGE_BYTES:
        return tap.sealed()
    return await asyncio.to_thread(tap.sealed)
