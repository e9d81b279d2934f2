"""Few cases in place of all: every value of one axis meets every value of each other axis once.

Where cases go through the same code, what breaks one breaks by a value or by two that meet: so a
cover of the pairs finds what the whole product would, at the price of its two longest axes.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, product

__all__ = ["cover", "pairs_of"]

type Row = dict[str, str]
type Pair = tuple[tuple[str, str], tuple[str, str]]


def pairs_of(row: Mapping[str, str]) -> set[Pair]:
    """The pairs of values that meet in a row."""
    return set(combinations(sorted(row.items()), 2))


def cover(axes: Mapping[str, Sequence[str]]) -> list[Row]:
    """Rows in which each two values of two axes meet; the same for the same axes."""
    rows = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    wanted: set[Pair] = set().union(*map(pairs_of, rows))
    chosen: list[Row] = []
    while wanted:
        best = max(rows, key=lambda row: len(wanted & pairs_of(row)))
        wanted -= pairs_of(best)
        chosen.append(best)
    return chosen
