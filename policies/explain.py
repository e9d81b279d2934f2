"""Why a decision is what it is, why not milder, and what would have to hold for it to be milder.

Computed on demand, never where calls wait. What would change a verdict is worded as a condition: it
says what the policies turn on, and advises nobody to declare what is not so (policy language §1.5).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from policies.changes import Change, Clearance, changes_of
from policies.column import passes
from policies.decision import Decision, Hit, Moment
from policies.engine import decide
from policies.facts import spec_of
from policies.model import Cite, Condition, Fact, Gate, Place, Rule, Source, Test
from policies.permissions import Bundle, Permission
from policies.reach import Clock, Reach, Reaches, reach_of, rows_in
from policies.wording import test_text

__all__ = ["Cited", "Explanation", "Failed", "Reason", "Tested", "explain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One test of a rule and what its fact was on each clock; None is unknown."""

    __test__ = False

    fact: str
    test: str
    exchange: Fact | None
    today: Fact | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A clause, and what is known of the text it stands in."""

    cite: Cite
    title: str
    url: str
    confidence: str
    read: str
    """The day the text was read, as its file says."""
    start: datetime | None
    """Since when the text is in force."""
    review_by: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A rule that matched: what it tests, and the clauses it rests on."""

    hit: Hit
    sets_verdict: bool
    tests: tuple[Tested, ...]
    cites: tuple[Cited, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A permit that does not match; the tests that fail in the alternative that comes nearest."""

    rule: str
    clocks: tuple[Clock, ...]
    """Where it fails."""
    tests: tuple[Tested, ...]
    in_scope: bool
    """Whether its policy speaks about this exchange at all."""
    where: Place

    @property
    def is_near(self) -> bool:
        """Whether it fails on one fact only."""
        return len({test.fact for test in self.tests}) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision and all it turns on. Everything is sorted, so that equal cases read alike."""

    decision: Decision
    exchange: Moment
    today: Moment
    why: tuple[Reason, ...]
    """The rules that matched, those that set the verdict first."""
    why_not: tuple[Failed, ...]
    """Permits that failed: every near one, and of the others those whose policy speaks here."""
    changes: tuple[Change, ...]
    """Other values of one fact that make the verdict milder."""
    permissions: tuple[Permission, ...]
    """Grants of one party that would make it milder."""
    clearance: Clearance | None
    """What a reviewer could clear, where that makes it milder."""

    @property
    def near(self) -> tuple[Failed, ...]:
        """The permits that failed on one fact only."""
        return tuple(each for each in self.why_not if each.is_near)


def explain(
    bundle: Bundle,
    gate: Gate,
    exchange: Moment,
    today: Moment | None = None,
    *,
    cleared: frozenset[str] = frozenset(),
) -> Explanation:
    """The decision that `decide` makes of the same arguments, explained; it raises on nothing."""
    now = exchange if today is None else today
    decision = decide(bundle, gate, exchange, today, cleared=cleared)
    reaches = reach_of(bundle.matrix, gate, exchange, now)
    would = changes_of(bundle, decision, reaches, cleared=cleared)
    return Explanation(
        decision=decision,
        exchange=exchange,
        today=now,
        why=_why(bundle, decision, reaches),
        why_not=_why_not(reaches),
        changes=would.changes,
        permissions=would.permissions,
        clearance=would.clearance,
    )


def _why(bundle: Bundle, decision: Decision, reaches: Reaches) -> tuple[Reason, ...]:
    matrix = bundle.matrix
    places = {rule.id: at for at, rule in enumerate(matrix.rules)}
    found = []
    for hit in decision.hits:
        at = places[hit.rule]
        rule, own = matrix.rules[at], matrix.rows[at]
        matched: list[Test] = []
        for reach in reaches:
            for tests in rows_in(rule, own, own & reach.sure or own & reach.maybe):
                matched += tests
        found.append(
            Reason(
                hit=hit,
                sets_verdict=hit.rule in decision.by,
                tests=_tested(matched, reaches),
                cites=_cited(rule, decision.exchange_at, decision.today_at),
            )
        )
    return tuple(sorted(found, key=lambda each: (not each.sets_verdict, each.hit.rule)))


def _cited(rule: Rule, *instants: datetime) -> tuple[Cited, ...]:
    """The clauses of the sources in force at one of the instants."""
    sources = {
        source.digest: source
        for source in rule.sources
        if any(source.in_force.holds(at) for at in instants)
    }
    return tuple(_cite(cite, sources[cite.digest]) for cite in rule.cites if cite.digest in sources)


def _cite(cite: Cite, source: Source) -> Cited:
    read = json.loads(source.record).get("read")
    return Cited(
        cite=cite,
        title=source.title,
        url=source.url,
        confidence=source.confidence,
        read="" if read is None else str(read)[:10],
        start=source.in_force.start,
        review_by=source.review_by,
    )


def _why_not(reaches: Reaches) -> tuple[Failed, ...]:
    """Failed permits of both clocks, merged where they fail on the same tests."""
    found: dict[tuple[str, tuple[Test, ...]], list[Reach]] = {}
    rules: dict[str, tuple[Rule, bool]] = {}
    for group in [list(reaches)] if _read_alike(*reaches) else [[reach] for reach in reaches]:
        for rule, tests, in_scope in _failed(group[0]):
            before = rules.get(rule.id, (rule, False))
            rules[rule.id] = rule, in_scope or before[1]
            found.setdefault((rule.id, tests), []).extend(group)
    failed = [
        Failed(
            rule=name,
            clocks=tuple(reach.clock for reach in where),
            tests=_tested(tests, reaches),
            in_scope=rules[name][1],
            where=rules[name][0].where,
        )
        for (name, tests), where in found.items()
    ]
    return tuple(
        sorted(failed, key=lambda each: (not each.in_scope, _width(each), each.rule, each.clocks))
    )


def _read_alike(one: Reach, other: Reach) -> bool:
    """Whether the same permits fail for the same reasons on both clocks."""
    return (
        one.permits == other.permits
        and one.maybe == other.maybe
        and one.alone == other.alone
        and one.moment.facts == other.moment.facts
    )


def _width(failed: Failed) -> tuple[int, int]:
    return len({test.fact for test in failed.tests}), len(failed.tests)


def _failed(reach: Reach) -> Iterator[tuple[Rule, tuple[Test, ...], bool]]:
    """The permits that fail on one clock: the near ones, and those whose policy speaks here.

    Each comes with the tests that fail in its nearest alternative, and whether its scope holds.
    """
    matrix, facts = reach.matrix, reach.moment.facts
    matching = set(matrix.matching(reach.maybe))
    near = _near(reach)
    scopes: dict[int, bool] = {}
    for at in matrix.matching(reach.permits):
        if at in matching:
            continue
        rule = matrix.rules[at]
        # The rules of one policy share its scope: each is read once.
        in_scope = scopes.get(id(rule.scope))
        if in_scope is None:
            in_scope = scopes[id(rule.scope)] = _may_hold(rule.scope, facts)
        if at in near or in_scope:
            yield rule, near.get(at) or _failing(rule, facts), in_scope


def _near(reach: Reach) -> dict[int, tuple[Test, ...]]:
    """The permits that fail on one fact only, with the tests on it that fail."""
    found: dict[int, tuple[Test, ...]] = {}
    for fact, alone in reach.alone.items():
        rows, facts = alone & reach.permits & ~reach.maybe, reach.moment.facts
        for at in reach.matrix.matching(rows):
            (tests, *_) = rows_in(reach.matrix.rules[at], reach.matrix.rows[at], rows)
            asked = tuple(test for test in tests if test.fact == fact)
            # All else may hold, so a lone test on the fact is the one that fails.
            if len(asked) > 1:
                asked = tuple(test for test in asked if passes(test, facts) is False)
            found.setdefault(at, asked)
    return found


def _failing(rule: Rule, facts: Mapping[str, Fact]) -> tuple[Test, ...]:
    """The tests that fail in the alternative that fails on the fewest facts."""
    failing = (
        tuple(test for test in tests if passes(test, facts) is False)
        for tests in rule.when.alternatives
    )
    return min(failing, key=lambda tests: (len({test.fact for test in tests}), len(tests)))


def _may_hold(condition: Condition, facts: Mapping[str, Fact]) -> bool:
    return any(
        all(passes(test, facts) is not False for test in tests) for tests in condition.alternatives
    )


def _known(fact: str, facts: Mapping[str, Fact]) -> Fact | None:
    """The value of a fact; one of the wrong type is unknown."""
    value, spec = facts.get(fact), spec_of(fact)
    return None if value is None or spec is None or not spec.accepts(value) else value


def _tested(tests: Iterable[Test], reaches: Reaches) -> tuple[Tested, ...]:
    then, now = (reach.moment.facts for reach in reaches)
    words = dict.fromkeys((test.fact, test_text(test)) for test in tests)
    return tuple(
        Tested(fact=fact, test=test, exchange=_known(fact, then), today=_known(fact, now))
        for fact, test in words
    )
