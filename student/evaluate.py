"""How near a student is to its teachers, on answers that it never learned from."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from student.agreement import compare
from student.config import Config, Order
from student.errors import IntakeError
from student.intake import Admitted, open_datasets
from student.mixture import Mixture, mix
from student.model import Student, hidden_states, load_student, output_head, supervision
from student.packing import join, pack
from student.tasks import Task, TaskResult, answer_tasks

__all__ = ["Evaluation", "HeldOut", "evaluate", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A student on the held-out examples, over their target tokens."""

    loss: float
    """Mean negative log-likelihood of the teacher's token, in nats."""
    tokens: int
    examples: int
    agreed: int
    """Target tokens that are the student's own first choice."""
    kl: float | None = None
    """Mean KL(teacher ‖ student) in nats, where the teacher told its likeliest tokens."""
    kl_tokens: int = 0

    @property
    def perplexity(self) -> float:
        """E to the loss."""
        return math.exp(self.loss)

    @property
    def agreement(self) -> float:
        """The share of the teacher's tokens that are the student's first choice."""
        return self.agreed / self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One student, measured."""

    student: str
    """The folder's name, or the distribution with its version."""
    held_out: HeldOut | None
    """None where nothing is held out."""
    tasks: tuple[TaskResult, ...]


@torch.no_grad()
def measure(
    model: PreTrainedModel, tokens: Mixture, indices: Sequence[int], config: Config
) -> HeldOut | None:
    """The student on these examples; None where there are none."""
    if not indices:
        return None
    was_training = model.training
    model.train(mode=False)
    examples = [tokens[index] for index in indices]
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    agreed = torch.zeros((), dtype=torch.int64, device=model.device)
    apart = torch.zeros((), dtype=torch.float64, device=model.device)
    count = told = 0
    for members in pack([len(example.ids) for example in examples], config.row_tokens):
        row = join([examples[member] for member in members])
        found = compare(
            hidden_states(model, row),
            output_head(model),
            supervision(row, model.device),
            chunk=config.head_chunk,
        )
        total += found.nll.double().sum()
        agreed += found.is_first.sum()
        apart += found.kl.double().sum()
        count += len(row.targets)
        told += len(found.kl)
    model.train(was_training)
    return HeldOut(
        loss=float(total) / count,
        tokens=count,
        examples=len(indices),
        agreed=int(agreed),
        kl=float(apart) / told if told else None,
        kl_tokens=told,
    )


def evaluate(
    order: Order,
    config: Config,
    specs: Iterable[str],
    tasks: Sequence[Task] = (),
    *,
    answer_tokens: int = 64,
) -> tuple[Evaluation, ...]:
    """Students, one after the other, on what proven datasets hold out, and on tasks.

    To one question a student says at most `answer_tokens` tokens.

    Raises:
        StudentError: a dataset or a student is refused, or there is nothing to measure on.
    """
    admitted = open_datasets(
        order.sources,
        student=order.student,
        now=order.now,
        statuses=order.statuses,
        declaration=order.declaration,
    )
    config = config.settled(has_gpu=torch.cuda.is_available())
    found = []
    for spec in specs:
        student = load_student(spec, order.cache, config.device)
        held_out = _held_out(student, admitted, order, config)
        if held_out is None and not tasks:
            raise IntakeError(
                "the dataset holds nothing out: it has one exchange, or the share is 0",
                help="raise `--held-out`, build a larger dataset, or give `--tasks`",
                where=str(order.sources[0].path),
                code="nothing-held-out",
            )
        results = answer_tasks(student.model, student.tokenizer, tasks, answer_tokens)
        found.append(Evaluation(student=student.base.origin, held_out=held_out, tasks=results))
    return tuple(found)


def _held_out(
    student: Student, admitted: Sequence[Admitted], order: Order, config: Config
) -> HeldOut | None:
    weights = [source.weight for source in order.sources]
    tokens = mix(admitted, student.tokenizer, config, order.cache, weights=weights)
    parts = tokens.split(share=config.held_out_share, seed=config.seed)
    return measure(student.model, tokens, parts.held_out, config)
