"""The loop: what a run does, in order, from proven examples to signed weights."""

import math
import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch.optim import AdamW
from transformers import PreTrainedModel

from student import digest, snapshot
from student.config import Config, Order
from student.errors import TrainingError
from student.evaluate import HeldOut, Split, measure, split
from student.intake import Admitted, open_dataset
from student.losses import sequence_loss
from student.model import (
    Base,
    Student,
    hidden_states,
    load_student,
    output_head,
    probe,
    save_student,
    supervision,
)
from student.packing import join
from student.plan import Plan, Step, rate
from student.record import (
    MODEL_FOLDER,
    SNAPSHOT_FOLDER,
    DatasetRef,
    Header,
    Record,
    run_name,
)
from student.tokens import Tokens, tokenise

__all__ = ["Progress", "RunResult", "carry_out", "train"]

_VERSIONS = ("inbond", "torch", "transformers", "tokenizers", "safetensors", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is, after one step."""

    step: int
    steps: int
    loss: float
    """Mean over the target tokens of the global batch, in nats."""
    rate: float
    gradient_norm: float
    """Before clipping."""
    tokens: int
    """Tokens of the batch, prompts included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A finished run: what a ledger's `run` entry commits to, and how the student fared."""

    run: str
    student: str
    folder: Path
    datasets: tuple[str, ...]
    """Roots."""
    record: str
    """The head of the record: sha256 (hex) that stands for all of it."""
    vkey: str
    """The key that signed the record."""
    weights: Mapping[str, str]
    base: Base
    steps: int
    before: HeldOut | None
    after: HeldOut | None


def carry_out(
    order: Order, config: Config, tell: Callable[[Progress], None] = lambda _: None
) -> RunResult:
    """Verify a dataset, load a student and train it: nothing is loaded before every proof held.

    Raises:
        StudentError: the dataset, the student or the run is refused, or the run was stopped.
    """
    admitted = open_dataset(
        order.dataset, order.vkey, student=order.student, now=order.now, status=order.status
    )
    config = config.settled(has_gpu=torch.cuda.is_available())
    student = load_student(order.base, order.cache, config.device)
    return train(admitted, student, config, order, tell)


def train(
    admitted: Admitted,
    student: Student,
    config: Config,
    order: Order,
    tell: Callable[[Progress], None] = lambda _: None,
) -> RunResult:
    """Train a student on a proven dataset, and sign what was done.

    Raises:
        StudentError: the run cannot start, or was stopped; the last good snapshot is kept.
    """
    torch.manual_seed(config.seed)
    tokens = tokenise(
        admitted,
        student.tokenizer,
        length=config.length,
        row_tokens=config.row_tokens,
        cache=order.cache,
    )
    parts = split(tokens, admitted.root, share=config.held_out_share)
    _probe(student.model, tokens, parts, config)
    plan = Plan(
        lengths=[tokens.lengths[index] for index in parts.train],
        seed=config.seed,
        batch=config.batch_tokens,
        budget=config.row_tokens,
    )
    steps = config.steps or plan.epoch_steps * config.epochs
    header = _header(admitted, student, config, order, _Material(tokens, parts, steps))
    record = (
        Record.reopen(order.out, header)
        if order.is_resumed
        else Record.start(order.out, header, order.seed)
    )
    loop = _Loop(
        model=student.model,
        optimiser=_optimiser(student.model, config),
        config=config,
        tokens=tokens,
        parts=parts,
        plan=plan,
        steps=steps,
        record=record,
    )
    first = loop.resume() if order.is_resumed else 0
    if not record.values("held-out"):
        loop.measure(0)
    for number in range(first, steps):
        tell(loop.take(plan.step(number)))
        if (number + 1) % config.snapshot_steps == 0 or number + 1 == steps:
            loop.keep(number + 1)
    loop.measure(steps)
    return _finish(loop, admitted, student)


@dataclass(frozen=True, slots=True)
class _Material:
    tokens: Tokens
    parts: Split
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    """What the steps of one run share."""

    model: PreTrainedModel
    optimiser: AdamW
    config: Config
    tokens: Tokens
    parts: Split
    plan: Plan
    steps: int
    record: Record

    def take(self, step: Step) -> Progress:
        """Take one optimiser step: every row forward and backward, then the weights."""
        config, device = self.config, self.model.device
        self.model.train()
        members = [[self.parts.train[index] for index in row] for row in step.rows]
        rows = [join([self.tokens[index] for index in row]) for row in members]
        batch_targets = sum(len(row.targets) for row in rows)
        now = rate(
            step.number,
            self.steps,
            highest=config.learning_rate,
            warmup_share=config.warmup_share,
            final_share=config.final_share,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = now
        self.optimiser.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=device)
        for row in rows:
            with _precision(config):
                hidden = hidden_states(self.model, row)
            part = sequence_loss(
                hidden,
                output_head(self.model),
                supervision(row, device),
                batch_targets=batch_targets,
                chunk=config.head_chunk,
            )
            torch.autograd.backward(part)
            loss += part.detach()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        loss_nats, gradient_norm = torch.stack([loss, norm]).tolist()  # the step's one host sync
        examples = [self.tokens.examples[index] for row in members for index in row]
        if not (math.isfinite(loss_nats) and math.isfinite(gradient_norm)):
            raise self._stop(step, loss_nats, examples)
        self.optimiser.step()
        self.record.add(
            "step",
            step=step.number + 1,
            loss=loss_nats,
            gradient_norm=gradient_norm,
            rate=now,
            tokens=sum(len(row.ids) for row in rows),
            target_tokens=batch_targets,
            examples=digest.of_value(sorted(examples)),
        )
        return Progress(
            step=step.number + 1,
            steps=self.steps,
            loss=loss_nats,
            rate=now,
            gradient_norm=gradient_norm,
            tokens=sum(len(row.ids) for row in rows),
        )

    def keep(self, steps: int) -> None:
        """Keep a snapshot after `steps` steps, and sign the record up to here."""
        folder = self.record.folder / SNAPSHOT_FOLDER
        taken = snapshot.save(folder, steps, self.model, self.optimiser, run=self.record.run)
        self.record.add("snapshot", step=steps, folder=taken.folder.name, digest=taken.digest)
        self.record.sign()
        snapshot.prune(folder, keep=self.config.keep_snapshots)

    def resume(self) -> int:
        """Go back to the newest snapshot that the record names; the steps it has taken."""
        recorded = {line["digest"] for line in self.record.values("snapshot")}
        taken = snapshot.snapshots(self.record.folder / SNAPSHOT_FOLDER)
        known = [each for each in taken if each.digest in recorded]
        if known:
            snapshot.restore(known[-1], self.model, self.optimiser, run=self.record.run)
        steps = known[-1].steps if known else 0
        self.record.add(
            "resumed",
            step=steps,
            snapshot=known[-1].digest if known else None,
            versions=_versions(),
        )
        return steps

    def measure(self, steps: int) -> None:
        """Measure the held-out loss after `steps` steps and record it."""
        found = measure(self.model, self.tokens, self.parts.held_out, self.config)
        self.record.add("held-out", step=steps, found=None if found is None else asdict(found))

    def _stop(self, step: Step, loss: float, examples: list[str]) -> TrainingError:
        self.record.add("stopped", step=step.number + 1, loss=str(loss), examples=examples)
        self.record.sign()
        return TrainingError(
            f"the loss or its gradient is not finite at step {step.number + 1}; "
            f"the weights before it are kept (batch: {', '.join(f'`{name}`' for name in examples)})",
            help="lower `--lr`, or look at these examples; then start anew",
            where=f"step {step.number + 1}",
            code="not-finite",
        )


def _optimiser(model: PreTrainedModel, config: Config) -> AdamW:
    matrices = [weight for weight in model.parameters() if weight.dim() >= 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    return AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )


def _precision(config: Config) -> AbstractContextManager[object]:
    if config.compute == "fp32":
        return nullcontext()
    return torch.autocast(config.device, dtype=torch.bfloat16)


def _probe(model: PreTrainedModel, tokens: Tokens, parts: Split, config: Config) -> None:
    """Refuse models that mix the rows' examples, shown on the two shortest examples."""
    shortest = sorted(parts.train, key=lambda index: tokens.lengths[index])[:2]
    first, second = tokens[shortest[0]], tokens[shortest[-1]]
    probe(model, first, second, tolerance=config.probe_tolerance)


def _header(
    admitted: Admitted, student: Student, config: Config, order: Order, material: _Material
) -> Header:
    tokens = material.tokens
    return Header(
        run=run_name(admitted.student, order.started_at, admitted.root, config.digest()),
        student=admitted.student,
        started_at=order.started_at,
        datasets=(DatasetRef.of(admitted),),
        teachings=admitted.teachings(),
        base=asdict(student.base),
        tokenizer=student.tokenizer.digest,
        template=student.tokenizer.template_digest,
        tokens=tokens.digest,
        counts=tokens.counts,
        held_out=tuple(tokens.examples[index] for index in material.parts.held_out),
        config=config.document(),
        steps=material.steps,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}}


def _finish(loop: _Loop, admitted: Admitted, student: Student) -> RunResult:
    record = loop.record
    weights = save_student(loop.model, student.tokenizer, record.folder / MODEL_FOLDER)
    record.add("finished", step=loop.steps, weights=weights)
    record.sign()
    before, *_, after = [
        None if line["found"] is None else HeldOut(**line["found"])
        for line in record.values("held-out")
    ]
    return RunResult(
        run=record.run,
        student=admitted.student,
        folder=record.folder,
        datasets=(admitted.root,),
        record=record.head,
        vkey=record.vkey,
        weights=weights,
        base=student.base,
        steps=loop.steps,
        before=before,
        after=after,
    )
