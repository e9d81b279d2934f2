"""What stands at a gate: the rules and grants in force on each clock, as masks of rows.

Between two points of time at which a window opens or ends nothing changes, so what stands is worked
out once for each such period and gate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal

from policies.column import Bits, Column, read, read_twice, union
from policies.matrix import GrantRows, Matrix
from policies.model import Effect, Fact, Gate, Grant, Layer, Rule

__all__ = ["Side", "Standing", "read_both", "standing_at"]

type _Clock = Literal["exchange", "today"]

_LAYERS_THAT_SPEAK = (Layer.HOST, Layer.ROUTER, Layer.MODEL)
_GATES_WHERE_SILENCE_FORBIDS = frozenset({Gate.RESPONSE, Gate.DATASET})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """One clock's rules at one gate in one period, as masks of rows. Shadow rules are only live."""

    matrix: Matrix
    columns: tuple[Column, ...]
    """Those that test a live row."""
    live: int
    counted: Mapping[Effect, int]
    """Rows by what they count as: a permit past its sources' review dates counts as review."""
    speakers: Mapping[Layer, int]
    """For each layer whose silence forbids, the rows that end it."""
    unrouted: Mapping[Layer, int]
    """The same where no router is known."""
    grants: tuple[GrantRows, ...]
    gate: Gate
    alone: Mapping[Layer, int]
    """The speakers that only this clock reads, by layer; where they speak, the other asks for no more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """What stands at a gate while no window opens or ends: the rules of both clocks, as masks."""

    gate: Gate
    exchange: Side
    today: Side


def standing_at(matrix: Matrix, gate: Gate, then: datetime, now: datetime) -> Standing:
    """What stands at a gate at the exchange's instant and at today's."""
    return _standing(matrix, gate, matrix.period(then), matrix.period(now))


def read_both(
    standing: Standing, then: Mapping[str, Fact], now: Mapping[str, Fact]
) -> tuple[Bits, Bits]:
    """The rows that stand and hold under the facts of either clock."""
    exchange, today = standing.exchange, standing.today
    if today.live != exchange.live:
        return read(exchange.columns, exchange.live, then), read(today.columns, today.live, now)
    if now is not then:
        return read_twice(exchange.columns, exchange.live, then, now)
    bits = read(exchange.columns, exchange.live, then)
    return bits, bits


# Keyed by the matrix itself, not by what is in it: a bundle that is swapped out falls out in time.
@lru_cache(maxsize=1024)
def _standing(matrix: Matrix, gate: Gate, then: int, now: int) -> Standing:
    then_at, now_at = matrix.opening(then), matrix.opening(now)
    grants = [rows for rows in matrix.grants if _takes_effect(rows.grant, then_at, now_at)]
    return Standing(
        gate=gate,
        exchange=_side(matrix, gate, "exchange", then_at, grants),
        today=_side(matrix, gate, "today", now_at, [g for g in grants if not g.grant.is_revoked]),
    )


def _takes_effect(grant: Grant, then: datetime, now: datetime) -> bool:
    return (
        grant.is_approved
        and (grant.as_of == "today" or grant.in_force.holds(then))
        and (grant.as_of == "exchange" or grant.in_force.holds(now))
    )


def _side(
    matrix: Matrix, gate: Gate, clock: _Clock, at: datetime, grants: Iterable[GrantRows]
) -> Side:
    grants = tuple(grants)
    standing = [
        (rule, rows)
        for rule, rows in zip(matrix.rules, matrix.rows, strict=True)
        if gate in rule.gates and _stands(rule, clock, at)
    ]
    counted = [(_effect(rule, at), rule, rows) for rule, rows in standing if not rule.is_shadow]
    speaking = [each for each in counted if each[0] is not Effect.FORBID]
    layers = _LAYERS_THAT_SPEAK if gate in _GATES_WHERE_SILENCE_FORBIDS else ()
    live = matrix.router | union(rows for _, rows in standing)
    live |= union(rows for grant in grants for rows in (grant.scope, *grant.speaks.values()))
    speakers = {
        layer: union(rows for _, rule, rows in speaking if layer in rule.layers) for layer in layers
    }
    return Side(
        matrix=matrix,
        columns=tuple(column for column in matrix.columns if column.tested & live),
        live=live,
        counted={
            each: union(rows for effect, _, rows in counted if effect is each) for each in Effect
        },
        speakers=speakers,
        unrouted={layer: rows for layer, rows in speakers.items() if layer is not Layer.ROUTER},
        alone={
            layer: rows
            for layer, spoken in speakers.items()
            if (rows := spoken & union(own for rule, own in standing if rule.as_of == clock))
        },
        grants=grants,
        gate=gate,
    )


def _stands(rule: Rule, clock: _Clock, at: datetime) -> bool:
    return (
        rule.as_of in ("both", clock)
        and rule.in_force.holds(at)
        and (not rule.sources or any(source.in_force.holds(at) for source in rule.sources))
    )


def _effect(rule: Rule, at: datetime) -> Effect:
    """What a standing rule counts as: review, where a missed review leaves a permit no source."""
    sources = [source for source in rule.sources if source.in_force.holds(at)]
    if rule.effect is not Effect.PERMIT or not sources:
        return rule.effect
    is_stale = all(each.review_by is not None and at >= each.review_by for each in sources)
    return Effect.REVIEW if is_stale else Effect.PERMIT
