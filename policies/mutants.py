"""Whether the test cases would notice another law: the mutation score of a bundle's suites.

A mutant is the bundle with one alteration. It survives where every case that passes still passes.
Nothing is compiled again: an alteration is other bits in the rows that it touches, and only cases
whose bits it changes are decided again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from policies.alterations import Alteration, alterations_of
from policies.bundle import Bundle
from policies.column import Bits, passes, union
from policies.engine import say
from policies.model import Case, Effect, Fact, Place, Test
from policies.standing import read_both, standing_at
from policies.testing import is_of_library, library_alone, run_suites

__all__ = ["Mutation", "Survivor", "mutate"]

type _Tests = tuple[Test, ...]
type _Rows = Mapping[int, _Tests | None]
"""What some rows ask under an alteration; None where a row is gone."""

_TRIED = 20
"""How many of the cases that an alteration reaches are looked at for what they do not say."""


class _Truth(NamedTuple):
    """The cases in which something surely holds, and those in which it may."""

    sure: int
    maybe: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a case may say of a decision: the verdict, and each part by its key."""

    verdict: Effect
    parts: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """An alteration that no case notices."""

    rule: str
    """The rule's id; the policy's where its scope changes."""
    change: str
    where: Place
    hint: str
    """Which case to add, or what a case must say to notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """How many mutants there are, and those that survive."""

    total: int
    survivors: tuple[Survivor, ...]

    @property
    def score(self) -> float:
        """The share of mutants that some case notices, from 0 to 1; 1 where there are none."""
        return 1 - len(self.survivors) / self.total if self.total else 1.0


def mutate(bundle: Bundle) -> Mutation:
    """The mutants of a bundle against its own suites, decided as `run_suites` decides them.

    Cases that fail notice nothing: they must pass first.
    """
    failing = {result.where for result in run_suites(bundle).failures}
    courts = [_Court(own, cases, bundle) for own, cases in _cases(bundle, failing) if cases]
    total = 0
    survivors = []
    for alteration in alterations_of(bundle):
        total += 1
        trials = [_Trial(court, alteration) for court in courts]
        if not any(trial.is_noticed for trial in trials):
            survivors.append(_survivor(alteration, trials))
    return Mutation(total=total, survivors=tuple(survivors))


def _cases(bundle: Bundle, failing: set[Place]) -> Iterator[tuple[Bundle, list[Case]]]:
    """The cases that pass, with the bundle that decides them."""
    for own, of_library in ((library_alone(bundle), True), (bundle, False)):
        suites = [suite for suite in bundle.suites if is_of_library(suite.where) is of_library]
        yield own, [case for suite in suites for case in suite.cases if case.where not in failing]


def _survivor(alteration: Alteration, trials: Iterable["_Trial"]) -> Survivor:
    unsaid = next((hint for trial in trials for hint in trial.unsaid()), None)
    return Survivor(
        rule=alteration.rule,
        change=alteration.says,
        where=alteration.where,
        hint=unsaid or alteration.hint,
    )


class _Court:
    """Cases that pass, each read once by the bundle that decides it.

    A mask of cases has a bit for each.
    """

    def __init__(self, own: Bundle, cases: Sequence[Case], whole: Bundle) -> None:
        self.cases = cases
        self.standing = [
            standing_at(own.matrix, case.gate, case.exchange_at, case.today_at) for case in cases
        ]
        self.bits = [
            read_both(standing, case.facts, case.facts)
            for standing, case in zip(self.standing, cases, strict=True)
        ]
        self._tests = [tests for rule in own.matrix.rules for tests in rule.when.alternatives]
        # A rule of the library that an override replaces is another rule of the same name.
        written = {rule.id: rule.where for rule in whole.rules}
        self._rows = {
            rule.id: (mask & -mask).bit_length() - 1
            for rule, mask in zip(own.matrix.rules, own.matrix.rows, strict=True)
            if rule.where == written.get(rule.id)
        }
        self._truths: dict[Test, _Truth] = {}

    def rows(self, alteration: Alteration) -> _Rows:
        """What the rows that an alteration changes ask then; None where a row is gone."""
        return {
            self._rows[rule] + at: tests
            for rule, altered in alteration.alternatives.items()
            if rule in self._rows
            for at, tests in enumerate(altered)
            if tests != self._tests[self._rows[rule] + at]
        }

    def tests(self, row: int) -> _Tests:
        """What a row of a rule asks."""
        return self._tests[row]

    def truth(self, tests: _Tests | None) -> _Truth:
        """The cases in which tests surely hold together, and those in which they may."""
        if tests is None:
            return _Truth(0, 0)
        sure = maybe = (1 << len(self.cases)) - 1
        for test in tests:
            known = self._truths.get(test)
            if known is None:
                known = self._truths[test] = self._ask(test)
            sure &= known.sure
            maybe &= known.maybe
        return _Truth(sure, maybe)

    def _ask(self, test: Test) -> _Truth:
        answers = [passes(test, case.facts) for case in self.cases]
        return _Truth(
            union(1 << at for at, answer in enumerate(answers) if answer is True),
            union(1 << at for at, answer in enumerate(answers) if answer is not False),
        )


class _Trial:
    """One alteration before one court."""

    def __init__(self, court: _Court, alteration: Alteration) -> None:
        self._court = court
        self._rows = court.rows(alteration)
        self._truths = {row: court.truth(tests) for row, tests in self._rows.items()}

    @property
    def is_noticed(self) -> bool:
        """Whether some case fails under the alteration."""
        return any(self._fails(at) for at in self._reached())

    def unsaid(self) -> Iterator[str]:
        """How cases that pass would fail if they said more."""
        for at in islice(self._reached(), _TRIED):
            case = self._court.cases[at]
            before = self._said(at, self._court.bits[at], {})
            after = self._said(at, self._altered(at), self._rows)
            for part, said in before.parts.items():
                if said != after.parts[part]:
                    yield f"say `{part}: {_listed(said)}` in the case `{case.name}`, {case.where}"

    def _reached(self) -> Iterator[int]:
        """The cases in which a row that stands holds otherwise, or waits for other facts."""
        changed = {row: self._changed(row) for row in self._rows}
        reached = union(changed.values())
        while reached:
            at = (reached & -reached).bit_length() - 1
            reached &= reached - 1
            standing = self._court.standing[at]
            live = standing.exchange.live | standing.today.live
            if any(cases >> at & 1 and live >> row & 1 for row, cases in changed.items()):
                yield at

    def _changed(self, row: int) -> int:
        """The cases in which a row holds otherwise, or waits for other facts."""
        before, after = self._court.tests(row), self._rows[row] or ()
        was, now = self._court.truth(before), self._truths[row]
        lost = (self._court.truth((test,)) for test in before if test not in after)
        unknown = union(truth.maybe & ~truth.sure for truth in lost)
        return (was.sure ^ now.sure) | (was.maybe ^ now.maybe) | now.maybe & ~now.sure & unknown

    def _altered(self, at: int) -> tuple[Bits, Bits]:
        """The bits of both clocks under the alteration."""
        standing = self._court.standing[at]
        then, now = self._court.bits[at]
        sure = union(1 << row for row, truth in self._truths.items() if truth.sure >> at & 1)
        maybe = union(1 << row for row, truth in self._truths.items() if truth.maybe >> at & 1)
        others = ~union(1 << row for row in self._rows)

        def altered(bits: Bits, live: int) -> Bits:
            return Bits(bits.sure & others | sure & live, bits.maybe & others | maybe & live)

        return altered(then, standing.exchange.live), altered(now, standing.today.live)

    def _fails(self, at: int) -> bool:
        case = self._court.cases[at]
        said = self._said(at, self._altered(at), self._rows)
        return said.verdict is not case.expect or any(
            asserted is not None and asserted != said.parts[part]
            for part, asserted in _asserted(case).items()
        )

    def _said(self, at: int, bits: tuple[Bits, Bits], rows: _Rows) -> _Said:
        said = say(self._court.standing[at], *bits)
        ruling = said.ruling
        open_rows = said.open_then | said.open_now
        return _Said(
            verdict=ruling.verdict,
            parts={
                "by": frozenset(ruling.by),
                "silent": frozenset(ruling.silent),
                "missing": self._missing(open_rows, rows, self._court.cases[at].facts),
                "lifted": frozenset(hit.rule for hit in ruling.hits if hit.lifted_by is not None),
                "duties": frozenset(duty.kind for duty in ruling.duties),
            },
        )

    def _missing(self, open_rows: int, rows: _Rows, facts: Mapping[str, Fact]) -> frozenset[str]:
        """The unknown facts that open rows test: an altered row tests others than its columns say."""
        found = set()
        while open_rows:
            row = (open_rows & -open_rows).bit_length() - 1
            open_rows &= open_rows - 1
            tests = rows.get(row, self._court.tests(row)) or ()
            found |= {test.fact for test in tests if passes(test, facts) is None}
        return frozenset(found)


def _asserted(case: Case) -> Mapping[str, frozenset[str] | None]:
    return {
        "by": case.by,
        "silent": case.silent,
        "missing": case.missing,
        "lifted": case.lifted,
        "duties": case.duties,
    }


def _listed(said: Iterable[str]) -> str:
    return f"[{', '.join(sorted(said))}]"
