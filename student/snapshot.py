"""Atomic snapshots of a run and its exact resume, random state included.

A snapshot is a folder `step-NNNNNNNN`: the weights that learn and their optimiser state as
safetensors, each process its own shard, and the rest as JSON, which also holds the digests of the
others. No pickle is written or read. Shards fit together again on any number of processes; on as
many as wrote them, the run goes on bit by bit.
"""

import json
import os
import re
import shutil
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.state_dict_loader import load as load_shards
from torch.distributed.checkpoint.state_dict_saver import save as save_shards
from torch.optim import AdamW
from transformers import PreTrainedModel

from student import digest
from student.errors import SnapshotError
from student.parallel import Team
from student.record import STATE_FILE

__all__ = ["Snapshot", "prune", "restore", "save", "snapshots", "state_digest"]

_WEIGHTS = "weights"
_OPTIMISER = "optimiser"
_SHARDS = "*.safetensors"
_COUNT = "step"
"""AdamW's key of how often it has moved a weight; a figure, kept as a list of one."""
_NAME = re.compile(r"step-(\d{8})")
_ALONE = Team()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where a snapshot lies, after how many steps it was taken, and the digest that stands for it."""

    folder: Path
    steps: int
    digest: str
    """sha256 (hex) of its state file, which holds the digests of the other files."""


def save(
    parent: Path,
    steps: int,
    model: PreTrainedModel,
    optimiser: AdamW,
    *,
    run: str,
    team: Team = _ALONE,
) -> Snapshot:
    """Write a snapshot after `steps` steps, all or nothing; every process takes part.

    Raises:
        SnapshotError: it cannot be written; earlier ones are untouched.
    """
    folder = parent / f"step-{steps:08d}"
    temporary = parent / f".writing-{folder.name}"

    def guarded[T](work: Callable[[], T]) -> Callable[[], T]:
        return lambda: _written(work, folder, steps)

    try:
        team.lead(guarded(lambda: _empty(temporary)))
        team.together(lambda: _refuse_unseen(temporary))
        shards = team.together(guarded(lambda: _write_shards(temporary, model, optimiser, team)))
        state = {
            "v": 1,
            "run": run,
            "steps": steps,
            "random": team.gather(_random_state(team)),
            "files": {name: each for part in team.gather(shards) for name, each in part.items()},
        }
        team.lead(guarded(lambda: _finish(temporary, state, folder)))
    except SnapshotError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Snapshot(
        folder=folder, steps=steps, digest=team.together(guarded(lambda: state_digest(folder)))
    )


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


def restore(
    snapshot: Snapshot, model: PreTrainedModel, optimiser: AdamW, *, run: str, team: Team = _ALONE
) -> None:
    """Put weights, optimiser and random state back to what they were; every process takes part.

    On as many processes as wrote it, bit by bit; on another number, all but the random state.

    Raises:
        SnapshotError: a file is not the one that was written, or belongs to another run.
    """
    state = team.together(lambda: _checked(snapshot, run, team))
    _read(snapshot.folder / _WEIGHTS, _weights(model))
    _read_moments(snapshot.folder / _OPTIMISER, model, optimiser)
    if len(state["random"]) == team.size:
        _set_random_state(state["random"][team.rank], team)


def prune(parent: Path, *, keep: int) -> None:
    """Remove all but the newest `keep` snapshots, and what a kill left unfinished."""
    for snapshot in snapshots(parent)[:-keep]:
        shutil.rmtree(snapshot.folder)
    for unfinished in parent.glob(".writing-*"):
        shutil.rmtree(unfinished)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _refuse_unseen(folder: Path) -> None:
    if not folder.is_dir():
        raise SnapshotError(
            "not every process sees the run directory",
            help="give an `--out` on storage that all machines share",
            where=str(folder.parent),
            code="unshared-folder",
        )


def _write_shards(
    folder: Path, model: PreTrainedModel, optimiser: AdamW, team: Team
) -> dict[str, str]:
    """Write this process's shards; the digest of each by its path in the folder."""
    parts = {_WEIGHTS: _weights(model), _OPTIMISER: _moments(model, optimiser)}
    for name, values in parts.items():
        writer = HuggingFaceStorageWriter(str(folder / name), save_distributed=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            save_shards(values, storage_writer=writer, no_dist=team.size == 1)
    own = sorted(folder.glob(f"*/shard-{team.rank + 1:05d}-{_SHARDS}"))
    for path in own:
        _settle(path)
        _make_durable(path)
    return {str(path.relative_to(folder)): digest.of_file(path) for path in own}


def _settle(shard: Path) -> None:
    """Write a shard's header in one order: safetensors leaves that of its metadata to chance.

    So equal weights have equal digests.
    """
    with shard.open("r+b") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:
            stream.seek(8)
            stream.write(text.ljust(size))


def _finish(temporary: Path, state: dict[str, object], folder: Path) -> None:
    (temporary / STATE_FILE).write_text(json.dumps(state))
    for path in (temporary / STATE_FILE, temporary / _WEIGHTS, temporary / _OPTIMISER, temporary):
        _make_durable(path)
    shutil.rmtree(folder, ignore_errors=True)  # one a kill left behind before it was recorded
    temporary.rename(folder)
    _make_durable(folder.parent)


def _written[T](work: Callable[[], T], folder: Path, steps: int) -> T:
    try:
        return work()
    except (OSError, SafetensorError, CheckpointException) as error:
        cause: BaseException = error
        if isinstance(error, CheckpointException):
            cause = next(iter(error.failures.values()))[0]
        raise SnapshotError(
            f"the snapshot after step {steps} cannot be written: {cause}",
            help="free some space; the run resumes from the snapshot before it",
            where=str(folder),
        ) from error


def _read(folder: Path, values: dict[str, Tensor]) -> None:
    """Read shards into tensors that are there, each process what it holds."""
    reader = HuggingFaceStorageReader(str(folder))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is ")
        load_shards(values, storage_reader=reader, no_dist=not torch.distributed.is_initialized())


def _weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """The weights that learn; the base's others are in the base."""
    named = model.named_parameters()
    return {name: weight.detach() for name, weight in named if weight.requires_grad}


def _moments(model: PreTrainedModel, optimiser: AdamW) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value.reshape(1) if key == _COUNT else value
        for name, parameter in model.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def _read_moments(folder: Path, model: PreTrainedModel, optimiser: AdamW) -> None:
    written = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    for name, parameter in model.named_parameters():
        if f"{name}/{_COUNT}" in written:
            optimiser.state[parameter] = {
                _COUNT: torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }
    _read(folder, _moments(model, optimiser))


def _random_state(team: Team) -> dict[str, list[int] | None]:
    cuda = None if team.device == "cpu" else torch.cuda.get_rng_state(team.device).tolist()
    return {"cpu": torch.get_rng_state().tolist(), "cuda": cuda}


def _set_random_state(values: dict[str, list[int] | None], team: Team) -> None:
    torch.set_rng_state(torch.tensor(values["cpu"], dtype=torch.uint8))
    if values["cuda"] is not None and team.device != "cpu":
        torch.cuda.set_rng_state(torch.tensor(values["cuda"], dtype=torch.uint8), team.device)


def _checked(snapshot: Snapshot, run: str, team: Team) -> dict[str, Any]:
    """The state of a snapshot of this run; each process checks its share of the shards."""
    state = _state(snapshot)
    if state["run"] != run or state["steps"] != snapshot.steps:
        raise _damaged(snapshot, f"it belongs to run `{state['run']}`, step {state['steps']}")
    for name in sorted(state["files"])[team.rank :: team.size]:
        path = snapshot.folder / name
        if not path.is_file() or digest.of_file(path) != state["files"][name]:
            raise _damaged(snapshot, f"`{name}` is not the file that was written")
    there = {str(path.relative_to(snapshot.folder)) for path in snapshot.folder.rglob(_SHARDS)}
    if more := sorted(there - set(state["files"])):
        raise _damaged(snapshot, f"`{more[0]}` was not written with it")
    return state


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


def _make_durable(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
