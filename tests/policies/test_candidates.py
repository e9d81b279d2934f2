"""Candidate values: each class that tests tell apart has one, and they read as what they are."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.candidates import candidates, nearest_sets, says
from policies.column import passes
from policies.facts import FactSpec, spec_of
from policies.model import Effect, Fact, Op, Test
from tests.policies.strategies import HERE

P, R = Effect.PERMIT, Effect.REVIEW


def spec(name: str) -> FactSpec:
    """A fact of the catalogue."""
    found = spec_of(name)
    assert found is not None
    return found


def is_(fact: str, *values: str | int | bool) -> Test:
    """The fact is one of these."""
    return Test(fact=fact, op="is", values=values, where=HERE)


def limit(op: Op, value: int) -> Test:
    """A threshold on the users of a student."""
    return Test(fact="student.monthly_users", op=op, values=(value,), where=HERE)


def has(*members: str) -> Test:
    """The student competes with one of these."""
    return Test(fact="student.competes_with", op="has", values=members, where=HERE)


def classes(tests: list[Test], values: list[Fact]) -> set[tuple[bool | None, ...]]:
    """What each value does to the tests."""
    return {tuple(passes(test, {test.fact: value}) for test in tests) for value in values}


@given(
    limits=st.lists(
        st.tuples(
            st.sampled_from(["above", "at_least", "below", "at_most", "is"]), st.integers(0, 9)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_numbers_of_every_stretch_are_tried(limits: list[tuple[Op, int]]) -> None:
    """However thresholds lie, every number reads like a candidate."""
    tests = [limit(op, value) for op, value in limits]
    found = candidates(spec("student.monthly_users"), tests, None)
    assert classes(tests, list(range(-2, 12))) <= classes(tests, found)
    assert len(set(found)) == len(found)


@given(
    patterns=st.lists(
        st.sampled_from(["a", "b", "ab", "a*", "ab*", "*a", "*ba", "*"]), min_size=1, max_size=4
    )
)
def test_texts_of_every_class_are_tried(patterns: list[str]) -> None:
    """However patterns meet, every text reads like a candidate."""
    tests = [is_("model.id", pattern) for pattern in patterns]
    texts: list[Fact] = ["", "a", "b", "ab", "ba", "aba", "abba", "cc", "ac", "ca", "abc", "aca"]
    found = candidates(spec("model.id"), tests, None)
    assert classes(tests, [t for t in texts if t]) <= classes(tests, found)


def test_closed_facts_have_all_their_values() -> None:
    """A choice has its list and a flag both values, whatever the tests name."""
    assert candidates(spec("request.pii"), [is_("request.pii", True)], None) == [False, True]
    release = spec("student.release")
    assert candidates(release, [is_("student.release", "internal")], None) == list(release.values)
    assert candidates(release, [], None) == []


def test_sets_are_tried_nearest_first() -> None:
    """Up to six members every combination, starting from the present set."""
    start = frozenset({"a", "other"})
    found = candidates(spec("student.competes_with"), [has("a", "b")], start)
    assert found[0] == start
    assert set(found) == {
        frozenset({"other", *each}) for n in range(3) for each in combinations("ab", n)
    }


def test_of_many_members_the_near_sets_are_tried() -> None:
    """Above six members: one or two steps away, and the emptied one."""
    start = frozenset("abc")
    found = candidates(spec("student.competes_with"), [has(*"abcdefgh")], start)
    assert {start, frozenset("ab"), frozenset("a"), frozenset(), frozenset("abcd")} <= set(found)
    assert frozenset("abcde") not in found


def test_only_the_nearest_sets_are_kept() -> None:
    """A set that changes more members than another with the same verdict is no news."""
    found = {P: [frozenset(), frozenset({"a"})], R: [frozenset({"a", "c"})]}
    kept = nearest_sets(found, frozenset({"a", "b"}))
    assert kept == {P: [frozenset({"a"})], R: [frozenset({"a", "c"})]}
    assert nearest_sets({P: [frozenset({"a"}), frozenset()]}, None) == {P: [frozenset()]}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["a"], "is `a`"),
        (["a", "b"], "is `a` or `b`"),
        (["m-"], "matches `m-*`"),
        (["m--x"], "matches `*-x` and `m-*`"),
        (["a", "m-"], "is `a` or matches `m-*`"),
        (["nothing"], "is none that these rules name"),
        ([None], "is absent"),
        ([7], "is none that these rules name"),
    ],
)
def test_texts_read_as_the_patterns_they_match(values: list[Fact | None], text: str) -> None:
    """A word that rules name is itself, another is what it matches."""
    tests = [is_("model.id", "a", "b"), is_("model.id", "m-*", "*-x")]
    assert says(spec("model.id"), tests, values, None) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([4, 5], "is at most 5"),
        ([6], "is 6"),
        ([6, 9], "is between 6 and 9"),
        ([10, 11], "is at least 10"),
        ([4, 5, 10, 11], "is at most 5 or is at least 10"),
        ([4, 5, 6, 9, 10, 11], "is any number"),
    ],
)
def test_numbers_read_as_stretches(values: list[Fact | None], text: str) -> None:
    """Neighbours among the numbers tried are one stretch, open where nothing lies beyond."""
    tests = [limit("above", 5), limit("at_least", 10)]
    assert candidates(spec("student.monthly_users"), tests, None) == [4, 5, 6, 9, 10, 11]
    assert says(spec("student.monthly_users"), tests, values, None) == text


def test_sets_read_as_what_is_changed() -> None:
    """Of a known set the change is told, of an unknown one all that rules test."""
    competes, tests = spec("student.competes_with"), [has("a"), has("b")]
    known = frozenset({"a", "z"})
    assert says(competes, tests, [frozenset({"z"})], known) == "lacks `a`"
    assert says(competes, tests, [frozenset({"b", "z"})], known) == "has `b` and lacks `a`"
    assert says(competes, tests, [frozenset({"b"})], None) == "has `b` and lacks `a`"
    both: list[Fact | None] = [frozenset({"z"}), frozenset({"a", "b", "z"})]
    assert says(competes, tests, both, known) == "lacks `a` or has `b`"


def test_choices_and_flags_read_as_their_values() -> None:
    """Closed values are listed."""
    release = spec("student.release")
    tests = [is_("student.release", "internal")]
    assert says(release, tests, ["internal", "service"], None) == "is `internal` or `service`"
    assert says(spec("request.pii"), [is_("request.pii", True)], [False], True) == "is `false`"
