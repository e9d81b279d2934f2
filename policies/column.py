"""The tests on each fact as bits of the rows that ask them, and facts read against all of them.

Reading the facts of an exchange gives two integers: the rows that surely hold and those that may.
An unknown fact takes every row that tests it out of the first and none out of the second, which is
strong Kleene, negated tests included.
"""

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, cast

from policies.decision import Missing
from policies.facts import FactType, spec_of
from policies.model import Fact, Op, Test

__all__ = ["Asked", "Bits", "Column", "passes", "reached", "read", "read_twice", "union"]

_MEMO_LIMIT = 4096
_COMPARISONS: Mapping[Op, Callable[[int, int], bool]] = {
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
}
_KINDS: Mapping[FactType, type] = {
    FactType.TEXT: str,
    FactType.CHOICE: str,
    FactType.BOOL: bool,
    FactType.NUMBER: int,
    FactType.SET: frozenset,
}


type _Seen = Callable[[Fact | None], int | None]


_MAY_BE_NONE = frozenset({"router"})
"""Facts whose absence is known: a call that names no router has none (decision 0013)."""


class Bits(NamedTuple):
    """Rows that hold whatever the unknown facts are, and rows that hold for some value of them."""

    sure: int
    maybe: int


class Asked(NamedTuple):
    """What a test asks of its fact, without its place."""

    op: Op
    values: tuple[str | int | bool, ...]
    is_negated: bool

    def names(self, *, is_of_set: bool) -> Literal["needed", "barred"] | None:
        """Whether it needs, or bars, one of its words as such; None for patterns and limits."""
        is_plain = self.op == "is" and not any(type(v) is str and "*" in v for v in self.values)
        if not (is_of_set or is_plain):
            return None
        return "barred" if (self.op == "lacks") is not self.is_negated else "needed"

    def holds(self, value: Fact) -> bool:
        """Whether a value of the fact's own type passes."""
        return self._holds(value) is not self.is_negated

    def _holds(self, value: Fact) -> bool:
        if isinstance(value, frozenset):
            return value.isdisjoint(self.values) is (self.op == "lacks")
        if self.op == "is":
            for wanted in self.values:  # noqa: SIM110 - asked of thousands of patterns at a time
                if _equals(wanted, value):
                    return True
            return False
        compare, limit = _COMPARISONS.get(self.op), self.values[0]
        if compare is None or not isinstance(value, int) or not isinstance(limit, int):
            return False
        return compare(value, limit)


def _equals(wanted: str | int, value: str | int) -> bool:
    if not isinstance(wanted, str) or not isinstance(value, str):
        return wanted == value
    if wanted.startswith("*"):
        return value.endswith(wanted[1:])
    if wanted.endswith("*"):
        return value.startswith(wanted[:-1])
    return wanted == value


class _Index:
    """The tests on one fact by the words they name, so that a value finds those it passes."""

    def __init__(self, asked: Iterable[tuple[Asked, int]], *, is_of_set: bool) -> None:
        self._needed: dict[object, int] = {}
        self._barred: dict[object, int] = {}
        self._others: list[tuple[Asked, int]] = []
        self._needing = twice = 0
        kinds = [(test, rows, test.names(is_of_set=is_of_set)) for test, rows in asked]
        for test, rows, kind in kinds:
            if kind is None:
                self._others.append((test, rows))
                continue
            if kind == "needed":
                twice |= self._needing & rows
                self._needing |= rows
            words = self._needed if kind == "needed" else self._barred
            for word in test.values:
                words[word] = words.get(word, 0) | rows
        # A row that needs two things at once is not found by either of them alone.
        self._others += [(test, rows) for test, rows, kind in kinds if kind and rows & twice]

    def failing(self, value: Fact) -> int:
        """The rows that a value of the fact's own type fails."""
        found = barred = 0
        for word in value if isinstance(value, frozenset) else (value,):
            found |= self._needed.get(word, 0)
            barred |= self._barred.get(word, 0)
        failing = self._needing & ~found | barred
        for asked, rows in self._others:
            if not asked.holds(value):
                failing |= rows
        return failing


class Column:
    """All tests on one fact."""

    __slots__ = (
        "_absent",
        "_full",
        "_index",
        "_regions",
        "_seen",
        "_spec",
        "asked",
        "fact",
        "free",
        "hot",
        "limits",
        "missing",
        "tested",
    )

    def __init__(self, fact: str, full: int, asked: Mapping[Asked, int]) -> None:
        self.fact = fact
        self.asked = tuple(asked.items())
        """What is asked of the fact, and the rows that ask it."""
        self.tested = union(asked.values())
        """The rows that test the fact."""
        self.free = full & ~self.tested
        """The rows that do not."""
        self._full = full
        self._absent = self._passing_nothing() if fact in _MAY_BE_NONE else None
        self._spec = spec_of(fact)
        self.missing = Missing(
            fact=fact, supplied_by="" if self._spec is None else self._spec.supplied_by
        )
        """What a decision says of the fact where it is missing."""
        self._seen: dict[Fact, int] = {}
        kind = None if self._spec is None else _KINDS[self._spec.type]
        self.hot = (fact, kind, cast("_Seen", self._seen.get), self.free, self._absent)
        """What every reading needs: the fact, the type of its values, what was said of one before,
        the rows that do not test it, and those that stand where it is absent."""
        self.limits = sorted({v for test in asked for v in test.values if type(v) is int})
        """The numbers that tests compare with, ascending."""
        self._regions: dict[int, int] = {}
        self._index: _Index | None = None

    def is_unknown(self, facts: Mapping[str, Fact]) -> bool:
        """Whether the fact is absent, and absence says nothing, or of the wrong type."""
        return self.bits(facts.get(self.fact)) is None

    def bits(self, value: Fact | None) -> int | None:
        """The rows that a value leaves standing; None where it is unknown."""
        if value is None:
            return self._absent
        if self._spec is None or not self._spec.accepts(value):
            return None
        known = self._seen.get(value)
        if known is None:
            known = self._region(value) if type(value) is int else self._passing(value)
            if len(self._seen) >= _MEMO_LIMIT:
                self._seen.clear()
            self._seen[value] = known
        return known

    def _region(self, value: int) -> int:
        """The bits of the stretch between limits that a number lies in, where all read alike."""
        at = bisect_left(self.limits, value)
        region = 2 * at + (at < len(self.limits) and self.limits[at] == value)
        known = self._regions.get(region)
        if known is None:
            known = self._regions[region] = self._passing(value)
        return known

    def _passing_nothing(self) -> int:
        """The rows that stand where there is nothing: those that ask for no value."""
        return self._full & ~union(rows for asked, rows in self.asked if not asked.is_negated)

    def _passing(self, value: Fact) -> int:
        if self._index is None:
            is_of_set = self._spec is not None and self._spec.type is FactType.SET
            self._index = _Index(self.asked, is_of_set=is_of_set)
        return self._full & ~self._index.failing(value)


def reached(columns: Iterable[Column], rows: int, facts: Mapping[str, Fact]) -> int:
    """Which of some rows may hold under facts: all that `read` says, but for what is sure."""
    for column in columns:
        fact, kind, seen, _, absent = column.hot
        value = facts.get(fact)
        bits = absent if value is None else seen(value) if type(value) is kind else None
        if bits is None and value is not None:
            bits = column.bits(value)
        if bits is not None:
            rows &= bits
            if not rows:
                break
    return rows


def read(columns: Iterable[Column], rows: int, facts: Mapping[str, Fact]) -> Bits:
    """Which of some rows hold under facts; absent and wrongly typed facts are unknown."""
    bits, _ = read_twice(columns, rows, facts, facts)
    return bits


def read_twice(
    columns: Iterable[Column], rows: int, first: Mapping[str, Fact], second: Mapping[str, Fact]
) -> tuple[Bits, Bits]:
    """Which of some rows hold under each of two maps of facts, most of which they share."""
    maybe = free = maybe_too = free_too = rows
    for column in columns:
        fact, kind, seen, untested, absent = column.hot
        value, other = first.get(fact), second.get(fact)
        # The type is compared first: `1` and `true` are one key of a dictionary.
        bits = absent if value is None else seen(value) if type(value) is kind else None
        if bits is None and value is not None:
            bits = column.bits(value)
        if bits is None:
            free &= untested
        else:
            maybe &= bits
        if other is not value:
            bits = absent if other is None else seen(other) if type(other) is kind else None
            if bits is None and other is not None:
                bits = column.bits(other)
        if bits is None:
            free_too &= untested
        else:
            maybe_too &= bits
    return Bits(maybe & free, maybe), Bits(maybe_too & free_too, maybe_too)


def passes(test: Test, facts: Mapping[str, Fact]) -> bool | None:
    """Whether facts pass one test; None where its fact is unknown."""
    value, spec = facts.get(test.fact), spec_of(test.fact)
    if value is None and test.fact in _MAY_BE_NONE:
        return test.negated
    if value is None or spec is None or not spec.accepts(value):
        return None
    return Asked(test.op, test.values, test.negated).holds(value)


def union(masks: Iterable[int]) -> int:
    """The rows that are in any of these."""
    found = 0
    for mask in masks:
        found |= mask
    return found
