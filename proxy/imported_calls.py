"""The entries of one imported line: a call that was made elsewhere, and the exchange that ends it.

Nothing is said here that nobody knows: of a teacher's answer in somebody's log it stays unknown
whether a filter touched it or what it was grounded in.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from policies.bundle import Bundle
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Effect, Fact, Gate
from proxy.clock import new_nonce, parse_time, stamp
from proxy.detect import Sighting
from proxy.enforce import facts_at_response, facts_of_leaf, leaf_facts, plain_name, record_of
from proxy.exchange import Outcome
from proxy.import_lines import ImportLine
from proxy.ledger.entry import CallEntry, ExchangeEntry, ImportEntry, exchange_of
from proxy.ledger.imported import IMPORTED
from proxy.ledger.seal import SALT_BYTES
from proxy.reading import reading_of
from proxy.redact import redacted_reading, redaction_of
from proxy.store.bodies import Prepared, prepare_body
from proxy.store.log import Pending

__all__ = ["Imported", "Maker", "call_id"]

_WORKER = "import"
_LOW = (1 << 62) - 1
"""The bits of a UUIDv7 after its version and variant: 62 of them are random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The entries of a line."""

    pending: tuple[Pending, Pending]
    decision: Decision
    """The response gate's; the request gate's where that forbids."""
    verdict: str
    """Its verdict; `refused` where the request gate forbids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes the entries of the lines of one import."""

    bundle: Bundle
    entry: ImportEntry
    """That admits them."""
    organisation: Mapping[str, Fact]
    """What the organisation declares of itself."""
    at: datetime
    """When they are imported."""

    def make(self, place: int, line: ImportLine, *, asked: Sighting, said: Sighting) -> Imported:
        """The entries of the line at a place, given what detectors saw in it."""
        call = call_id(self.entry.batch, place)
        facts = self._asked(line) | asked.facts("request")
        allowed = self._decide(Gate.REQUEST, facts)
        request = _sealed(line.data, is_kept=allowed.verdict is not Effect.FORBID)
        begun = CallEntry(
            id=call,
            at=stamp(self._answered_at),
            actor=self.entry.actor,
            key=f"import:{self.entry.batch}",
            worker=_WORKER,
            student=self.entry.student,
            facts=leaf_facts(facts),
            request=request.record,
            decision=record_of(allowed, self.bundle),
            sources=[self.entry.source],
            imported=self.entry.batch,
        )
        first = Pending(begun, bodies=(request.body,))
        if allowed.verdict is Effect.FORBID:
            ended = self._end(call, outcome=Outcome.REFUSED.value)
            return Imported(pending=(first, Pending(ended)), decision=allowed, verdict="refused")
        answered = self._answered(line) | said.facts("response")
        decision = self._decide(Gate.RESPONSE, facts_at_response(facts, answered))
        if redaction_of(decision, self.bundle.rules):
            # The line holds the answer too, and nothing masks it there.
            first = replace(first, bodies=(replace(request.body, blob=None),))
        second = self._kept(call, line, said, answered, decision)
        return Imported(pending=(first, second), decision=decision, verdict=decision.verdict.value)

    @property
    def _answered_at(self) -> datetime:
        said = self.entry.answered_at
        return self.at if said is None else parse_time(said)

    def _decide(self, gate: Gate, facts: Mapping[str, Fact]) -> Decision:
        then = Moment(at=self._answered_at, facts=facts)
        return decide(self.bundle, gate, then, Moment(at=self.at, facts=facts))

    def _asked(self, line: ImportLine) -> dict[str, Fact]:
        request = line.exchange.request
        student = self.bundle.students.get(self.entry.student or "")
        facts: dict[str, Fact] = {**self.organisation}
        facts |= {} if student is None else student.facts
        facts |= facts_of_leaf(self.entry.facts)
        return facts | {
            "operation": "chat",
            "project": self.entry.project,
            "source.name": self.entry.name,
            "source.origin": self.entry.origin,
            "source.licence": self.entry.licence,
            "request.system": request.has_system,
            "request.tools": bool(request.tools),
            "request.images": False,
            "request.logprobs": False,
        }

    def _answered(self, line: ImportLine) -> dict[str, Fact]:
        facts: dict[str, Fact] = {
            "model.id": str(self.entry.facts["model.id"]),
            "model.substituted": False,
        }
        (said,) = line.exchange.answer.choices
        finish = plain_name(said.finish_reason)
        if not said.is_models_own:
            facts["response.moderated"] = True
        if self.entry.origin == "teacher":
            facts["model.served"] = str(self.entry.facts["model.asked"])
            return facts if finish is None else facts | {"response.finish": finish}
        # No model answered: nothing cut it short or moderated it, and no tool brought texts in.
        untouched: dict[str, Fact] = {
            "response.finish": finish or IMPORTED,
            "response.moderated": False,
            "response.third_party": False,
        }
        return untouched | facts

    def _kept(
        self,
        call: str,
        line: ImportLine,
        seen: Sighting,
        facts: Mapping[str, Fact],
        decision: Decision,
    ) -> Pending:
        """The end of a call whose answer is kept, masked where a duty asks for it."""
        document = reading_of(line.exchange, request_headers=(), answer_headers=())
        wanted = redaction_of(decision, self.bundle.rules)
        kept = redacted_reading(document, wanted, seen) if wanted else document
        answer = _sealed(document if kept is None else kept, is_kept=kept is not None)
        entry = self._end(
            call,
            outcome=Outcome.COMPLETE.value,
            facts=leaf_facts(facts),
            choices=1,
            is_whole=kept is not None,
            problem=None if kept is not None else "not-redacted",
            answer=answer.record,
            decision=None if kept is None else record_of(decision, self.bundle),
            redacted=sorted(wanted) if kept is not None else [],
        )
        return Pending(entry, bodies=(answer.body,))

    def _end(self, call: str, **said: object) -> ExchangeEntry:
        always = {
            "id": exchange_of(call),
            "at": stamp(self.at),
            "actor": self.entry.actor,
            "call": call,
            "nonce": new_nonce(),
        }
        return ExchangeEntry.model_validate({**always, **said})


def call_id(batch: str, place: int) -> str:
    """The id of the call that is the example at a place (from 1) of an import.

    The same for the same place, so that an import begun before is completed and doubles nothing.
    """
    drawn = int.from_bytes(sha256(f"{batch}:{place}".encode()).digest()[:8]) & _LOW & ~1
    return str(UUID(int=UUID(batch).int & ~_LOW | drawn))


def _sealed(data: bytes, *, is_kept: bool) -> Prepared:
    return prepare_body(data, os.urandom(SALT_BYTES), is_kept=is_kept)
