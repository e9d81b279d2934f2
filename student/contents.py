"""What is in a student: its teachers, licences, clauses and examples, from the record of its run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from student.record import Verified, verify_record
from student.roll import ROLL_FILE, RollLine, read_roll

__all__ = ["Contents", "contents", "contents_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a run put into its student, and how it fared."""

    run: str
    student: str
    started_at: str
    base: str
    base_licence: str | None
    datasets: tuple[Mapping[str, Any], ...]
    """Root, weight, terms, grants, and what its gate left out, of each (`student.record`)."""
    teachings: tuple[Mapping[str, Any], ...]
    """Who taught how many examples, under which clauses, grants and duties."""
    counts: Mapping[str, int]
    """Examples kept, truncated, cut and left out by reason."""
    roll: tuple[RollLine, ...]
    """Every example of the datasets, and what became of it."""
    steps: int
    planned: int
    first_loss: float | None
    """Nats per target token in the first step; None before it."""
    last_loss: float | None
    held_out: tuple[Mapping[str, Any] | None, ...]
    """Each measurement, in order."""
    resumes: int
    is_finished: bool
    weights: Mapping[str, str]
    """sha256 (hex) by file of the finished student, shown to be those on disk."""
    record: str
    vkey: str
    is_pinned: bool
    unsigned: int

    @property
    def fates(self) -> Mapping[str, int]:
        """How many examples were learned from, held out and left out."""
        return dict(sorted(Counter(str(line.fate) for line in self.roll).items()))


def contents(folder: Path, vkey: str | None) -> Contents:
    """What is in the student of a run directory, after its record was verified.

    Raises:
        RecordError: the record is not what it says.
    """
    return contents_of(verify_record(folder, vkey), folder)


def contents_of(verified: Verified, folder: Path) -> Contents:
    """What is in the student of a run directory whose record was verified.

    Raises:
        RecordError: the roll cannot be read.
    """
    header = verified.header
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for line in verified.lines:
        by_kind.setdefault(line.kind, []).append(line.values)
    steps = by_kind.get("step", [])
    finished = by_kind.get("finished", [])
    return Contents(
        run=header["run"],
        student=header["student"],
        started_at=header["started_at"],
        base=header["base"]["origin"],
        base_licence=header["base"]["licence"],
        datasets=tuple(header["datasets"]),
        teachings=tuple(header["teachings"]),
        counts=header["counts"],
        roll=read_roll((folder / ROLL_FILE).read_bytes()),
        steps=steps[-1]["step"] if steps else 0,
        planned=header["steps"],
        first_loss=steps[0]["loss"] if steps else None,
        last_loss=steps[-1]["loss"] if steps else None,
        held_out=tuple(line["found"] for line in by_kind.get("held-out", [])),
        resumes=len(by_kind.get("resumed", [])),
        is_finished=bool(finished),
        weights=finished[-1]["weights"] if finished else {},
        record=verified.head,
        vkey=verified.vkey,
        is_pinned=verified.is_pinned,
        unsigned=verified.unsigned,
    )
