"""Duties that no student can meet together: two permits that ask for different beginnings of its name."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from policies.model import Effect, Rule
from policies.overlap import meet

__all__ = ["Clash", "name_clashes"]

_PREFIX = "name_prefix"
_MODEL = "model.id"
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A permit and one before it, or the same, whose name prefixes are at odds."""

    rule: Rule
    prefix: str
    other: Rule
    other_prefix: str


def name_clashes(rules: Iterable[Rule]) -> Iterator[Clash]:
    """Each two permits that one example may need and that ask for names no student can have both of.

    Both clocks bring duties, so permits that are in force at different times meet as well.
    """
    seen = _Prefixed()
    for rule in rules:
        prefixes = _prefixes(rule)
        if not prefixes or rule.is_shadow or rule.effect is not Effect.PERMIT:
            continue
        seen.add(rule)
        for other in seen.near(rule):
            clash = _clash(rule, prefixes, other)
            if clash is not None:
                yield clash


def _prefixes(rule: Rule) -> list[str]:
    return sorted({duty.value for duty in rule.duties if duty.kind == _PREFIX})


def _clash(rule: Rule, prefixes: list[str], other: Rule) -> Clash | None:
    for prefix in prefixes:
        for wanted in _prefixes(other):
            if prefix.startswith(wanted) or wanted.startswith(prefix):
                continue
            if rule.gates & other.gates and (rule is other or meet(rule.when, other.when)):
                return Clash(rule=rule, prefix=prefix, other=other, other_prefix=wanted)
    return None


class _Prefixed:
    """Permits by the models they are about, so that not every two are compared."""

    def __init__(self) -> None:
        self._all: list[Rule] = []
        self._anywhere: list[Rule] = []
        self._starts: list[str] = []
        """Sorted: what is before the `*` of a pattern, and whole names."""
        self._by_start: dict[str, list[Rule]] = {}

    def add(self, rule: Rule) -> None:
        self._all.append(rule)
        starts = _starts(rule)
        if starts is None:
            self._anywhere.append(rule)
        for start in starts or ():
            if start not in self._by_start:
                insort(self._starts, start)
            self._by_start.setdefault(start, []).append(rule)

    def near(self, rule: Rule) -> Iterable[Rule]:
        """Those whose models may be some of this rule's, each once."""
        starts = _starts(rule)
        if starts is None:
            return self._all
        near = {each.id: each for each in self._anywhere}
        for start in starts:
            shorter = (start[:size] for size in range(len(start) + 1))
            first, last = bisect_left(self._starts, start), bisect_left(self._starts, start + _LAST)
            for each in (*shorter, *self._starts[first:last]):
                near |= {rule.id: rule for rule in self._by_start.get(each, ())}
        return near.values()


def _starts(rule: Rule) -> frozenset[str] | None:
    """How the models of a rule begin; None where they may begin in any way."""
    found = set()
    for tests in rule.when.alternatives:
        named = [test for test in tests if test.fact == _MODEL and not test.negated]
        if not named:
            return None
        found |= {str(value) for value in named[0].values}
    if any(value.startswith("*") for value in found):
        return None
    return frozenset(value.removesuffix("*") for value in found)
