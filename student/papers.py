"""What a run is on record as: all that is fixed when it starts, and what it runs on."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from student import digest
from student.config import Config, Order
from student.intake import Admitted, teachings
from student.mixture import Mixture, Split
from student.model import Student
from student.record import DatasetRef, Header, Record, run_name
from student.roll import roll_bytes

__all__ = ["Papers", "versions"]

_PACKAGES = ("inbond", "torch", "transformers", "tokenizers", "safetensors", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """What makes a run: who taught which student what, from which weights, with which knobs."""

    admitted: Sequence[Admitted]
    student: Student
    config: Config
    tokens: Mixture
    parts: Split
    steps: int

    def open(self, order: Order) -> Record:
        """The run's record in the directory that is ordered: a new one, or the one to go on with.

        Raises:
            RecordError: the directory holds a run already, or on resuming another than this one.
        """
        taught = teachings(self.admitted)
        roll = roll_bytes(self.tokens.roll(self.admitted, taught, self.parts))
        name = self.admitted[0].student
        roots = "+".join(each.root for each in self.admitted)
        header = Header(
            run=run_name(name, order.started_at, roots, self.config.digest()),
            student=name,
            started_at=order.started_at,
            datasets=tuple(
                DatasetRef.of(each, part.weight)
                for each, part in zip(self.admitted, self.tokens.parts, strict=True)
            ),
            teachings=taught,
            base=asdict(self.student.base),
            tokenizer=self.student.tokenizer.digest,
            template=self.student.tokenizer.template_digest,
            tokens=self.tokens.digest,
            counts=self.tokens.counts,
            roll=digest.of_bytes(roll),
            config=self.config.document(),
            steps=self.steps,
            versions=versions(),
        )
        if order.is_resumed:
            return Record.reopen(order.out, header)
        return Record.start(order.out, header, order.seed, roll)


def versions() -> dict[str, str]:
    """Of Python and the packages that train, and the sha256 (hex) over the trainer's own files."""
    code = digest.of_folder(Path(__file__).parent, "*.py")
    packages = {name: version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "student/*.py": code, **packages}
