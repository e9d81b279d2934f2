"""Examples to padding-free rows: best fit decreasing inside one global batch. Pure."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Example", "Row", "Tops", "join", "pack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tops:
    """What a teacher told of its choice at P positions. Shapes: ids[P, K] int64; all else float32.

    logprobs[P, K] are of the tokens in `ids`, in nats; where fewer than K are known, an id is repeated
    with minus infinity. share[P] is how much of a position's loss they make, in 0..1;
    temperature[P] is what the student's logits are divided by to be of the same kind.
    """

    ids: NDArray[np.int64]
    logprobs: NDArray[np.float32]
    share: NDArray[np.float32]
    temperature: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example as tokens. Shapes: ids[T] int32; is_target[T] bool, false at the first token.

    `tops` are of its first targets, as many as they are; None where the teacher told its words alone.
    """

    ids: NDArray[np.int32]
    is_target: NDArray[np.bool_]
    tops: Tops | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row for one forward pass; nothing of it is padding.

    Shapes: ids[T]; positions[T] restart at 0 with each example; supervised[S] are the places whose
    next token is a target; targets[S] are those tokens. All int64. The last P of S are those that
    `tops` speaks of, in its order.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    supervised: NDArray[np.int64]
    targets: NDArray[np.int64]
    tops: Tops | None = None


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
    taught = [example.tops for example in examples if example.tops is not None]
    if taught:
        is_taught = np.concatenate([_taught(example) for example in examples])
        supervised = np.concatenate([supervised[~is_taught], supervised[is_taught]])
    return Row(
        ids=ids,
        positions=np.concatenate([np.arange(len(e.ids), dtype=np.int64) for e in examples]),
        supervised=supervised,
        targets=ids[supervised + 1],
        tops=_as_one(taught) if taught else None,
    )


def _taught(example: Example) -> NDArray[np.bool_]:
    """Of each target, whether the teacher told more than the token."""
    count = 0 if example.tops is None else len(example.tops.ids)
    return np.arange(int(example.is_target.sum())) < count


def _as_one(tops: Sequence[Tops]) -> Tops:
    width = max(each.ids.shape[1] for each in tops)
    return Tops(
        ids=np.concatenate([_widened(each, width).ids for each in tops]),
        logprobs=np.concatenate([_widened(each, width).logprobs for each in tops]),
        share=np.concatenate([each.share for each in tops]),
        temperature=np.concatenate([each.temperature for each in tops]),
    )


def _widened(tops: Tops, width: int) -> Tops:
    more = ((0, 0), (0, width - tops.ids.shape[1]))
    return Tops(
        ids=np.pad(tops.ids, more, mode="edge"),
        logprobs=np.pad(tops.logprobs, more, constant_values=-np.inf),
        share=tops.share,
        temperature=tops.temperature,
    )
