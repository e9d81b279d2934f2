"""Rules that another covers: the verdict never changes without them."""

from dataclasses import dataclass, replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decision import Moment
from policies.engine import Matrix, compile_rules, decide
from policies.facts import spec_of
from policies.model import (
    Cite,
    Condition,
    Duty,
    Effect,
    Fact,
    Gate,
    Grant,
    Layer,
    Rule,
    Source,
    Test,
    Window,
)
from policies.redundancy import covered_rules, is_ever_in_force
from tests.policies.strategies import (
    HERE,
    UNTIMED,
    VALUES,
    Law,
    day,
    days,
    facts,
    laws,
    rules,
    sources,
    windows,
)

STRICTNESS = (Effect.PERMIT, Effect.REVIEW, Effect.FORBID)


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A bundle as the engine sees it."""

    matrix: Matrix
    digest: str = "0" * 64
    meaning: str = "1" * 64


def compiled(some: tuple[Rule, ...]) -> Compiled:
    """Rules without grants."""
    return Compiled(matrix=compile_rules(some, ()))


@st.composite
def crowded(draw: st.DrawFn) -> Law:
    """Rules of which some are made from others: wider, stricter, twice the same."""
    first = [*draw(laws(with_grants=False)).rules, draw(rules("p/r0"))]
    found = {rule.id: rule for rule in first}
    for at, rule in enumerate(list(found.values())):
        some = rule.when.alternatives[: draw(st.integers(1, 2))]
        when = Condition(alternatives=tuple(tests[: draw(st.integers(0, 2))] for tests in some))
        found[f"q/r{at}"] = replace(
            rule,
            id=f"q/r{at}",
            when=draw(st.sampled_from([when, rule.when])),
            effect=draw(st.sampled_from(Effect)),
            gates=draw(st.sampled_from([rule.gates, frozenset(Gate)])),
            in_force=draw(st.sampled_from([rule.in_force, Window()]) | windows()),
            sources=draw(st.sampled_from([rule.sources, ()]) | st.lists(sources()).map(tuple)),
        )
    return Law(rules=tuple(found.values()), grants=())


@UNTIMED
@given(
    law=crowded(),
    gate=st.sampled_from(Gate),
    then=days(),
    now=days(),
    known=facts(),
    data=st.data(),
)
def test_a_covered_rule_never_decides(
    law: Law,
    gate: Gate,
    then: datetime,
    now: datetime,
    known: dict[str, Fact],
    data: st.DataObject,
) -> None:
    """Without it the verdict is the same: of equals always, of stricter ones once all is known."""
    found = list(covered_rules(law.rules, ()))
    if not found:
        return
    covered = data.draw(st.sampled_from(found))
    assert STRICTNESS.index(covered.by.effect) >= STRICTNESS.index(covered.rule.effect)
    if covered.by.effect is not covered.rule.effect:
        sound = {fact: value for fact, value in known.items() if is_sound(fact, value)}
        known = {fact: values[0] for fact, values in VALUES.items()} | sound
    rest = tuple(rule for rule in law.rules if rule is not covered.rule)
    moments = Moment(at=min(then, now), facts=known), Moment(at=max(then, now), facts=known)
    full = decide(compiled(law.rules), gate, *moments)
    less = decide(compiled(rest), gate, *moments)
    assert (full.verdict, full.duties) == (less.verdict, less.duties)


def is_sound(fact: str, value: Fact) -> bool:
    """Whether a value is of its fact's type."""
    spec = spec_of(fact)
    return spec is not None and spec.accepts(value)


TRAINING = frozenset({Gate.RESPONSE, Gate.DATASET})
CITE = Cite(source="s", clause="1", digest="0" * 64)
NARROW = Condition(alternatives=((Test(fact="route", op="is", values=("alpha",), where=HERE),),))
SOURCE = Source(
    id="s",
    record="{}",
    digest="0" * 64,
    title="Terms",
    url="https://example.org/terms",
    confidence="read-primary",
    review_by=None,
    in_force=Window(start=day(1)),
    where=HERE,
)
WIDE = Rule(
    id="p/wide",
    policy="p",
    party="Owner",
    layers=frozenset({Layer.HOST, Layer.MODEL}),
    effect=Effect.FORBID,
    gates=TRAINING,
    when=Condition(),
    because="It says so.",
    cites=(CITE,),
    sources=(SOURCE,),
    where=HERE,
)
INNER = replace(WIDE, id="p/inner", when=NARROW, where=replace(HERE, line=2))


def pairs(*some: Rule, grants: tuple[Grant, ...] = ()) -> list[tuple[str, str]]:
    """Which rule is covered by which."""
    return [(each.rule.id, each.by.id) for each in covered_rules(some, grants)]


@pytest.mark.parametrize("effect", Effect)
def test_a_narrower_rule_on_the_same_ground_is_covered(effect: Effect) -> None:
    """What is contained in a rule that says as much is found, whatever both say."""
    wide, inner = replace(WIDE, effect=effect), replace(INNER, effect=effect)
    assert pairs(inner, wide) == [("p/inner", "p/wide")]


@pytest.mark.parametrize(
    ("inner", "outer", "is_found"),
    [
        ("permit", "review", True),
        ("permit", "forbid", True),
        ("review", "forbid", True),
        ("forbid", "review", False),
        ("forbid", "permit", False),
        ("review", "permit", False),
    ],
)
def test_only_what_is_as_strict_covers(inner: str, outer: str, *, is_found: bool) -> None:
    """A stricter rule covers a milder one and never the other way round."""
    some = replace(INNER, effect=Effect(inner)), replace(WIDE, effect=Effect(outer))
    assert bool(pairs(*some)) is is_found


GRANT = Grant(
    id="g",
    digest="0" * 64,
    party="Owner",
    lifts=frozenset({"p/wide"}),
    permits=frozenset(),
    layers=frozenset(),
    scope=Condition(),
    in_force=Window(),
    as_of="both",
    owner="legal@example.org",
    because="They agreed.",
    is_approved=False,
    where=HERE,
)


@pytest.mark.parametrize(
    ("inner", "wide"),
    [
        (replace(INNER, party="Us"), WIDE),
        (replace(INNER, gates=TRAINING | {Gate.REQUEST}), WIDE),
        (replace(INNER, is_shadow=True), WIDE),
        (INNER, replace(WIDE, is_shadow=True)),
        (INNER, replace(WIDE, as_of="today")),
        (INNER, replace(WIDE, in_force=Window(until=day(3)))),
        (INNER, replace(WIDE, sources=(replace(SOURCE, in_force=Window(start=day(2))),))),
        (replace(INNER, cites=(replace(CITE, clause="2"),)), WIDE),
        (
            replace(INNER, effect=Effect.PERMIT, duties=(Duty(kind="display", value="us"),)),
            replace(WIDE, effect=Effect.PERMIT),
        ),
        (
            replace(INNER, effect=Effect.REVIEW),
            replace(WIDE, effect=Effect.REVIEW, layers=frozenset({Layer.HOST})),
        ),
        (
            replace(INNER, effect=Effect.REVIEW, as_of="today"),
            replace(WIDE, effect=Effect.REVIEW),
        ),
        (
            replace(INNER, effect=Effect.PERMIT),
            replace(
                WIDE, effect=Effect.PERMIT, sources=(SOURCE, replace(SOURCE, review_by=day(4)))
            ),
        ),
    ],
    ids=[
        "another party",
        "another gate",
        "shadow inside",
        "shadow outside",
        "another clock",
        "an end",
        "a later source",
        "another clause",
        "a duty",
        "another layer",
        "one clock's review",
        "another date of review",
    ],
)
def test_what_differs_in_one_thing_stays(inner: Rule, wide: Rule) -> None:
    """Each way in which the inner rule may still count keeps it out of the findings."""
    assert pairs(inner, wide) == []


def test_a_rule_that_a_grant_lifts_covers_nothing() -> None:
    """Under the grant the inner rule would show again, approved or not yet."""
    assert pairs(INNER, WIDE, grants=(GRANT,)) == []
    assert pairs(INNER, WIDE, grants=(replace(GRANT, lifts=frozenset({"p/inner"})),))


def test_a_forbid_of_both_clocks_covers_one_of_one() -> None:
    """A forbid needs no clock of its own where another counts on both."""
    assert pairs(replace(INNER, as_of="today"), WIDE) == [("p/inner", "p/wide")]


def test_of_two_that_are_one_the_later_is_named() -> None:
    """A rule written twice is one finding, at the second."""
    twin = replace(WIDE, id="p/a-twin", where=replace(HERE, line=9))
    assert pairs(twin, WIDE) == pairs(WIDE, twin) == [("p/a-twin", "p/wide")]


def test_a_party_of_many_rules_is_compared_as_well() -> None:
    """Where a party has more rules than are compared all with all, the same are found."""
    routes = [replace(NARROW.alternatives[0][0], values=(f"route-{at}",)) for at in range(30)]
    many = [
        replace(WIDE, id=f"p/{name}-{at:02}", when=Condition(alternatives=(tests,)))
        for at, route in enumerate(routes)
        for name, tests in (
            ("all", (route,)),
            ("some", (route, replace(route, fact="region", values=("eu",)))),
        )
    ]
    assert sorted(pairs(*many)) == [(f"p/some-{at:02}", f"p/all-{at:02}") for at in range(30)]


def test_the_strictest_container_is_named() -> None:
    """Of several that cover a rule the one that matters most is said."""
    inner = replace(INNER, effect=Effect.PERMIT)
    review = replace(WIDE, id="p/a", effect=Effect.REVIEW)
    assert ("p/inner", "p/wide") in pairs(inner, review, WIDE)
    assert ("p/a", "p/wide") in pairs(inner, review, WIDE)


def test_what_never_matches_is_not_covered_too() -> None:
    """A contradiction lies in everything; it has a finding of its own."""
    nowhere = Condition(
        alternatives=((*NARROW.alternatives[0], replace(NARROW.alternatives[0][0], negated=True)),)
    )
    assert pairs(replace(INNER, when=nowhere), WIDE) == []


@pytest.mark.parametrize(
    ("rule", "ever"),
    [
        (Window(), True),
        (Window(until=day(1)), False),
        (Window(until=day(2)), True),
        (Window(start=day(3), until=day(3)), False),
    ],
)
def test_a_rule_needs_a_source_in_its_own_time(rule: Window, *, ever: bool) -> None:
    """A rule whose window closes before its source opens never stands."""
    assert is_ever_in_force(replace(WIDE, in_force=rule)) is ever
    assert is_ever_in_force(replace(WIDE, in_force=Window(until=day(0)), cites=(), sources=()))
