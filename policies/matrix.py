"""Rules and grants as bits: a row per alternative of a condition, a column per fact."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from policies.column import Asked, Column, union
from policies.model import Condition, Effect, Grant, Layer, Place, Rule, Test, Window

__all__ = ["GrantRows", "Matrix", "compile_rules"]

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


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
    scopes: tuple[int, ...]
    """The rows of each rule's scope alone: a grant of its party speaks where one holds."""
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
        self.asked: dict[str, dict[Asked, int]] = {}

    def add(self, condition: Condition) -> int:
        """Give each alternative a row; the rows given."""
        first = self.size
        for alternative in condition.alternatives:
            for test in alternative:
                asked = self.asked.setdefault(test.fact, {})
                key = Asked(test.op, test.values, test.negated)
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
        scopes=tuple(scopes[rule.scope] for rule in ordered),
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
