"""One clock's verdict: what is sure, what may be, and which rules could still change it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from policies.column import union
from policies.matrix import Matrix
from policies.model import Duty, Effect, Layer

__all__ = ["View"]


@dataclass(frozen=True, kw_only=True)
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
    perhaps: frozenset[Layer]
    """Those of them that a rule read by the other clock alone may speak for."""
    lifted: Mapping[int, str]
    """Rules lifted, with the id of the grant."""
    grants: frozenset[str]

    @property
    def silent(self) -> frozenset[Layer]:
        """Layers where nothing can match that would end the silence."""
        return frozenset(
            layer
            for layer, rows in self.layers.items()
            if not self.maybe & rows and layer not in self.perhaps
        )

    @property
    def worst(self) -> Effect:
        """The verdict with every unknown fact at its worst: only what is sure permits."""
        if self.maybe & self.forbid or not all(self.sure & rows for rows in self.layers.values()):
            return Effect.FORBID
        return Effect.REVIEW if self.maybe & self.review else Effect.PERMIT

    @cached_property
    def best(self) -> Effect:
        """The verdict with every unknown fact at its best: only what is sure forbids."""
        if self.sure & self.forbid or self.silent:
            return Effect.FORBID
        may_permit = all(
            self.maybe & rows & self.permit or layer in self.perhaps
            for layer, rows in self.layers.items()
        )
        return Effect.PERMIT if may_permit and not self.sure & self.review else Effect.REVIEW

    @cached_property
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
        bound = bits & self.permit & self.matrix.bound
        return frozenset(duty for at in self.matrix.matching(bound) for duty in rules[at].duties)

    @property
    def undecided(self) -> int:
        """Rows, not yet known to hold, of the rules whose matching can change the outcome.

        A rule can when there is some way for the other undecided rules to turn out such that its
        matching or not matching makes another verdict, or other duties of a permit.
        """
        if not self.is_undecided:
            return 0
        # INVARIANT: the rows of one rule are all in a mask or none is, but for those that match.
        deciding = self.forbid | self._silence_breakers
        if self.best is Effect.PERMIT:
            deciding |= self.review | self._duty_adders
        return self.maybe & deciding & ~self._rows(self.matrix.matching(self.sure))

    @property
    def _silence_breakers(self) -> int:
        """Speakers that can be the only one for a layer while all other layers are spoken for."""
        found = 0
        for layer, speak in self._wavering.items():
            alone = speak
            for other, rows in self._wavering.items():
                # A layer that nobody but these can speak for must be spoken for by the same rule.
                if other not in {layer, *self.perhaps} and not self.maybe & rows & ~speak:
                    alone &= rows
            found |= alone
        return found

    @property
    def _duty_adders(self) -> int:
        """Permits that bring a duty which the others may permit without."""
        found = 0
        for duty in self.duties(self.maybe) - self.duties(self.sure):
            bearers = self._bearers(duty)
            if all(
                self.maybe & rows & self.permit & ~bearers or layer in self.perhaps
                for layer, rows in self._wavering.items()
            ):
                found |= bearers
        return found

    def _bearers(self, duty: Duty) -> int:
        rules = self.matrix.rules
        places = self.matrix.matching(self.maybe & self.permit & self.matrix.bound)
        return self._rows(at for at in places if duty in rules[at].duties)

    @cached_property
    def _wavering(self) -> Mapping[Layer, int]:
        """The layers for which none speaks surely, with their speakers."""
        return {layer: rows for layer, rows in self.layers.items() if not self.sure & rows}

    def _rows(self, places: Iterable[int]) -> int:
        return union(self.matrix.rows[at] for at in places)
