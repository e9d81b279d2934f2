"""What the policies say at a gate: forbid beats review beats permit, and silence means no.

Each clock is decided twice, with every unknown fact at its worst and at its best. Where both agree
that is the verdict; where they differ it is review, and the facts that could settle it are named.
The stricter clock wins. `decide` is total: there is no fact, instant or bundle it raises on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal, Protocol

from policies.decision import Decision, Hit, Missing, Moment
from policies.matrix import Bits, Column, GrantRows, Matrix, compile_rules, read
from policies.model import Duty, Effect, Gate, Grant, Layer, Rule
from policies.verdict import View

__all__ = ["Matrix", "compile_rules", "decide"]

type _Clock = Literal["exchange", "today"]

_CLEARANCE = "clearance"
_STRICTNESS = (Effect.PERMIT, Effect.REVIEW, Effect.FORBID)
_LAYERS_THAT_SPEAK = (Layer.HOST, Layer.ROUTER, Layer.MODEL)
_GATES_WHERE_SILENCE_FORBIDS = frozenset({Gate.RESPONSE, Gate.DATASET})


class _Compiled(Protocol):
    """What `decide` reads of a policy bundle."""

    @property
    def matrix(self) -> Matrix: ...

    @property
    def digest(self) -> str: ...

    @property
    def meaning(self) -> str: ...


def decide(
    bundle: _Compiled,
    gate: Gate,
    exchange: Moment,
    today: Moment | None = None,
    *,
    cleared: frozenset[str] = frozenset(),
) -> Decision:
    """The decision at a gate; the same for the same bundle, facts and instants.

    `exchange` holds the facts stamped when the call was made, `today` those of the gate's own
    instant; without it both clocks read `exchange`. `cleared` are the rules a reviewer lifted for
    this exchange: ids of organisation rules count, all others are ignored.
    """
    now = exchange if today is None else today
    matrix = bundle.matrix
    frame = _frame(matrix, gate, matrix.period(exchange.at), matrix.period(now.at))
    then_bits = read(frame.exchange.columns, frame.exchange.live, exchange.facts)
    is_same = now is exchange and frame.today.live == frame.exchange.live
    now_bits = then_bits if is_same else read(frame.today.columns, frame.today.live, now.facts)
    said = _say(frame, then_bits, now_bits, cleared)
    return Decision(
        gate=gate,
        verdict=said.verdict,
        bundle=bundle.digest,
        meaning=bundle.meaning,
        exchange_at=exchange.at,
        today_at=now.at,
        by=said.by,
        silent=said.silent,
        missing=_missing(matrix, said, exchange, now),
        hits=said.hits,
        grants=said.grants,
        duties=said.duties,
    )


def _missing(matrix: Matrix, said: "_Said", exchange: Moment, today: Moment) -> tuple[Missing, ...]:
    """The unknown facts that rows of an undecided rule test, on either clock."""
    if not said.open_then | said.open_now:
        return ()
    return tuple(
        Missing(fact=column.fact, supplied_by=column.supplied_by)
        for column in matrix.columns
        if (column.tested & said.open_then and _is_unknown(column, exchange))
        or (column.tested & said.open_now and _is_unknown(column, today))
    )


def _is_unknown(column: Column, moment: Moment) -> bool:
    value = moment.facts.get(column.fact)
    return value is None or column.bits(value) is None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    """One clock's rules at one gate in one period, as masks of rows. Shadow rules are only live."""

    matrix: Matrix
    columns: tuple[Column, ...]
    """Those that test a live row."""
    live: int
    counted: Mapping[Effect, int]
    """Rows by what they count as: a permit past its sources' review dates counts as review."""
    speakers: Mapping[Layer, int]
    """For each layer whose silence forbids, the rows that end it."""
    grants: tuple[GrantRows, ...]
    gate: Gate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Frame:
    """Both clocks."""

    exchange: _Side
    today: _Side


# Keyed by the matrix itself, not by what is in it: a bundle that is swapped out falls out in time.
@lru_cache(maxsize=1024)
def _frame(matrix: Matrix, gate: Gate, then: int, now: int) -> _Frame:
    then_at, now_at = matrix.opening(then), matrix.opening(now)
    grants = [rows for rows in matrix.grants if _takes_effect(rows.grant, then_at, now_at)]
    return _Frame(
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
) -> _Side:
    grants = tuple(grants)
    live = matrix.router
    for grant in grants:
        live |= grant.scope
        for rows in grant.speaks.values():
            live |= rows
    counted = dict.fromkeys(Effect, 0)
    speakers = dict.fromkeys(_LAYERS_THAT_SPEAK if gate in _GATES_WHERE_SILENCE_FORBIDS else (), 0)
    for rule, rows in zip(matrix.rules, matrix.rows, strict=True):
        if gate not in rule.gates or not _stands(rule, clock, at):
            continue
        live |= rows
        if rule.is_shadow:
            continue
        effect = Effect.REVIEW if _is_stale(rule, at) else rule.effect
        counted[effect] |= rows
        if effect is not Effect.FORBID:
            for layer in speakers.keys() & rule.layers:
                speakers[layer] |= rows
    return _Side(
        matrix=matrix,
        columns=tuple(column for column in matrix.columns if column.tested & live),
        live=live,
        counted=counted,
        speakers=speakers,
        grants=grants,
        gate=gate,
    )


def _stands(rule: Rule, clock: _Clock, at: datetime) -> bool:
    return (
        rule.as_of in ("both", clock)
        and rule.in_force.holds(at)
        and (not rule.sources or any(source.in_force.holds(at) for source in rule.sources))
    )


def _is_stale(rule: Rule, at: datetime) -> bool:
    """Whether a standing permit has lost every source it rests on to a missed review."""
    sources = [source for source in rule.sources if source.in_force.holds(at)]
    return (
        rule.effect is Effect.PERMIT
        and bool(sources)
        and all(source.review_by is not None and at >= source.review_by for source in sources)
    )


def _view(side: _Side, bits: Bits, cleared: frozenset[str]) -> View:
    """What one clock says; a grant counts where its scope surely holds."""
    matrix = side.matrix
    held = [grant for grant in side.grants if bits.sure & grant.scope]
    spoken = {grant.grant.id: _speaks_for(side, grant, bits.sure) for grant in held}
    lifts = [(grant.grant.id, grant.lifts & bits.maybe) for grant in held]
    lifts += [(_CLEARANCE, matrix.clearable.get(rule, 0) & bits.maybe) for rule in cleared]
    lifted: dict[int, str] = {}
    lifted_rows = 0
    for by, rows in lifts:
        lifted_rows |= rows
        for at in matrix.matching(rows):
            lifted.setdefault(at, by)
    done = frozenset().union(*spoken.values())
    return View(
        matrix=matrix,
        sure=bits.sure,
        maybe=bits.maybe,
        forbid=side.counted[Effect.FORBID] & ~lifted_rows,
        review=side.counted[Effect.REVIEW] & ~lifted_rows,
        permit=side.counted[Effect.PERMIT] | side.counted[Effect.REVIEW] & lifted_rows,
        layers={
            layer: rows
            for layer, rows in side.speakers.items()
            if layer not in done and (layer is not Layer.ROUTER or bits.sure & matrix.router)
        },
        lifted=lifted,
        grants=frozenset(grant for grant, layers in spoken.items() if layers)
        | frozenset(by for by, rows in lifts if rows and by != _CLEARANCE),
    )


def _speaks_for(side: _Side, grant: GrantRows, sure: int) -> frozenset[Layer]:
    """The layers whose silence a grant ends: where its party speaks about this exchange."""
    if side.gate not in grant.grant.permits:
        return frozenset()
    return frozenset(
        layer for layer, rows in grant.speaks.items() if layer in side.speakers and sure & rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A decision but for instants and missing facts: all that depends on bits alone."""

    verdict: Effect
    by: tuple[str, ...]
    silent: tuple[Layer, ...]
    hits: tuple[Hit, ...]
    grants: tuple[str, ...]
    duties: tuple[Duty, ...]
    open_then: int
    open_now: int


@lru_cache(maxsize=8192)
def _say(frame: _Frame, then: Bits, now: Bits, cleared: frozenset[str]) -> _Said:
    """The stricter verdict of both clocks, and the union of what they say."""
    views = _view(frame.exchange, then, cleared), _view(frame.today, now, cleared)
    verdict = max((view.verdict for view in views), key=_STRICTNESS.index)
    rules = frame.exchange.matrix.rules
    setting = [view for view in views if view.verdict is verdict]
    permits = verdict is Effect.PERMIT
    duties = {duty for view in views for duty in view.duties(view.sure)} if permits else set()
    open_then, open_now = (view.undecided if view.verdict is verdict else 0 for view in views)
    return _Said(
        verdict=verdict,
        by=tuple(rules[at].id for at in sorted({at for view in setting for at in view.by})),
        silent=tuple(sorted(views[0].silent | views[1].silent)),
        hits=_hits(frame.exchange.matrix, views),
        grants=tuple(sorted(views[0].grants | views[1].grants)),
        duties=tuple(sorted(duties, key=lambda duty: (duty.kind, duty.value))),
        open_then=open_then,
        open_now=open_now,
    )


def _hits(matrix: Matrix, views: tuple[View, View]) -> tuple[Hit, ...]:
    """Every rule that matched on a clock; lifted only if lifted wherever it matched."""
    spared: dict[int, list[str]] = {}
    for view in views:
        for at in matrix.matching(view.maybe):
            spared.setdefault(at, []).append(view.lifted.get(at, ""))
    sure = {at for view in views for at in matrix.matching(view.sure)}
    return tuple(
        _hit(matrix.rules[at], is_sure=at in sure, lifted_by=by[0] if all(by) else None)
        for at, by in sorted(spared.items())
    )


def _hit(rule: Rule, *, is_sure: bool, lifted_by: str | None) -> Hit:
    return Hit(
        rule=rule.id,
        effect=rule.effect,
        is_sure=is_sure,
        is_shadow=rule.is_shadow,
        lifted_by=lifted_by,
        because=rule.because,
        fix=rule.fix,
        cites=rule.cites,
        where=rule.where,
    )
