"""What stands at a gate: windows, clocks, grants and review dates as masks of rows."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from policies.matrix import compile_rules
from policies.model import AsOf, Effect, Gate, Grant, Layer, Rule, Window
from policies.standing import Standing, read_both, standing_at
from tests.policies.built import F, P, R, grant, is_, rule, source
from tests.policies.strategies import day


def standing(
    rules: Sequence[Rule],
    grants: Sequence[Grant] = (),
    *,
    gate: Gate = Gate.DATASET,
    then: int = 0,
    now: int = 0,
) -> Standing:
    """What stands on two days; the rules get rows in the order of their ids."""
    return standing_at(compile_rules(rules, grants), gate, day(then), day(now))


def test_each_rule_counts_under_its_effect_at_its_gates() -> None:
    """One mask for each effect; a rule of another gate and a shadow rule are in none."""
    rules = [
        rule("p/a", P),
        rule("p/b", R),
        rule("p/c", F),
        rule("p/d", F, gates=frozenset({Gate.REQUEST})),
        rule("p/e", F, is_shadow=True),
    ]
    side = standing(rules).exchange
    assert side.counted == {P: 0b1, R: 0b10, F: 0b100}
    assert side.live & 0b11111 == 0b10111


def test_permits_and_reviews_speak_for_their_layers() -> None:
    """Forbids end no silence, and where silence permits nobody needs to speak."""
    rules = [rule("p/a", P, party="Host"), rule("p/b", R), rule("p/c", F)]
    speakers = {Layer.HOST: 0b11, Layer.ROUTER: 0, Layer.MODEL: 0b10}
    assert standing(rules).exchange.speakers == speakers
    rules = [replace(each, gates=frozenset({Gate.REQUEST})) for each in rules]
    assert standing(rules, gate=Gate.REQUEST).exchange.speakers == {}


@pytest.mark.parametrize(
    ("as_of", "exchange", "today"), [("both", 1, 1), ("exchange", 1, 0), ("today", 0, 1)]
)
def test_as_of_leaves_a_rule_to_one_clock(as_of: AsOf, exchange: int, today: int) -> None:
    """A narrowed rule counts on its own clock, and is marked as read by that one alone."""
    stood = standing([rule("p/a", P, as_of=as_of)])
    assert (stood.exchange.counted[P], stood.today.counted[P]) == (exchange, today)
    alone = [side.alone.get(Layer.HOST, 0) for side in (stood.exchange, stood.today)]
    assert alone == ([0, 0] if as_of == "both" else [exchange, today])


def test_a_rule_stands_while_its_window_and_a_source_do() -> None:
    """Either window closed takes the rule out of the clock that reads that day."""
    windowed = rule("p/a", F, in_force=Window(start=day(1)))
    sourced = rule("p/b", F, sources=(source(until=2), source(start=5)))
    stood = standing([windowed, sourced], then=0, now=3)
    assert (stood.exchange.counted[F], stood.today.counted[F]) == (0b10, 0b01)


def test_a_permit_without_a_source_that_is_read_counts_as_review() -> None:
    """From its review date on it moves from one mask to the other."""
    stood = standing([rule("p/a", P, sources=(source(due=2),))], then=1, now=2)
    assert (stood.exchange.counted[P], stood.exchange.counted[R]) == (1, 0)
    assert (stood.today.counted[P], stood.today.counted[R]) == (0, 1)


def test_a_revoked_grant_stands_on_the_exchanges_clock_only() -> None:
    """A grant that is not approved, or out of its window, stands on neither."""
    no = rule("p/no", F)
    revoked = standing([no], [grant("p/no", is_revoked=True)])
    assert [len(side.grants) for side in (revoked.exchange, revoked.today)] == [1, 0]
    for idle in (grant("p/no", is_approved=False), grant("p/no", in_force=Window(start=day(2)))):
        stood = standing([no], [idle], now=2)
        assert [len(side.grants) for side in (stood.exchange, stood.today)] == [0, 0]


def test_only_columns_of_what_stands_are_read() -> None:
    """A fact that no standing rule or grant tests has no column; that of the router always has."""
    rules = [
        rule("p/a", P, is_("project", "x")),
        rule("p/b", F, is_("region", "y"), is_shadow=True),
    ]
    old = replace(rule("p/c", F, is_("account.id", "z")), in_force=Window(until=day(0)))
    columns = standing([*rules, old]).exchange.columns
    assert [column.fact for column in columns] == ["project", "region", "router"]


def test_both_clocks_are_read() -> None:
    """The same facts are read alike; others, and other rules, each on their own clock."""
    rules = [rule("p/a", P, is_("project", "x")), rule("p/b", F, as_of="today")]
    stood = standing(rules)
    then, now = read_both(stood, {"project": "x"}, {"project": "y"})
    assert (then.sure & 0b11, now.sure & 0b11) == (0b01, 0b10)
    stood = standing(rules[:1])
    facts = {"project": "x"}
    assert read_both(stood, facts, facts) == read_both(stood, facts, dict(facts))
    then, now = read_both(stood, facts, {})
    assert (then.sure & 1, now.sure & 1, now.maybe & 1) == (1, 0, 1)


def test_what_stands_is_worked_out_once_for_each_period() -> None:
    """Two instants between the same points give the same object."""
    matrix = compile_rules([rule("p/a", P, in_force=Window(start=day(2)))], [])
    first = standing_at(matrix, Gate.DATASET, day(2), day(3))
    assert standing_at(matrix, Gate.DATASET, day(4), day(2)) is first
    assert standing_at(matrix, Gate.DATASET, day(1), day(3)) is not first
    assert first.exchange.counted[Effect.PERMIT] == 1
