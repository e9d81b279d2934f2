"""The matrix reads conditions as the naive interpreter does, whatever stands where a fact should."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.matrix import Bits, Matrix, compile_rules, passes, read, read_twice, union
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
from tests.policies import oracle
from tests.policies.strategies import HERE, UNTIMED, conditions, day, facts


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


def holds(test: Test, value: Fact) -> bool | None:
    """Whether a test on its fact holds: None is unknown."""
    matrix = compile_rules([rule("p/r", test)], [])
    seen = bits(matrix, {test.fact: value})
    return {(1, 1): True, (0, 1): None, (0, 0): False}[seen.sure & 1, seen.maybe & 1]


@UNTIMED
@given(condition=conditions(), known=facts())
def test_reading_is_strong_kleene(condition: Condition, known: dict[str, Fact]) -> None:
    """A condition surely holds, may hold or does not, as read aloud."""
    matrix = compile_rules([replace(rule("p/r"), when=condition)], [])
    seen = bits(matrix, known)
    answer = oracle.holds(condition, known)
    assert bool(seen.sure & matrix.rows[0]) is (answer is True)
    assert bool(seen.maybe & matrix.rows[0]) is (answer is not False)


@pytest.mark.parametrize(
    ("pattern", "value", "answer"),
    [
        ("m-*", "m-1", True),
        ("m-*", "am-1", False),
        ("*-1", "m-1", True),
        ("*-1", "m-12", False),
        ("m-1", "m-12", False),
        ("*", "", True),
    ],
)
def test_one_star_at_an_end_stands_for_anything(pattern: str, value: str, answer: bool) -> None:  # noqa: FBT001 - a parameter
    """A pattern matches at its end or start; without a star the text must be equal."""
    assert holds(asked("model.id", "is", pattern), value) is answer


@pytest.mark.parametrize(
    ("op", "answers"),
    [
        ("above", [False, False, True]),
        ("at_least", [False, True, True]),
        ("below", [True, False, False]),
        ("at_most", [True, True, False]),
        ("is", [False, True, False]),
    ],
)
def test_thresholds_are_exact(op: Op, answers: list[bool]) -> None:
    """A number is compared below, at and above its limit; `not` turns the answer around."""
    for negated in (False, True):
        test = asked("counter.calls", op, 5, negated=negated)
        assert [holds(test, number) is not negated for number in (4, 5, 6)] == answers


def test_numbers_between_the_same_limits_read_alike() -> None:
    """Far and near numbers of one stretch give the same rows, first and later."""
    tests = [asked("response.tokens", "above", 10), asked("response.tokens", "at_least", 20)]
    matrix = compile_rules([rule(f"p/{n}", test) for n, test in enumerate(tests)], [])
    seen = [bits(matrix, {"response.tokens": n}).sure & 0b11 for n in (10, 11, 19, 20, 21, 11)]
    assert seen == [0b00, 0b01, 0b01, 0b11, 0b11, 0b01]


def test_an_operation_that_does_not_fit_its_fact_never_holds() -> None:
    """A set operation on a number matches nothing; the loader refuses it before."""
    assert holds(asked("response.tokens", "has", 5), 5) is False


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("route", 1),
        ("student.purpose", "nonsense"),
        ("request.pii", 1),
        ("response.tokens", True),
        ("response.tokens", 2**60),
        ("student.competes_with", "OpenAI"),
        ("no.such.fact", "x"),
    ],
)
def test_a_wrongly_typed_value_is_unknown(fact: str, value: Fact) -> None:
    """It neither holds nor fails to hold, before and after a right value was seen."""
    test = asked(fact, "is", value if isinstance(value, str | int) else "x")
    assert holds(test, value) is None
    assert holds(replace(test, negated=True), value) is None


@UNTIMED
@given(condition=conditions(), first=facts(), second=facts())
def test_two_readings_at_once_are_two_readings(
    condition: Condition, first: dict[str, Fact], second: dict[str, Fact]
) -> None:
    """Facts in common are looked at once, and each map is read as if it were alone."""
    matrix = compile_rules([replace(rule("p/r"), when=condition)], [])
    shared = {**first, **second}
    for other in (second, shared, first, {}):
        both = read_twice(matrix.columns, matrix.full, first, other)
        assert both == (bits(matrix, first), bits(matrix, other))


@UNTIMED
@given(condition=conditions(), known=facts())
def test_one_test_passes_as_its_row_does(condition: Condition, known: dict[str, Fact]) -> None:
    """Alone, outside a matrix, it is answered as read aloud, and so is whether its fact is known."""
    for test in (test for tests in condition.alternatives for test in tests):
        assert passes(test, known) is oracle.truth(test, known)
        matrix = compile_rules([rule("p/r", test)], [])
        (column,) = (each for each in matrix.columns if each.fact == test.fact)
        assert column.is_unknown(known) is (oracle.truth(test, known) is None)


def test_a_flag_is_no_number_even_once_seen() -> None:
    """`1` is not `true`, though Python thinks them equal."""
    matrix = compile_rules([rule("p/r", asked("request.pii", "is", True))], [])
    assert bits(matrix, {"request.pii": True}).sure & 1
    assert not bits(matrix, {"request.pii": 1}).sure & 1
    assert bits(matrix, {"request.pii": True}).sure & 1


def test_memory_of_values_is_bounded_and_forgetting_changes_nothing() -> None:
    """However many texts pass, each reads as if it were the first."""
    tests = [asked("model.id", "is", "m-*"), asked("response.tokens", "above", 10)]
    matrix = compile_rules([rule(f"p/{n}", test) for n, test in enumerate(tests)], [])
    for n in range(5000):
        assert bits(matrix, {"model.id": f"m-{n}", "response.tokens": n + 11}).sure & 0b11 == 0b11
        assert bits(matrix, {"model.id": f"n-{n}", "response.tokens": -n}).sure & 0b11 == 0
    assert max(len(column._seen) for column in matrix.columns) <= 4096


def test_columns_name_who_supplies_a_fact() -> None:
    """The catalogue's words, and none for a fact that it lacks."""
    tests = [asked("request.pii", "is", True), asked("no.such.fact", "is", "x")]
    matrix = compile_rules([rule("p/r", *tests)], [])
    assert {column.fact: column.missing.supplied_by for column in matrix.columns} == {
        "no.such.fact": "",
        "request.pii": "a detector, or a person's judgement",
        "router": "an entry of the provider registry",
    }


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
