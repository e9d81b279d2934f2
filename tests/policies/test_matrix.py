"""Rules and grants get their rows, and each row leads back to what asked for it."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from policies.column import Bits, read, union
from policies.matrix import Matrix, compile_rules
from policies.model import (
    Condition,
    Duty,
    Effect,
    Fact,
    Gate,
    Grant,
    Layer,
    Op,
    Rule,
    Source,
    Test,
    Window,
)
from tests.policies.strategies import HERE, UNTIMED, day


def rule(name: str, *tests: Test, party: str = "Us", effect: Effect = Effect.FORBID) -> Rule:
    """A rule of the organisation."""
    return Rule(
        id=name,
        policy="p",
        party=party,
        layers=frozenset({Layer.ORGANISATION}),
        effect=effect,
        gates=frozenset({Gate.REQUEST}),
        when=Condition(alternatives=(tests,)),
        because="We say so.",
        where=HERE,
    )


def asked(fact: str, op: Op, *values: str | int | bool, negated: bool = False) -> Test:
    """One test."""
    return Test(fact=fact, op=op, values=values, negated=negated, where=HERE)


def bits(matrix: Matrix, facts: dict[str, Fact]) -> Bits:
    """All rows read."""
    return read(matrix.columns, matrix.full, facts)


def test_rows_lead_back_to_their_rules() -> None:
    """Each alternative has a row, and rows give the rules that own them, once and in order."""
    either = Condition(alternatives=((asked("route", "is", "a"),), (asked("route", "is", "b"),)))
    matrix = compile_rules([rule("p/b"), replace(rule("p/a"), when=either)], [])
    assert [r.id for r in matrix.rules] == ["p/a", "p/b"]
    assert matrix.rows == (0b11, 0b100)
    assert matrix.matching(matrix.full) == [0, 1]
    assert matrix.matching(0b100) == [1]


def test_rows_of_rules_with_duties_are_known() -> None:
    """Only they can add a duty; masks join to one."""
    bound = replace(rule("p/b"), duties=(Duty(kind="display", value="x"),))
    matrix = compile_rules([rule("p/a"), bound, rule("p/c")], [])
    assert matrix.bound == 0b010
    assert union(matrix.rows) == 0b111
    assert union([]) == 0


@UNTIMED
@given(at=st.datetimes(timezones=st.just(UTC)) | st.integers(0, 10).map(day))
def test_windows_agree_within_a_period(at: datetime) -> None:
    """Between two points of time every window says what it says at the period's opening."""
    source = Source(
        id="s",
        record="{}",
        digest="0" * 64,
        title="Terms",
        url="https://example.org",
        confidence="read-primary",
        review_by=day(9),
        in_force=Window(start=day(1), until=day(5)),
        where=HERE,
    )
    own = Window(start=day(3))
    matrix = compile_rules([replace(rule("p/r"), sources=(source,), in_force=own)], [])
    assert matrix.points == (day(1), day(3), day(5), day(9))
    opening = matrix.opening(matrix.period(at))
    assert opening <= at
    for window in (source.in_force, own):
        assert window.holds(at) is window.holds(opening)


def test_only_restrictions_of_the_organisation_can_be_cleared() -> None:
    """Rules of other layers and permits are not in the list."""
    both = frozenset({Layer.ORGANISATION, Layer.HOST})
    rules = [
        rule("p/no"),
        rule("p/yes", effect=Effect.PERMIT),
        replace(rule("p/host"), layers=both),
    ]
    assert list(compile_rules(rules, []).clearable) == ["p/no"]


def test_a_grant_gets_the_rows_of_its_own_party() -> None:
    """It lifts restrictions of its party only, and speaks where its party's policies apply."""
    scope = Condition(alternatives=((asked("route", "is", "a"),),))
    rules = [
        replace(rule("p/1", party="Host"), scope=scope, layers=frozenset({Layer.HOST})),
        rule("p/2", party="Other"),
        rule("p/3", party="Host", effect=Effect.PERMIT),
    ]
    letter = Grant(
        id="letter",
        digest="0" * 64,
        party="Host",
        lifts=frozenset({"p/1", "p/2", "p/3"}),
        permits=frozenset({Gate.DATASET}),
        layers=frozenset({Layer.HOST}),
        scope=Condition(),
        in_force=Window(until=day(2)),
        as_of="both",
        owner="legal@example.org",
        because="They agreed.",
        is_approved=True,
        where=HERE,
    )
    matrix = compile_rules(rules, [letter])
    (rows,) = matrix.grants
    assert rows.lifts == matrix.rows[0]
    assert bits(matrix, {"route": "a"}).sure & rows.speaks[Layer.HOST]
    assert not bits(matrix, {"route": "b"}).maybe & rows.speaks[Layer.HOST]
    assert matrix.points == (day(2),)
