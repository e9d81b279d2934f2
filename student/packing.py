"""Examples to padding-free rows: best fit decreasing inside one global batch. Pure."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Example", "Row", "join", "pack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example as tokens. Shapes: ids[T] int32; is_target[T] bool, false at the first token."""

    ids: NDArray[np.int32]
    is_target: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row for one forward pass; nothing of it is padding.

    Shapes: ids[T]; positions[T] restart at 0 with each example; supervised[S] are the places whose
    next token is a target; targets[S] are those tokens. All int64.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    supervised: NDArray[np.int64]
    targets: NDArray[np.int64]


def pack(lengths: Sequence[int], budget: int) -> tuple[tuple[int, ...], ...]:
    """Rows of indices into `lengths`, each row's sum at most `budget`, every index once.

    Best fit decreasing: the longest first, each into the fullest row that still has room.

    Raises:
        ValueError: a length is below 1 or above the budget.
    """
    rows: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (tokens left, row), ascending
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if not 1 <= length <= budget:
            raise ValueError(f"length {length} of index {index} does not fit 1..{budget}")
        at = bisect_left(rooms, (length, -1))
        if at == len(rooms):
            rows.append([])
            room, row = budget, len(rows) - 1
        else:
            room, row = rooms.pop(at)
        rows[row].append(index)
        insort(rooms, (room - length, row))
    return tuple(tuple(row) for row in rows)


def join(examples: Sequence[Example]) -> Row:
    """Examples one after the other as one row.

    Raises:
        ValueError: the first token of an example is a target: nothing precedes it.
    """
    if any(example.is_target[0] for example in examples):
        raise ValueError("the first token of an example is a target")
    ids = np.concatenate([example.ids for example in examples]).astype(np.int64)
    is_target = np.concatenate([example.is_target for example in examples])
    # INVARIANT: no first token is a target, so the place before a target is in the same example.
    supervised = np.flatnonzero(is_target).astype(np.int64) - 1
    return Row(
        ids=ids,
        positions=np.concatenate([np.arange(len(e.ids), dtype=np.int64) for e in examples]),
        supervised=supervised,
        targets=ids[supervised + 1],
    )
