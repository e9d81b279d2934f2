"""The part of a matrix that can matter at one route and model, compiled again on its own.

Nearly every policy is scoped on a contract's route or on a model's id, so of thousands of rules a
few can match an exchange. Whoever decides on many reads those few.
"""

from collections.abc import Mapping
from typing import NamedTuple

from policies.matrix import Matrix, compile_rules
from policies.model import Fact

__all__ = ["Spot", "narrowed", "spot_of"]


class Spot(NamedTuple):
    """Where exchanges are alike for most rules; None is unknown."""

    route: str | None
    model: str | None


def spot_of(facts: Mapping[str, Fact]) -> Spot:
    """The spot of an exchange; a wrongly typed fact is unknown."""
    route, model = facts.get("route"), facts.get("model.id")
    return Spot(route if type(route) is str else None, model if type(model) is str else None)


def narrowed(matrix: Matrix, spot: Spot) -> Matrix:
    """A matrix that decides as this one does on all exchanges at a spot, if on no others.

    It is this one itself where that would spare little.
    """
    alive = _alive(matrix, spot)
    kept = set(matrix.matching(alive))
    grants = [rows.grant for rows in matrix.grants if rows.scope & alive]
    if grants:
        kept |= {at for at, rows in enumerate(matrix.scopes) if rows & alive}
    if 2 * len(kept) > len(matrix.rules):
        return matrix
    return compile_rules([matrix.rules[at] for at in sorted(kept)], grants)


def _alive(matrix: Matrix, spot: Spot) -> int:
    """The rows that a spot leaves standing."""
    columns = {column.fact: column for column in matrix.columns}
    rows = matrix.full
    for fact, value in (("route", spot.route), ("model.id", spot.model)):
        column = columns.get(fact)
        bits = None if column is None else column.bits(value)
        rows &= matrix.full if bits is None else bits
    return rows
