"""Records of runs to test against, without a run."""

from pathlib import Path

from student import digest
from student.intake import Teaching
from student.record import DatasetRef, Header, Record

__all__ = ["HEADER", "TEACHING", "write_record"]

TEACHING = Teaching(
    provider="acme",
    model="acme-large",
    licence="Apache-2.0",
    clauses=("acme-api/own-use acme-terms 4.1",),
    grants=("ab" * 32,),
    duties=("notice: Built with Acme",),
    examples=5,
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
            valid_until="2026-12-24T00:00:00.000Z",
            examples=6,
        ),
    ),
    teachings=(TEACHING,),
    base={"spec": "base", "origin": "base", "licence": "apache-2.0", "files": {}},
    tokenizer="cc" * 32,
    template="dd" * 32,
    tokens="ee" * 32,
    counts={"kept": 5, "left out: empty": 1},
    held_out=("x#0",),
    config={"seed": 0, "learning_rate": 0.5},
    steps=2,
    versions={"torch": "1"},
)


def write_record(folder: Path) -> Record:
    """A finished record of two steps, signed, with a model file."""
    record = Record.start(folder, HEADER, b"\x02" * 32)
    record.add("held-out", step=0, found={"loss": 3.0, "tokens": 4, "examples": 1})
    for step, loss in ((1, 2.5), (2, 1.5)):
        record.add("step", step=step, loss=loss)
    (folder / "model").mkdir()
    (folder / "model/weights").write_bytes(b"weights")
    record.add("finished", step=2, weights={"weights": digest.of_bytes(b"weights")})
    record.sign()
    return record
