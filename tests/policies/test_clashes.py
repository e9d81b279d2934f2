"""Names that no student can have both of."""

from dataclasses import replace
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.clashes import name_clashes
from policies.model import Condition, Duty, Effect, Gate, Layer, Place, Rule, Test
from policies.overlap import meet

HERE = Place(file="a.yaml", line=1, column=1)
PATTERNS = ("a", "a-1", "a-*", "a-1-*", "b", "*-1", "*", "ab*")
PREFIXES = ("Llama", "Llama 3", "Exa")


def about(*models: str, negated: bool = False) -> Condition:
    """A condition on the model."""
    test = Test(fact="model.id", op="is", values=models, negated=negated, where=HERE)
    return Condition(alternatives=((test,),))


def permit(name: str, when: Condition, *prefixes: str) -> Rule:
    """A permit that asks for names."""
    return Rule(
        id=f"p/{name}",
        policy="p",
        party="Maker",
        layers=frozenset({Layer.MODEL}),
        effect=Effect.PERMIT,
        gates=frozenset({Gate.DATASET}),
        when=when,
        because="It says so.",
        duties=tuple(Duty(kind="name_prefix", value=prefix) for prefix in prefixes),
        where=HERE,
    )


def found(*rules: Rule) -> list[tuple[str, str, str, str]]:
    """The clashes among rules: the earlier permit first."""
    return [
        (each.other.id, each.other_prefix, each.rule.id, each.prefix)
        for each in name_clashes(rules)
    ]


LLAMA = permit("llama", about("llama-*"), "Llama")
EXA = permit("exa", about("*-it"), "Exa")


def test_two_permits_of_one_example_clash() -> None:
    """Patterns that share a model, and names of which neither begins the other."""
    assert found(LLAMA, EXA) == [("p/llama", "Llama", "p/exa", "Exa")]


@pytest.mark.parametrize(
    ("one", "other"),
    [("llama-*", "llama-3-*"), ("llama-3-8b", "llama-*"), ("llama-3", "llama-3"), ("*", "llama-3")],
)
def test_the_order_of_permits_does_not_matter(one: str, other: str) -> None:
    """A clash is found whichever of a family and its member comes first."""
    first, second = permit("one", about(one), "Llama"), permit("other", about(other), "Exa")
    assert len(found(first, second)) == len(found(second, first)) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(EXA, when=about("exa-*")),
        replace(EXA, gates=frozenset({Gate.REQUEST})),
        replace(EXA, is_shadow=True),
        replace(EXA, effect=Effect.REVIEW),
        permit("exa", about("*-it"), "Llama 3"),
        permit("exa", about("*-it"), "Lla"),
        permit("exa", about("*-it")),
        permit("exa", about("llama-*", negated=True), "Exa"),
    ],
)
def test_what_can_be_met_together_is_fine(other: Rule) -> None:
    """Other models, gates and duties, and a name that begins with the other name, do not clash."""
    assert found(LLAMA, other) == []


def test_one_permit_may_ask_for_too_much() -> None:
    """Two names in one rule are a clash wherever it holds."""
    assert found(permit("both", about("a"), "Llama", "Exa")) == [
        ("p/both", "Llama", "p/both", "Exa")
    ]


def conditions() -> st.SearchStrategy[Condition]:
    """Conditions on the model, sometimes none or a negated one."""
    test = st.builds(
        lambda values, negated: Test(
            fact="model.id", op="is", values=tuple(values), negated=negated, where=HERE
        ),
        st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2),
        st.sampled_from([False, False, False, True]),
    )
    alternative = st.lists(test, max_size=2).map(tuple)
    return st.lists(alternative, min_size=1, max_size=2).map(
        lambda some: Condition(alternatives=tuple(some))
    )


@given(
    asked=st.lists(
        st.tuples(conditions(), st.lists(st.sampled_from(PREFIXES), max_size=2)), max_size=7
    )
)
def test_every_pair_that_meets_is_found_once(asked: list[tuple[Condition, list[str]]]) -> None:
    """The index overlooks nothing: the pairs are those that a comparison of all with all finds."""
    rules = [permit(str(at), when, *names) for at, (when, names) in enumerate(asked)]
    expected = [
        (a.id, b.id)
        for a, b in combinations_with_replacement(rules, 2)
        if any(is_at_odds(x.value, y.value) for x in a.duties for y in b.duties)
        and (a is b or meet(a.when, b.when))
    ]
    assert sorted((a, b) for a, _, b, _ in found(*rules)) == sorted(expected)


def is_at_odds(one: str, other: str) -> bool:
    """Whether no name begins with both."""
    return not one.startswith(other) and not other.startswith(one)
