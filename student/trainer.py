"""The loop: what a run does, in order, from proven examples to signed weights."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import AdamW
from transformers import PreTrainedModel

from student import digest, snapshot
from student.adapters import add_adapter, merged, save_adapter
from student.batches import Batch, Batches
from student.config import Config, Order
from student.errors import TrainingError
from student.evaluate import HeldOut, measure
from student.intake import Admitted, open_datasets
from student.losses import sequence_loss
from student.memory import within_memory
from student.mixture import Mixture, Split, mix
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
from student.optimiser import make_optimiser, set_rate
from student.packing import Row
from student.papers import Papers, versions
from student.parallel import Team, Whole, consolidated, join_team, spread
from student.plan import Plan
from student.record import (
    ADAPTER_FOLDER,
    MODEL_FOLDER,
    SNAPSHOT_FOLDER,
    Json,
    Record,
)

__all__ = ["Progress", "RunResult", "carry_out", "train"]


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
    held_out: HeldOut | None = None
    """What was measured after this step, where something was."""


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
    """Verify datasets, load a student and train it: nothing is loaded before every proof held.

    Of several processes under `torchrun` the leader alone comes back from this, and speaks: the
    others end when it is done.

    Raises:
        StudentError: a dataset, the student or the run is refused, or the run was stopped.
    """
    config = config.settled(has_gpu=torch.cuda.is_available())
    with join_team(config.device) as team:
        admitted = team.together(
            lambda: open_datasets(
                order.sources,
                student=order.student,
                now=order.now,
                statuses=order.statuses,
                declaration=order.declaration,
            )
        )
        student = team.first_here(
            lambda: load_student(order.base, order.cache, is_bare=not team.is_leader)
        )
        try:
            with within_memory(config):
                result = train(admitted, student, config, order, team, tell)
        except OSError as error:
            raise _stopped(order.out, error) from error
    if result is None:
        raise SystemExit(0)
    return result


def train(
    admitted: Sequence[Admitted],
    student: Student,
    config: Config,
    order: Order,
    team: Team,
    tell: Callable[[Progress], None] = lambda _: None,
) -> RunResult | None:
    """Train a student on proven datasets, and sign what was done; None where another process leads.

    Raises:
        StudentError: the run cannot start, or was stopped; the last good snapshot is kept.
    """
    torch.manual_seed(config.seed)
    weights = [source.weight for source in order.sources]
    tokens = team.first_here(
        lambda: mix(admitted, student.tokenizer, config, order.cache, weights=weights)
    )
    parts = team.together(lambda: tokens.split(share=config.held_out_share, seed=config.seed))
    team.together(lambda: add_adapter(student.model, config))
    whole = spread(student.model, team)
    torch.manual_seed(config.seed + team.rank)  # what each leaves out by chance is its own
    team.together(lambda: _probe(whole, tokens, parts, config))
    plan = Plan(
        lengths=[tokens.lengths[index] for index in parts.train],
        seed=config.seed,
        batch=config.batch_tokens,
        budget=config.row_tokens,
    )
    steps = config.steps or plan.epoch_steps * config.epochs
    papers = Papers(
        admitted=admitted, student=student, config=config, tokens=tokens, parts=parts, steps=steps
    )
    record = team.lead(lambda: papers.open(order))
    loop = _Loop(
        whole=whole,
        optimiser=make_optimiser(student.model, config),
        config=config,
        tokens=tokens,
        parts=parts,
        steps=steps,
        record=record,
        run=team.tell(None if record is None else record.run),
        folder=order.out,
        team=team,
    )
    first = loop.resume() if order.is_resumed else loop.begin()
    batches = Batches(
        plan=plan, indices=parts.train, mixture=tokens, names=tokens.examples, team=team
    )
    for batch in batches.ahead(range(first, steps)):
        progress = loop.take(batch)
        taken = batch.number + 1
        if taken % config.measure_steps == 0 or taken == steps:
            progress = replace(progress, held_out=loop.measure(taken))
        if team.is_leader:
            tell(progress)
        if taken % config.snapshot_steps == 0 or taken == steps:
            loop.keep(taken)
    return _finish(loop, admitted, student)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    """What the steps of one run share, in each of its processes."""

    whole: Whole
    optimiser: AdamW
    config: Config
    tokens: Mixture
    parts: Split
    steps: int
    record: Record | None
    """The leader's; it alone writes."""
    run: str
    folder: Path
    team: Team

    @property
    def model(self) -> PreTrainedModel:
        """The student; of a sharded one, this process's part."""
        return self.whole.model

    def begin(self) -> int:
        """Note what the run starts on, and measure the student as it comes; no step is taken."""
        self.note("started", processes=self.team.size, device=self.config.device)
        self.measure(0)
        return 0

    def take(self, batch: Batch) -> Progress:
        """Take one optimiser step: every row forward and backward, then the weights."""
        self.model.train()
        now = set_rate(self.optimiser, batch.number, self.steps, self.config)
        self.optimiser.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.model.device)
        for row in batch.rows:
            part = self.whole(lambda model, row=row: self._loss(model, row, batch.targets))
            torch.autograd.backward(part)
            loss += part.detach()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        figures = torch.stack([self.team.add_up(loss), norm])
        loss_nats, gradient_norm = figures.tolist()  # the step's one host sync
        if not (math.isfinite(loss_nats) and math.isfinite(gradient_norm)):
            self.team.lead(lambda: self._stop(batch, loss_nats))
        self.optimiser.step()
        self.note(
            "step",
            step=batch.number + 1,
            loss=loss_nats,
            gradient_norm=gradient_norm,
            rate=now,
            tokens=batch.tokens,
            target_tokens=batch.targets,
            examples=digest.of_value(sorted(batch.examples)),
        )
        return Progress(
            step=batch.number + 1,
            steps=self.steps,
            loss=loss_nats,
            rate=now,
            gradient_norm=gradient_norm,
            tokens=batch.tokens,
        )

    def _loss(self, model: PreTrainedModel, row: Row, batch_targets: int) -> Tensor:
        """A row's part of the loss of the whole batch: a scalar."""
        with _precision(self.config):
            hidden = hidden_states(model, row)
        return sequence_loss(
            hidden,
            output_head(model),
            supervision(row, model.device),
            batch_targets=batch_targets,
            chunk=self.config.head_chunk,
        )

    def keep(self, steps: int) -> None:
        """Keep a snapshot after `steps` steps, and sign the record up to here."""
        folder = self.folder / SNAPSHOT_FOLDER
        taken = snapshot.save(
            folder, steps, self.model, self.optimiser, run=self.run, team=self.team
        )
        self.note("snapshot", step=steps, folder=taken.folder.name, digest=taken.digest)
        if self.record is not None:
            self.record.sign()
            snapshot.prune(folder, keep=self.config.keep_snapshots)

    def resume(self) -> int:
        """Go back to the newest snapshot that the record names; the steps it has taken."""
        newest = self.team.tell(self.team.lead(self._newest))
        if newest is not None:
            snapshot.restore(newest, self.model, self.optimiser, run=self.run, team=self.team)
        steps = 0 if newest is None else newest.steps
        self.note(
            "resumed",
            step=steps,
            snapshot=None if newest is None else newest.digest,
            processes=self.team.size,
            device=self.config.device,
            versions=versions(),
        )
        if self.team.tell(self.record is not None and not self.record.values("held-out")):
            self.measure(0)
        return steps

    def _newest(self) -> snapshot.Snapshot | None:
        lines = [] if self.record is None else self.record.values("snapshot")
        recorded = {line["digest"] for line in lines}
        taken = snapshot.snapshots(self.folder / SNAPSHOT_FOLDER)
        return next((each for each in reversed(taken) if each.digest in recorded), None)

    def measure(self, steps: int) -> HeldOut | None:
        """Measure the student on what is held out after `steps` steps, and record it."""
        found: HeldOut | None = self.whole(
            lambda model: measure(model, self.tokens, self.parts.held_out, self.config)
        )
        self.note("held-out", step=steps, found=None if found is None else asdict(found))
        return found

    def note(self, kind: str, **values: Json) -> None:
        """Add a line to the record, once for all processes."""
        if self.record is not None:
            self.record.add(kind, **values)

    def _stop(self, batch: Batch, loss: float) -> NoReturn:
        step, names = batch.number + 1, list(batch.examples)
        self.note("stopped", step=step, loss=str(loss), examples=names)
        if self.record is not None:
            self.record.sign()
        raise TrainingError(
            f"the loss or its gradient is not finite at step {step}; "
            f"the weights before it are kept (batch: {', '.join(f'`{name}`' for name in names)})",
            help="lower `--lr`, or look at these examples; then start anew",
            where=f"step {step}",
            code="not-finite",
        )


def _stopped(out: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"the system stopped the run: {error}",
        help="see to it (often a disk is full), and go on with `--resume`: the last snapshot is whole",
        where=str(out),
        code="run-stopped",
    )


def _precision(config: Config) -> AbstractContextManager[object]:
    if config.compute == "fp32":
        return nullcontext()
    return torch.autocast(config.device, dtype=torch.bfloat16)


def _probe(whole: Whole, tokens: Mixture, parts: Split, config: Config) -> None:
    """Refuse models that mix the rows' examples, shown on the two shortest examples."""
    shortest = sorted(parts.train, key=lambda index: tokens.lengths[index])[:2]
    first, second = tokens[shortest[0]], tokens[shortest[-1]]
    whole(lambda model: probe(model, first, second, tolerance=config.probe_tolerance))


def _finish(loop: _Loop, admitted: Sequence[Admitted], student: Student) -> RunResult | None:
    """Write the student, and sign the record a last time."""
    state = consolidated(loop.model, loop.team)
    weights = loop.team.lead(lambda: _write(loop, student, state))
    record = loop.record
    if record is None or weights is None:
        return None
    record.add("finished", step=loop.steps, weights=weights)
    record.sign()
    before, *_, after = [
        None if line["found"] is None else HeldOut(**line["found"])
        for line in record.values("held-out")
    ]
    return RunResult(
        run=record.run,
        student=admitted[0].student,
        folder=record.folder,
        datasets=tuple(each.root for each in admitted),
        record=record.head,
        vkey=record.vkey,
        weights=weights,
        base=student.base,
        steps=loop.steps,
        before=before,
        after=after,
    )


def _write(loop: _Loop, student: Student, state: Mapping[str, Tensor]) -> dict[str, str]:
    config, folder = loop.config, loop.folder
    if config.lora_rank:
        base = asdict(student.base)
        loop.note("adapter", files=save_adapter(state, config, base, folder / ADAPTER_FOLDER))
    return save_student(loop.model, student.tokenizer, folder / MODEL_FOLDER, merged(state, config))
