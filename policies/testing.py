"""Policy tests: each case's facts decided, and what differs from what it expects in one line.

Suites of the library say what the terms of hosts, routers and models say, so they are decided
without the organisation's own rules and grants; every other suite is decided with all there is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from policies.bundle import Bundle
from policies.decision import Decision, Moment
from policies.engine import compile_rules, decide
from policies.model import Case, Layer, Place

__all__ = ["CaseResult", "Report", "run_suites"]

_LIBRARY = "library/"


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

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """The cases that fail."""
        return tuple(result for result in self.results if not result.passed)


def run_suites(bundle: Bundle) -> Report:
    """The answers of a bundle to its own test cases."""
    terms = _without_organisation(bundle)
    results = tuple(
        _run(terms if suite.where.file.startswith(_LIBRARY) else bundle, suite.id, case)
        for suite in bundle.suites
        for case in suite.cases
    )
    hit = frozenset(hit.rule for result in results for hit in result.decision.hits if hit.is_sure)
    return Report(
        results=results,
        hit_rules=hit,
        unhit_rules=tuple(sorted({rule.id for rule in bundle.rules} - hit)),
    )


def _without_organisation(bundle: Bundle) -> Bundle:
    rules = [rule for rule in bundle.rules if rule.layers != {Layer.ORGANISATION}]
    return replace(bundle, grants=(), matrix=compile_rules(rules, ()))


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
    return ", ".join(f"`{word}`" for word in sorted(words)) or "nothing"
