"""The batches of a run, one ahead of the step: read, joined and, for a GPU, pinned while it computes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from student.mixture import Mixture
from student.packing import Example, Row, Tops, join
from student.parallel import Team, share_out
from student.plan import Plan

__all__ = ["Batch", "Batches"]

_EMPTY = join([Example(ids=np.zeros(1, np.int32), is_target=np.zeros(1, np.bool_))])
"""A row of one token that teaches nothing: a forward pass for a process without a row left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A global batch: its figures, and the rows of it that this process takes."""

    number: int
    """Of the step, counted from 0."""
    rows: tuple[Row, ...]
    """As many in each process."""
    tokens: int
    """Of the whole batch, prompts included."""
    targets: int
    """Supervised tokens of the whole batch."""
    examples: tuple[str, ...]
    """The names of all examples of the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """What each step learns, and which rows of it one process takes."""

    plan: Plan
    """Its indices count within `indices`."""
    indices: tuple[int, ...]
    """The examples that are learned."""
    mixture: Mixture
    names: tuple[str, ...]
    """Of all examples of the mixture."""
    team: Team

    def ahead(self, numbers: Iterable[int]) -> Iterator[Batch]:
        """The batch of each step, in order; while one is used, the next is made in a thread."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as thread:
            pending: Future[Batch] | None = None
            for number in numbers:
                following = thread.submit(self.make, number)
                if pending is not None:
                    yield pending.result()
                pending = following
            if pending is not None:
                yield pending.result()

    def make(self, number: int) -> Batch:
        """The batch of step `number`, counted from 0."""
        packed = [[self.indices[i] for i in row] for row in self.plan.step(number).rows]
        rows = [join([self.mixture[index] for index in row]) for row in packed]
        mine = share_out(rows, self.team, _EMPTY)
        return Batch(
            number=number,
            rows=tuple(mine if self.team.device == "cpu" else map(_pinned, mine)),
            tokens=sum(len(row.ids) for row in rows),
            targets=sum(len(row.targets) for row in rows),
            examples=tuple(self.names[index] for row in packed for index in row),
        )


def _pinned(row: Row) -> Row:
    """The row in memory that a GPU reads by itself, so that copying it does not hold up the step."""
    tops = None if row.tops is None else replace(row.tops, **_pinned_arrays(row.tops))
    return replace(row, **_pinned_arrays(row), tops=tops)


def _pinned_arrays(of: Row | Tops) -> dict[str, Any]:
    arrays = {field.name: getattr(of, field.name) for field in fields(of)}
    return {
        name: torch.from_numpy(array).pin_memory().numpy()
        for name, array in arrays.items()
        if isinstance(array, np.ndarray)
    }
