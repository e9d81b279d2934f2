"""Which counters count a call, which of them its rules read, and how near they are to a limit.

A counter counts the calls in its scope that the request gate lets pass, in groups: calls that agree
in every fact of `per` are one group. Where something is unknown, the answer is the stricter one:

- a call that may be in the scope is counted as one that is;
- a call whose group is unknown has no number to read: `counter.NAME` is unknown for it, so that a
  rule which tests it stays undecided. It is counted in no group.

How far a group has counted is its tally; tallies are kept by `proxy.store.counters`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from policies.column import reached
from policies.facts import CATALOGUE, COUNTER_PREFIX, Asserter
from policies.matrix import Matrix, compile_rules
from policies.meaning import canonical, sha256_of
from policies.model import (
    Condition,
    Counter,
    Effect,
    Fact,
    Gate,
    Grant,
    Op,
    Place,
    Rule,
    Test,
)

__all__ = ["KEY_BYTES", "Counters", "Group", "Nearness", "meaning_with", "nearness"]

KEY_BYTES = 16
"""The length of a group's key: 128 bits, so that two groups never share one by chance."""

_STEADY_ASSERTERS = frozenset({Asserter.WIRE, Asserter.REGISTRY, Asserter.LEDGER})
_STEADY_FACTS = frozenset(
    spec.name
    for spec in CATALOGUE.values()
    if spec.asserter in _STEADY_ASSERTERS and spec.gate is Gate.REQUEST and spec.name != "model.id"
)
"""Facts of a call that no later gate sees otherwise: no declaration, no judgement, no answer."""
_TURNS_BEYOND: Mapping[Op, int] = {"above": 1, "at_least": 0, "below": 0, "at_most": 1}
"""How far beyond its limit a test on a rising number turns."""
_MOST_SEEN = 4096
"""How many groups of a counter are remembered, and how many kinds of calls."""
_NOWHERE = Place(file="(engine)", line=1, column=1)


class _Linked(Protocol):
    """What is read of a policy bundle."""

    @property
    def counters(self) -> Sequence[Counter]: ...

    @property
    def rules(self) -> Sequence[Rule]: ...

    @property
    def grants(self) -> Sequence[Grant]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The group of a counter that a call belongs to."""

    counter: Counter
    key: bytes
    """The first 16 bytes of the sha256 of canonical JSON of name, count and the `per` facts.

    Window and scope are not in it: a counter whose window is changed keeps what it has counted.
    """

    @property
    def fact(self) -> str:
        """The name of the fact that holds this counter's number."""
        return COUNTER_PREFIX + self.counter.name


class Counters:
    """The counters of a bundle, compiled once; where there are none nothing is looked at."""

    def __init__(self, bundle: _Linked) -> None:
        self._counters = tuple(_Grouping(counter) for counter in bundle.counters)
        self._scopes = _matrix(counter.scope for counter in bundle.counters)
        readers = tuple(_readers(bundle)) if self._counters else ()
        self._names = tuple(names for names, _ in readers)
        self._readers = _matrix(when for _, when in readers)
        # Calls differ in few ways that matter here, so what was found for one is found for many.
        self._counting = lru_cache(maxsize=_MOST_SEEN)(self._counters_in)
        self._reading = lru_cache(maxsize=_MOST_SEEN)(self._names_in)

    def groups(self, facts: Mapping[str, Fact]) -> tuple[Group, ...]:
        """The groups a call is counted in, by the name of their counters.

        `facts` are those of the request gate, without counters.
        """
        if not self._counters:
            return ()
        groups = [each.group(facts) for each in self._counting(_may_hold(self._scopes, facts))]
        return tuple([group for group in groups if group is not None])

    def tested(self, facts: Mapping[str, Fact]) -> frozenset[str]:
        """The names of the counters that rules or grants test which may match this call.

        Those at later gates too: what they read is what was true when the call was made.
        """
        if not self._names:
            return frozenset()
        return self._reading(_may_hold(self._readers, facts))

    def _counters_in(self, scopes: int) -> "tuple[_Grouping, ...]":
        return tuple(self._counters[at] for at in self._scopes.matching(scopes))

    def _names_in(self, readers: int) -> frozenset[str]:
        return frozenset().union(*(self._names[at] for at in self._readers.matching(readers)))


class _Grouping:
    """A counter and the groups it was seen to count."""

    __slots__ = ("_counter", "_groups", "_specs")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._specs = tuple(CATALOGUE[name] for name in counter.per)
        self._groups: dict[tuple[Fact, ...], Group] = {}

    def group(self, facts: Mapping[str, Fact]) -> Group | None:
        """The group of a call; None where a fact it stands on is unknown."""
        values: list[Fact] = []
        for spec in self._specs:
            value = facts.get(spec.name)
            if value is None or not spec.accepts(value):
                return None
            values.append(value)
        found = self._groups.get(tuple(values))
        return self._meet(tuple(values)) if found is None else found

    def _meet(self, values: tuple[Fact, ...]) -> Group:
        counter = self._counter
        listed = [sorted(value) if isinstance(value, frozenset) else value for value in values]
        said = canonical([counter.name, counter.count, list(counter.per), listed])
        key = hashlib.sha256(said.encode()).digest()[:KEY_BYTES]
        if len(self._groups) >= _MOST_SEEN:
            self._groups.clear()
        group = self._groups[values] = Group(counter=counter, key=key)
        return group


def _matrix(conditions: Iterable[Condition]) -> Matrix:
    """Conditions in the engine's own form, in order: they are read as a decision reads them."""
    return compile_rules([_asking(at, when) for at, when in enumerate(conditions)], ())


def _asking(at: int, when: Condition) -> Rule:
    """A rule that says nothing but its condition; ids sort as the places do."""
    return Rule(
        id=f"{at:08}",
        policy="",
        party="",
        layers=frozenset(),
        effect=Effect.FORBID,
        gates=frozenset(),
        when=when,
        because="",
        where=_NOWHERE,
    )


def _may_hold(matrix: Matrix, facts: Mapping[str, Fact]) -> int:
    """The rows of the conditions that hold, or hold for some value of what is unknown."""
    return reached(matrix.columns, matrix.full, facts)


def _readers(bundle: _Linked) -> Iterator[tuple[frozenset[str], Condition]]:
    """For each alternative that tests counters: which, and what else must hold for it to matter."""
    for rule in bundle.rules:
        is_steady = rule.gates != {Gate.REQUEST}
        yield from _alternatives(rule.when, is_steady=is_steady)
    for grant in bundle.grants:
        yield from _alternatives(grant.scope, is_steady=True)


def _alternatives(
    when: Condition, *, is_steady: bool
) -> Iterator[tuple[frozenset[str], Condition]]:
    """With `is_steady`, only tests on facts that no later gate sees otherwise are asked."""
    for tests in when.alternatives:
        names = frozenset(
            test.fact.removeprefix(COUNTER_PREFIX) for test in tests if _is_counter(test)
        )
        if names:
            rest = (test for test in tests if not _is_counter(test))
            asked = tuple(test for test in rest if not is_steady or test.fact in _STEADY_FACTS)
            yield names, Condition(alternatives=(asked,))


def _is_counter(test: Test) -> bool:
    return test.fact.startswith(COUNTER_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How near the number of a counter is to one limit of one rule."""

    counter: str
    rule: str
    """Full id."""
    value: int
    limit: int
    """As the rule writes it."""
    left: int
    """How much more until the test turns, so that the rule's answer may change; 0 once it has."""


def nearness(bundle: _Linked, facts: Mapping[str, Fact]) -> tuple[Nearness, ...]:
    """How near a call's counters are to the limits that rules test, the nearest first.

    `facts` are those of a decision, counters included; a counter without a number is left out.
    """
    found = {
        near
        for rule in bundle.rules
        for tests in rule.when.alternatives
        for near in (_near(rule, test, facts) for test in tests if _is_counter(test))
        if near is not None
    }
    return tuple(sorted(found, key=lambda near: (near.left, near.counter, near.rule, near.limit)))


def _near(rule: Rule, test: Test, facts: Mapping[str, Fact]) -> Nearness | None:
    value, limit = facts.get(test.fact), test.values[0]
    if not isinstance(value, int) or not isinstance(limit, int):
        return None
    return Nearness(
        counter=test.fact.removeprefix(COUNTER_PREFIX),
        rule=rule.id,
        value=value,
        limit=limit,
        left=max(0, limit + _TURNS_BEYOND[test.op] - value),
    )


def meaning_with(counters: Iterable[Counter], meaning: str) -> str:
    """sha256 (hex) of what rules and grants mean together with what is counted.

    Without counters it is `meaning` itself: what rules and grants mean by themselves.
    """
    said = [_record(counter) for counter in counters]
    return sha256_of({"counters": said, "meaning": meaning}) if said else meaning


def _record(counter: Counter) -> dict[str, object]:
    return {
        "name": counter.name,
        "policy": counter.policy,
        "count": counter.count,
        "per": list(counter.per),
        "within_s": int(counter.within.total_seconds()),
        "scope": [
            [[test.fact, test.op, list(test.values), test.negated] for test in tests]
            for tests in counter.scope.alternatives
        ],
    }
