"""Snapshots are whole or not there, hold no pickle, and give back what they took, bit by bit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.optim import AdamW
from transformers import PreTrainedModel

from student import snapshot
from student.errors import SnapshotError
from student.model import Student, output_head
from student.parallel import Team
from tests.student.disk import disk_of


def _trained(model: PreTrainedModel, steps: int) -> AdamW:
    optimiser = AdamW(model.parameters(), lr=1e-2, fused=True)
    for _ in range(steps):
        _step(model, optimiser)
    return optimiser


def _step(model: PreTrainedModel, optimiser: AdamW) -> None:
    ids = torch.randint(3, 200, (1, 12))
    optimiser.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    optimiser.step()


def _weights(model: PreTrainedModel) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def test_a_restored_run_takes_the_same_next_steps(student: Student, tmp_path: Path) -> None:
    """Weights, moments, step counts and random draws after restoring are those of before."""
    model = student.model
    optimiser = _trained(model, 3)
    taken = snapshot.save(tmp_path, 3, model, optimiser, run="run-1")
    _step(model, optimiser)
    expected = _weights(model)
    _trained(model, 2)
    fresh = AdamW(model.parameters(), lr=1e-2, fused=True)
    snapshot.restore(taken, model, fresh, run="run-1")
    _step(model, fresh)
    assert all(torch.equal(a, b) for a, b in zip(_weights(model), expected, strict=True))


def test_tied_weights_stay_tied(student: Student, tmp_path: Path) -> None:
    """A head that shares the embedding's matrix shares it after restoring too."""
    model = student.model
    optimiser = _trained(model, 1)
    taken = snapshot.save(tmp_path, 1, model, optimiser, run="run-1")
    snapshot.restore(taken, model, optimiser, run="run-1")
    assert output_head(model) is model.get_input_embeddings().weight


_SHARD = "shard-00001-model-00001-of-00001.safetensors"


def test_only_safetensors_and_json_are_written(student: Student, tmp_path: Path) -> None:
    """A snapshot is two shards in safetensors and one JSON file with their digests."""
    taken = snapshot.save(tmp_path, 1, student.model, _trained(student.model, 1), run="run-1")
    files = [path for path in taken.folder.rglob("*") if path.is_file()]
    names = sorted(str(path.relative_to(taken.folder)) for path in files)
    assert names == [f"optimiser/{_SHARD}", "state.json", f"weights/{_SHARD}"]
    state = json.loads((taken.folder / "state.json").read_text())
    assert set(state["files"]) == {f"optimiser/{_SHARD}", f"weights/{_SHARD}"}
    assert all(isinstance(value, int) for value in state["random"][0]["cpu"])
    assert state["random"][0]["cuda"] is None


def test_equal_snapshots_have_equal_digests(student: Student, tmp_path: Path) -> None:
    """Taken twice of the same student, a snapshot is the same byte for byte."""
    optimiser = _trained(student.model, 1)
    digests = {
        snapshot.save(tmp_path / str(n), 1, student.model, optimiser, run="run-1").digest
        for n in range(4)
    }
    assert len(digests) == 1


def test_only_what_learns_is_kept(student: Student, tmp_path: Path) -> None:
    """Weights that do not learn are the base's: they are neither written nor touched."""
    model = student.model
    model.requires_grad_(requires_grad=False)
    norm = model.get_parameter("model.norm.weight")
    norm.requires_grad = True
    optimiser = _trained(model, 1)
    taken = snapshot.save(tmp_path, 1, model, optimiser, run="run-1")
    assert set(load_file(taken.folder / f"weights/{_SHARD}")) == {"model.norm.weight"}
    before = _weights(model)
    with torch.no_grad():
        norm.zero_()
    snapshot.restore(taken, model, optimiser, run="run-1")
    assert all(torch.equal(a, b) for a, b in zip(_weights(model), before, strict=True))


def test_a_snapshot_of_other_processes_leaves_chance_alone(
    student: Student, tmp_path: Path
) -> None:
    """Taken by another number of processes, it gives back all but the random state."""
    model = student.model
    optimiser = _trained(model, 1)
    taken = snapshot.save(tmp_path, 1, model, optimiser, run="run-1")
    path = taken.folder / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "random": state["random"] * 2}))
    torch.manual_seed(7)
    before, weights = torch.get_rng_state(), _weights(model)
    snapshot.restore(snapshot.snapshots(tmp_path)[0], model, optimiser, run="run-1")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(_weights(model), weights, strict=True))


def _flip(name: str) -> Callable[[Path], None]:
    def flip(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[-2] ^= 1
        (folder / name).write_bytes(data)

    return flip


def _add_shard(folder: Path) -> None:
    shutil.copy(folder / f"weights/{_SHARD}", folder / "weights/shard-00002.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip(f"weights/{_SHARD}"), rf"`weights/{_SHARD}` is not the file"),
        (_flip(f"optimiser/{_SHARD}"), rf"`optimiser/{_SHARD}` is not the file"),
        (_flip("state.json"), r"`state\.json` is not the file"),
        (lambda folder: (folder / f"weights/{_SHARD}").unlink(), rf"`weights/{_SHARD}`"),
        (lambda folder: (folder / "state.json").unlink(), r"`state\.json` cannot be read"),
        (_add_shard, r"`weights/shard-00002\.safetensors` was not written with it"),
    ],
)
def test_a_damaged_snapshot_is_refused(
    student: Student, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    """A changed or absent file is named, and nothing of the snapshot is loaded."""
    optimiser = _trained(student.model, 1)
    taken = snapshot.save(tmp_path, 1, student.model, optimiser, run="run-1")
    damage(taken.folder)
    with pytest.raises(SnapshotError, match=message) as caught:
        snapshot.restore(taken, student.model, optimiser, run="run-1")
    assert caught.value.where == str(taken.folder)


def test_another_runs_snapshot_is_refused(student: Student, tmp_path: Path) -> None:
    """A snapshot goes back into its own run only."""
    optimiser = _trained(student.model, 1)
    taken = snapshot.save(tmp_path, 1, student.model, optimiser, run="run-1")
    with pytest.raises(SnapshotError, match="it belongs to run `run-1`"):
        snapshot.restore(taken, student.model, optimiser, run="run-2")


def test_a_full_disk_keeps_the_earlier_snapshot(student: Student, tmp_path: Path) -> None:
    """Where a snapshot cannot be written, nothing half-written is left and the last one stays."""
    optimiser = _trained(student.model, 1)
    first = snapshot.save(tmp_path, 1, student.model, optimiser, run="run-1")
    with disk_of(50_000), pytest.raises(SnapshotError, match="File too large") as caught:
        snapshot.save(tmp_path, 2, student.model, optimiser, run="run-1")
    assert "\n" not in caught.value.message
    assert snapshot.snapshots(tmp_path) == [first]
    assert [path.name for path in tmp_path.iterdir()] == [first.folder.name]


def test_a_folder_that_others_do_not_see_is_refused(student: Student, tmp_path: Path) -> None:
    """A process that does not find the leader's folder says that storage must be shared."""
    behind = Team(rank=1, size=1)
    with pytest.raises(SnapshotError, match="not every process sees") as caught:
        snapshot.save(tmp_path, 1, student.model, _trained(student.model, 1), run="r", team=behind)
    assert caught.value.code == "unshared-folder"


def test_snapshots_are_listed_in_order_and_pruned(student: Student, tmp_path: Path) -> None:
    """The oldest go first; what a kill left unfinished is no snapshot and goes too."""
    optimiser = _trained(student.model, 1)
    for steps in (2, 10, 1):
        snapshot.save(tmp_path, steps, student.model, optimiser, run="run-1")
    (tmp_path / ".writing-x").mkdir()
    (tmp_path / "step-00000003").mkdir()
    assert [each.steps for each in snapshot.snapshots(tmp_path)] == [1, 2, 10]
    snapshot.prune(tmp_path, keep=1)
    assert [each.steps for each in snapshot.snapshots(tmp_path)] == [10]
    assert not (tmp_path / ".writing-x").exists()


def test_no_folder_holds_no_snapshots(tmp_path: Path) -> None:
    """Before the first snapshot there are none."""
    assert snapshot.snapshots(tmp_path / "absent") == []


def test_a_snapshot_left_behind_is_written_again(student: Student, tmp_path: Path) -> None:
    """A snapshot of the same step, left by a kill, is replaced."""
    optimiser = _trained(student.model, 1)
    snapshot.save(tmp_path, 1, student.model, optimiser, run="run-1")
    taken = snapshot.save(tmp_path, 1, student.model, optimiser, run="run-2")
    snapshot.restore(taken, student.model, optimiser, run="run-2")
