"""How a run is doing: a line for people, one JSON object a step for programs, TensorBoard if asked.

`metrics.jsonl` lies beside the record and is no part of it: speed and memory differ from machine to
machine, and the record is the same wherever the run is.
"""

import json
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from student.errors import ConfigError

if TYPE_CHECKING:  # torch takes seconds to import
    from student.trainer import Progress

__all__ = ["METRICS_FILE", "Board", "Meter", "Reading", "read_metrics"]

METRICS_FILE = "metrics.jsonl"
_RECENT = 20
"""Steps that the speed, and so the time left, is taken from."""
_QUIET_S = 2.0
"""Between two lines for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One step as it was told; the fields of a line of `metrics.jsonl`."""

    step: int
    steps: int
    loss: float
    """Nats per target token."""
    rate: float
    gradient_norm: float
    tokens: int
    """Of all steps of this process so far."""
    tokens_per_s: float
    memory_bytes: int
    """The most that the process has held; on a GPU, what torch has reserved there."""
    left_s: float
    """Seconds to the end of the run, at the speed of the last steps."""
    held_out_loss: float | None = None
    held_out_kl: float | None = None
    """Nats, where the teacher told its likeliest tokens."""
    agreement: float | None = None
    """Share of the teacher's held-out tokens that are the student's first choice."""

    def line(self) -> str:
        """For people."""
        said = (
            f"step {self.step}/{self.steps}  loss {self.loss:.4f}  rate {self.rate:.2e}  "
            f"{self.tokens_per_s:,.0f} tokens/s  {self.memory_bytes / 2**20:,.0f} MiB  "
            f"{_duration(self.left_s)} left"
        )
        if self.held_out_loss is None or self.agreement is None:
            return said
        return f"{said}  held out {self.held_out_loss:.4f} ({self.agreement:.1%} agree)"

    def values(self) -> dict[str, int | float]:
        """What is there, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Board(Protocol):
    """What TensorBoard's writer offers us."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> object:
        """Add one point to a curve."""

    def close(self) -> object:
        """Write what is not written yet."""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Turns the steps of a run into readings: for a file, a terminal and perhaps TensorBoard."""

    folder: Path
    """The run directory."""
    say: Callable[[str], None]
    """Takes a line for people: of the first step, the last, and about every two seconds."""
    clock: Callable[[], float] = time.monotonic
    is_plotted: bool = False
    """Write for TensorBoard too."""
    _said_at: float | None = field(default=None, init=False)
    _tokens: int = field(default=0, init=False)
    _recent: deque[tuple[float, int]] = field(
        default_factory=lambda: deque(maxlen=_RECENT + 1), init=False
    )
    """Of each of the last steps: when it ended, and the tokens up to then."""
    _writer: Callable[[str], Board] | None = field(default=None, init=False)
    _board: Board | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._recent.append((self.clock(), 0))
        self._writer = _board_writer() if self.is_plotted else None

    def tell(self, progress: "Progress") -> Reading:
        """Take note of a step."""
        reading = self._reading(progress, self.clock())
        values = reading.values()
        with (self.folder / METRICS_FILE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(values) + "\n")
        if self._writer is not None and self._board is None:
            # Only now: a run that is refused leaves no folder behind.
            self._board = self._writer(str(self.folder / "tensorboard"))
        if self._board is not None:
            for name in values.keys() - {"step", "steps", "left_s"}:
                self._board.add_scalar(name, values[name], reading.step)
        now, _ = self._recent[-1]
        is_due = self._said_at is None or now - self._said_at >= _QUIET_S
        if is_due or reading.step == reading.steps:
            self._said_at = now
            self.say(reading.line())
        return reading

    def close(self) -> None:
        """Finish what is being written."""
        if self._board is not None:
            self._board.close()

    def _reading(self, progress: "Progress", now: float) -> Reading:
        self._tokens += progress.tokens
        self._recent.append((now, self._tokens))
        then, before = self._recent[0]
        passed = max(now - then, 1e-9)
        held_out = progress.held_out
        return Reading(
            step=progress.step,
            steps=progress.steps,
            loss=progress.loss,
            rate=progress.rate,
            gradient_norm=progress.gradient_norm,
            tokens=self._tokens,
            tokens_per_s=(self._tokens - before) / passed,
            memory_bytes=_held_bytes(),
            left_s=(progress.steps - progress.step) * passed / (len(self._recent) - 1),
            held_out_loss=None if held_out is None else held_out.loss,
            held_out_kl=None if held_out is None else held_out.kl,
            agreement=None if held_out is None else held_out.agreement,
        )


def read_metrics(folder: Path) -> tuple[Mapping[str, float], ...]:
    """The lines of a run's `metrics.jsonl`, the last one of each step; none where there is none."""
    try:
        lines = (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        return tuple({line["step"]: line for line in found}.values())
    except (OSError, ValueError, LookupError, TypeError):
        return ()  # no part of the record: a report goes without


def _board_writer() -> Callable[[str], Board]:
    try:
        writer: Callable[[str], Board] = import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "TensorBoard's writer is not installed",
            help="install the extra: `uv sync --extra student --extra tensorboard`",
            where="--tensorboard",
            code="no-tensorboard",
        ) from error
    return writer


def _held_bytes() -> int:
    torch = sys.modules.get("torch")  # whoever trains has it; nobody else is made to wait for it
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {whole % 60:02d} s"
