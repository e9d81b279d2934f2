"""A student's predictions beside its teacher's tokens, at supervised positions only. Pure.

Training needs the loss alone; measuring asks further: how often would the student have said the
same, and how far are the two distributions apart where the teacher told its own?
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from student.losses import Supervision, topk_kl

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One line per supervised position. Shapes: nll[S], kl[P], at least fp32; is_first[S] bool.

    `nll` is the negative log-likelihood of the teacher's token in nats; `is_first` says whether
    that token is the student's first choice: of equal scores the lowest id is first. `kl` is
    KL(teacher ‖ student) in nats where the teacher told its likeliest tokens (`Supervision`).
    """

    nll: Tensor
    is_first: Tensor
    kl: Tensor


@torch.no_grad()
def compare(hidden: Tensor, head: Tensor, supervision: Supervision, *, chunk: int) -> Comparison:
    """Compare a row's predictions with its targets; the logits of `chunk` positions exist at once.

    Shapes: hidden[T, H]; head[V, H].
    """
    picked = hidden.index_select(0, supervision.positions)
    matrix = head.to(picked.dtype)
    wide = torch.promote_types(picked.dtype, torch.float32)
    told = supervision.likeliest
    count = len(picked)
    first_told = count if told is None else count - len(told.ids)
    nll = picked.new_zeros(count, dtype=wide)
    is_first = torch.zeros(count, dtype=torch.bool, device=picked.device)
    kl = picked.new_zeros(count - first_told, dtype=wide)
    for start in range(0, count, chunk):
        part = slice(start, min(start + chunk, count))
        logits = (picked[part] @ matrix.T).to(wide)
        targets = supervision.targets[part]
        chosen = logits.gather(-1, targets[:, None])[:, 0]
        nll[part] = logits.logsumexp(-1) - chosen
        is_first[part] = logits.argmax(-1) == targets
        if told is not None and part.stop > first_told:
            begin = max(start, first_told)
            here = slice(begin - first_told, part.stop - first_told)
            kl[here], _ = topk_kl(logits[begin - start :], told.part(here))
    return Comparison(nll=nll, is_first=is_first, kl=kl)
