"""What two policy bundles say differently: exchanges replayed through both, and which verdicts flip.

Facts of many exchanges read alike, so exchanges are grouped by what the rules can tell apart, and
each group is decided on once. Memory does not grow with the number of exchanges.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from policies.bundle import Bundle
from policies.decision import Ruling
from policies.engine import say
from policies.matrix import Bits
from policies.meaning import meaning_of, sha256_of
from policies.model import Effect, Fact, Gate, Layer, Test
from policies.standing import Standing, read_both, standing_at

__all__ = [
    "Difference",
    "Edit",
    "Flip",
    "Snapshot",
    "causes_of",
    "diff",
    "edits_of",
]

_REMEMBERED = 65_536
"""The most groups that are remembered at a time."""
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
    pairs: tuple[tuple[Kind, Mapping[str, str], Mapping[str, str]], ...] = (
        ("rule", _rules(old), _rules(new)),
        ("grant", _grants(old), _grants(new)),
        ("student", _students(old), _students(new)),
    )
    for kind, before, after in pairs:
        found += [Edit(kind, name, "removed") for name in before.keys() - after.keys()]
        found += [Edit(kind, name, "added") for name in after.keys() - before.keys()]
        both = before.keys() & after.keys()
        found += [Edit(kind, name, "changed") for name in both if before[name] != after[name]]
    order = ("rule", "grant", "student")
    return tuple(sorted(found, key=lambda edit: (order.index(edit.kind), edit.id)))


def _rules(bundle: Bundle) -> dict[str, str]:
    return {rule.id: meaning_of([rule], []) for rule in bundle.rules}


def _grants(bundle: Bundle) -> dict[str, str]:
    return {grant.id: meaning_of([], [grant]) for grant in bundle.grants}


def _students(bundle: Bundle) -> dict[str, str]:
    return {
        student.id: sha256_of(
            {k: sorted(v) if isinstance(v, frozenset) else v for k, v in student.facts.items()}
        )
        for student in bundle.students.values()
    }


class _Replay:
    """Compares verdicts, one snapshot after the other."""

    def __init__(self, old: Bundle, new: Bundle, examples: int) -> None:
        self.flips: dict[tuple[object, ...], Flip] = {}
        self.decisions: dict[Gate, int] = {}
        self.exchanges = 0
        self._old, self._new = old, new
        self._examples = examples
        self._points = sorted({*old.matrix.points, *new.matrix.points})
        self._reader = _Reader(old, new)
        self._seen: dict[tuple[object, ...], Flip | None] = {}
        self._answered: dict[tuple[_Question, _Question], Flip | None] = {}
        self._exchange = ""
        self._facts: Mapping[str, Fact] = {}
        self._values: tuple[object, ...] = ()

    def add(self, snapshot: Snapshot) -> None:
        """Compare one more."""
        exchange, gate, at, facts, today_at, student, cleared, datasets = snapshot
        if exchange != self._exchange:
            self._exchange = exchange
            self.exchanges += 1
        self.decisions[gate] = self.decisions.get(gate, 0) + 1
        if facts is not self._facts:
            self._facts, self._values = facts, self._reader.values(facts)
        then = bisect_right(self._points, at)
        now = then if today_at is None else bisect_right(self._points, today_at)
        key = (gate, then, now, student, cleared, self._values)
        try:
            flip = self._seen[key]
        except KeyError:
            flip = self._compare(snapshot)
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[key] = flip
        if flip is not None:
            flip.count += 1
            if len(flip.examples) < self._examples and exchange not in flip.examples:
                flip.examples.append(exchange)
            for dataset in datasets:
                flip.datasets[dataset] = flip.datasets.get(dataset, 0) + 1

    def _compare(self, snapshot: Snapshot) -> Flip | None:
        """The flip that a group belongs to; None where both bundles give the same verdict."""
        before, after = _ask(self._old, snapshot), _ask(self._new, snapshot)
        key = (before, after)
        try:
            return self._answered[key]
        except KeyError:
            pass
        flip = self._flip(snapshot.gate, say(*before).ruling, say(*after).ruling)
        if len(self._answered) >= _REMEMBERED:
            self._answered.clear()
        self._answered[key] = flip
        return flip

    def _flip(self, gate: Gate, before: Ruling, after: Ruling) -> Flip | None:
        if before.verdict is after.verdict:
            return None
        flip = Flip(
            gate=gate,
            before=before.verdict,
            after=after.verdict,
            rules=causes_of(before, after),
            silent=tuple(layer for layer in after.silent if layer not in before.silent),
            grants=tuple(sorted({*before.grants} ^ {*after.grants})),
        )
        key = (flip.gate, flip.before, flip.after, flip.rules, flip.silent, flip.grants)
        return self.flips.setdefault(key, flip)


type _Question = tuple[Standing, Bits, Bits, frozenset[str]]
"""All that a verdict depends on: two exchanges of which this is equal are decided alike."""


def _ask(bundle: Bundle, snapshot: Snapshot) -> _Question:
    """What a bundle is asked about a snapshot."""
    then = now = snapshot.facts
    today_at = snapshot.at
    if snapshot.today_at is not None:
        today_at = snapshot.today_at
        student = None if snapshot.student is None else bundle.students.get(snapshot.student)
        if student is not None:
            kept = {name: value for name, value in then.items() if not name.startswith(_STUDENT)}
            now = {**kept, **student.facts}
    standing = standing_at(bundle.matrix, snapshot.gate, snapshot.at, today_at)
    return (standing, *read_both(standing, then, now), snapshot.cleared)


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


class _Reader:
    """Reads of facts what the rules of either bundle can tell apart."""

    def __init__(self, old: Bundle, new: Bundle) -> None:
        columns = {column.fact: column for each in (old, new) for column in each.matrix.columns}
        limits: dict[str, set[int]] = {}
        for bundle in (old, new):
            for test in _tests(bundle):
                found = {value for value in test.values if type(value) is int}
                if found:
                    limits.setdefault(test.fact, set()).update(found)
        self._names = tuple(sorted(columns.keys() - limits.keys()))
        self._limits = tuple((name, tuple(sorted(edges))) for name, edges in limits.items())

    def values(self, facts: Mapping[str, Fact]) -> tuple[object, ...]:
        """The same for facts that read alike; of numbers the stretch between limits they lie in."""
        get: Callable[[str], Fact | None] = facts.get
        if not self._limits:
            return tuple(map(get, self._names))
        return (*map(get, self._names), *(_stretch(get(n), edges) for n, edges in self._limits))


def _tests(bundle: Bundle) -> Iterable[Test]:
    conditions = [rule.when for rule in bundle.rules]
    conditions += [grant.scope for grant in bundle.grants]
    return (test for each in conditions for tests in each.alternatives for test in tests)


def _stretch(value: Fact | None, edges: tuple[int, ...]) -> object:
    if type(value) is not int:
        return None
    at = bisect_left(edges, value)
    return 2 * at + (at < len(edges) and edges[at] == value)
