"""The matrix reads conditions as the naive interpreter does, whatever stands where a fact should."""

from dataclasses import replace

import pytest
from hypothesis import given

from policies.column import Bits, passes, reached, read, read_twice
from policies.matrix import Matrix, compile_rules
from policies.model import (
    Condition,
    Effect,
    Fact,
    Gate,
    Layer,
    Op,
    Rule,
    Test,
)
from tests.policies import oracle
from tests.policies.strategies import HERE, UNTIMED, conditions, facts


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


@UNTIMED
@given(condition=conditions(), known=facts())
def test_what_may_hold_is_what_a_reading_says_may(
    condition: Condition, known: dict[str, Fact]
) -> None:
    """Read for that alone, no row more and no row less is found."""
    matrix = compile_rules([replace(rule("p/r"), when=condition)], [])
    assert reached(matrix.columns, matrix.full, known) == bits(matrix, known).maybe


@pytest.mark.parametrize(
    ("value", "passing"), [({"A", "B"}, [1, 0, 1, 0]), ({"A"}, [0, 0, 1, 1]), ({"C"}, [0, 1, 0, 1])]
)
def test_one_row_may_ask_for_two_things_at_once(value: set[str], passing: list[int]) -> None:
    """Two tests on one fact in one rule are both asked, and others of the fact beside them."""
    rules = [
        rule(
            "p/0",
            asked("student.competes_with", "has", "A"),
            asked("student.competes_with", "has", "B"),
        ),
        rule("p/1", asked("student.competes_with", "has", "A", negated=True)),
        rule("p/2", asked("student.competes_with", "has", "A", "D")),
        rule("p/3", asked("student.competes_with", "lacks", "B", "E")),
    ]
    seen = bits(compile_rules(rules, []), {"student.competes_with": frozenset(value)})
    assert [seen.sure >> at & 1 for at in range(4)] == passing
