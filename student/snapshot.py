"""Atomic snapshots of a run and its exact resume, random state included.

A snapshot is a folder `step-NNNNNNNN`: weights and optimiser state as safetensors, the rest as JSON,
which also holds the digests of the others. No pickle is written or read.
"""

import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor
from torch.optim import AdamW
from transformers import PreTrainedModel

from student import digest
from student.errors import SnapshotError
from student.record import STATE_FILE

__all__ = ["Snapshot", "prune", "restore", "save", "snapshots", "state_digest"]

_WEIGHTS = "weights.safetensors"
_OPTIMISER = "optimiser.safetensors"
_NAME = re.compile(r"step-(\d{8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where a snapshot lies, after how many steps it was taken, and the digest that stands for it."""

    folder: Path
    steps: int
    digest: str
    """sha256 (hex) of its state file, which holds the digests of the other files."""


def save(
    parent: Path, steps: int, model: PreTrainedModel, optimiser: AdamW, *, run: str
) -> Snapshot:
    """Write a snapshot after `steps` steps, all or nothing.

    Raises:
        SnapshotError: it cannot be written; earlier ones are untouched.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"step-{steps:08d}"
    temporary = Path(tempfile.mkdtemp(dir=parent, prefix=".writing-"))
    try:
        save_model(model, str(temporary / _WEIGHTS))
        save_file(_moments(model, optimiser), temporary / _OPTIMISER)
        state = {
            "v": 1,
            "run": run,
            "steps": steps,
            "random": _random_state(),
            "files": {name: digest.of_file(temporary / name) for name in (_WEIGHTS, _OPTIMISER)},
        }
        (temporary / STATE_FILE).write_text(json.dumps(state))
        _make_durable(temporary)
        shutil.rmtree(folder, ignore_errors=True)  # one a kill left behind before it was recorded
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise SnapshotError(
            f"the snapshot after step {steps} cannot be written: {error}",
            help="free some space; the run resumes from the snapshot before it",
            where=str(folder),
        ) from error
    return Snapshot(folder=folder, steps=steps, digest=state_digest(folder))


def snapshots(parent: Path) -> list[Snapshot]:
    """The snapshots of a run, the oldest first; unfinished ones are none."""
    found = sorted(parent.glob("step-*")) if parent.is_dir() else []
    return [
        Snapshot(folder=folder, steps=int(match.group(1)), digest=state_digest(folder))
        for folder in found
        if (match := _NAME.fullmatch(folder.name)) and (folder / STATE_FILE).is_file()
    ]


def state_digest(folder: Path) -> str:
    """The digest that stands for a snapshot."""
    return digest.of_file(folder / STATE_FILE)


def restore(snapshot: Snapshot, model: PreTrainedModel, optimiser: AdamW, *, run: str) -> None:
    """Put weights, optimiser and random state back to what they were, bit by bit.

    Raises:
        SnapshotError: a file is not the one that was written, or belongs to another run.
    """
    state = _state(snapshot)
    if state["run"] != run or state["steps"] != snapshot.steps:
        raise _damaged(snapshot, f"it belongs to run `{state['run']}`, step {state['steps']}")
    for name, written in state["files"].items():
        path = snapshot.folder / name
        if not path.is_file() or digest.of_file(path) != written:
            raise _damaged(snapshot, f"`{name}` is not the file that was written")
    load_model(model, snapshot.folder / _WEIGHTS)
    moments = load_file(snapshot.folder / _OPTIMISER)
    for name, parameter in model.named_parameters():
        optimiser.state[parameter] = {
            key.removeprefix(f"{name}/"): value.to(_home(key, parameter))
            for key, value in moments.items()
            if key.startswith(f"{name}/")
        }
    torch.set_rng_state(torch.tensor(state["random"]["cpu"], dtype=torch.uint8))
    for index, values in enumerate(state["random"]["cuda"]):
        torch.cuda.set_rng_state(torch.tensor(values, dtype=torch.uint8), index)


def prune(parent: Path, *, keep: int) -> None:
    """Remove all but the newest `keep` snapshots, and what a kill left unfinished."""
    for snapshot in snapshots(parent)[:-keep]:
        shutil.rmtree(snapshot.folder)
    for unfinished in parent.glob(".writing-*"):
        shutil.rmtree(unfinished)


def _moments(model: PreTrainedModel, optimiser: AdamW) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value.contiguous()
        for name, parameter in model.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def _home(key: str, parameter: Tensor) -> torch.device:
    # AdamW counts steps on the CPU unless it is fused on a GPU
    return torch.device("cpu") if key.endswith("/step") else parameter.device


def _random_state() -> dict[str, object]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "cpu": torch.get_rng_state().tolist(),
        "cuda": [state.tolist() for state in cuda],
    }


def _state(snapshot: Snapshot) -> dict[str, Any]:
    path = snapshot.folder / STATE_FILE
    try:
        if state_digest(snapshot.folder) != snapshot.digest:
            raise _damaged(snapshot, f"`{STATE_FILE}` is not the file that was written")
        state: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _damaged(snapshot, f"`{STATE_FILE}` cannot be read") from error
    return state


def _damaged(snapshot: Snapshot, reason: str) -> SnapshotError:
    return SnapshotError(
        f"the snapshot after step {snapshot.steps} is damaged: {reason}",
        help="remove its folder to resume from the snapshot before it",
        where=str(snapshot.folder),
        code="damaged-snapshot",
    )


def _make_durable(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
