"""Every knob of a run, once, typed, with its unit. A run is reproduced from these and the dataset."""

import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from student import digest
from student.errors import ConfigError
from student.objective import Objective, objective_of

__all__ = ["Config", "Length", "Order", "Reasoning", "Source"]


class Length(StrEnum):
    """What becomes of an example that is longer than a row; each case is counted.

    An answer is never cut: `truncate` leaves out the oldest turns of the prompt.
    """

    REFUSE = "refuse"
    DROP = "drop"
    TRUNCATE = "truncate"


class Reasoning(StrEnum):
    """What becomes of what a teacher thought before its answer, where the wire carried it."""

    DROP = "drop"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The knobs of one run; two runs with equal knobs on one dataset take the same steps.

    Raises:
        ConfigError: a value cannot work.
    """

    steps: int | None = None
    """Optimiser steps of the whole run; None takes them from `epochs`."""
    epochs: int = 3
    """Passes over the training split, where `steps` is None."""
    batch_tokens: int = 4096
    """Tokens of a global batch, prompt and answer; a batch may exceed it by part of one example."""
    row_tokens: int = 1024
    """Tokens of a packed row: one forward pass, and the longest example."""
    learning_rate: float = 5e-5
    """The highest rate of the schedule, after the warm-up."""
    warmup_share: float = 0.05
    """Share of the steps in which the rate rises from nothing."""
    final_share: float = 0.1
    """The rate of the last step as a share of the highest."""
    weight_decay: float = 0.01
    """For matrices; vectors (norms, biases) are not decayed."""
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    """The gradient's 2-norm is clipped to this."""
    seed: int = 0
    length: Length = Length.REFUSE
    reasoning: Reasoning = Reasoning.DROP
    """Kept, it is learned with the answer, as `reasoning_content` of the chat template."""
    kl_share: float = 0.5
    """Share of the KL to the teacher's likeliest tokens in the loss of a token they are known of."""
    kl_shares: str = ""
    """Other shares, with commas: `MODEL=0.8`, `@0.7=0.2`, `MODEL@0=0`; the first that fits counts."""
    teacher_tokenizers: str = ""
    """`MODEL=FOLDER`, with commas; log-probabilities of other teachers are not learned."""
    raw_logprobs: str = ""
    """Models, with commas, that state log-probabilities from before the temperature."""
    scaled_logprobs: str = ""
    """Models, with commas, that state them from after it; of others, only temperature 1 is learned."""
    held_out_share: float = 0.05
    """Share of the exchanges kept out of training; at least one where there are two."""
    snapshot_steps: int = 50
    """Steps between snapshots; the last step always makes one."""
    keep_snapshots: int = 2
    measure_steps: int = 50
    """Steps between measurements on what is held out; before the first and after the last always."""
    head_chunk: int = 1024
    """Supervised positions whose logits exist at the same time."""
    lora_rank: int = 0
    """Rank of low-rank adapters that learn in place of the weights; 0 lets all weights learn."""
    lora_alpha: float = 16.0
    """An adapter counts `lora_alpha / lora_rank` times."""
    lora_dropout: float = 0.0
    """Share of what an adapter sees that is left out by chance in each pass."""
    lora_targets: str = "all-linear"
    """Names of the linear layers with an adapter, with commas; `all-linear` spares the head alone."""
    probe_tolerance: float = 1e-3
    """Nats by which a row packed may differ from the same row alone."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute: Literal["auto", "fp32", "bf16"] = "auto"
    """What matrices are multiplied in; the weights themselves are always fp32."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_tokens", "row_tokens", "snapshot_steps", "keep_snapshots",
                     "measure_steps", "head_chunk", "learning_rate", "clip_norm", "epsilon"):  # fmt: skip
            self._refuse_unless(name, above_zero=True)
        for name in ("warmup_share", "final_share", "held_out_share", "beta1", "beta2",
                     "lora_dropout"):  # fmt: skip
            self._refuse_unless(name, above_zero=False)
        if self.lora_rank < 0 or not self.lora_alpha > 0:
            raise ConfigError(
                f"`lora_rank` is `{self.lora_rank}` and `lora_alpha` is `{self.lora_alpha}`",
                help="give a rank of 0 for no adapter or more, and more than 0 as `lora_alpha`",
                where="lora_rank",
            )
        self.objective()
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"`steps` is `{self.steps}`", help="give at least 1", where="steps")
        if self.row_tokens > self.batch_tokens:
            raise ConfigError(
                f"`row_tokens` ({self.row_tokens}) is more than `batch_tokens` ({self.batch_tokens})",
                help="a batch holds at least one row: raise `batch_tokens` or lower `row_tokens`",
                where="row_tokens",
            )

    def _refuse_unless(self, name: str, *, above_zero: bool) -> None:
        value = getattr(self, name)
        if above_zero and not value > 0:
            raise ConfigError(f"`{name}` is `{value}`", help="give more than 0", where=name)
        if not above_zero and not 0 <= value < 1:
            raise ConfigError(
                f"`{name}` is `{value}`", help="give at least 0 and less than 1", where=name
            )

    def settled(self, *, has_gpu: bool) -> "Config":
        """These knobs with device and compute chosen: bf16 on a GPU, fp32 on a CPU.

        Raises:
            ConfigError: a GPU is asked for and there is none.
        """
        device = self.device if self.device != "auto" else "cuda" if has_gpu else "cpu"
        if device == "cuda" and not has_gpu:
            raise ConfigError(
                "`device` is `cuda`, and there is no GPU", help="choose `cpu`", where="device"
            )
        fitting: Literal["fp32", "bf16"] = "bf16" if device == "cuda" else "fp32"
        compute = self.compute if self.compute != "auto" else fitting
        return replace(self, device=device, compute=compute)

    def objective(self) -> Objective:
        """What the teachers' log-probabilities count.

        Raises:
            ConfigError: a knob about them cannot be read.
        """
        return objective_of(
            kl_share=self.kl_share,
            kl_shares=self.kl_shares,
            teacher_tokenizers=self.teacher_tokenizers,
            raw_logprobs=self.raw_logprobs,
            scaled_logprobs=self.scaled_logprobs,
        )

    def document(self) -> dict[str, int | float | str | None]:
        """The knobs as plain values, for records and snapshots."""
        return asdict(self)

    def digest(self) -> str:
        """sha256 (hex) of the knobs."""
        return digest.of_value(self.document())


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One dataset of a run, and what shows that it may be learned from."""

    path: Path
    vkey: str
    """The key of the log that must have signed it; never the dataset's own copy."""
    weight: float = 1.0
    """How often each of its examples is learned in an epoch; 0.5 takes half of its exchanges."""

    def __post_init__(self) -> None:
        if not (self.weight > 0 and math.isfinite(self.weight)):
            raise ConfigError(
                f"the weight of a dataset is `{self.weight}`",
                help="give more than 0, or leave the dataset out",
                where=str(self.path),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to train on what, and where: all of a run that comes from the world outside."""

    sources: tuple[Source, ...]
    """The datasets, each proven by itself."""
    student: str | None = None
    """Refuse a dataset of another student; None takes the dataset's."""
    base: str
    """A model folder, or `package:NAME`."""
    out: Path
    """The run directory."""
    cache: Path
    """Tokens and unpacked models; it may be removed at any time."""
    now: datetime
    """Aware, UTC."""
    seed: bytes
    """32 random bytes for the run's key; a resumed run keeps its own."""
    is_resumed: bool = False
    statuses: tuple[Path, ...] = ()
    """Status files, issued since the datasets were sealed; each names the dataset that it is of."""
    declaration: Path | None = None
    """The student as it is declared today: it must be the one that each dataset was built for."""
    is_plotted: bool = False
    """Write figures for TensorBoard too."""

    @property
    def started_at(self) -> str:
        """`now` as the ledger writes it: UTC, milliseconds, `Z`."""
        text = self.now.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
