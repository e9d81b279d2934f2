"""Whether one condition holds only where another does, and which conditions that may concern.

One alternative lies in another when each fact of the outer one is tested by the inner one too, and
no value passes the inner one's tests and fails one of the outer's. Then the outer one surely holds
wherever the inner one surely does, and possibly wherever it possibly does: an unknown fact of the
outer is an unknown fact of the inner. A union of alternatives that covers together what none covers
alone is not seen.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from policies.facts import FactType, spec_of
from policies.model import Condition, Place, Test
from policies.overlap import can_hold

__all__ = ["Containers", "lies_in"]

type _Tests = tuple[Test, ...]
type _Key = tuple[str, str | int | bool | None]

_NOWHERE = Place(file="", line=1, column=1)


def lies_in(inner: Condition, outer: Condition) -> bool:
    """Whether the outer condition holds wherever the inner one does; sound, blind to unions."""
    return all(
        any(_alternative_lies_in(a, b) for b in outer.alternatives)
        for a in inner.alternatives
        if can_hold(a)
    )


def _alternative_lies_in(inner: _Tests, outer: _Tests) -> bool:
    tested = _by_fact(inner)
    return all(
        (tests := tested.get(wanted.fact)) is not None and _implies(tests, wanted)
        for wanted in map(_placeless, outer)
    )


@lru_cache(maxsize=65_536)
def _implies(tests: _Tests, wanted: Test) -> bool:
    """Whether every value that passes tests on one fact passes one more."""
    return not can_hold((*tests, replace(wanted, negated=not wanted.negated)))


def _by_fact(tests: _Tests) -> Mapping[str, _Tests]:
    found: dict[str, _Tests] = {}
    for test in map(_placeless, tests):
        found[test.fact] = (*found.get(test.fact, ()), test)
    return found


@lru_cache(maxsize=65_536)
def _placeless(test: Test) -> Test:
    return replace(test, where=_NOWHERE)


class Containers[T]:
    """Finds, among conditions, those that may contain a given one without trying them all.

    Each alternative stands under the values of the one of its tests that fewest others share; what
    lies in it passes that test, so it names one of the values, or something that one of them covers.
    """

    def __init__(self, conditions: Iterable[tuple[T, Condition]]) -> None:
        pairs = [(owner, tests) for owner, when in conditions for tests in when.alternatives]
        self._common = Counter(key for _, tests in pairs for key in _every_key(tests))
        self._owners: dict[_Key | None, list[T]] = {}
        for owner, tests in pairs:
            for key in self._keys(tests):
                self._owners.setdefault(key, []).append(owner)

    def of(self, condition: Condition) -> list[T]:
        """The owners of conditions that may contain this one, each once."""
        first = next((tests for tests in condition.alternatives if can_hold(tests)), None)
        if first is None:
            return []
        keys = {None, *_answers(first)}
        found = {id(each): each for key in keys for each in self._owners.get(key, ())}
        return list(found.values())

    def _keys(self, tests: _Tests) -> Sequence[_Key | None]:
        """Where an alternative stands; one that always holds stands with all."""
        ways = [*map(_keys_of, tests)]
        return min(ways, key=lambda keys: sum(self._common[key] for key in keys), default=[None])


def _every_key(tests: _Tests) -> Iterator[_Key]:
    for test in tests:
        yield from _keys_of(test)


def _keys_of(test: Test) -> Sequence[_Key]:
    """The values that a test names, or its fact alone."""
    if _names_values(test):
        return [(test.fact, value) for value in test.values]
    return [(test.fact, None)]


def _names_values(test: Test) -> bool:
    """Whether what passes the test is one of its values, holds one, or fits one."""
    spec = spec_of(test.fact)
    is_number = spec is not None and spec.type is FactType.NUMBER
    return not is_number and (test.op == "lacks") is test.negated and "*" not in test.values


def _answers(tests: _Tests) -> Iterator[_Key]:
    """Every key under which something that contains these tests may stand."""
    for fact, own in _by_fact(tests).items():
        yield fact, None
        spec = spec_of(fact)
        if spec is not None and spec.type in (FactType.CHOICE, FactType.BOOL):
            yield from ((fact, value) for value in spec.values or (False, True))
            continue
        for value in {value for test in own if _names_values(test) for value in test.values}:
            yield fact, value
            if spec is not None and spec.type is FactType.TEXT:
                yield from ((fact, pattern) for pattern in _patterns(str(value)))


def _patterns(text: str) -> Iterator[str]:
    """Every pattern but `*` that fits all that a text or pattern stands for."""
    if not text.startswith("*"):
        start = text.removesuffix("*")
        yield from (f"{start[:size]}*" for size in range(1, len(start) + 1))
    if not text.endswith("*"):
        end = text.removeprefix("*")
        yield from (f"*{end[at:]}" for at in range(len(end)))
