"""The catalogue is whole and says of each fact what a condition may do with it."""

import pytest

from policies.facts import CATALOGUE, GATES, FactType, known_at, mistyped, spec_of
from policies.model import Fact, Gate

EXAMPLES: dict[FactType, Fact] = {
    FactType.TEXT: "x",
    FactType.BOOL: True,
    FactType.NUMBER: 7,
    FactType.SET: frozenset({"x"}),
}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_each_fact_is_described(name: str) -> None:
    """Each fact has a sentence, someone who supplies it, and values where it is a choice."""
    spec = CATALOGUE[name]
    assert spec.name == name
    assert spec.doc.endswith(".")
    assert spec.supplied_by
    assert bool(spec.values) == (spec.type is FactType.CHOICE)
    assert spec_of(name) is spec


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_fact_accepts_its_type_alone(name: str) -> None:
    """A value of another type is not this fact's, and so counts as unknown."""
    spec = CATALOGUE[name]
    if spec.type is FactType.CHOICE:
        assert spec.accepts(spec.values[0])
        assert not spec.accepts("of no list")
    for kind, example in EXAMPLES.items():
        assert spec.accepts(example) == (kind is spec.type)


def test_numbers_stay_below_what_the_ledger_can_hold() -> None:
    """A number is an integer below 2^53 (canonical JSON)."""
    spec = CATALOGUE["response.tokens"]
    assert spec.accepts(2**53 - 1)
    assert not spec.accepts(2**53)


def test_the_words_of_purpose_are_fixed() -> None:
    """The purposes are those of the house words."""
    assert CATALOGUE["student.purpose"].values == (
        "eval",
        "classifier",
        "embedding",
        "distil-narrow",
        "distil-general",
        "serve",
    )


def test_counters_are_numbers_of_the_request() -> None:
    """A counter is a number that the ledger knows from the request gate on."""
    spec = spec_of("counter.per-day")
    assert spec is not None
    assert (spec.type, spec.gate, spec.supplied_by) == (FactType.NUMBER, Gate.REQUEST, "the ledger")
    assert spec_of("nothing") is None


def test_a_fact_is_known_from_its_gate_on() -> None:
    """What the answer says is unknown at the request gate and known at every later one."""
    tokens = CATALOGUE["response.tokens"]
    assert [known_at(tokens, gate) for gate in GATES] == [False, True, True, True]
    assert all(known_at(CATALOGUE["route"], gate) for gate in GATES)


def test_what_is_not_of_its_type_is_named() -> None:
    """A choice outside its values counts too; names outside the catalogue are none of ours."""
    facts: dict[str, Fact] = {
        "request.tools": "yes",
        "operation": "telepathy",
        "counter.x": True,
        "route": "acme",
        "unheard.of": 1,
    }
    assert mistyped(facts) == ("counter.x", "operation", "request.tools")
    assert mistyped({"request.tools": True, "counter.x": 1}) == ()
