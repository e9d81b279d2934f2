"""A workspace with a student that was trained, on record and ready to be released, without training."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import time_machine

from proxy.ledger.entry import DatasetEntry, ReleaseEntry
from student import digest
from student.record import Record
from tests.proxy.workshop import NOW, Asked, Said, Workshop
from tests.student.records import HEADER, TEACHING

__all__ = ["LLAMA", "SMALL", "add_run", "declare", "grow", "releases"]

SMALL = """\
base: smollm2-135m-instruct
base_licence: Apache-2.0
name: Gardener-1
"""
"""What the declaration of a student says that owes nothing."""

LLAMA = """\
base: llama-3.1-8b-instruct
base_licence: LicenseRef-scancode-llama-3.1-license-2024
name: Llama-Gardener-1
monthly_users: 12
"""
"""Of one that began as a model whose licence brings duties."""


def grow(directory: Path, more: str = SMALL, *, release: str = "internal") -> Workshop:
    """A workspace whose student `gardener` learned from two answers, in the run `run-1`.

    The second answer was made from the first.
    """
    grown = _template(more, release)[1]
    shutil.copytree(grown.directory, directory)
    return Workshop(directory=directory, calls=grown.calls)


@cache
def _template(more: str, release: str) -> tuple[TemporaryDirectory[str], Workshop]:
    """One made once a process; the first part keeps it alive."""
    holder: TemporaryDirectory[str] = TemporaryDirectory(prefix="inbond-")
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(Path(holder.name) / "work")
        declare(made, more, release=release)
        with (made.directory / "inbond.yaml").open("a") as settings:
            settings.write("\norg: {revenue_usd: 1_000}\n")
        made.calls = made.ask(Asked())
        parent = (("x-inbond-parent", made.calls[0]),)
        made.calls += made.ask(Asked(said=(Said(text="Green."),), headers=parent))
        made.record("dataset", "build", "--student", "gardener")
        add_run(made, "run-1")
    return holder, made


def declare(made: Workshop, more: str, *, release: str = "internal") -> Path:
    """Declare the student anew, with more lines."""
    path = made.declare("gardener")
    path.write_text(path.read_text().replace("release: internal", f"release: {release}") + more)
    return path


def add_run(
    made: Workshop,
    name: str,
    *,
    student: str = "gardener",
    base: Mapping[str, str] | None = None,
) -> Path:
    """Put a run on all datasets of the workspace on record; gives its directory.

    `base` are the files that it began with, by name.
    """
    sealed = [entry for entry in made.entries() if isinstance(entry, DatasetEntry)]
    folder = made.directory / "students" / name
    reference = HEADER.datasets[0]
    header = replace(
        HEADER,
        run=name,
        student=student,
        datasets=tuple(
            replace(reference, root=entry.root, dataset=entry.dataset) for entry in sealed
        ),
        teachings=(replace(TEACHING, duties=()),),
        base={"spec": "base", "origin": "base", "licence": None, "files": dict(base or {})},
        roll=digest.of_bytes(b""),
    )
    record = Record.start(folder, header, name.encode().ljust(32))
    record.add("step", step=1, loss=1.5)
    files = {
        "model.safetensors": b"weights of " + name.encode(),
        "config.json": json.dumps({"model_type": "llama"}).encode(),
    }
    (folder / "model").mkdir()
    for path, data in files.items():
        (folder / "model" / path).write_bytes(data)
    written = {path: digest.of_bytes(data) for path, data in files.items()}
    record.add("finished", step=1, weights=written)
    record.sign()
    made.record("student", "record", folder)
    return folder


def releases(made: Workshop) -> list[ReleaseEntry]:
    """The releases and approvals on record."""
    return [entry for entry in made.entries() if isinstance(entry, ReleaseEntry)]
