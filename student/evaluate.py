"""Held-out loss: how well a student predicts answers of its teachers that it never learned from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from student import digest
from student.config import Config, Order
from student.errors import IntakeError
from student.intake import open_dataset
from student.losses import nll
from student.model import hidden_states, load_student, output_head, supervision
from student.packing import join, pack
from student.tokens import Tokens, tokenise

__all__ = ["HeldOut", "Split", "evaluate_dataset", "measure", "split"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices of examples to learn from and to measure on; no exchange is in both."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """The mean negative log-likelihood over the target tokens of the held-out examples, in nats."""

    loss: float
    tokens: int
    examples: int

    @property
    def perplexity(self) -> float:
        """E to the loss."""
        return math.exp(self.loss)


def split(tokens: Tokens, root: str, *, share: float) -> Split:
    """The split that a dataset's root fixes: all answers of one exchange lie on the same side.

    With any share above zero and two exchanges or more, at least one is held out.
    """
    exchanges = sorted(
        set(tokens.exchanges), key=lambda exchange: digest.of_bytes(f"{root}:{exchange}".encode())
    )
    count = min(math.ceil(len(exchanges) * share), len(exchanges) - 1)
    away = frozenset(exchanges[:count])
    sides = [exchange in away for exchange in tokens.exchanges]
    return Split(
        train=tuple(index for index, is_away in enumerate(sides) if not is_away),
        held_out=tuple(index for index, is_away in enumerate(sides) if is_away),
    )


@torch.no_grad()
def measure(
    model: PreTrainedModel, tokens: Tokens, indices: Sequence[int], config: Config
) -> HeldOut | None:
    """The loss on these examples; None where there are none."""
    if not indices:
        return None
    was_training = model.training
    model.train(mode=False)
    examples = [tokens[index] for index in indices]
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    count = 0
    for members in pack([len(example.ids) for example in examples], config.row_tokens):
        row = join([examples[member] for member in members])
        hidden = hidden_states(model, row)
        each = nll(
            hidden, output_head(model), supervision(row, model.device), chunk=config.head_chunk
        )
        total += each.double().sum()
        count += len(row.targets)
    model.train(was_training)
    return HeldOut(loss=float(total) / count, tokens=count, examples=len(indices))


def evaluate_dataset(order: Order, config: Config) -> HeldOut:
    """How well a student predicts the held-out answers of a proven dataset.

    Raises:
        StudentError: the dataset or the student is refused, or nothing is held out.
    """
    admitted = open_dataset(
        order.dataset, order.vkey, student=order.student, now=order.now, status=order.status
    )
    config = config.settled(has_gpu=torch.cuda.is_available())
    student = load_student(order.base, order.cache, config.device)
    tokens = tokenise(
        admitted,
        student.tokenizer,
        length=config.length,
        row_tokens=config.row_tokens,
        cache=order.cache,
    )
    parts = split(tokens, admitted.root, share=config.held_out_share)
    found = measure(student.model, tokens, parts.held_out, config)
    if found is None:
        raise IntakeError(
            "the dataset holds nothing out: it has one exchange, or the share is 0",
            help="raise `--held-out`, or build a larger dataset",
            where=str(order.dataset),
            code="nothing-held-out",
        )
    return found
