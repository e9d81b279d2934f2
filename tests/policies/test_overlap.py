"""Whether tests can hold together, against a search of all short values."""

from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import CATALOGUE
from policies.model import Condition, Fact, Op, Place, Test
from policies.overlap import can_hold, meet

HERE = Place(file="a", line=1, column=1)
WORDS = ["".join(letters) for size in range(6) for letters in product("abz", repeat=size)]
PATTERNS = st.sampled_from(["a", "ab", "ba", "a*", "ab*", "*a", "*ba", "*", "b*", "*b"])
SETS = [frozenset(m for m, is_in in zip("abc", bits, strict=True) if is_in)
        for bits in product([False, True], repeat=3)]  # fmt: skip


def make(fact: str, op: Op, values: Iterable[str | int | bool], *, negated: bool = False) -> Test:
    """One test."""
    return Test(fact=fact, op=op, values=tuple(values), negated=negated, where=HERE)


def drawn(
    fact: str, ops: list[Op], values: st.SearchStrategy[str | int | bool]
) -> st.SearchStrategy[list[Test]]:
    """Lists of tests on one fact."""
    one = st.builds(
        lambda op, values, negated: make(fact, op, values, negated=negated),
        st.sampled_from(ops),
        st.lists(values, min_size=1, max_size=2),
        st.booleans(),
    )
    return st.lists(one, min_size=1, max_size=4)


def passes(test: Test, value: Fact) -> bool:
    """A plain reading of one test."""
    if isinstance(value, frozenset):
        found = any(v in value for v in test.values) is (test.op == "has")
    elif test.op == "is":
        found = any(fits(v, value) for v in test.values)
    else:
        limit = int(test.values[0])
        found = {
            "above": int(value) > limit,
            "at_least": int(value) >= limit,
            "below": int(value) < limit,
            "at_most": int(value) <= limit,
        }[test.op]
    return found is not test.negated


def fits(pattern: object, value: object) -> bool:
    """Whether a value is a literal, or begins or ends as a pattern says."""
    if isinstance(pattern, str) and isinstance(value, str) and "*" in pattern:
        bare = pattern.replace("*", "")
        return value.startswith(bare) if pattern.endswith("*") else value.endswith(bare)
    return pattern == value


def searched(tests: list[Test], values: Iterable[Fact]) -> bool:
    """Whether any value passes every test."""
    return any(all(passes(test, value) for test in tests) for value in values)


@given(tests=drawn("route", ["is"], PATTERNS))
def test_text_agrees_with_a_search(tests: list[Test]) -> None:
    """Patterns meet exactly where a short word of an alphabet with a spare letter shows it."""
    assert can_hold(tests) == searched(tests, WORDS)


@given(
    tests=drawn(
        "response.tokens", ["is", "above", "at_least", "below", "at_most"], st.integers(-3, 3)
    )
)
def test_numbers_agree_with_a_search(tests: list[Test]) -> None:
    """Thresholds and values meet exactly where a nearby number shows it."""
    assert can_hold(tests) == searched(tests, range(-9, 9))


@given(tests=drawn("student.competes_with", ["has", "lacks"], st.sampled_from("abc")))
def test_sets_agree_with_a_search(tests: list[Test]) -> None:
    """Membership tests meet exactly where a subset shows it."""
    assert can_hold(tests) == searched(tests, SETS)


@given(tests=drawn("student.release", ["is"], st.sampled_from(CATALOGUE["student.release"].values)))
def test_choices_agree_with_a_search(tests: list[Test]) -> None:
    """Tests on a choice meet exactly where one of its values shows it."""
    assert can_hold(tests) == searched(tests, CATALOGUE["student.release"].values)


@given(tests=drawn("student.commercial", ["is"], st.booleans()))
def test_booleans_agree_with_a_search(tests: list[Test]) -> None:
    """Tests on a boolean meet exactly where one of both values shows it."""
    assert can_hold(tests) == searched(tests, [False, True])


def test_facts_are_independent() -> None:
    """A contradiction on one fact is enough, and tests on different facts never contradict."""
    a, b = make("route", "is", ["a"]), make("region", "is", ["b"])
    assert can_hold([a, b])
    assert can_hold([])
    assert not can_hold([a, b, make("region", "is", ["c"])])


def test_too_many_choices_count_as_possible() -> None:
    """Where the search would be long the answer is that they can hold: no finding is invented."""
    values = [f"v{n}" for n in range(200)]
    assert can_hold([make("route", "is", values)] * 3)


@pytest.mark.parametrize(("right", "expected"), [("a", True), ("c", False)])
def test_conditions_meet_where_alternatives_do(right: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """Two conditions meet where some alternative of one meets some of the other."""
    left = Condition(alternatives=((make("route", "is", ["a"]),), (make("route", "is", ["b"]),)))
    assert meet(left, Condition(alternatives=((make("route", "is", [right]),),))) is expected
