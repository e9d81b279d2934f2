"""May a student be released: today's policies on all that it and its ancestors learned from.

Each row of each dataset must still be one that the student may learn from today, and the release gate
must permit it, on both clocks, with all that contributed to it. A base model counts as well: its
licence is decided on as if it were a teacher that the organisation runs itself. The strictest verdict
wins, and the duties are those of every permit: of the builds, of today, and of the base.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from policies.bundle import Bundle
from policies.decision import Decision, Moment, Ruling
from policies.engine import Matrix, Question, compile_rules, decide, decide_all
from policies.model import Effect, Fact, Gate, Layer, Student
from proxy.admission import Admission, judge_all
from proxy.clock import parse_time, stamp
from proxy.enforce import facts_at_response, facts_of_leaf, record_of
from proxy.errors import LedgerError
from proxy.ledger.entry import DatasetEntry, DecisionRecord, RunEntry
from proxy.lineage import Lineage
from proxy.radius import members_of
from proxy.release_obstacles import (
    Made,
    Obstacle,
    Owed,
    base_refused,
    foreign,
    no_base,
    other_licence,
    refused,
    refused_rows,
    unread,
    withdrawn,
)
from proxy.store.queries import candidates, datasets
from proxy.store.recalls import last_status
from proxy.store.records import Candidate
from proxy.store.session import Reading
from proxy.withdrawal import check_again

__all__ = ["Occasion", "Prospect", "decide_release"]

_SELF_HOSTED = "self-hosted"
_STRICTNESS = ("permit", "review", "forbid")
_MERGED = ("by", "silent", "missing", "lifted", "clauses", "terms", "grants", "duties")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """When it is asked, and what is known then beside the ledger."""

    at: datetime
    declared: Mapping[str, Fact]
    """What the organisation declares of itself today."""
    cleared: frozenset[str] = frozenset()
    """Rules of the organisation that somebody let pass for this release."""


@dataclass(slots=True, kw_only=True)
class Prospect:
    """What the policies say of a release today."""

    student: Student
    runs: tuple[Made, ...]
    """The run to be released, then its ancestors, the nearest first."""
    datasets: tuple[DatasetEntry, ...]
    bases: tuple[str, ...]
    """Canonical ids of the models it begins with that nobody here trained."""
    record: DecisionRecord
    obstacles: list[Obstacle] = field(default_factory=list)
    reviews: tuple[str, ...] = ()
    """Rules of the organisation that ask for a person."""
    owed: tuple[Owed, ...] = ()

    @property
    def examples(self) -> int:
        """How many examples the datasets hold."""
        return sum(entry.rows for entry in self.datasets)

    @property
    def run(self) -> RunEntry:
        """The run to be released."""
        return self.runs[0].entry


def decide_release(
    connection: Reading,
    bundle: Bundle,
    runs: tuple[Made, ...],
    folder: Path,
    occasion: Occasion,
) -> Prospect:
    """What today's policies say of a run and its ancestors; `folder` holds dataset bundles.

    Raises:
        LedgerError: the student is not declared, the ledger cannot be read, or nothing says any more
            what a dataset holds.
    """
    student = _declared(bundle, runs[0].entry.student)
    gate = _ReleaseGate(connection, bundle, student, occasion)
    roots = {root: made.entry for made in reversed(runs) for root in made.entry.datasets}
    known = {item.entry.root: item.entry for item in datasets(connection)}
    for root in sorted(roots.keys() - known.keys()):
        gate.obstacles.append(foreign(root, roots[root]))
    sealed = tuple(known[root] for root in roots if root in known)
    for entry in sealed:
        gate.take_dataset(entry, folder)
    bases = gate.take_bases(runs)
    for made in runs:
        gate.take_duties(made.duties)
    return Prospect(
        student=student,
        runs=runs,
        datasets=sealed,
        bases=bases,
        record=gate.record(),
        obstacles=[*gate.obstacles, *gate.refusals()],
        reviews=tuple(sorted(gate.reviews)),
        owed=gate.owed(),
    )


class _ReleaseGate:
    """Gathers what is said of each row and each base."""

    def __init__(
        self,
        connection: Reading,
        bundle: Bundle,
        student: Student,
        occasion: Occasion,
    ) -> None:
        self._connection = connection
        self._bundle = bundle
        self._student = student
        self._at = occasion.at
        self._today: Mapping[str, Fact] = {**occasion.declared, **student.facts}
        self._cleared = occasion.cleared
        self._rules = {rule.id: rule for rule in bundle.rules}
        self._said: dict[Ruling, DecisionRecord] = {}
        self._against: Counter[tuple[Ruling, tuple[str, ...]]] = Counter()
        self._origins: dict[str, set[str]] = {}
        self.obstacles: list[Obstacle] = []
        self.reviews: set[str] = set()

    def take_dataset(self, entry: DatasetEntry, folder: Path) -> None:
        """Decide on a sealed dataset, and on every row of it."""
        last = last_status(self._connection, entry.dataset)
        if last is not None and last.entry.state == "withdrawn":
            self.obstacles.append(withdrawn(entry, last.entry.reason))
            return
        affected: dict[str, str] = {}
        by: set[str] = set()
        # What an ancestor may learn, this student need not: its rows are asked about for both.
        for student in dict.fromkeys((entry.student, self._student.id)):
            asked_for = entry.model_copy(update={"student": student})
            checked = check_again(self._connection, self._bundle, asked_for, folder, self._at)
            affected |= {each.exchange: each.reason for each in checked.affected}
            by |= checked.by
        if affected:
            self.obstacles.append(refused_rows(entry, Counter(affected.values()), by))
        members = members_of(self._connection, entry, folder) or frozenset()
        asked: set[str] = set()
        for decision in decide_all(self._bundle, Gate.RELEASE, self._rows(members, asked)):
            self._weigh(decision)
        absent = members - asked
        if absent:
            self.obstacles.append(unread(entry, absent))

    def _rows(self, members: Collection[str], asked: set[str]) -> Iterator[Question]:
        """What the release gate is asked of each row and of all that contributed, each once."""
        admission = Admission(self._connection, self._bundle, self._student, self._at)
        lineage = Lineage(self._connection)
        taken = (c for c in candidates(self._connection) if c.exchange.entry.id in members)
        judging = judge_all(self._bundle, taken, self._student, self._at)
        for judged in map(admission.with_family, judging):
            for decision in (judged.decision, *judged.others):
                self._keep(decision)
            self.take_duties(judged.duties)
            # What contributed and is not whole keeps its example out at the dataset gate already.
            relatives = (lineage.candidate(name) for name in judged.family.exchanges)
            for candidate in filter(None, (judged.candidate, *relatives)):
                if candidate.exchange.entry.id not in asked:
                    asked.add(candidate.exchange.entry.id)
                    yield self._question(candidate)

    def _question(self, candidate: Candidate) -> Question:
        call, exchange = candidate.call.entry, candidate.exchange.entry
        facts = facts_at_response(facts_of_leaf(call.facts), facts_of_leaf(exchange.facts))
        for judgement in candidate.judgements:
            facts = facts_of_leaf(judgement.entry.facts) | facts
        kept = {
            name: value
            for name, value in facts.items()
            if not name.startswith(("student.", "org."))
        }
        return Question(
            Moment(at=parse_time(call.at), facts=facts),
            Moment(at=self._at, facts={**kept, **self._today}),
            self._cleared,
        )

    def take_bases(self, runs: Iterable[Made]) -> tuple[str, ...]:
        """Decide on the models that the runs began with, as their students declare them."""
        found: dict[str, None] = {}
        *_, last = chain = tuple(runs)
        for made in chain:
            declared = self._bundle.students.get(made.entry.student)
            facts: Mapping[str, Fact] = MappingProxyType({}) if declared is None else declared.facts
            base = facts.get("student.base")
            if isinstance(base, str):
                found[base] = None
                self._take_base(base)
            elif made is last:
                self.obstacles.append(no_base(made))
            self._compare_licence(made, facts.get("student.base_licence"))
        return tuple(found)

    def _take_base(self, base: str) -> None:
        """Only the model's own licence speaks: no host answered, and no answer was judged."""
        rules = [
            rule
            for rule in self._bundle.rules
            if Layer.MODEL in rule.layers or rule.policy == _SELF_HOSTED
        ]
        licences = _Licences(
            matrix=compile_rules(tuple(rules), self._bundle.grants),
            digest=self._bundle.digest,
            meaning=self._bundle.meaning,
        )
        facts: dict[str, Fact] = {
            **self._today,
            "route": _SELF_HOSTED,
            "model.id": base,
            "model.substituted": False,
        }
        moment = Moment(at=self._at, facts=facts)
        learning = decide(licences, Gate.DATASET, moment)
        if learning.verdict is not Effect.PERMIT:
            self.obstacles.append(base_refused(base, learning))
        else:
            self._keep(learning)
        self._weigh(decide(licences, Gate.RELEASE, moment))

    def _compare_licence(self, made: Made, declared: Fact | None) -> None:
        stated = made.base_licence
        if stated is None or not isinstance(declared, str):
            return
        if stated.casefold() != declared.casefold():
            self.obstacles.append(other_licence(made, stated, declared))

    def take_duties(self, duties: Iterable[str]) -> None:
        """Duties that no rule of today need bring."""
        for duty in duties:
            self._origins.setdefault(duty, set())

    def _weigh(self, decision: Decision) -> None:
        if decision.verdict is Effect.PERMIT:
            self._keep(decision)
            return
        clearable = {
            hit.rule
            for hit in decision.hits
            if hit.rule in decision.by
            and hit.effect is Effect.REVIEW
            and self._rules[hit.rule].layers == {Layer.ORGANISATION}
        }
        if decision.verdict is Effect.REVIEW:
            self.reviews |= clearable
            if not decision.missing and clearable == set(decision.by):
                self._keep(decision)
                return
        missing = tuple(f"`{each.fact}` ({each.supplied_by})" for each in decision.missing)
        self._against[decision.ruling, missing] += 1
        self._keep(decision)

    def _keep(self, decision: Decision) -> None:
        """Take note of what a decision rests on, and of its duties."""
        ruling = decision.ruling
        if ruling not in self._said:
            self._said[ruling] = record_of(decision, self._bundle)
            for duty in ruling.duties:
                bringing = self._origins.setdefault(f"{duty.kind}: {duty.value}", set())
                bringing |= {
                    hit.rule for hit in ruling.hits if duty in self._rules[hit.rule].duties
                }

    def refusals(self) -> list[Obstacle]:
        """What the gate itself says against it."""
        return [
            refused(ruling, missing, count) for (ruling, missing), count in self._against.items()
        ]

    def record(self) -> DecisionRecord:
        """The decision as a leaf keeps it: of the release gate, with all that it rests on."""
        verdict = "forbid" if self.obstacles else "permit"
        if self._against:
            verdict = max(
                (ruling.verdict.value for ruling, _ in self._against), key=_STRICTNESS.index
            )
        elif self.reviews and verdict == "permit":
            verdict = "review"
        merged = {
            name: sorted({item for said in self._said.values() for item in getattr(said, name)})
            for name in _MERGED
        }
        at = stamp(self._at)
        return DecisionRecord.model_validate(
            {
                "gate": Gate.RELEASE.value,
                "verdict": verdict,
                "bundle": self._bundle.digest,
                "meaning": self._bundle.meaning,
                "exchange_at": at,
                "today_at": at,
                **merged,
                "duties": sorted(self._origins),
            }
        )

    def owed(self) -> tuple[Owed, ...]:
        """Every duty, once, with the permits that bring it."""
        return tuple(self._owed(duty, rules) for duty, rules in sorted(self._origins.items()))

    def _owed(self, duty: str, rules: Iterable[str]) -> Owed:
        ordered = tuple(sorted(rules))
        cited = {
            f"{self._rules[name].policy}/{cite.source}": None
            for name in ordered
            for cite in self._rules[name].cites
        }
        return Owed(duty=duty, rules=ordered, sources=tuple(cited))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Licences:
    """The rules that speak of a model wherever it runs."""

    matrix: Matrix
    digest: str
    meaning: str


def _declared(bundle: Bundle, name: str) -> Student:
    student = bundle.students.get(name)
    if student is None:
        raise LedgerError(
            f"no student `{name}` is declared in `policies/students/` today",
            help="put its declaration back: a release is decided on what the student is for",
            code="unknown-student",
        )
    return student
