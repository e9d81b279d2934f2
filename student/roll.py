"""The roll of a run: every example that its datasets hold, and what became of it.

`examples.jsonl` in a run directory has one JSON object a line, in the order of the datasets:
`example`, `dataset` and `teaching` (places in the lists of `run.json`), `fate`, how many `times` an
epoch learns it, and the `reason` where it is left out. `run.json` holds the file's sha256.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from student.errors import RecordError

__all__ = ["ROLL_FILE", "Fate", "RollLine", "read_roll", "roll_bytes"]

ROLL_FILE = "examples.jsonl"


class Fate(StrEnum):
    """What became of an example."""

    LEARNED = "learned"
    HELD_OUT = "held out"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollLine:
    """One example of a run."""

    example: str
    """`EXCHANGE#CHOICE`: the exchange has its entry in the ledger."""
    dataset: int
    teaching: int
    fate: Fate
    times: int = 0
    """That an epoch learns it."""
    reason: str = ""


def roll_bytes(lines: Iterable[RollLine]) -> bytes:
    """The content of the file."""
    return b"".join(
        json.dumps(asdict(line), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        for line in lines
    )


def read_roll(data: bytes) -> tuple[RollLine, ...]:
    """The lines of the file.

    Raises:
        RecordError: a line is not one of a roll.
    """
    return tuple(_line(line, number) for number, line in enumerate(data.splitlines(), 1))


def _line(line: bytes, number: int) -> RollLine:
    try:
        fields = json.loads(line)
        return RollLine(**{**fields, "fate": Fate(fields["fate"])})
    except (ValueError, LookupError, TypeError) as error:
        raise RecordError(
            "this is no line of a roll",
            help="get the run directory again from where it was made",
            where=f"{ROLL_FILE}:{number}",
            code="record-damaged",
        ) from error
