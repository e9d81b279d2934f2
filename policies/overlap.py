"""Whether tests on facts can hold together.

Exact, because facts are independent and a pattern has one `*` at an end: what is left of the text
is a start, an end, or one word.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

from policies.facts import FactType, spec_of
from policies.model import Condition, Test

__all__ = ["can_hold", "meet"]

_MAX_CHOICES = 10_000


def can_hold(tests: Iterable[Test]) -> bool:
    """Whether some facts pass all of the tests."""
    by_fact: dict[str, list[Test]] = {}
    for test in tests:
        by_fact.setdefault(test.fact, []).append(test)
    return all(_fact_can_hold(fact, group) for fact, group in by_fact.items())


def meet(left: Condition, right: Condition) -> bool:
    """Whether some facts fulfil both conditions."""
    return any(can_hold(a + b) for a, b in product(left.alternatives, right.alternatives))


def _fact_can_hold(fact: str, tests: Sequence[Test]) -> bool:
    if len(tests) == 1 and not tests[0].negated:
        return True  # what a test alone asks for, some value is
    spec = spec_of(fact)
    assert spec is not None  # noqa: S101 - a test on an unknown fact is a load error
    match spec.type:
        case FactType.TEXT:
            return _text_can_hold(tests)
        case FactType.SET:
            return _set_can_hold(tests)
        case FactType.NUMBER:
            edges = {value for test in tests for value in test.values if isinstance(value, int)}
            values: Iterable[str | int] = {edge + step for edge in edges for step in (-1, 0, 1)}
        case _:
            values = spec.values or (False, True)
    return any(all(_passes(test, value) for test in tests) for value in values)


def _passes(test: Test, value: str | int) -> bool:
    """Whether one value of a choice, boolean or number passes a test."""
    match test.op, value, test.values[0]:
        case "above", int(), int() as limit:
            found = value > limit
        case "at_least", int(), int() as limit:
            found = value >= limit
        case "below", int(), int() as limit:
            found = value < limit
        case "at_most", int(), int() as limit:
            found = value <= limit
        case _:
            found = value in test.values
    return found is not test.negated


def _set_can_hold(tests: Sequence[Test]) -> bool:
    wanted = [test.values for test in tests if (test.op == "has") is not test.negated]
    barred = {v for test in tests if (test.op == "has") is test.negated for v in test.values}
    return all(any(value not in barred for value in values) for values in wanted)


class _Text(NamedTuple):
    """A class of texts: one word, or all with this start and this end."""

    start: str = ""
    end: str = ""
    word: str | None = None


def _text_can_hold(tests: Sequence[Test]) -> bool:
    wanted = [[_text(str(v)) for v in test.values] for test in tests if not test.negated]
    barred = [_text(str(v)) for test in tests if test.negated for v in test.values]
    size = 1
    for each in wanted:
        size *= len(each)
    if size > _MAX_CHOICES:
        return True
    return any(_some_text(choice, barred) for choice in product(*wanted))


def _text(pattern: str) -> _Text:
    if pattern.endswith("*"):
        return _Text(start=pattern[:-1])
    if pattern.startswith("*"):
        return _Text(end=pattern[1:])
    return _Text(word=pattern)


def _some_text(wanted: Iterable[_Text], barred: Iterable[_Text]) -> bool:
    """Whether a text is in all wanted classes and in no barred one."""
    found = _Text()
    for each in wanted:
        both = _common(found, each)
        if both is None:
            return False
        found = both
    return not any(_covers(each, found) for each in barred)


def _common(left: _Text, right: _Text) -> _Text | None:
    """The texts of both classes; None where there are none."""
    if right.word is not None:
        return right if _covers(left, right) else None
    if left.word is not None:
        return left if _covers(right, left) else None
    starts = sorted((left.start, right.start), key=len)
    ends = sorted((left.end, right.end), key=len)
    if starts[1].startswith(starts[0]) and ends[1].endswith(ends[0]):
        return _Text(start=starts[1], end=ends[1])
    return None


def _covers(outer: _Text, inner: _Text) -> bool:
    """Whether every text of `inner` is in `outer`; `outer` has a start or an end, not both tested at once."""
    if outer.word is not None:
        return outer.word == inner.word
    if inner.word is not None:
        fits = len(inner.word) >= max(len(outer.start), len(outer.end))
        return fits and inner.word.startswith(outer.start) and inner.word.endswith(outer.end)
    return inner.start.startswith(outer.start) and inner.end.endswith(outer.end)
