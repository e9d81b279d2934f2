"""Facts under which two bundles decide differently, found without any history.

For each rule or grant that differs, exchanges are made up that meet it, together with permits of the
layers that must speak besides, and varied by one fact at a time over the classes its tests tell
apart, at the edges of its windows too. The search is bounded: what it finds is so, and what it does
not find may still exist (policy language §4).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, product

from policies.bundle import Bundle
from policies.candidates import candidates
from policies.column import passes
from policies.decision import Decision, Moment
from policies.diff import Edit, causes_of
from policies.engine import decide
from policies.facts import GATES, spec_of
from policies.model import Condition, Effect, Fact, Gate, Grant, Layer, Rule, Test, Window

__all__ = ["Witness", "witnesses"]

_TRIES = 200
"""The most exchanges that are made up for one edit at one gate."""
_SETTLES = 40
"""The most of its variants in which a missing fact is settled."""
_PARTNERS = 6
"""The most permits of a layer that one exchange is tried with."""
_BASES = 24
"""The most exchanges that are varied for one edit at one gate."""
_INSTANT = timedelta(milliseconds=1)
_NEED = (Layer.HOST, Layer.MODEL)

type Tests = tuple[Test, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """One exchange that nobody made and that the bundles decide differently."""

    edit: Edit
    gate: Gate
    at: datetime
    facts: Mapping[str, Fact]
    """Those that what differs tests, and no more of the others than the difference needs."""
    before: Effect
    after: Effect


def witnesses(old: Bundle, new: Bundle, edits: Iterable[Edit], at: datetime) -> tuple[Witness, ...]:
    """For each rule and grant that differs, an exchange that shows it, where one is found."""
    found = (_witness(old, new, edit, at) for edit in edits if edit.kind != "student")
    return tuple(each for each in found if each is not None)


def _witness(old: Bundle, new: Bundle, edit: Edit, at: datetime) -> Witness | None:
    subject = _Subject.of(old, new, edit)
    for gate in (gate for gate in GATES if gate in subject.gates):
        made = list(islice(_exchanges((new, old), subject, gate, at), _TRIES))
        for settles in (0, _SETTLES):
            for moment in made:
                found = _search(old, new, edit, gate, moment, settles)
                if found is not None:
                    least = _least(old, new, gate, found, subject.facts)
                    before, after = _verdicts(old, new, gate, least)
                    return Witness(
                        edit=edit,
                        gate=gate,
                        at=least.at,
                        facts=least.facts,
                        before=before,
                        after=after,
                    )
    return None


def _search(
    old: Bundle, new: Bundle, edit: Edit, gate: Gate, moment: Moment, settles: int
) -> Moment | None:
    """A moment that the bundles decide differently: this one, or one with missing facts settled."""
    pending = [moment]
    while pending:
        tried = pending.pop()
        one, two = decide(old, gate, tried), decide(new, gate, tried)
        if one.verdict is not two.verdict and _is_due_to(edit, one, two):
            return tried
        if settles:
            further = list(islice(_settled((old, new), (one, two), tried), settles))
            settles -= len(further)
            pending += further[::-1]
    return None


def _is_due_to(edit: Edit, one: Decision, two: Decision) -> bool:
    if edit.kind == "grant":
        return edit.id in {*one.grants} ^ {*two.grants}
    return edit.id in causes_of(one.ruling, two.ruling)


def _verdicts(old: Bundle, new: Bundle, gate: Gate, moment: Moment) -> tuple[Effect, Effect]:
    return decide(old, gate, moment).verdict, decide(new, gate, moment).verdict


def _settled(
    bundles: Sequence[Bundle], decisions: Sequence[Decision], moment: Moment
) -> Iterator[Moment]:
    """The exchange with the first fact settled for want of which both bundles wait for a person."""
    missing = [each.fact for decision in decisions for each in decision.missing]
    spec = spec_of(missing[0]) if missing else None
    if spec is None:
        return
    rules = {hit.rule for decision in decisions for hit in decision.hits}
    tests = [
        test
        for bundle in bundles
        for rule in bundle.rules
        if rule.id in rules
        for tests in rule.when.alternatives
        for test in tests
        if test.fact == spec.name
    ]
    for value in candidates(spec, tests, None):
        yield Moment(at=moment.at, facts={**moment.facts, spec.name: value})


def _least(old: Bundle, new: Bundle, gate: Gate, moment: Moment, own: frozenset[str]) -> Moment:
    """The exchange without the facts that the very same difference does not need.

    `own` are kept: unknown, they would leave the difference in doubt and show nothing.
    """
    same = _verdicts(old, new, gate, moment)
    for name in sorted(moment.facts.keys() - own):
        kept = {fact: value for fact, value in moment.facts.items() if fact != name}
        fewer = Moment(at=moment.at, facts=kept)
        if _verdicts(old, new, gate, fewer) == same:
            moment = fewer
    return moment


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What differs, in both bundles: when it applies, where, and between which instants."""

    gates: frozenset[Gate]
    seeds: tuple[Tests, ...]
    """Tests that hold together where it applies."""
    windows: tuple[Window, ...]

    @property
    def facts(self) -> frozenset[str]:
        """What is tested."""
        return frozenset(test.fact for seed in self.seeds for test in seed)

    @classmethod
    def of(cls, old: Bundle, new: Bundle, edit: Edit) -> "_Subject":
        """The rule or grant of an edit, as both bundles have it."""
        if edit.kind == "rule":
            rules = [r for bundle in (new, old) for r in bundle.rules if r.id == edit.id]
            return cls(
                gates=frozenset(gate for rule in rules for gate in rule.gates),
                seeds=tuple(dict.fromkeys(s for rule in rules for s in rule.when.alternatives)),
                windows=tuple(window for rule in rules for window in _windows(rule)),
            )
        pairs = [(b, g) for b in (new, old) for g in b.grants if g.id == edit.id]
        touched = [(grant, rule) for b, grant in pairs for rule in _touched(b, grant)]
        return cls(
            gates=frozenset(gate for grant, rule in touched for gate in rule.gates | grant.permits),
            seeds=tuple(
                dict.fromkeys(
                    a + b
                    for grant, rule in touched
                    for a, b in product(grant.scope.alternatives, rule.when.alternatives)
                )
            ),
            windows=tuple(grant.in_force for _, grant in pairs),
        )


def _touched(bundle: Bundle, grant: Grant) -> Iterator[Rule]:
    """The rules a grant lifts, and those of its party where it may permit."""
    for rule in bundle.rules:
        if rule.id in grant.lifts or (grant.permits and rule.party == grant.party):
            yield rule


def _windows(rule: Rule) -> Iterator[Window]:
    yield rule.in_force
    for source in rule.sources:
        yield source.in_force
        if source.review_by is not None:
            yield Window(start=source.review_by)


def _exchanges(
    bundles: Sequence[Bundle], subject: _Subject, gate: Gate, at: datetime
) -> Iterator[Moment]:
    """Made-up exchanges, the plainest first."""
    own: dict[str, list[Test]] = {test.fact: [] for seed in subject.seeds for test in seed}
    for seed in subject.seeds:
        for test in seed:
            own[test.fact].append(test)
    bases = _distinct(base for seed in subject.seeds for base in _bases(bundles, seed, gate))
    for base in bases:
        yield Moment(at=at, facts=base)
        for fact, tests in own.items():
            spec = spec_of(fact)
            assert spec is not None  # noqa: S101 - a test on an unknown fact is a load error
            for value in candidates(spec, tests, base.get(fact)):
                yield Moment(at=at, facts={**base, fact: value})
    edges = _edges(subject.windows)
    yield from (Moment(at=edge, facts=base) for edge in edges for base in bases)


def _distinct(bases: Iterable[Mapping[str, Fact] | None]) -> list[Mapping[str, Fact]]:
    found: dict[frozenset[tuple[str, Fact]], Mapping[str, Fact]] = {}
    for base in bases:
        if base is not None:
            found.setdefault(frozenset(base.items()), base)
    return list(found.values())[:_BASES]


def _edges(windows: Iterable[Window]) -> list[datetime]:
    """The instants at which something begins or ends, and those just before."""
    edges = {edge for w in windows for edge in (w.start, w.until) if edge is not None}
    return sorted({instant for edge in edges for instant in (edge - _INSTANT, edge)})


def _bases(
    bundles: Sequence[Bundle], seed: Tests, gate: Gate
) -> Iterator[Mapping[str, Fact] | None]:
    """Facts that meet the seed, with permits of the layers that must speak, and without."""
    partners = [[(), *islice(_partners(bundles, layer, seed, gate), _PARTNERS)] for layer in _NEED]
    for host, model in product(*partners):
        yield _facts((*seed, *host, *model))


def _partners(bundles: Sequence[Bundle], layer: Layer, seed: Tests, gate: Gate) -> Iterator[Tests]:
    for bundle in bundles:
        for rule in bundle.rules:
            if rule.effect is Effect.PERMIT and layer in rule.layers and gate in rule.gates:
                yield from _meeting(rule.when, seed)


def _meeting(condition: Condition, seed: Tests) -> Iterator[Tests]:
    return (tests for tests in condition.alternatives if _facts((*seed, *tests)) is not None)


def _facts(tests: Tests) -> Mapping[str, Fact] | None:
    """A value of each tested fact that passes all tests on it; None where there is none."""
    by_fact: dict[str, list[Test]] = {}
    for test in tests:
        by_fact.setdefault(test.fact, []).append(test)
    found: dict[str, Fact] = {}
    for fact, group in by_fact.items():
        spec = spec_of(fact)
        assert spec is not None  # noqa: S101 - a test on an unknown fact is a load error
        values = candidates(spec, group, None)
        fitting = (v for v in values if all(passes(test, {fact: v}) for test in group))
        value = next(fitting, None)
        if value is None:
            return None
        found[fact] = value
    return found
