"""The dataset gate on exchanges: each on both clocks, together with all that contributed to it.

An exchange is admitted only if it is, and each exchange that contributed to it is, as if each were an
example of its own: admitted when it was answered or cleared since, and permitted for this student as
of the call and today. What contributed and cannot be read any more is unknown, and never permitted.
Sources permit as they were declared, then and now. The strictest verdict counts, and the duties of
all (policy language §1.4, rule 8).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import tee

from policies.bundle import Bundle
from policies.decision import Decision, Moment
from policies.engine import Question, decide_all
from policies.model import Effect, Fact, Gate, Student
from proxy.clock import parse_time
from proxy.enforce import facts_at_response, facts_of_leaf, record_of
from proxy.ledger.contributors import Family
from proxy.ledger.entry import DecisionEntry, DecisionRecord
from proxy.lineage import Lineage
from proxy.redact import is_masked
from proxy.store.bodies import Absent, open_seal
from proxy.store.records import Candidate
from proxy.store.session import Reading

__all__ = ["Admission", "Judged", "judge_all"]

_OF_VERDICT = {Effect.PERMIT: "", Effect.REVIEW: "held-back", Effect.FORBID: "excluded"}
_STRICTNESS = (Effect.PERMIT, Effect.REVIEW, Effect.FORBID)
_UNKNOWN = "contributor-unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the dataset gate and people say about one exchange, and about what contributed to it."""

    candidate: Candidate
    decision: Decision
    """Of the exchange alone."""
    reason: str = ""
    """Why it is not admitted; empty where it is."""
    verdict: Effect
    """The strictest of all."""
    by: tuple[str, ...]
    """The rules that set the verdict, of whichever exchange."""
    missing: tuple[str, ...]
    family: Family = field(default_factory=Family)
    others: tuple[Decision, ...] = ()
    """On each exchange that contributed."""
    duties: tuple[str, ...] = ()
    """Of the sources."""

    def record(self, bundle: Bundle) -> DecisionRecord:
        """The decision as rows rest on it: with the clauses, terms, grants and duties of all."""
        own = record_of(self.decision, bundle)
        others = [record_of(decision, bundle) for decision in self.others]
        if not others and not self.duties:
            return own
        merged = {
            name: sorted({item for each in (own, *others) for item in getattr(each, name)})
            for name in ("by", "lifted", "clauses", "terms", "grants", "duties")
        }
        merged["duties"] = sorted({*merged["duties"], *self.duties})
        return own.model_copy(update=merged)

    def is_masked(self, record: DecisionRecord) -> bool:
        """Whether what is stored, and what was asked, meet the duties of a record to redact."""
        exchange = self.candidate.exchange.entry
        facts = _known(self.candidate, facts_of_leaf(self.candidate.call.entry.facts))
        return is_masked(record.duties, exchange.redacted, facts)


def judge_all(
    bundle: Bundle, candidates: Iterable[Candidate], student: Student, at: datetime
) -> Iterator[Judged]:
    """What the gate says of each candidate alone, in their order; read as the iterator goes on."""
    first, second = tee(candidates)
    questions = (_question(candidate, student, at) for candidate in second)
    decided = decide_all(bundle, Gate.DATASET, questions)
    for candidate, decision in zip(first, decided, strict=True):
        yield Judged(
            candidate=candidate,
            decision=decision,
            reason=_refused_by_person_or_gate(candidate) or _OF_VERDICT[decision.verdict],
            verdict=decision.verdict,
            by=decision.by,
            missing=tuple(missing.fact for missing in decision.missing),
        )


class Admission:
    """Decides on exchanges with what contributed to them; each contributor is decided on once."""

    def __init__(self, connection: Reading, bundle: Bundle, student: Student, at: datetime) -> None:
        self._connection = connection
        self._bundle = bundle
        self._student = student
        self._at = at
        self._lineage = Lineage(connection)
        self._judged: dict[str, Judged | None] = {}

    def with_family(self, own: Judged) -> Judged:
        """The same exchange, judged with all that contributed to it."""
        call, exchange = own.candidate.call.entry, own.candidate.exchange.entry
        if not call.parents and not call.sources and exchange.continues is None:
            return self._as_imported(own)
        own = self._as_imported(own)
        family = self._lineage.of(exchange.id)
        found = [self._contributor(name) for name in family.exchanges]
        known = [each for each in found if each is not None]
        verdicts = [own.verdict, *(each.verdict for each in known)]
        if len(known) < len(found):
            verdicts.append(Effect.REVIEW)
        if not all(map(self._lineage.is_usable, family.sources)):
            verdicts.append(Effect.FORBID)
        verdict = max(verdicts, key=_STRICTNESS.index)
        setting = [each for each in (own, *known) if each.verdict is verdict]
        return Judged(
            candidate=own.candidate,
            decision=own.decision,
            reason=own.reason or self._reason(family, found),
            verdict=verdict,
            by=_union(each.by for each in setting),
            missing=_union(each.missing for each in setting),
            family=family,
            others=tuple(each.decision for each in known),
            duties=_union(map(self._lineage.duties, family.sources)),
        )

    def _as_imported(self, judged: Judged) -> Judged:
        """The same, unless it was imported and nothing of its import may be learned."""
        batch = judged.candidate.call.entry.imported
        problem = "" if batch is None else self._lineage.import_problem(batch)
        if not problem:
            return judged
        least = Effect.REVIEW if problem == "not-confirmed" else Effect.FORBID
        verdict = max(judged.verdict, least, key=_STRICTNESS.index)
        return replace(judged, reason=judged.reason or problem, verdict=verdict)

    def _reason(self, family: Family, found: Iterable[Judged | None]) -> str:
        """Why what contributed keeps an exchange out, the strictest reason first."""
        if not all(map(self._lineage.is_usable, family.sources)):
            return "source-excluded"
        reasons = {_UNKNOWN if each is None else each.reason for each in found}
        for reason in ("excluded", "rejected", _UNKNOWN, "held-back", "not-admitted"):
            if reason in reasons:
                return reason if reason == _UNKNOWN else f"contributor-{reason}"
        others = sorted(reasons - {""})
        return f"contributor-{others[0]}" if others else ""

    def _contributor(self, exchange: str) -> Judged | None:
        """The verdict on a contributor; None where it is unknown what it says or rests on."""
        if exchange not in self._judged:
            candidate = self._lineage.candidate(exchange)
            is_known = candidate is not None and self._is_readable(candidate)
            judged = None
            if candidate is not None and is_known:
                (alone,) = judge_all(self._bundle, [candidate], self._student, self._at)
                judged = self._as_imported(alone)
            self._judged[exchange] = judged
        return self._judged[exchange]

    def _is_readable(self, candidate: Candidate) -> bool:
        """Whether what was answered is still there, and all that was asked is known."""
        exchange = candidate.exchange.entry
        if exchange.answer is None:
            return False
        opening = open_seal(self._connection, exchange.answer.seal)
        if isinstance(opening, Absent):
            return False
        asked = json.loads(opening.data)["request"]
        return bool(asked["is_whole"] or asked.get("is_continued"))


def _union(parts: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(sorted({item for part in parts for item in part}))


def _last_word(candidate: Candidate) -> DecisionEntry | None:
    """What a person said last about the answer."""
    said = [item.entry for item in candidate.decisions if item.entry.gate != "request"]
    return said[-1] if said else None


def _refused_by_person_or_gate(candidate: Candidate) -> str:
    """Why an answer was not admitted before this build; empty where it was."""
    last, gate = _last_word(candidate), candidate.exchange.entry.decision
    if last is not None:
        return "" if last.action == "clear" else "rejected"
    return "" if gate is not None and gate.verdict == "permit" else "not-admitted"


def _question(candidate: Candidate, student: Student, at: datetime) -> Question:
    """What the gate is asked: both clocks, with what people cleared and supplied."""
    call, exchange = candidate.call.entry, candidate.exchange.entry
    facts = facts_at_response(facts_of_leaf(call.facts), facts_of_leaf(exchange.facts))
    facts = _known(candidate, facts)
    last = _last_word(candidate)
    is_cleared = last is not None and last.action == "clear"
    return Question(
        Moment(at=parse_time(call.at), facts=facts),
        Moment(at=at, facts=_with_student(facts, student)),
        frozenset(last.clears) if last is not None and is_cleared else frozenset(),
    )


def _known(candidate: Candidate, facts: dict[str, Fact]) -> dict[str, Fact]:
    """Facts with what people supplied: it fills gaps, and replaces nothing."""
    for judgement in candidate.judgements:
        facts = facts_of_leaf(judgement.entry.facts) | facts
    return facts


def _with_student(facts: Mapping[str, Fact], student: Student) -> dict[str, Fact]:
    kept = {name: value for name, value in facts.items() if not name.startswith("student.")}
    return kept | dict(student.facts)
