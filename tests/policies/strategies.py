"""Rules, grants and moments for properties: few names and few days, so that they meet often."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from policies.decision import Moment
from policies.model import (
    AsOf,
    Condition,
    Duty,
    Effect,
    Fact,
    Gate,
    Grant,
    Layer,
    Op,
    Place,
    Rule,
    Source,
    Test,
    Window,
)

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties that draw whole laws: a slow machine is no failure."""

HERE = Place(file="x.yaml", line=1, column=1)
DAY = timedelta(days=1)
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

PARTIES: Mapping[str, frozenset[Layer]] = {
    "Host": frozenset({Layer.HOST}),
    "Owner": frozenset({Layer.HOST, Layer.MODEL}),
    "Maker": frozenset({Layer.MODEL}),
    "Router": frozenset({Layer.ROUTER}),
    "Us": frozenset({Layer.ORGANISATION}),
}
RULE_IDS = tuple(f"p/r{n}" for n in range(6))
VALUES: Mapping[str, tuple[Fact, ...]] = {
    "route": ("alpha", "beta"),
    "router": ("hub",),
    "model.id": ("m-1", "m-2", "n-1"),
    "student.purpose": ("eval", "distil-narrow"),
    "student.competes_with": (frozenset(), frozenset({"Host"}), frozenset({"Host", "Maker"})),
    "student.monthly_users": (0, 5, 6, 7),
    "counter.calls": (0, 5, 6, 7),
    "request.pii": (False, True),
}
WRONG: Mapping[str, Fact] = {
    "route": 3,
    "router": frozenset({"hub"}),
    "model.id": True,
    "student.purpose": "nonsense",
    "student.competes_with": "Host",
    "student.monthly_users": True,
    "counter.calls": "many",
    "request.pii": 1,
}


@dataclass(frozen=True, kw_only=True)
class Law:
    """Rules and grants together."""

    rules: tuple[Rule, ...]
    grants: tuple[Grant, ...]


def day(number: int) -> datetime:
    """Midnight of a day, counted from the first."""
    return FIRST_DAY + number * DAY


@cache
def days() -> st.SearchStrategy[datetime]:
    """Instants on, between and around the edges of windows."""
    return st.builds(
        lambda number, hours: day(number) + timedelta(hours=hours),
        st.integers(0, 4),
        st.sampled_from([0, 12]),
    )


@cache
def windows() -> st.SearchStrategy[Window]:
    """Mostly open windows; some that are empty."""
    edge = st.none() | st.integers(0, 4).map(day)
    return st.just(Window()) | st.builds(Window, start=edge, until=edge)


def _tests() -> Iterator[Test]:
    """Every test we ask, plain and negated."""
    for fact, values in VALUES.items():
        for op, wanted in _asked(fact, values[-1]):
            for negated in (False, True):
                yield Test(fact=fact, op=op, values=wanted, negated=negated, where=HERE)


def _asked(fact: str, sample: Fact) -> Iterator[tuple[Op, tuple[str | int | bool, ...]]]:
    if isinstance(sample, frozenset):
        for members in (("Host",), ("Maker",), ("Host", "Maker")):
            yield from (("has", members), ("lacks", members))
    elif type(sample) is int:
        for limit in ((5,), (6,)):
            yield from (("above", limit), ("at_least", limit), ("is", limit))
            yield from (("below", limit), ("at_most", limit))
    else:
        patterns = ["m-*", "*-1", "*"] if fact == "model.id" else []
        literals = [value for value in VALUES[fact] if isinstance(value, str | bool)]
        yield from (("is", (wanted,)) for wanted in [*patterns, *literals])
        yield ("is", tuple(literals))


TESTS = tuple(_tests())


@cache
def conditions(facts: tuple[str, ...] = tuple(VALUES)) -> st.SearchStrategy[Condition]:
    """Up to two alternatives of up to two tests; often the one that always holds."""
    asked = st.sampled_from([test for test in TESTS if test.fact in facts])
    alternative = st.lists(asked, max_size=2).map(tuple)
    some = st.lists(alternative, min_size=1, max_size=2).map(tuple)
    return st.just(Condition()) | st.builds(Condition, alternatives=some)


@cache
def sources() -> st.SearchStrategy[Source]:
    """A source with a window and, at times, a day by which it is to be read again."""
    return st.builds(
        Source,
        id=st.just("s"),
        record=st.just("{}"),
        digest=st.just("0" * 64),
        title=st.just("Terms"),
        url=st.just("https://example.org/terms"),
        confidence=st.just("read-primary"),
        review_by=st.none() | st.integers(1, 4).map(day),
        in_force=windows(),
        where=st.just(HERE),
    )


@cache
def as_ofs() -> st.SearchStrategy[AsOf]:
    """Which clocks, mostly both."""
    return st.sampled_from(["both", "both", "both", "exchange", "today"])


@cache
def rules(rule_id: str) -> st.SearchStrategy[Rule]:
    """A rule of one of the parties, in the layers that party speaks for."""
    duty = st.builds(Duty, kind=st.just("display"), value=st.sampled_from(["Host", "Maker"]))
    return st.builds(
        _rule,
        st.just(rule_id),
        st.sampled_from(sorted(PARTIES)),
        st.sampled_from([Effect.PERMIT, Effect.PERMIT, Effect.REVIEW, Effect.FORBID]),
        st.sets(st.sampled_from(Gate), min_size=1).map(frozenset),
        conditions(),
        conditions(("route", "model.id")),
        st.lists(sources(), max_size=2).map(tuple),
        st.lists(duty, max_size=2).map(tuple),
        st.sampled_from([False, False, False, True]),
        as_ofs(),
        windows(),
    )


def _rule(  # noqa: PLR0917 - one argument per strategy
    rule_id: str,
    party: str,
    effect: Effect,
    gates: frozenset[Gate],
    when: Condition,
    scope: Condition,
    sources: tuple[Source, ...],
    duties: tuple[Duty, ...],
    is_shadow: bool,  # noqa: FBT001 - as above
    as_of: AsOf,
    in_force: Window,
) -> Rule:
    return Rule(
        id=rule_id,
        policy="p",
        party=party,
        layers=PARTIES[party],
        effect=effect,
        gates=gates,
        when=when,
        because="It says so.",
        sources=sources,
        scope=scope,
        duties=duties if effect is Effect.PERMIT else (),
        is_shadow=is_shadow,
        as_of=as_of,
        in_force=in_force,
        where=HERE,
    )


@cache
def grants(grant_id: str) -> st.SearchStrategy[Grant]:
    """A grant of one of the parties that may name anyone's rules."""
    return st.builds(
        lambda grant, party: replace(grant, party=party, layers=PARTIES[party]),
        st.builds(
            Grant,
            id=st.just(grant_id),
            digest=st.just("0" * 64),
            party=st.just(""),
            lifts=st.sets(st.sampled_from(RULE_IDS), min_size=1).map(frozenset),
            permits=st.sets(st.sampled_from(Gate)).map(frozenset),
            layers=st.just(frozenset()),
            scope=conditions(),
            in_force=windows(),
            as_of=st.sampled_from(["both", "exchange", "today"]),
            owner=st.just("legal@example.org"),
            because=st.just("They agreed."),
            is_approved=st.sampled_from([True, True, True, False]),
            is_revoked=st.sampled_from([False, False, False, True]),
            where=st.just(HERE),
        ),
        st.sampled_from(sorted(PARTIES)),
    )


@st.composite
def laws(draw: st.DrawFn, *, with_grants: bool = True) -> Law:
    """Up to six rules and, if wanted, up to two grants."""
    ids = RULE_IDS[: draw(st.integers(0, len(RULE_IDS)))]
    names = ("g0", "g1")[: draw(st.integers(0, 2))] if with_grants else ()
    return Law(
        rules=tuple(draw(rules(rule)) for rule in ids),
        grants=tuple(draw(grants(name)) for name in names),
    )


@st.composite
def facts(draw: st.DrawFn) -> dict[str, Fact]:
    """Some facts known, some absent, now and then one of the wrong type."""
    chosen: dict[str, Fact] = {}
    for fact, values in VALUES.items():
        value = draw(st.none() | st.sampled_from([*values, *values, WRONG[fact]]))
        if value is not None:
            chosen[fact] = value
    return chosen


@cache
def moments() -> st.SearchStrategy[Moment]:
    """An instant with facts."""
    return st.builds(Moment, at=days(), facts=facts())


@cache
def cleared() -> st.SearchStrategy[frozenset[str]]:
    """Mostly nothing; else any rules, providers' ones included, and one that is not there."""
    some = st.sets(st.sampled_from([*RULE_IDS, "p/gone"])).map(frozenset)
    return st.just(frozenset()) | some
