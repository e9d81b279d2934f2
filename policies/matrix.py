"""Conditions as bits: a row per alternative of a condition, a column per fact.

Reading the facts of an exchange gives two integers: the rows that surely hold and those that may.
An unknown fact takes every row that tests it out of the first and none out of the second, which is
strong Kleene, negated tests included.
"""

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, cast

from policies.decision import Missing
from policies.facts import FactType, spec_of
from policies.model import Condition, Effect, Fact, Grant, Layer, Op, Place, Rule, Test, Window

__all__ = [
    "Bits",
    "Column",
    "GrantRows",
    "Matrix",
    "compile_rules",
    "passes",
    "read",
    "read_twice",
    "union",
]

_MEMO_LIMIT = 4096
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
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


MAY_BE_NONE = frozenset({"router"})
"""Facts whose absence is known: a call that names no router has none (decision 0013)."""


class Bits(NamedTuple):
    """Rows that hold whatever the unknown facts are, and rows that hold for some value of them."""

    sure: int
    maybe: int


class _Asked(NamedTuple):
    """What a test asks of its fact, without its place."""

    op: Op
    values: tuple[str | int | bool, ...]
    is_negated: bool

    def holds(self, value: Fact) -> bool:
        """Whether a value of the fact's own type passes."""
        return self._holds(value) is not self.is_negated

    def _holds(self, value: Fact) -> bool:
        if isinstance(value, frozenset):
            return value.isdisjoint(self.values) is (self.op == "lacks")
        if self.op == "is":
            return any(_equals(wanted, value) for wanted in self.values)
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


class Column:
    """All tests on one fact."""

    __slots__ = (
        "_absent",
        "_asked",
        "_full",
        "_limits",
        "_regions",
        "_seen",
        "_spec",
        "fact",
        "free",
        "hot",
        "missing",
        "tested",
    )

    def __init__(self, fact: str, full: int, asked: Mapping[_Asked, int]) -> None:
        self.fact = fact
        self.tested = 0
        """The rows that test the fact."""
        for rows in asked.values():
            self.tested |= rows
        self.free = full & ~self.tested
        """The rows that do not."""
        self._full = full
        self._asked = tuple(asked.items())
        self._absent = self._passing_nothing() if fact in MAY_BE_NONE else None
        self._spec = spec_of(fact)
        self.missing = Missing(
            fact=fact, supplied_by="" if self._spec is None else self._spec.supplied_by
        )
        """What a decision says of the fact where it is missing."""
        self._seen: dict[Fact, int] = {}
        kind = None if self._spec is None else _KINDS[self._spec.type]
        self.hot = (fact, kind, cast("_Seen", self._seen.get), self.free)
        """What every reading needs: the fact, the type of its values, what was said of one before,
        and the rows that do not test it."""
        self._limits = sorted({v for test in asked for v in test.values if type(v) is int})
        self._regions: dict[int, int] = {}

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
        at = bisect_left(self._limits, value)
        region = 2 * at + (at < len(self._limits) and self._limits[at] == value)
        known = self._regions.get(region)
        if known is None:
            known = self._regions[region] = self._passing(value)
        return known

    def _passing_nothing(self) -> int:
        """The rows that stand where there is nothing: those that ask for no value."""
        return self._full & ~union(rows for asked, rows in self._asked if not asked.is_negated)

    def _passing(self, value: Fact) -> int:
        bits = self._full
        for asked, rows in self._asked:
            if not asked.holds(value):
                bits &= ~rows
        return bits


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
        fact, kind, seen, untested = column.hot
        value, other = first.get(fact), second.get(fact)
        # The type is compared first: `1` and `true` are one key of a dictionary.
        bits = seen(value) if type(value) is kind else None
        if bits is None:
            bits = column.bits(value)
        if bits is None:
            free &= untested
        else:
            maybe &= bits
        if other is not value:
            bits = seen(other) if type(other) is kind else None
            if bits is None:
                bits = column.bits(other)
        if bits is None:
            free_too &= untested
        else:
            maybe_too &= bits
    return Bits(maybe & free, maybe), Bits(maybe_too & free_too, maybe_too)


def passes(test: Test, facts: Mapping[str, Fact]) -> bool | None:
    """Whether facts pass one test; None where its fact is unknown."""
    value, spec = facts.get(test.fact), spec_of(test.fact)
    if value is None and test.fact in MAY_BE_NONE:
        return test.negated
    if value is None or spec is None or not spec.accepts(value):
        return None
    return _Asked(test.op, test.values, test.negated).holds(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRows:
    """A grant and its rows."""

    grant: Grant
    scope: int
    lifts: int
    """Rows of the forbids and reviews it lifts: those of its own party only."""
    speaks: Mapping[Layer, int]
    """For each layer it may permit in, the rows of its party's scopes there: one must hold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matrix:
    """Rules and grants, compiled. It never changes but for what it remembers of values seen."""

    rules: tuple[Rule, ...]
    """Sorted by id."""
    rows: tuple[int, ...]
    """The rows of each rule."""
    grants: tuple[GrantRows, ...]
    columns: tuple[Column, ...]
    full: int
    router: int
    """The row that holds when there is a router."""
    bound: int
    """The rows of the rules that carry duties."""
    points: tuple[datetime, ...]
    """Every instant at which a window opens or ends or a review falls due, ascending."""
    owners: tuple[int, ...]
    """For each row of a rule, that rule's place in `rules`; these rows come first."""
    clearable: Mapping[str, int]
    """Rows a reviewer's clearance lifts, by rule: never those of a rule that speaks for a provider."""

    def period(self, at: datetime) -> int:
        """Which stretch between two points an instant lies in: all windows agree within one."""
        return bisect_right(self.points, at)

    def opening(self, period: int) -> datetime:
        """The first instant of a period."""
        return self.points[period - 1] if period else _BEFORE_ALL

    def matching(self, bits: int) -> list[int]:
        """The places in `rules` of the rules that own any of these rows, ascending."""
        bits &= (1 << len(self.owners)) - 1
        found: list[int] = []
        while bits:
            owner = self.owners[(bits & -bits).bit_length() - 1]
            found.append(owner)
            bits &= ~self.rows[owner]
        return found


class _Layout:
    """Rows as they are handed out."""

    def __init__(self) -> None:
        self.size = 0
        self.asked: dict[str, dict[_Asked, int]] = {}

    def add(self, condition: Condition) -> int:
        """Give each alternative a row; the rows given."""
        first = self.size
        for alternative in condition.alternatives:
            for test in alternative:
                asked = self.asked.setdefault(test.fact, {})
                key = _Asked(test.op, test.values, test.negated)
                asked[key] = asked.get(key, 0) | 1 << self.size
            self.size += 1
        return (1 << self.size) - (1 << first)

    def columns(self) -> tuple[Column, ...]:
        full = (1 << self.size) - 1
        return tuple(Column(fact, full, asked) for fact, asked in sorted(self.asked.items()))


_HAS_ROUTER = Condition(
    alternatives=(
        (
            Test(
                fact="router",
                op="is",
                values=("*",),
                where=Place(file="(engine)", line=1, column=1),
            ),
        ),
    )
)


def compile_rules(rules: Sequence[Rule], grants: Sequence[Grant]) -> Matrix:
    """The matrix of rules and grants; their order does not matter."""
    ordered = tuple(sorted(rules, key=lambda rule: rule.id))
    layout = _Layout()
    rows = tuple(layout.add(rule.when) for rule in ordered)
    owners = tuple(at for at, mask in enumerate(rows) for _ in range(mask.bit_count()))
    scopes: dict[Condition, int] = {}
    for rule in ordered:
        if rule.scope not in scopes:
            scopes[rule.scope] = layout.add(rule.scope)
    grant_rows = tuple(
        _grant_rows(grant, layout.add(grant.scope), ordered, rows, scopes)
        for grant in sorted(grants, key=lambda grant: grant.id)
    )
    router = layout.add(_HAS_ROUTER)
    return Matrix(
        rules=ordered,
        rows=rows,
        grants=grant_rows,
        columns=layout.columns(),
        full=(1 << layout.size) - 1,
        router=router,
        bound=union(mask for rule, mask in zip(ordered, rows, strict=True) if rule.duties),
        points=tuple(sorted(set(_points(ordered, grants)))),
        owners=owners,
        clearable={
            rule.id: mask
            for rule, mask in zip(ordered, rows, strict=True)
            if rule.layers == {Layer.ORGANISATION} and rule.effect is not Effect.PERMIT
        },
    )


def _grant_rows(
    grant: Grant,
    scope: int,
    rules: tuple[Rule, ...],
    rows: tuple[int, ...],
    scopes: Mapping[Condition, int],
) -> GrantRows:
    own = [
        (rule, mask) for rule, mask in zip(rules, rows, strict=True) if rule.party == grant.party
    ]
    lifted = (r for rule, r in own if rule.id in grant.lifts and rule.effect is not Effect.PERMIT)
    return GrantRows(
        grant=grant,
        scope=scope,
        lifts=union(lifted),
        speaks={
            layer: union(scopes[rule.scope] for rule, _ in own if layer in rule.layers)
            for layer in sorted(grant.layers)
        },
    )


def _points(rules: Iterable[Rule], grants: Iterable[Grant]) -> Iterator[datetime]:
    windows: list[Window] = [grant.in_force for grant in grants]
    for rule in rules:
        windows.append(rule.in_force)
        windows.extend(source.in_force for source in rule.sources)
        yield from (source.review_by for source in rule.sources if source.review_by is not None)
    for window in windows:
        yield from (edge for edge in (window.start, window.until) if edge is not None)


def union(masks: Iterable[int]) -> int:
    """The rows that are in any of these."""
    found = 0
    for mask in masks:
        found |= mask
    return found
