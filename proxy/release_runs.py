"""Runs on record and their directories: which one is meant, where it lies, what it began with."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from policies.diagnostics import nearest
from proxy.errors import LedgerError
from proxy.ledger.entry import RunEntry
from proxy.release_obstacles import Made

__all__ = ["Checked", "RunShelf", "run_named"]

_HEADER = "run.json"
_WEIGHTS = ".safetensors"


class Checked(Protocol):
    """A run record whose chain, signature and files hold: what `student.record` gives."""

    @property
    def header(self) -> Mapping[str, Any]:
        """All that was fixed when the run started."""
        ...

    @property
    def head(self) -> str:
        """The digest that stands for the whole record."""
        ...


def run_named(runs: Sequence[RunEntry], name: str) -> RunEntry:
    """The run of a name, or the last run on record of a student.

    Raises:
        LedgerError: there is none.
    """
    found = [entry for entry in runs if entry.run == name]
    found = found or [entry for entry in runs if entry.student == name]
    if found:
        return found[-1]
    names = {word for entry in runs for word in (entry.run, entry.student)}
    raise LedgerError(
        f"no run of a student `{name}` is on record",
        help=nearest(name, names) or "put one on record: `inbond student record RUN_DIR`",
        code="unknown-run",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunShelf:
    """Where directories of runs lie, and what checks one."""

    folders: Sequence[Path]
    """Directories of runs, or folders of such directories."""
    check: Callable[[Path], Checked]
    """Checks the record in a directory; raises where it does not hold."""

    def with_ancestors(self, entry: RunEntry, runs: Iterable[RunEntry]) -> tuple[Made, ...]:
        """A run, and those whose weights it began with, the nearest first.

        Raises:
            LedgerError: the directory of one is not here, or is not the one on record.
        """
        known = tuple(runs)
        chain = [self.made(entry)]
        while (parent := _parent(chain[-1], known)) is not None:
            if parent.run in {made.entry.run for made in chain}:
                break
            chain.append(self.made(parent))
        return tuple(chain)

    def made(self, entry: RunEntry) -> Made:
        """A run with what its record says.

        Raises:
            LedgerError: its directory is not here, or is not the one on record.
        """
        folder = self._find(entry.run)
        checked = self.check(folder)
        if checked.head != entry.record:
            raise LedgerError(
                f"the directory of run `{entry.run}` is not the one on record",
                help="get it again from where it was made",
                where=str(folder),
                code="run-changed",
            )
        header = checked.header
        base = header["base"]
        duties = {duty for teaching in header["teachings"] for duty in teaching["duties"]}
        return Made(
            entry=entry,
            folder=folder,
            base_origin=str(base["origin"]),
            base_licence=None if base["licence"] is None else str(base["licence"]),
            base_files={str(name): str(digest) for name, digest in base["files"].items()},
            duties=tuple(sorted(map(str, duties))),
        )

    def _find(self, run: str) -> Path:
        for folder in self.folders:
            for path in (folder, *sorted(folder.glob("*/"))):
                if _name_in(path) == run:
                    return path
        raise LedgerError(
            f"the directory of run `{run}` is not here",
            help="put it below `students/`, or say where it lies with `--run-dir DIR`",
            code="no-run-directory",
        )


def _name_in(folder: Path) -> str | None:
    """The run whose directory this is; None where it is none."""
    try:
        header = json.loads((folder / _HEADER).read_bytes())
    except (OSError, ValueError):
        return None
    return str(header.get("run")) if isinstance(header, dict) else None


def _parent(made: Made, runs: Iterable[RunEntry]) -> RunEntry | None:
    """The run whose weights another began with: runs of one base may share a file that none changed."""
    begun = _weights(made.base_files)
    found = max(runs, key=lambda entry: len(begun & _weights(entry.weights)), default=None)
    return found if found is not None and begun & _weights(found.weights) else None


def _weights(files: Mapping[str, str]) -> frozenset[str]:
    return frozenset(digest for name, digest in files.items() if name.endswith(_WEIGHTS))
