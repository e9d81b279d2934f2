"""What the policies say at a gate: forbid beats review beats permit, and silence means no.

Each clock is decided twice, with every unknown fact at its worst and at its best. Where both agree
that is the verdict; where they differ it is review, and the facts that could settle it are named.
The stricter clock wins. `decide` is total: there is no fact, instant or bundle it raises on.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from policies.column import Bits, Column, union
from policies.decision import Decision, Hit, Missing, Moment, Ruling
from policies.matrix import GrantRows, Matrix, compile_rules
from policies.model import Effect, Fact, Gate, Layer
from policies.standing import Side, Standing, read_both, standing_at
from policies.verdict import View

__all__ = [
    "Matrix",
    "Question",
    "Said",
    "compile_rules",
    "decide",
    "decide_all",
    "say",
    "verdict_of",
]

_CLEARANCE = "clearance"
_REMEMBERED = 8192
"""The most combinations of rules whose rulings are remembered at a time."""
_NOBODY: frozenset[Layer] = frozenset()
_NO_GRANTS: frozenset[str] = frozenset()
_STRICTNESS = (Effect.PERMIT, Effect.REVIEW, Effect.FORBID)


class Question(NamedTuple):
    """What `decide` is asked at a gate, both clocks given."""

    exchange: Moment
    today: Moment
    cleared: frozenset[str] = frozenset()


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
    standing = standing_at(bundle.matrix, gate, exchange.at, now.at)
    said = _remembered(standing, *read_both(standing, exchange.facts, now.facts), cleared)
    return _decision(bundle, gate, said, exchange, now)


def decide_all(bundle: _Compiled, gate: Gate, questions: Iterable[Question]) -> Iterator[Decision]:
    """What `decide` gives of each question, in their order, at less cost for each."""
    matrix = bundle.matrix
    known: dict[tuple[int, int], Standing] = {}
    for exchange, today, cleared in questions:
        periods = matrix.period(exchange.at), matrix.period(today.at)
        standing = known.get(periods)
        if standing is None:
            standing = known[periods] = standing_at(matrix, gate, exchange.at, today.at)
        then, now = read_both(standing, exchange.facts, today.facts)
        said = _remembered(standing, then, now, cleared)
        yield _decision(bundle, gate, said, exchange, today)


def _decision(
    bundle: _Compiled, gate: Gate, said: "Said", exchange: Moment, today: Moment
) -> Decision:
    return Decision(
        gate=gate,
        bundle=bundle.digest,
        meaning=bundle.meaning,
        exchange_at=exchange.at,
        today_at=today.at,
        ruling=said.ruling,
        missing=said.missing(exchange.facts, today.facts) if said.asked else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A decision but for instants and missing facts: all that depends on bits alone."""

    ruling: Ruling
    open_then: int
    """Rows on the exchange's clock that unknown facts keep open and that could change the outcome."""
    open_now: int
    """The same on today's clock."""
    asked: tuple[tuple[Column, bool, bool], ...]
    """The columns that test an open row, and on which clocks: the exchange's, today's."""

    def missing(self, then: Mapping[str, Fact], now: Mapping[str, Fact]) -> tuple[Missing, ...]:
        """The unknown facts that open rows test."""
        return tuple(
            column.missing
            for column, asks_then, asks_now in self.asked
            if (asks_then and column.is_unknown(then)) or (asks_now and column.is_unknown(now))
        )


def say(standing: Standing, then: Bits, now: Bits, cleared: frozenset[str] = frozenset()) -> Said:
    """The stricter verdict of both clocks, and the union of what they say."""
    views = _views(standing, then, now, cleared)
    matrix = standing.exchange.matrix
    verdict = _strictest(views)
    setting = [view for view in views if view.verdict is verdict]
    permits = verdict is Effect.PERMIT
    duties = {duty for view in views for duty in view.duties(view.sure)} if permits else set()
    open_then, open_now = (view.undecided if view.verdict is verdict else 0 for view in views)
    return Said(
        ruling=Ruling(
            verdict=verdict,
            by=tuple(
                matrix.rules[at].id for at in sorted({at for view in setting for at in view.by})
            ),
            silent=tuple(sorted(views[0].silent | views[1].silent)),
            hits=_hits(matrix, views),
            grants=tuple(sorted(views[0].grants | views[1].grants)),
            duties=tuple(sorted(duties, key=lambda duty: (duty.kind, duty.value))),
        ),
        open_then=open_then,
        open_now=open_now,
        asked=tuple(
            (column, bool(column.tested & open_then), bool(column.tested & open_now))
            for column in matrix.columns
            if column.tested & (open_then | open_now)
        ),
    )


def verdict_of(
    standing: Standing, then: Bits, now: Bits, cleared: frozenset[str] = frozenset()
) -> Effect:
    """The verdict that `say` gives, at less cost."""
    return _strictest(_views(standing, then, now, cleared))


def _strictest(views: Iterable[View]) -> Effect:
    return max((view.verdict for view in views), key=_STRICTNESS.index)


_remembered = lru_cache(maxsize=_REMEMBERED)(say)


def _views(standing: Standing, then: Bits, now: Bits, cleared: frozenset[str]) -> tuple[View, View]:
    """What each clock says. What only one clock reads, the other takes from it."""
    alone = standing.exchange.alone, standing.today.alone
    return (
        _view(standing.exchange, then, cleared, alone[1], now),
        _view(standing.today, now, cleared, alone[0], then),
    )


def _view(
    side: Side, bits: Bits, cleared: frozenset[str], alone: Mapping[Layer, int], other: Bits
) -> View:
    """What one clock says; a grant counts where its scope surely holds.

    `alone` are the speakers that only the other clock reads, and `other` its bits.
    """
    matrix = side.matrix
    held = [grant for grant in side.grants if bits.sure & grant.scope]
    speakers = side.speakers if bits.sure & matrix.router else side.unrouted
    if not (held or cleared or alone):
        return View(
            matrix=matrix,
            sure=bits.sure,
            maybe=bits.maybe,
            forbid=side.counted[Effect.FORBID],
            review=side.counted[Effect.REVIEW],
            permit=side.counted[Effect.PERMIT],
            layers=speakers,
            perhaps=_NOBODY,
            lifted={},
            grants=_NO_GRANTS,
        )
    spoken = {grant.grant.id: _speaks_for(side, grant, bits.sure) for grant in held}
    lifts = [(grant.grant.id, grant.lifts) for grant in held]
    lifts += [(_CLEARANCE, matrix.clearable.get(rule, 0)) for rule in cleared]
    lifted: dict[int, str] = {}
    for by, rows in lifts:
        for at in matrix.matching(rows & bits.maybe):
            lifted.setdefault(at, by)
    # All rows of a rule are lifted, not only those that match: none of them decides any more.
    lifted_rows = union(rows for _, rows in lifts)
    done = frozenset(layer for layer, rows in alone.items() if other.sure & rows).union(
        *spoken.values()
    )
    return View(
        matrix=matrix,
        sure=bits.sure,
        maybe=bits.maybe,
        forbid=side.counted[Effect.FORBID] & ~lifted_rows,
        review=side.counted[Effect.REVIEW] & ~lifted_rows,
        permit=side.counted[Effect.PERMIT] | side.counted[Effect.REVIEW] & lifted_rows,
        layers={layer: rows for layer, rows in speakers.items() if layer not in done},
        perhaps=frozenset(layer for layer, rows in alone.items() if other.maybe & rows),
        lifted=lifted,
        grants=frozenset(grant for grant, layers in spoken.items() if layers)
        | frozenset(by for by, rows in lifts if rows & bits.maybe and by != _CLEARANCE),
    )


def _speaks_for(side: Side, grant: GrantRows, sure: int) -> frozenset[Layer]:
    """The layers whose silence a grant ends: where its party speaks about this exchange."""
    if side.gate not in grant.grant.permits:
        return frozenset()
    return frozenset(
        layer for layer, rows in grant.speaks.items() if layer in side.speakers and sure & rows
    )


def _hits(matrix: Matrix, views: tuple[View, View]) -> tuple[Hit, ...]:
    """Every rule that matched on a clock; lifted only if lifted wherever it matched."""
    spared: dict[int, list[str]] = {}
    for view in views:
        for at in matrix.matching(view.maybe):
            spared.setdefault(at, []).append(view.lifted.get(at, ""))
    sure = {at for view in views for at in matrix.matching(view.sure)}
    return tuple(
        _hit(matrix, at, is_sure=at in sure, lifted_by=by[0] if all(by) else None)
        for at, by in sorted(spared.items())
    )


@lru_cache(maxsize=65536)
def _hit(matrix: Matrix, at: int, *, is_sure: bool, lifted_by: str | None) -> Hit:
    rule = matrix.rules[at]
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
