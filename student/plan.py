"""Step n of a run as a pure function of the seed: what is learned when, and at what rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate, pairwise

from student.packing import pack

__all__ = ["Plan", "Step", "rate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimiser step: `rows` packs the indices of `examples`."""

    number: int
    epoch: int
    examples: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The order of a run. Each epoch holds every example once, in an order of its own.

    An epoch always has the same number of batches, about equal in tokens, so that any step is found
    without walking to it. The order comes from blake2b, which no library version changes.
    """

    lengths: Sequence[int]
    """Tokens of each example."""
    seed: int
    batch: int
    """Tokens of a global batch; at least the longest example."""
    budget: int
    """Tokens of a packed row; at least the longest example."""
    _epochs: dict[int, tuple[tuple[int, ...], ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def epoch_steps(self) -> int:
        """Steps of one epoch."""
        return math.ceil(sum(self.lengths) / self.batch)

    def step(self, number: int) -> Step:
        """Step `number`, counted from 0, without end.

        Raises:
            ValueError: there are no examples, or one does not fit a row or a batch.
        """
        epoch, index = divmod(number, self.epoch_steps)
        if epoch not in self._epochs:
            self._epochs.clear()  # only a memory: one epoch is held at a time
            self._epochs[epoch] = self._epoch(epoch)
        examples = self._epochs[epoch][index]
        packed = pack([self.lengths[i] for i in examples], self.budget)
        rows = tuple(tuple(examples[i] for i in row) for row in packed)
        return Step(number=number, epoch=epoch, examples=examples, rows=rows)

    def _epoch(self, epoch: int) -> tuple[tuple[int, ...], ...]:
        order = sorted(range(len(self.lengths)), key=lambda index: self._place(epoch, index))
        starts = list(accumulate((self.lengths[i] for i in order), initial=0))
        total = starts.pop()
        cuts = [0]
        count = self.epoch_steps
        # INVARIANT: cuts rise by at least one and leave one example for each later batch, which is
        # possible because no example is longer than a batch, so there are at least `count` of them.
        for number in range(1, count):
            at = cuts[-1] + 1
            while starts[at] * count < number * total and at < len(order) - (count - number):
                at += 1
            cuts.append(at)
        return tuple(tuple(order[a:b]) for a, b in pairwise([*cuts, len(order)]))

    def _place(self, epoch: int, index: int) -> bytes:
        return blake2b(f"{self.seed}:{epoch}:{index}".encode(), digest_size=16).digest()


def rate(
    number: int, total: int, *, highest: float, warmup_share: float, final_share: float
) -> float:
    """The learning rate of step `number` of `total`: a straight warm-up, then a cosine.

    The last step has `final_share` of the highest rate.
    """
    warmup = math.ceil(total * warmup_share)
    if number < warmup:
        return highest * (number + 1) / warmup
    progress = (number - warmup) / max(1, total - 1 - warmup)
    return highest * (final_share + (1 - final_share) * (1 + math.cos(math.pi * progress)) / 2)
