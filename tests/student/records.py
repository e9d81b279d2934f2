"""Records of runs to test against, without a run."""

from dataclasses import replace
from pathlib import Path

from student import digest
from student.intake import Teaching
from student.record import DatasetRef, Header, Record
from student.roll import Fate, RollLine, roll_bytes

__all__ = ["HEADER", "ROLL", "TEACHING", "write_record"]

TEACHING = Teaching(
    provider="acme",
    model="acme-large",
    licence="Apache-2.0",
    clauses=("acme-api/own-use acme-terms 4.1",),
    grants=("ab" * 32,),
    duties=("notice: Built with Acme",),
    examples=5,
)
ROLL = roll_bytes(
    [
        *(
            RollLine(example=f"e{at}#0", dataset=0, teaching=0, fate=Fate.LEARNED, times=1)
            for at in range(4)
        ),
        RollLine(example="x#0", dataset=0, teaching=0, fate=Fate.HELD_OUT),
        RollLine(example="y#0", dataset=0, teaching=0, fate=Fate.LEFT_OUT, reason="empty"),
    ]
)
HEADER = Header(
    run="run-0123456789abcdef",
    student="summary-writer",
    started_at="2026-11-24T12:00:00.000Z",
    datasets=(
        DatasetRef(
            root="aa" * 32,
            dataset="colours",
            vkey="log+key",
            policy_bundle="bb" * 32,
            terms=("12" * 32,),
            grants=("ab" * 32,),
            declaration="34" * 32,
            valid_until="2026-12-24T00:00:00.000Z",
            examples=6,
            weight=1.0,
            left_out={"review by acme-api/own-use": 2},
        ),
    ),
    teachings=(TEACHING,),
    base={"spec": "base", "origin": "base", "licence": "apache-2.0", "files": {}},
    tokenizer="cc" * 32,
    template="dd" * 32,
    tokens="ee" * 32,
    counts={"kept": 5, "left out: empty": 1},
    roll=digest.of_bytes(b""),
    config={"seed": 0, "learning_rate": 0.5},
    steps=2,
    versions={"torch": "1"},
)


def write_record(folder: Path) -> Record:
    """A finished record of two steps, signed, with a model file."""
    header = replace(HEADER, roll=digest.of_bytes(ROLL))
    record = Record.start(folder, header, b"\x02" * 32, ROLL)
    record.add("held-out", step=0, found={"loss": 3.0, "tokens": 4, "examples": 1, "agreed": 1})
    for step, loss in ((1, 2.5), (2, 1.5)):
        record.add("step", step=step, loss=loss)
    (folder / "model").mkdir()
    (folder / "model/weights").write_bytes(b"weights")
    (folder / "adapter").mkdir()
    (folder / "adapter/weights").write_bytes(b"few")
    record.add("adapter", files={"weights": digest.of_bytes(b"few")})
    record.add("finished", step=2, weights={"weights": digest.of_bytes(b"weights")})
    record.sign()
    return record
