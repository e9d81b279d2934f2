"""Policy tests: each case's facts decided, and what differs from what it expects in one line.

Suites of the library say what the terms of hosts, routers and models say, so they are decided by
the library's files alone, those that the workspace overrides included; every other suite is decided
with all there is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from policies.bundle import Bundle, bundle_of
from policies.decision import Decision, Moment
from policies.engine import compile_rules, decide
from policies.model import Case, Condition, Effect, Fact, Gate, Place, Test
from policies.overlap import can_hold

__all__ = ["CaseResult", "Report", "is_of_library", "library_alone", "run_suites"]

_LIBRARY = "library/"
_MOST_NAMED = 12
_SILENCE_FORBIDS = frozenset({Gate.RESPONSE, Gate.DATASET})


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case and how the policies answered."""

    suite: str
    case: Case
    decision: Decision
    difference: str
    """Each part that differs, expected and got; empty where the case passes."""

    @property
    def passed(self) -> bool:
        """Whether the policies say what the case expects."""
        return not self.difference

    @property
    def where(self) -> Place:
        """The place of the case."""
        return self.case.where

    def __str__(self) -> str:
        outcome = f"failed: {self.difference}" if self.difference else "passed"
        return f"{self.where}: `{self.case.name}` {outcome}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All cases, in the order of their files, and which rules they reach."""

    results: tuple[CaseResult, ...]
    hit_rules: frozenset[str]
    """Rules that surely matched in some case."""
    unhit_rules: tuple[str, ...]
    """Sorted ids of the rules that matched in none."""
    idle: tuple[Case, ...]
    """Cases that pass whatever the rules say: silence answers them, and they do not say so."""

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """The cases that fail."""
        return tuple(result for result in self.results if not result.passed)


def is_of_library(where: Place) -> bool:
    """Whether a place is in a file that ships with the package."""
    return where.file.startswith(_LIBRARY)


def library_alone(bundle: Bundle) -> Bundle:
    """The bundle without what the workspace adds and replaces."""
    if bundle.overrides:
        shipped = (item for item in bundle.documents.items() if item[0].startswith(_LIBRARY))
        return bundle_of(dict(shipped), organisation=bundle.organisation)
    rules = tuple(rule for rule in bundle.rules if is_of_library(rule.where))
    if len(rules) == len(bundle.rules) and not bundle.grants:
        return bundle
    return replace(bundle, rules=rules, grants=(), matrix=compile_rules(rules, ()))


def run_suites(bundle: Bundle) -> Report:
    """The answers of a bundle to its own test cases."""
    alone = library_alone(bundle)
    results = []
    idle = []
    for suite in bundle.suites:
        own = alone if is_of_library(suite.where) else bundle
        for case in suite.cases:
            result = _run(own, suite.id, case)
            results.append(result)
            if _is_idle(own, result):
                idle.append(case)
    # A rule of the library that an override replaces is another rule of the same name.
    places = {rule.id: rule.where for rule in bundle.rules}
    hit = frozenset(
        hit.rule
        for result in results
        for hit in result.decision.hits
        if hit.is_sure and places.get(hit.rule) == hit.where
    )
    return Report(
        results=tuple(results),
        hit_rules=hit,
        unhit_rules=tuple(sorted(places.keys() - hit)),
        idle=tuple(idle),
    )


def _is_idle(bundle: Bundle, result: CaseResult) -> bool:
    """Whether a case would pass without any rule, and says nothing of how it came to its verdict."""
    case, decision = result.case, result.decision
    parts = (case.by, case.silent, case.missing, case.lifted, case.duties)
    if not result.passed or decision.by or any(part is not None for part in parts):
        return False
    if case.gate in _SILENCE_FORBIDS:
        return case.expect is Effect.FORBID
    # Here silence permits: such a case guards rules that must not reach it, if there are any.
    return case.expect is Effect.PERMIT and not any(
        case.gate in rule.gates
        and rule.effect is not Effect.PERMIT
        and _may_hold(rule.scope, case.facts)
        for rule in bundle.rules
    )


def _may_hold(scope: Condition, facts: Mapping[str, Fact]) -> bool:
    """Whether a scope may hold under facts; a set is not looked into."""
    return any(
        can_hold((*tests, *(given for test in tests for given in _given(test, facts))))
        for tests in scope.alternatives
    )


def _given(test: Test, facts: Mapping[str, Fact]) -> Iterator[Test]:
    value = facts.get(test.fact)
    if value is not None and not isinstance(value, frozenset):
        yield replace(test, op="is", values=(value,), negated=False)


def _run(bundle: Bundle, suite: str, case: Case) -> CaseResult:
    decision = decide(
        bundle,
        case.gate,
        Moment(at=case.exchange_at, facts=case.facts),
        Moment(at=case.today_at, facts=case.facts),
    )
    difference = "; ".join(_differences(case, decision))
    return CaseResult(suite=suite, case=case, decision=decision, difference=difference)


def _differences(case: Case, decision: Decision) -> Iterator[str]:
    if case.expect is not decision.verdict:
        yield f"verdict: expected `{case.expect}`, got `{decision.verdict}`"
    parts: tuple[tuple[str, frozenset[str] | None, Iterable[str]], ...] = (
        ("by", case.by, decision.by),
        ("silent", case.silent, decision.silent),
        ("missing", case.missing, (missing.fact for missing in decision.missing)),
        ("lifted", case.lifted, (hit.rule for hit in decision.hits if hit.lifted_by is not None)),
        ("duties", case.duties, (duty.kind for duty in decision.duties)),
    )
    for part, expected, said in parts:
        got = frozenset(said)
        if expected is not None and expected != got:
            yield f"{part}: expected {_listed(expected)}, got {_listed(got)}"


def _listed(words: Iterable[str]) -> str:
    named = [f"`{word}`" for word in sorted(words)]
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED:] = [f"and {len(named) - _MOST_NAMED} more"]
    return ", ".join(named) or "nothing"
