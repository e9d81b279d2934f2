"""What would make a verdict milder: another value of one fact, a grant of one party, a clearance.

Every class of values that the rules tell apart is decided on, so nothing that one fact can do is
missed; only of sets with many tested members the nearest values alone are tried. A changed fact is
changed on both clocks. Losing a fact is never offered: what is not known is no milder for that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from policies.candidates import candidates, nearest_sets, says
from policies.column import Bits, Column, union
from policies.decision import Decision, Moment
from policies.engine import decide, verdict_of
from policies.facts import FactSpec, FactType, spec_of
from policies.model import Effect, Fact, Layer, Test
from policies.permissions import Bundle, Permission, permissions_of
from policies.reach import Reach, Reaches
from policies.standing import standing_at
from policies.wording import listed

__all__ = ["Change", "Clearance", "WouldChange", "changes_of"]

_STRICTNESS = (Effect.PERMIT, Effect.REVIEW, Effect.FORBID)
_ROUTER = "router"
"""The one fact whose absence means something: that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Other values of one fact that make the verdict milder."""

    fact: str
    standing: Literal["choice", "declaration", "none"]
    verdict: Effect
    """What it would be."""
    says: str
    """What would hold of the fact, in words."""
    values: tuple[Fact | None, ...]
    """A value of each class that gives this verdict; None is the absence of a router."""
    grants: tuple[str, ...] = ()
    """Grants on file that would apply then and do not now."""

    @property
    def text(self) -> str:
        """The change as a condition: a declaration must be true before it counts (§1.5)."""
        match self.standing:
            case "choice":
                condition = f"`{self.fact}` {self.says}"
            case "declaration":
                condition = f"if it were true that `{self.fact}` {self.says}"
            case _:
                condition = f"if the record showed that `{self.fact}` {self.says}"
        by = f" (grant {listed([f'`{name}`' for name in self.grants], 'or')})"
        return condition + (by if self.grants else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """The organisation's own reviews that a reviewer may clear for one exchange."""

    rules: tuple[str, ...]
    verdict: Effect

    @property
    def text(self) -> str:
        """The clearance in words."""
        return f"a reviewer's clearance of {listed([f'`{rule}`' for rule in self.rules], 'and')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldChange:
    """All that was found, the mildest verdicts first."""

    changes: tuple[Change, ...] = ()
    permissions: tuple[Permission, ...] = ()
    clearance: Clearance | None = None


def changes_of(
    bundle: Bundle, decision: Decision, reaches: Reaches, *, cleared: frozenset[str]
) -> WouldChange:
    """What would make a decision milder; nothing where it permits already."""
    if decision.verdict is Effect.PERMIT:
        return WouldChange()
    case = _Case(bundle, decision, reaches, cleared)
    return WouldChange(
        changes=tuple(sorted(case.changes(), key=lambda each: (_rank(each.verdict), each.fact))),
        permissions=permissions_of(bundle, decision, reaches, cleared=cleared),
        clearance=case.clearance(),
    )


def _rank(verdict: Effect) -> int:
    return _STRICTNESS.index(verdict)


class _Case:
    """One decision that is not a permit."""

    def __init__(
        self, bundle: Bundle, decision: Decision, reaches: Reaches, cleared: frozenset[str]
    ) -> None:
        self._bundle = bundle
        self._decision = decision
        self._reaches = reaches
        self._cleared = cleared
        self._then, self._now = (reach.moment for reach in reaches)
        self._standing = standing_at(bundle.matrix, decision.gate, self._then.at, self._now.at)

    def changes(self) -> Iterator[Change]:
        """The changes of one fact each."""
        for fact in sorted(self._reaches[0].columns.keys() | self._reaches[1].columns.keys()):
            spec = spec_of(fact)
            assert spec is not None  # noqa: S101 - a test on an unknown fact is a load error
            if self._stays(fact):
                continue
            tests = list(
                {_key(t): t for reach in self._reaches for t in reach.tests(fact)}.values()
            )
            if tests or fact == _ROUTER:
                yield from self._changes_of(spec, tests)

    def _stays(self, fact: str) -> bool:
        """Whether a rule that set the verdict goes on doing so whatever one fact is.

        It is sound, not complete: it spares deciding where the answer is plain.
        """
        matrix = self._bundle.matrix
        if any(self._grants_test(reach.columns.get(fact)) for reach in self._reaches):
            return False
        is_forbidden = self._decision.verdict is Effect.FORBID
        return any(
            matrix.rows[at] & (reach.sure if is_forbidden else reach.maybe) & ~_tested(reach, fact)
            for at in self._setting
            for reach in self._reaches
        )

    @cached_property
    def _setting(self) -> list[int]:
        """The places of the rules that set the verdict."""
        by = frozenset(self._decision.by)
        return [at for at, rule in enumerate(self._bundle.matrix.rules) if rule.id in by]

    def _grants_test(self, column: Column | None) -> bool:
        return column is not None and any(
            column.tested & (grant.scope | union(grant.speaks.values()))
            for grant in self._bundle.matrix.grants
        )

    def _changes_of(self, spec: FactSpec, tests: list[Test]) -> Iterator[Change]:
        value = self._value(spec)
        found: dict[Effect, list[Fact | None]] = {}
        grants: dict[Effect, set[str]] = {}
        for values in self._classes(spec, candidates(spec, tests, value)):
            then, now = (reach.given(spec.name, values[0]) for reach in self._reaches)
            verdict = verdict_of(self._standing, then, now, self._cleared)
            if _rank(verdict) < _rank(self._decision.verdict):
                found.setdefault(verdict, []).extend(values)
                fresh = self._fresh_grants(spec.name, values[0])
                grants.setdefault(verdict, set()).update(fresh)
        if spec.type is FactType.SET:
            found = nearest_sets(found, value)
        for verdict, values in found.items():
            yield Change(
                fact=spec.name,
                standing=spec.standing,
                verdict=verdict,
                says=says(spec, tests, values, value),
                values=tuple(values),
                grants=tuple(sorted(grants[verdict])),
            )

    def _value(self, spec: FactSpec) -> Fact | None:
        """What the fact is now, or else was; None where it is unknown."""
        known = (moment.facts.get(spec.name) for moment in (self._now, self._then))
        return next((value for value in known if value is not None and spec.accepts(value)), None)

    def _classes(self, spec: FactSpec, values: Iterable[Fact]) -> Iterator[list[Fact | None]]:
        """Values grouped by what they do to the rows that the fact alone decides; not the present."""
        found: dict[tuple[int, ...], list[Fact | None]] = {}
        for value in values:
            found.setdefault(self._bits(spec.name, value, value), []).append(value)
        now, then = self._now.facts.get(spec.name), self._then.facts.get(spec.name)
        if now is not None and then is not None and spec.accepts(now) and spec.accepts(then):
            found.pop(self._bits(spec.name, then, now), None)
        yield from found.values()
        if spec.name == _ROUTER and (now is not None or then is not None):
            yield [None]

    def _bits(self, fact: str, then: Fact, now: Fact) -> tuple[int, ...]:
        bits = []
        for reach, value in zip(self._reaches, (then, now), strict=True):
            column = reach.columns.get(fact)
            held = None if column is None else column.bits(value)
            bits.append(0 if held is None else held & reach.alone[fact])
        return tuple(bits)

    def _fresh_grants(self, fact: str, value: Fact | None) -> set[str]:
        """Grants that apply where a fact has a value, and do not now."""
        if not self._bundle.matrix.grants:
            return set()
        then, now = _with(self._then, fact, value), _with(self._now, fact, value)
        gate = self._decision.gate
        decision = decide(self._bundle, gate, then, now, cleared=self._cleared)
        return set(decision.grants) - set(self._decision.grants)

    def clearance(self) -> Clearance | None:
        """What a reviewer could clear: reviews that the organisation alone asked for."""
        layers = {rule.id: rule.layers for rule in self._bundle.matrix.rules}
        rules = frozenset(
            hit.rule
            for hit in self._decision.hits
            if hit.rule in self._decision.by
            and hit.effect is Effect.REVIEW
            and layers[hit.rule] == {Layer.ORGANISATION}
        )
        if not rules:
            return None
        then, now = (Bits(reach.sure, reach.maybe) for reach in self._reaches)
        verdict = verdict_of(self._standing, then, now, self._cleared | rules)
        if _rank(verdict) >= _rank(self._decision.verdict):
            return None
        return Clearance(rules=tuple(sorted(rules)), verdict=verdict)


def _tested(reach: Reach, fact: str) -> int:
    column = reach.columns.get(fact)
    return 0 if column is None else column.tested


def _key(test: Test) -> tuple[object, ...]:
    return test.op, test.values, test.negated


def _with(moment: Moment, fact: str, value: Fact | None) -> Moment:
    facts = {name: known for name, known in moment.facts.items() if name != fact}
    return Moment(at=moment.at, facts=facts if value is None else {**facts, fact: value})
