"""What is learned: cross-entropy on the teacher's answer, at supervised positions only. Pure.

The loss is normalised by the target tokens of the *global* batch, so neither accumulation over rows
nor the number of processes changes it. `Supervision` has one line per supervised position; what a
teacher says about a position beyond its token belongs there too.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Supervision", "nll", "sequence_loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What a row teaches. Shapes: positions[S] int64 in the row; targets[S] int64, its next token."""

    positions: Tensor
    targets: Tensor


def sequence_loss(
    hidden: Tensor, head: Tensor, supervision: Supervision, *, batch_targets: int, chunk: int
) -> Tensor:
    """Return this row's part of the batch's mean cross-entropy, in nats per target token.

    Shapes: hidden[T, H]; head[V, H]; the result is a scalar, at least fp32. The parts of all rows
    of a batch add up to the mean over its `batch_targets` target tokens.
    """
    picked = hidden.index_select(0, supervision.positions)
    total: Tensor = _SummedCrossEntropy.apply(picked, head, supervision.targets, chunk)
    return total / batch_targets


@torch.no_grad()
def nll(hidden: Tensor, head: Tensor, supervision: Supervision, *, chunk: int) -> Tensor:
    """Return the negative log-likelihood of each target, in nats.

    Shapes: hidden[T, H]; head[V, H]; the result is [S], at least fp32.
    """
    picked = hidden.index_select(0, supervision.positions)
    matrix = head.to(picked.dtype)
    each = _wide(picked.new_zeros(len(picked)))
    for start in range(0, len(picked), chunk):
        logits = _wide(picked[start : start + chunk] @ matrix.T)
        targets = supervision.targets[start : start + chunk]
        each[start : start + chunk] = logits.logsumexp(-1) - _score(logits, targets)
    return each


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _score(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.gather(-1, targets[:, None])[:, 0]


class _SummedCrossEntropy(torch.autograd.Function):
    """The summed cross-entropy; gradients are taken chunk by chunk while the logits exist.

    Logits of a whole row are never held: for V = 49,152 one position costs 192 KiB in fp32.
    """

    @staticmethod
    def forward(ctx: Any, picked: Tensor, head: Tensor, targets: Tensor, chunk: int) -> Tensor:
        """Shapes: picked[S, H]; head[V, H]; targets[S]; the result is a scalar."""
        wants_picked, wants_head = ctx.needs_input_grad[:2]
        by_picked = torch.zeros_like(picked) if wants_picked else None
        by_head = torch.zeros_like(head) if wants_head else None
        matrix = head.to(picked.dtype)  # fp32 weights may meet bf16 hidden states
        total = _wide(picked.new_zeros(()))
        for start in range(0, len(targets), chunk):
            part, right = picked[start : start + chunk], targets[start : start + chunk]
            logits = _wide(part @ matrix.T)
            norm = logits.logsumexp(-1, keepdim=True)
            total += (norm[:, 0] - _score(logits, right)).sum()
            # d(sum)/d(logits) = softmax - onehot, written over the logits to save their memory
            slope = logits.sub_(norm).exp_()
            slope[torch.arange(len(right), device=right.device), right] -= 1
            slope = slope.to(picked.dtype)
            if by_picked is not None:
                by_picked[start : start + chunk] = slope @ matrix
            if by_head is not None:
                by_head += slope.T @ part
        ctx.save_for_backward(by_picked, by_head)
        return total

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """The gradients kept by `forward`, times the gradient from above."""
        by_picked, by_head = ctx.saved_tensors
        (scale,) = above
        return (
            None if by_picked is None else by_picked * scale.to(by_picked.dtype),
            None if by_head is None else by_head * scale.to(by_head.dtype),
            None,
            None,
        )
