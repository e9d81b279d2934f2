"""What each fact alone decides: the rows that all other facts let hold, on one clock.

A permit that fails on one fact only has its row there, and so has every rule that another value of
one fact could bring in or take out: nothing else needs to be tried.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from policies.column import Bits, Column
from policies.decision import Moment
from policies.matrix import Matrix
from policies.model import Effect, Fact, Gate, Rule, Test
from policies.standing import Side, read_both, standing_at

__all__ = ["Clock", "Reach", "Reaches", "reach_of", "rows_in"]

type Clock = Literal["exchange", "today"]
type Reaches = tuple[Reach, Reach]
"""The exchange's clock and today's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reach:
    """One clock at one gate under some facts. Masks hold rows of the matrix."""

    matrix: Matrix
    clock: Clock
    moment: Moment
    sure: int
    maybe: int
    permits: int
    """Rows of the permits that count here."""
    columns: Mapping[str, Column]
    """Those of the facts that something here tests."""
    alone: Mapping[str, int]
    """For each of these facts, the rows that test it and that every other fact lets hold, or may."""
    doubt: Mapping[str, int]
    """For each of these facts, the rows that test another fact, one that is unknown."""

    def given(self, fact: str, value: Fact | None) -> Bits:
        """The rows that hold where one fact has another value, or none."""
        column = self.columns.get(fact)
        if column is None:
            return Bits(self.sure, self.maybe)
        held, doubt = column.bits(value), self.doubt[fact]
        maybe = self.alone[fact]
        if held is None:
            doubt |= column.tested
        else:
            maybe &= held
        maybe |= self.maybe & column.free
        return Bits(maybe & ~doubt, maybe)

    def tests(self, fact: str) -> Iterator[Test]:
        """The tests on a fact that alone decide whether a rule or a grant applies."""
        matrix, rows = self.matrix, self.alone.get(fact, 0)
        for at in matrix.matching(rows):
            for tests in rows_in(matrix.rules[at], matrix.rows[at], rows):
                yield from (test for test in tests if test.fact == fact)
        for grant in matrix.grants:
            speaking = (rule.scope for rule in matrix.rules if rule.party == grant.grant.party)
            for condition in (grant.grant.scope, *(speaking if grant.speaks else ())):
                for tests in condition.alternatives:
                    yield from (test for test in tests if test.fact == fact)


def reach_of(matrix: Matrix, gate: Gate, exchange: Moment, today: Moment) -> Reaches:
    """What each fact alone decides at a gate, on both clocks."""
    standing = standing_at(matrix, gate, exchange.at, today.at)
    then, now = read_both(standing, exchange.facts, today.facts)
    return (
        _reach(standing.exchange, "exchange", exchange, then),
        _reach(standing.today, "today", today, now),
    )


def _reach(side: Side, clock: Clock, moment: Moment, bits: Bits) -> Reach:
    held = [column.bits(moment.facts.get(column.fact)) for column in side.columns]
    doubts = [
        column.tested if bits is None else 0
        for column, bits in zip(side.columns, held, strict=True)
    ]
    read = [side.matrix.full if bits is None else bits for bits in held]
    after, before = _suffixes(read, side.live), side.live
    later, earlier = _joined(doubts), 0
    alone: dict[str, int] = {}
    doubt: dict[str, int] = {}
    for at, column in enumerate(side.columns):
        alone[column.fact] = before & after[at + 1] & column.tested
        doubt[column.fact] = earlier | later[at + 1]
        before &= read[at]
        earlier |= doubts[at]
    return Reach(
        matrix=side.matrix,
        clock=clock,
        moment=moment,
        sure=bits.sure,
        maybe=bits.maybe,
        permits=side.counted[Effect.PERMIT],
        columns={column.fact: column for column in side.columns},
        alone=alone,
        doubt=doubt,
    )


def rows_in(rule: Rule, own: int, rows: int) -> list[tuple[Test, ...]]:
    """The alternatives of a rule whose rows are among these; `own` are all of the rule's rows."""
    first = (own & -own).bit_length() - 1
    return [tests for at, tests in enumerate(rule.when.alternatives) if rows >> first + at & 1]


def _suffixes(masks: list[int], start: int) -> list[int]:
    """For each place, what all masks from there on leave of `start`."""
    found = [start]
    for mask in reversed(masks):
        found.append(found[-1] & mask)
    return found[::-1]


def _joined(masks: list[int]) -> list[int]:
    """For each place, all that masks from there on have."""
    found = [0]
    for mask in reversed(masks):
        found.append(found[-1] | mask)
    return found[::-1]
