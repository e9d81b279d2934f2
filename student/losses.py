"""What is learned: the teacher's words, and its likeliest tokens where it told them. Pure.

At every supervised position the loss is the cross-entropy of the teacher's token. Where the teacher
told its likeliest tokens too, a share of it is KL(teacher ‖ student) over those tokens and one
bucket for all others, so that nothing is renormalised away. The loss is normalised by the target
tokens of the *global* batch: neither accumulation over rows nor the number of processes changes it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Likeliest", "Supervision", "nll", "sequence_loss", "topk_kl"]

_NO_TAIL = 1e-6
"""Probability below which what is left for the tail is rounding."""
_KL_BUFFERS = 3
"""Arrays as large as the logits that the KL needs beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeliest:
    """What a teacher told of its choice at P positions.

    Shapes: ids[P, K] int64; logprobs[P, K] in nats, minus infinity where an id is only repeated to
    fill the place; share[P], of the KL in the loss, in 0..1; temperature[P], that divides the
    student's logits.
    """

    ids: Tensor
    logprobs: Tensor
    share: Tensor
    temperature: Tensor

    def part(self, chosen: slice) -> "Likeliest":
        """Some of the positions."""
        return Likeliest(
            ids=self.ids[chosen],
            logprobs=self.logprobs[chosen],
            share=self.share[chosen],
            temperature=self.temperature[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What a row teaches. Shapes: positions[S] int64 in the row; targets[S] int64, its next token.

    `likeliest` is of the last P of the S positions, in order; None where P is 0.
    """

    positions: Tensor
    targets: Tensor
    likeliest: Likeliest | None = None


def sequence_loss(
    hidden: Tensor, head: Tensor, supervision: Supervision, *, batch_targets: int, chunk: int
) -> Tensor:
    """Return this row's part of the batch's mean loss, in nats per target token.

    Shapes: hidden[T, H]; head[V, H]; the result is a scalar, at least fp32. The parts of all rows
    of a batch add up to the mean over its `batch_targets` target tokens.
    """
    picked = hidden.index_select(0, supervision.positions)
    total: Tensor = _SummedLoss.apply(
        picked, head, supervision.targets, supervision.likeliest, chunk
    )
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


@torch.no_grad()
def topk_kl(logits: Tensor, told: Likeliest) -> tuple[Tensor, Tensor]:
    """Return KL(teacher ‖ student) of each position in nats, and its gradient by the logits.

    Shapes: logits[P, V]; the results are [P] and [P, V]. Each of the teacher's tokens is a bucket,
    and all others together are one; `told.share` does not count here.
    """
    scale = told.temperature.to(logits.dtype)[:, None]
    logits = logits / scale
    norm = logits.logsumexp(-1, keepdim=True)
    logprobs = told.logprobs.to(logits.dtype)
    probs = logprobs.exp()
    left = 1 - probs.sum(-1, keepdim=True)
    left = torch.where(left < _NO_TAIL, 0, left)
    # log(1 - sum) would lose all digits of a small tail, so the others are summed by themselves
    others = logits.scatter(-1, told.ids, -torch.inf)
    others_norm = others.logsumexp(-1, keepdim=True)
    others_norm = torch.where(others_norm.isfinite(), others_norm, 0)
    is_known = probs > 0
    apart = torch.where(is_known, logprobs, 0) - (logits.gather(-1, told.ids) - norm)
    kl = (probs * apart).sum(-1)
    kl += (torch.xlogy(left, left) - left * (others_norm - norm))[:, 0]
    slope = logits.sub_(norm).exp_().mul_(probs.sum(-1, keepdim=True) + left)
    slope.sub_(others.sub_(others_norm).exp_().mul_(left))
    slope.scatter_add_(-1, told.ids, -probs)
    return kl, slope.div_(scale)


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _score(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.gather(-1, targets[:, None])[:, 0]


def _cross_entropy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of each position, and its gradient, which is written over the logits to save their memory."""
    norm = logits.logsumexp(-1, keepdim=True)
    each = norm[:, 0] - _score(logits, targets)
    slope = logits.sub_(norm).exp_()
    slope[torch.arange(len(targets), device=targets.device), targets] -= 1
    return each, slope


def _mixed(logits: Tensor, targets: Tensor, told: Likeliest) -> tuple[Tensor, Tensor]:
    """As `_cross_entropy`, with the KL in its share."""
    apart, by_kl = topk_kl(logits, told)
    each, slope = _cross_entropy(logits, targets)
    share = told.share.to(each.dtype)
    return each.lerp(apart, share), slope.lerp_(by_kl, share[:, None])


class _SummedLoss(torch.autograd.Function):
    """The summed loss; gradients are taken chunk by chunk while the logits exist.

    Logits of a whole row are never held: for V = 49,152 one position costs 192 KiB in fp32.
    """

    @staticmethod
    def forward(
        ctx: Any, picked: Tensor, head: Tensor, targets: Tensor, told: Likeliest | None, chunk: int
    ) -> Tensor:
        """Shapes: picked[S, H]; head[V, H]; targets[S]; the result is a scalar."""
        wants_picked, wants_head = ctx.needs_input_grad[:2]
        by_picked = torch.zeros_like(picked) if wants_picked else None
        by_head = torch.zeros_like(head) if wants_head else None
        matrix = head.to(picked.dtype)  # fp32 weights may meet bf16 hidden states
        total = _wide(picked.new_zeros(()))
        plain = len(targets) - (0 if told is None else len(told.ids))
        for part in _parts(plain, len(targets), chunk):
            logits = _wide(picked[part] @ matrix.T)
            if told is None or part.stop <= plain:
                each, slope = _cross_entropy(logits, targets[part])
            else:
                told_part = told.part(slice(part.start - plain, part.stop - plain))
                each, slope = _mixed(logits, targets[part], told_part)
            total += each.sum()
            slope = slope.to(picked.dtype)
            if by_picked is not None:
                by_picked[part] = slope @ matrix
            if by_head is not None:
                by_head += slope.T @ picked[part]
        ctx.save_for_backward(by_picked, by_head)
        return total

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """The gradients kept by `forward`, times the gradient from above."""
        by_picked, by_head = ctx.saved_tensors
        (scale,) = above
        return (
            None if by_picked is None else by_picked * scale.to(by_picked.dtype),
            None if by_head is None else by_head * scale.to(by_head.dtype),
            None,
            None,
            None,
        )


def _parts(plain: int, count: int, chunk: int) -> list[slice]:
    """Chunks of the positions; where the KL is taken they are smaller, for it needs more memory."""
    fine = max(1, chunk // (1 + _KL_BUFFERS))
    return [
        *(slice(at, min(at + chunk, plain)) for at in range(0, plain, chunk)),
        *(slice(at, min(at + fine, count)) for at in range(plain, count, fine)),
    ]
