"""Containment of conditions, against a search of all values that matter."""

from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.containment import Containers, lies_in
from policies.facts import CATALOGUE
from policies.model import Condition, Fact, Op, Place, Test
from tests.policies.strategies import UNTIMED

HERE = Place(file="a", line=1, column=1)
SETS = tuple(
    frozenset(member for member, is_in in zip("AB", bits, strict=True) if is_in)
    for bits in product([False, True], repeat=2)
)
SEARCHED: Mapping[str, tuple[Fact, ...]] = {
    "route": ("alpha", "beta", "other"),
    "model.id": ("m-1", "m-2", "n-1", "n-2", "m-", "-1", ""),
    "student.purpose": CATALOGUE["student.purpose"].values,
    "student.competes_with": (*SETS, *(each | {"C"} for each in SETS)),
    "student.monthly_users": (4, 5, 6, 7),
    "request.pii": (False, True),
}
"""For each fact, a value in every class that the tests below tell apart."""
ASKED: Mapping[str, tuple[tuple[Op, tuple[str | int | bool, ...]], ...]] = {
    "route": (("is", ("alpha",)), ("is", ("alpha", "beta"))),
    "model.id": tuple(
        ("is", each) for each in [("m-1",), ("m-*",), ("*-1",), ("*",), ("m-2", "n-*")]
    ),
    "student.purpose": (("is", ("eval", "serve")), ("is", ("serve",))),
    "student.competes_with": tuple(
        (op, each) for op in ("has", "lacks") for each in [("A",), ("B",), ("A", "B")]
    ),
    "student.monthly_users": (
        ("above", (5,)),
        ("at_least", (6,)),
        ("below", (6,)),
        ("at_most", (4,)),
        ("is", (6,)),
    ),
    "request.pii": (("is", (True,)), ("is", (True, False))),
}
TESTS = tuple(
    Test(fact=fact, op=op, values=values, negated=negated, where=HERE)
    for fact, asked in ASKED.items()
    for op, values in asked
    for negated in (False, True)
)


def conditions() -> st.SearchStrategy[Condition]:
    """Up to two alternatives of up to three tests."""
    alternative = st.lists(st.sampled_from(TESTS), max_size=3).map(tuple)
    return st.lists(alternative, min_size=1, max_size=2).map(
        lambda some: Condition(alternatives=tuple(some))
    )


def truth(condition: Condition, facts: Mapping[str, Fact]) -> bool | None:
    """Whether a condition holds; None where an unknown fact decides (strong Kleene)."""
    found: bool | None = False
    for tests in condition.alternatives:
        seen = [passes(test, facts[test.fact]) if test.fact in facts else None for test in tests]
        if False in seen:
            continue
        if None not in seen:
            return True
        found = None
    return found


def passes(test: Test, value: Fact) -> bool:
    """A plain reading of one test."""
    limit = test.values[0]
    if isinstance(value, frozenset):
        found = any(v in value for v in test.values) is (test.op == "has")
    elif test.op == "is":
        found = any(fits(v, value) for v in test.values)
    else:
        assert isinstance(value, int)
        assert isinstance(limit, int)
        found = {
            "above": value > limit,
            "at_least": value >= limit,
            "below": value < limit,
            "at_most": value <= limit,
        }[test.op]
    return found is not test.negated


def fits(pattern: object, value: object) -> bool:
    """Whether a value is a literal, or begins or ends as a pattern says."""
    if isinstance(pattern, str) and isinstance(value, str) and "*" in pattern:
        bare = pattern.replace("*", "")
        return value.startswith(bare) if pattern.endswith("*") else value.endswith(bare)
    return pattern == value


def worlds(*both: Condition, is_known: bool = False) -> Iterator[dict[str, Fact]]:
    """Every way the facts that conditions test can be, unknown ones included."""
    tested = {test.fact for each in both for tests in each.alternatives for test in tests}
    choices: list[list[Fact | None]] = [
        [*SEARCHED[fact], *(() if is_known else (None,))] for fact in sorted(tested)
    ]
    for values in product(*choices):
        pairs = zip(sorted(tested), values, strict=True)
        yield {fact: value for fact, value in pairs if value is not None}


@UNTIMED
@given(inner=conditions(), outer=conditions())
def test_what_lies_in_another_never_holds_without_it(inner: Condition, outer: Condition) -> None:
    """Where the inner surely holds the outer does, and where it may hold the outer may.

    An alternative that contradicts itself is left out: unknown facts hide that from who reads it.
    """
    if not lies_in(inner, outer):
        return
    single = (Condition(alternatives=(tests,)) for tests in inner.alternatives)
    possible = [each for each in single if any(truth(each, f) for f in worlds(each, is_known=True))]
    for each in possible:
        for facts in worlds(each, outer):
            held, contained = truth(each, facts), truth(outer, facts)
            assert held is False or contained is True or (held is contained is None)


def one_fact() -> st.SearchStrategy[tuple[Test, ...]]:
    """Up to three tests, all on one fact."""
    return st.sampled_from(sorted(SEARCHED)).flatmap(
        lambda fact: st.lists(
            st.sampled_from([test for test in TESTS if test.fact == fact]), min_size=2, max_size=3
        ).map(tuple)
    )


@UNTIMED
@given(tests=one_fact(), size=st.integers(1, 2))
def test_on_one_fact_it_is_exact(tests: tuple[Test, ...], size: int) -> None:
    """On one fact an alternative lies in another exactly where a search finds no way out."""
    inner = Condition(alternatives=(tests[:size],))
    outer = Condition(alternatives=(tests[size:],)) if tests[size:] else Condition()
    escapes = any(
        truth(inner, facts) and not truth(outer, facts)
        for facts in worlds(inner, outer, is_known=True)
    )
    assert lies_in(inner, outer) is not escapes


@UNTIMED
@given(many=st.lists(conditions(), min_size=2, max_size=8))
def test_no_container_is_overlooked(many: list[Condition]) -> None:
    """Whatever a condition lies in is among those that are tried."""
    owned = [(str(at), condition) for at, condition in enumerate(many)]
    containers = Containers(owned)
    for inner in many:
        if not any(truth(inner, facts) for facts in worlds(inner, is_known=True)):
            assert containers.of(inner) == []
            continue
        tried = containers.of(inner)
        assert len(tried) == len(set(tried))
        assert {name for name, outer in owned if lies_in(inner, outer)} <= set(tried)


def make(fact: str, op: Op, *values: str | int | bool, negated: bool = False) -> Condition:
    """The condition of one test."""
    test = Test(fact=fact, op=op, values=values, negated=negated, where=HERE)
    return Condition(alternatives=((test,),))


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (make("route", "is", "a-1"), make("route", "is", "a-*")),
        (make("route", "is", "b-a"), make("route", "is", "*-a")),
        (make("route", "is", "a-1-*"), make("route", "is", "a-*", "b")),
        (make("route", "is", "*-1-a"), make("route", "is", "*-a")),
        (make("route", "is", "a"), make("route", "is", "*")),
        (make("route", "is", "a"), make("route", "is", "a*")),
        (make("route", "is", "a"), make("route", "is", "*a")),
        (make("route", "is", "a", negated=True), make("route", "is", "*")),
        (make("route", "is", "a"), make("route", "is", "b", negated=True)),
        (
            make("student.task", "is", "classify", negated=True),
            make("student.task", "is", "embed", "rank", "extract", "summarise", "generate"),
        ),
        (make("student.commercial", "is", True), make("student.commercial", "is", False, True)),
        (
            make("student.competes_with", "has", "A"),
            make("student.competes_with", "lacks", "A", "B", negated=True),
        ),
        (make("student.monthly_users", "above", 7), make("student.monthly_users", "at_least", 8)),
        (make("counter.calls", "is", 9), make("counter.calls", "above", 8)),
        (make("route", "is", "a"), Condition()),
    ],
)
def test_each_kind_of_test_finds_its_container(inner: Condition, outer: Condition) -> None:
    """Patterns, negations, sets, numbers and the condition that always holds are all found."""
    assert lies_in(inner, outer)
    assert Containers([("outer", outer), ("else", make("region", "is", "eu"))]).of(inner) == [
        "outer"
    ]


def test_an_alternative_that_never_holds_is_no_way_out() -> None:
    """What contradicts itself lies anywhere, so the rest decides."""
    (a,), (not_a,) = (
        make("route", "is", "a", negated=negated).alternatives[0] for negated in (False, True)
    )
    inner = Condition(alternatives=((a, not_a), (a,)))
    assert lies_in(inner, make("route", "is", "a-*", "a"))
    assert not lies_in(inner, make("route", "is", "b"))
    elsewhere = make("region", "is", "eu")
    assert lies_in(
        Condition(alternatives=((a, not_a), *elsewhere.alternatives)), make("region", "is", "eu")
    )


def test_few_are_tried() -> None:
    """Of a thousand conditions on a thousand routes, the one on the same route is tried."""
    many = [(at, make("route", "is", f"route-{at}")) for at in range(1000)]
    assert Containers(many).of(many[7][1]) == [7]


def test_a_fact_that_only_the_outer_tests_may_be_unknown() -> None:
    """A test that every value passes still wants its fact known, so it is no container."""
    assert not lies_in(Condition(), make("student.commercial", "is", False, True))
