"""What two policy bundles say differently: exchanges replayed through both, and which verdicts flip.

Few rules can match at one route and model, so each such place has small copies of both bundles, and
facts are read for both at once. Facts of many exchanges read alike there, and each such group is
decided on once. Memory does not grow with the number of exchanges.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from policies.bundle import Bundle
from policies.column import Asked, Bits, Column, reached, read, union
from policies.decision import Ruling
from policies.engine import say, verdict_of
from policies.matrix import Matrix
from policies.meaning import meaning_of, sha256_of
from policies.model import Effect, Fact, Gate, Grant, Layer, Rule, Student
from policies.narrowing import Spot, narrowed, spot_of
from policies.standing import Standing, standing_at

__all__ = [
    "Difference",
    "Edit",
    "Flip",
    "Snapshot",
    "causes_of",
    "diff",
    "edits_of",
]

_PLACES = 1024
"""The most places that are remembered at a time."""
_REMEMBERED = 4096
"""The most groups of a place that are."""
_STUDENT = "student."

type Kind = Literal["rule", "grant", "student"]


class Snapshot(NamedTuple):
    """One exchange as it stood before a gate."""

    exchange: str
    """Its id."""
    gate: Gate
    at: datetime
    """The exchange's instant."""
    facts: Mapping[str, Fact]
    today_at: datetime | None = None
    """The gate's own instant; None where there is no second clock."""
    student: str | None = None
    """Whose declaration today's clock reads; with None, or where a bundle has no such student, the
    facts are read as they are."""
    cleared: frozenset[str] = frozenset()
    datasets: tuple[str, ...] = ()
    """The datasets of this student that hold the exchange."""


class Edit(NamedTuple):
    """A rule, grant or student that the two bundles do not have alike."""

    kind: Kind
    id: str
    change: Literal["added", "removed", "changed"]


@dataclass(slots=True, kw_only=True)
class Flip:
    """Exchanges whose verdict at a gate differs, for the same rules."""

    gate: Gate
    before: Effect
    after: Effect
    rules: tuple[str, ...]
    """The rules that cause it, sorted: they match, or count, in one bundle otherwise than in the other."""
    silent: tuple[Layer, ...] = ()
    """The layers that are silent after and were not before."""
    grants: tuple[str, ...] = ()
    """The grants that apply in one bundle and not in the other."""
    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first few exchanges."""
    datasets: dict[str, int] = field(default_factory=dict)
    """How many of the exchanges each dataset holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What was replayed and what came of it."""

    edits: tuple[Edit, ...]
    exchanges: int
    decisions: Mapping[Gate, int]
    """How many verdicts were compared, by gate."""
    flips: tuple[Flip, ...]
    """The most frequent first."""


def diff(
    old: Bundle, new: Bundle, snapshots: Iterable[Snapshot], *, examples: int = 5
) -> Difference:
    """Replay snapshots through two bundles; those of one exchange stand next to each other."""
    replay = _Replay(old, new, examples)
    for snapshot in snapshots:
        replay.add(snapshot)
    flips = replay.flips.values()
    return Difference(
        edits=edits_of(old, new),
        exchanges=replay.exchanges,
        decisions=replay.decisions,
        flips=tuple(sorted(flips, key=lambda f: (-f.count, f.gate, f.before, f.after, f.rules))),
    )


def edits_of(old: Bundle, new: Bundle) -> tuple[Edit, ...]:
    """Rules, grants and students that differ in meaning, by kind and id."""
    if old.digest == new.digest:
        return ()
    found: list[Edit] = []
    pairs: tuple[tuple[Kind, Mapping[str, _Edited], Mapping[str, _Edited]], ...] = (
        ("rule", {r.id: r for r in old.rules}, {r.id: r for r in new.rules}),
        ("grant", {g.id: g for g in old.grants}, {g.id: g for g in new.grants}),
        ("student", old.students, new.students),
    )
    for kind, before, after in pairs:
        found += [Edit(kind, name, "removed") for name in before.keys() - after.keys()]
        found += [Edit(kind, name, "added") for name in after.keys() - before.keys()]
        found += [
            Edit(kind, name, "changed")
            for name in before.keys() & after.keys()
            if before[name] != after[name] and _meaning(before[name]) != _meaning(after[name])
        ]
    order = ("rule", "grant", "student")
    return tuple(sorted(found, key=lambda edit: (order.index(edit.kind), edit.id)))


def _meaning(what: "_Edited") -> str:
    match what:
        case Rule():
            return meaning_of([what], [])
        case Grant():
            return meaning_of([], [what])
        case _:
            facts = what.facts.items()
            return sha256_of({k: sorted(v) if isinstance(v, frozenset) else v for k, v in facts})


type _Edited = Rule | Grant | Student


class _Replay:
    """Compares verdicts, one snapshot after the other."""

    def __init__(self, old: Bundle, new: Bundle, examples: int) -> None:
        self.flips: dict[tuple[object, ...], Flip] = {}
        self.decisions: dict[Gate, int] = {}
        self.exchanges = 0
        self._bundles = old, new
        self._examples = examples
        self._points = sorted({*old.matrix.points, *new.matrix.points})
        self._places: dict[_Place, _Pair] = {}
        self._narrow: dict[tuple[Matrix, Spot], Matrix] = {}
        self._exchange = ""

    def add(self, snapshot: Snapshot) -> None:
        """Compare one more."""
        exchange, gate, at, facts, today_at, student, _, datasets = snapshot
        if exchange != self._exchange:
            self._exchange = exchange
            self.exchanges += 1
        self.decisions[gate] = self.decisions.get(gate, 0) + 1
        then = bisect_right(self._points, at)
        now = then if today_at is None else bisect_right(self._points, today_at)
        declared = None if today_at is None else student
        place = (gate, then, now, declared, facts.get("route"), facts.get("model.id"))
        pair = self._places.get(place)
        if pair is None:
            if len(self._places) >= _PLACES:
                self._places.clear()
                self._narrow.clear()
            pair = self._places[place] = self._pair(snapshot, spot_of(facts))
        flip = pair.flip_of(facts, snapshot.cleared)
        if flip is not None:
            flip.count += 1
            if len(flip.examples) < self._examples and exchange not in flip.examples:
                flip.examples.append(exchange)
            for dataset in datasets:
                flip.datasets[dataset] = flip.datasets.get(dataset, 0) + 1

    def _pair(self, snapshot: Snapshot, spot: Spot) -> "_Pair":
        old, new = (self._half(bundle, snapshot, spot) for bundle in self._bundles)
        return _Pair(snapshot.gate, old, new, self.flips)

    def _half(self, bundle: Bundle, snapshot: Snapshot, spot: Spot) -> "_Half":
        key = bundle.matrix, spot
        matrix = self._narrow.get(key)
        if matrix is None:
            matrix = self._narrow[key] = narrowed(bundle.matrix, spot)
        today_at, student = snapshot.today_at, None
        if today_at is not None and snapshot.student is not None:
            student = bundle.students.get(snapshot.student)
        return _Half(
            standing=standing_at(matrix, snapshot.gate, snapshot.at, today_at or snapshot.at),
            declared=None if student is None else student.facts,
        )


type _Place = tuple[Gate, int, int, str | None, Fact | None, Fact | None]
"""Where few rules can match: the gate, both periods, the student, and the facts of the spot."""


class _Half(NamedTuple):
    """One bundle at a place."""

    standing: Standing
    declared: Mapping[str, Fact] | None
    """What today's clock reads in place of the student's stamped facts."""

    @property
    def has_grants(self) -> bool:
        """Whether grants may have a say here."""
        return bool(self.standing.exchange.matrix.grants)

    def rows_unlike(self, other: "_Half") -> int:
        """The rows of the rules that another half does not have, or has otherwise."""
        matrix, there = self.standing.exchange.matrix, other.standing.exchange.matrix
        known = {rule.id: rule for rule in there.rules}
        pairs = zip(matrix.rules, matrix.rows, strict=True)
        return union(rows for rule, rows in pairs if known.get(rule.id) != rule)

    @property
    def rows(self) -> int:
        """All that stands on either clock."""
        return self.standing.exchange.live | self.standing.today.live

    @property
    def columns(self) -> dict[str, Column]:
        """Those of the facts that something here tests, by fact."""
        rows = self.rows
        return {c.fact: c for c in self.standing.exchange.matrix.columns if c.tested & rows}


class _Pair:
    """Both bundles at a place: their rows side by side, so that facts are read once for both."""

    def __init__(
        self, gate: Gate, old: _Half, new: _Half, flips: dict[tuple[object, ...], Flip]
    ) -> None:
        self._gate = gate
        self._halves = old, new
        self._shift = old.standing.exchange.matrix.full.bit_length()
        self._rows = old.rows | new.rows << self._shift
        columns = _side_by_side(old.columns, new.columns, self._rows, self._shift)
        is_declared = old.declared is not None or new.declared is not None
        self._stamped = [c for c in columns if is_declared and c.fact.startswith(_STUDENT)]
        self._lasting = [c for c in columns if c not in self._stamped]
        self._declared = self._read_declared()
        self._moved = self._find_moved()
        self._moving = [c for c in self._lasting if c.tested & self._moved]
        self._flips = flips
        self._limits = tuple((c.fact, c.limits) for c in columns if c.limits)
        self._words = tuple(c.fact for c in columns if not c.limits)
        self._seen: dict[tuple[object, ...], Flip | None] = {}
        self._said: dict[_Read, Flip | None] = {}

    def _find_moved(self) -> int:
        """The rows of rules that the halves do not share: where none may hold, both say the same.

        All rows, where more than rules can differ: a grant, or what is declared of the student.
        """
        old, new = self._halves
        if old.has_grants or new.has_grants or old.declared != new.declared:
            return self._rows
        return (old.rows_unlike(new) | new.rows_unlike(old) << self._shift) & self._rows

    def _read_declared(self) -> Bits:
        """What is declared today of the student, in each half's rows; all rows where nothing is."""
        bits = []
        for half in self._halves:
            of_student = [c for name, c in half.columns.items() if name.startswith(_STUDENT)]
            rows = half.standing.exchange.matrix.full
            bits.append(read(of_student, rows, half.declared or {}))
        old, new = bits
        return Bits(old.sure | new.sure << self._shift, old.maybe | new.maybe << self._shift)

    def flip_of(self, facts: Mapping[str, Fact], cleared: frozenset[str]) -> Flip | None:
        """The flip that an exchange is one of; None where both bundles give the same verdict."""
        if not reached(self._moving, self._moved, facts):
            return None
        get: Callable[[str], Fact | None] = facts.get
        # Of numbers only the stretch between limits that they lie in.
        stretches = [_stretch(get(name), limits) for name, limits in self._limits]
        alike = (cleared, *map(get, self._words), *stretches)
        try:
            return self._seen[alike]
        except KeyError:
            pass
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        flip = self._seen[alike] = self._answer(facts, cleared)
        return flip

    def _answer(self, facts: Mapping[str, Fact], cleared: frozenset[str]) -> Flip | None:
        lasting = read(self._lasting, self._rows, facts)
        stamped = read(self._stamped, self._rows, facts)
        asked = (lasting, stamped, cleared)
        try:
            return self._said[asked]
        except KeyError:
            pass
        if len(self._said) >= _REMEMBERED:
            self._said.clear()
        flip = self._said[asked] = self._compare(*asked)
        return flip

    def _compare(self, lasting: Bits, stamped: Bits, cleared: frozenset[str]) -> Flip | None:
        old, new = (
            self._question(half, shift, lasting, stamped)
            for half, shift in zip(self._halves, (0, self._shift), strict=True)
        )
        if verdict_of(*old, cleared) is verdict_of(*new, cleared):
            return None
        return self._flip(say(*old, cleared).ruling, say(*new, cleared).ruling)

    def _question(
        self, half: _Half, shift: int, lasting: Bits, stamped: Bits
    ) -> tuple[Standing, Bits, Bits]:
        """What one bundle is asked: what stands, and the bits of both clocks."""
        standing = half.standing
        today = stamped if half.declared is None else self._declared
        return (
            standing,
            _both(lasting, stamped, shift, standing.exchange.live),
            _both(lasting, today, shift, standing.today.live),
        )

    def _flip(self, before: Ruling, after: Ruling) -> Flip:
        flip = Flip(
            gate=self._gate,
            before=before.verdict,
            after=after.verdict,
            rules=causes_of(before, after),
            silent=tuple(layer for layer in after.silent if layer not in before.silent),
            grants=tuple(sorted({*before.grants} ^ {*after.grants})),
        )
        key = (flip.gate, flip.before, flip.after, flip.rules, flip.silent, flip.grants)
        return self._flips.setdefault(key, flip)


def _stretch(value: Fact | None, limits: Sequence[int]) -> int | None:
    if type(value) is not int:
        return None
    at = bisect_left(limits, value)
    return 2 * at + (at < len(limits) and limits[at] == value)


type _Read = tuple[Bits, Bits, frozenset[str]]
"""All that two verdicts depend on at a place: exchanges of which this is equal are decided alike."""


def _side_by_side(
    old: Mapping[str, Column], new: Mapping[str, Column], rows: int, shift: int
) -> list[Column]:
    """One column for each fact that either half tests, over the rows of both."""
    found = []
    for fact in sorted(old.keys() | new.keys()):
        asked: dict[Asked, int] = {}
        for half, by in ((old, 0), (new, shift)):
            column = half.get(fact)
            for test, its in () if column is None else column.asked:
                if its << by & rows:
                    asked[test] = asked.get(test, 0) | its << by
        found.append(Column(fact, rows, asked))
    return found


def _both(one: Bits, other: Bits, shift: int, live: int) -> Bits:
    """The rows of one half that two readings, each of some facts, leave standing."""
    return Bits((one.sure & other.sure) >> shift & live, (one.maybe & other.maybe) >> shift & live)


def causes_of(before: Ruling, after: Ruling) -> tuple[str, ...]:
    """The rules to which a flip is due: of those that match otherwise, the ones that set a verdict."""
    one, two = _states(before), _states(after)
    moved = {rule for rule in one.keys() | two.keys() if one.get(rule) != two.get(rule)}
    setting = {*before.by, *after.by}
    for found in (moved & setting, moved, {*before.by} ^ {*after.by}, setting):
        if found:
            return tuple(sorted(found))
    return ()


def _states(ruling: Ruling) -> dict[str, tuple[object, ...]]:
    return {
        hit.rule: (hit.effect, hit.is_sure, hit.is_shadow, hit.lifted_by is not None)
        for hit in ruling.hits
    }
