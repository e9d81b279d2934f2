"""One clock's verdict: what is sure, what may be, and which rules could still change it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policies.matrix import Matrix
from policies.model import Duty, Effect, Layer

__all__ = ["View"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one clock says, grants and clearances applied. Masks hold rows."""

    matrix: Matrix
    sure: int
    maybe: int
    forbid: int
    review: int
    permit: int
    """Permits and lifted reviews: a review its own party lifts is that party's permit."""
    layers: Mapping[Layer, int]
    """Layers that must speak and that no grant speaks for, with the rows that end the silence."""
    lifted: Mapping[int, str]
    """Rules lifted, with the id of the grant."""
    grants: frozenset[str]

    @property
    def silent(self) -> frozenset[Layer]:
        """Layers where nothing can match that would end the silence."""
        return frozenset(layer for layer, rows in self.layers.items() if not self.maybe & rows)

    @property
    def worst(self) -> Effect:
        """The verdict with every unknown fact at its worst: only what is sure permits."""
        if self.maybe & self.forbid or not all(self.sure & rows for rows in self.layers.values()):
            return Effect.FORBID
        return Effect.REVIEW if self.maybe & self.review else Effect.PERMIT

    @property
    def best(self) -> Effect:
        """The verdict with every unknown fact at its best: only what is sure forbids."""
        if self.sure & self.forbid or self.silent:
            return Effect.FORBID
        may_permit = all(self.maybe & rows & self.permit for rows in self.layers.values())
        return Effect.PERMIT if may_permit and not self.sure & self.review else Effect.REVIEW

    @property
    def is_undecided(self) -> bool:
        """Whether an unknown fact could change the verdict, or the duties of a permit."""
        if self.worst is not self.best:
            return True
        return self.best is Effect.PERMIT and self.duties(self.maybe) != self.duties(self.sure)

    @property
    def verdict(self) -> Effect:
        """The verdict of this clock."""
        return Effect.REVIEW if self.is_undecided else self.best

    @property
    def by(self) -> list[int]:
        """The rules that set the verdict."""
        match self.verdict:
            case Effect.FORBID:
                return self.matrix.matching(self.sure & self.forbid)
            case Effect.REVIEW:
                return self.matrix.matching(self.maybe & (self.forbid | self.review))
            case _:
                permits = self.matrix.matching(self.sure & self.permit)
                return [at for at in permits if at not in self.lifted]

    def duties(self, bits: int) -> frozenset[Duty]:
        """The union of the duties of the permits among these rows."""
        rules = self.matrix.rules
        return frozenset(
            duty for at in self.matrix.matching(bits & self.permit) for duty in rules[at].duties
        )

    @property
    def undecided(self) -> int:
        """Rows, not yet known to hold, of the rules whose matching can change the outcome.

        A rule can when there is some way for the other undecided rules to turn out such that its
        matching or not matching makes another verdict, or other duties of a permit.
        """
        if not self.is_undecided:
            return 0
        open_rows = self.maybe & ~self._rows(self.matrix.matching(self.sure))
        deciding = (at for at in self.matrix.matching(open_rows) if self._decides(at))
        return self._rows(deciding) & open_rows

    def _decides(self, at: int) -> bool:
        rows = self.matrix.rows[at]
        may_permit = self.best is Effect.PERMIT
        return bool(
            rows & self.forbid
            or (rows & self.review and may_permit)
            or self._breaks_silence(rows)
            or (rows & self.permit and may_permit and self._adds_duty(at))
        )

    def _breaks_silence(self, rows: int) -> bool:
        """Whether a rule can be the only one to speak for a layer while all other layers speak."""
        return any(
            rows & speak and all(self.maybe & other & (rows | ~speak) for other in self._wavering)
            for speak in self._wavering
        )

    def _adds_duty(self, at: int) -> bool:
        """Whether a permit brings a duty that the others may permit without."""
        return any(
            all(self.maybe & other & self.permit & ~self._bearers(duty) for other in self._wavering)
            for duty in frozenset(self.matrix.rules[at].duties) - self.duties(self.sure)
        )

    def _bearers(self, duty: Duty) -> int:
        rules = self.matrix.rules
        places = self.matrix.matching(self.maybe & self.permit)
        return self._rows(at for at in places if duty in rules[at].duties)

    @property
    def _wavering(self) -> list[int]:
        """The speakers of each layer for which none speaks surely."""
        return [speak for speak in self.layers.values() if not self.sure & speak]

    def _rows(self, places: Iterable[int]) -> int:
        rows = 0
        for at in places:
            rows |= self.matrix.rows[at]
        return rows
