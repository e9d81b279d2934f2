"""A run learns from proven examples alone, resumes bit by bit, and signs what it did."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from student import digest, losses
from student.config import Config, Order
from student.errors import ConfigError, IntakeError, RecordError, SnapshotError, TrainingError
from student.model import Student, load_student
from student.record import verify_record
from student.trainer import Progress, RunResult, carry_out
from tests.student.datasets import LESSONS, NOW, STUDENT, Sealed, seal_dataset
from tests.student.disk import disk_of

_CONFIG = Config(
    steps=8,
    batch_tokens=256,
    row_tokens=128,
    learning_rate=3e-3,
    held_out_share=0.1,
    snapshot_steps=3,
    device="cpu",
)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A sound dataset; not to be written to."""
    return seal_dataset(tmp_path_factory.mktemp("sound") / "dataset")


@pytest.fixture
def order(sealed: Sealed, base: Path, tmp_path: Path) -> Order:
    """A run of the tiny student on the sound dataset."""
    return Order(
        sources=(sealed.source,),
        student=STUDENT,
        base=str(base),
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        now=NOW,
        seed=b"\x01" * 32,
    )


class _Killed(BaseException):
    """A kill: nothing of ours catches it."""


def _killing(at: int) -> "_Teller":
    return _Teller(kill_at=at)


class _Teller:
    def __init__(self, *, kill_at: int | None = None) -> None:
        self.seen: list[Progress] = []
        self._kill_at = kill_at

    def __call__(self, progress: Progress) -> None:
        if progress.step == self._kill_at:
            raise _Killed
        self.seen.append(progress)


def _losses(folder: Path) -> dict[int, tuple[float, float]]:
    lines = verify_record(folder, None).lines
    return {
        line.values["step"]: (line.values["loss"], line.values["gradient_norm"])
        for line in lines
        if line.kind == "step"
    }


def test_a_handful_of_examples_is_learned_by_heart(order: Order) -> None:
    """Sixty steps on five examples bring their loss near zero."""
    tell = _Teller()
    carry_out(order, replace(_CONFIG, steps=60, learning_rate=2e-2), tell)
    assert tell.seen[0].loss > 3
    assert tell.seen[-1].loss < 0.2


def test_the_result_names_what_a_ledger_commits_to(order: Order, sealed: Sealed) -> None:
    """Run, dataset, base, record, weights and both held-out losses come back."""
    result = carry_out(order, _CONFIG)
    verified = verify_record(order.out, result.vkey)
    assert (result.record, result.steps) == (verified.head, 8)
    assert result.datasets == (verified.header["datasets"][0]["root"],)
    assert result.weights["model.safetensors"] in json.dumps(verified.lines[-1].values)
    assert result.before is not None
    assert result.after is not None
    assert result.before.tokens == result.after.tokens > 0


def test_the_student_made_is_a_plain_model_folder(order: Order) -> None:
    """What a run makes loads again, and its weights are no longer the base's."""
    carry_out(order, _CONFIG)
    made = load_student(str(order.out / "model"), order.cache)
    base = load_student(order.base, order.cache)
    pairs = zip(made.model.parameters(), base.model.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_equal_runs_are_bit_equal(order: Order, tmp_path: Path) -> None:
    """The same dataset, base and knobs give the same losses and the same weights, bit by bit."""
    results = [carry_out(replace(order, out=tmp_path / name), _CONFIG) for name in ("a", "b")]
    assert results[0].weights == results[1].weights
    assert _losses(tmp_path / "a") == _losses(tmp_path / "b")


@pytest.mark.parametrize("killed_at", [1, 3, 5, 8])
def test_a_killed_run_resumes_bit_by_bit(order: Order, tmp_path: Path, killed_at: int) -> None:
    """Killed after any step and resumed, losses and weights are those of a run never killed."""
    whole = carry_out(replace(order, out=tmp_path / "whole"), _CONFIG)
    with pytest.raises(_Killed):
        carry_out(order, _CONFIG, _killing(killed_at))
    torch.manual_seed(99)  # what the process drew in between does not matter
    resumed = carry_out(replace(order, is_resumed=True), _CONFIG)
    assert resumed.weights == whole.weights
    assert (resumed.before, resumed.after) == (whole.before, whole.after)
    assert _losses(order.out) == _losses(tmp_path / "whole")
    kinds = [line.kind for line in verify_record(order.out, None).lines]
    assert kinds.count("resumed") == 1


def test_a_killed_adapter_resumes_bit_by_bit(order: Order, tmp_path: Path) -> None:
    """Where chance takes part in each pass, its state is part of what a run goes on with."""
    config = replace(_CONFIG, lora_rank=4, lora_dropout=0.3)
    whole = carry_out(replace(order, out=tmp_path / "whole"), config)
    with pytest.raises(_Killed):
        carry_out(order, config, _killing(5))
    torch.manual_seed(99)
    resumed = carry_out(replace(order, is_resumed=True), config)
    assert resumed.weights == whole.weights
    assert _losses(order.out) == _losses(tmp_path / "whole")


def test_an_adapter_alone_is_learned(order: Order) -> None:
    """With a rank, the base stays, the adapter is on record, and the student has it merged."""
    result = carry_out(order, replace(_CONFIG, lora_rank=4, learning_rate=2e-2))
    (line,) = [each for each in verify_record(order.out, None).lines if each.kind == "adapter"]
    adapter = order.out / "adapter"
    assert line.values["files"] == {
        path.name: digest.of_file(path) for path in sorted(adapter.iterdir())
    }
    origin = json.loads((adapter / "inbond-adapter.json").read_text())
    assert origin["base"]["files"] == result.base.files
    made, base = (
        load_file(Path(f) / "model.safetensors") for f in (order.out / "model", order.base)
    )
    assert made.keys() == base.keys()
    changed = {name for name in made if not torch.equal(made[name], base[name])}
    assert changed == {name for name in made if name.endswith("_proj.weight")}
    assert result.after is not None
    assert result.before is not None
    assert result.after.loss < result.before.loss


def test_a_full_disk_ends_a_run_that_can_go_on(order: Order, tmp_path: Path) -> None:
    """Where no more can be written, the run says so, and goes on from what was whole."""
    config = replace(_CONFIG, steps=40, snapshot_steps=1000)
    whole = carry_out(replace(order, out=tmp_path / "whole"), config)
    with disk_of(10_000), pytest.raises(TrainingError, match="File too large") as caught:
        carry_out(order, config)
    assert caught.value.code == "run-stopped"
    assert not (order.out / "model").exists()
    assert carry_out(replace(order, is_resumed=True), config).weights == whole.weights


def test_half_a_line_of_a_killed_run_is_cut_off(order: Order) -> None:
    """A kill in the middle of a line leaves half of one: it is cut off, and the run goes on."""
    with pytest.raises(_Killed):
        carry_out(order, _CONFIG, _killing(4))
    with (order.out / "steps.jsonl").open("ab") as stream:
        stream.write(b'{"kind":"step","st')
    carry_out(replace(order, is_resumed=True), _CONFIG)
    verify_record(order.out, None)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"learning_rate": 1e-3}, '"learning_rate": 0.003'),
        ({"seed": 5}, '"seed": 5'),
        ({"steps": 9}, '"steps": 9'),
    ],
)
def test_resuming_with_other_knobs_is_refused(
    order: Order, change: dict[str, Any], difference: str
) -> None:
    """A run goes on as it began, or not at all; the message says what differs."""
    with pytest.raises(_Killed):
        carry_out(order, _CONFIG, _killing(4))
    with pytest.raises(RecordError) as caught:
        carry_out(replace(order, is_resumed=True), replace(_CONFIG, **change))
    assert caught.value.code == "other-run"
    assert difference in caught.value.message


def test_resuming_with_another_dataset_is_refused(order: Order, tmp_path: Path) -> None:
    """A run does not change its dataset half way."""
    with pytest.raises(_Killed):
        carry_out(order, _CONFIG, _killing(4))
    other = seal_dataset(tmp_path / "other", LESSONS[:5])
    with pytest.raises(RecordError, match="datasets"):
        carry_out(replace(order, is_resumed=True, sources=(other.source,)), _CONFIG)


def test_a_damaged_snapshot_is_refused(order: Order) -> None:
    """Weights of a snapshot that are not those written are never resumed from."""
    with pytest.raises(_Killed):
        carry_out(order, _CONFIG, _killing(5))
    (path,) = (order.out / "snapshots/step-00000003/weights").iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(SnapshotError, match=r"`weights/shard-.*` is not the file"):
        carry_out(replace(order, is_resumed=True), _CONFIG)


def test_a_run_is_never_overwritten(order: Order) -> None:
    """A folder that holds a run takes no other."""
    carry_out(order, _CONFIG)
    with pytest.raises(RecordError, match="holds a run already"):
        carry_out(order, _CONFIG)
    with pytest.raises(RecordError, match="finished"):
        carry_out(replace(order, is_resumed=True), _CONFIG)


def test_nothing_to_resume_is_refused(order: Order) -> None:
    """Without a run in the folder there is nothing to go on with."""
    with pytest.raises(RecordError, match="cannot be read"):
        carry_out(replace(order, is_resumed=True), _CONFIG)


def test_old_snapshots_are_pruned(order: Order) -> None:
    """Only the newest snapshots are kept, the last step's among them."""
    carry_out(order, replace(_CONFIG, keep_snapshots=2))
    assert [path.name for path in sorted((order.out / "snapshots").iterdir())] == [
        "step-00000006",
        "step-00000008",
    ]


def test_a_loss_that_is_no_number_stops_the_run(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first loss that is not finite the run stops, names the batch and keeps good weights."""
    real = losses.sequence_loss
    calls = iter(range(1_000))

    def failing(*args: Any, **kwargs: Any) -> torch.Tensor:
        loss = real(*args, **kwargs)
        return loss * float("nan") if next(calls) >= 5 else loss

    monkeypatch.setattr("student.trainer.sequence_loss", failing)
    with pytest.raises(TrainingError, match="not finite at step") as caught:
        carry_out(order, replace(_CONFIG, steps=20, batch_tokens=128))
    stopped = verify_record(order.out, None).lines[-1]
    assert stopped.kind == "stopped"
    assert all(f"`{name}`" in caught.value.message for name in stopped.values["examples"])
    kept = max((order.out / "snapshots").iterdir())
    weights = load_file(next((kept / "weights").iterdir()))
    assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())


def test_nothing_is_loaded_before_every_proof_held(
    order: Order, sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tampered dataset is refused before a student is loaded or a tensor is made."""
    copy = tmp_path / "copy"
    shutil.copytree(sealed.path, copy)
    entries = (copy / "entries.jsonl").read_bytes()
    (copy / "entries.jsonl").write_bytes(entries.replace(b"acme-large", b"acme-small", 1))

    def never(*args: object) -> Student:
        raise AssertionError("a student was loaded")

    monkeypatch.setattr("student.trainer.load_student", never)
    with pytest.raises(IntakeError, match="not proven"):
        carry_out(replace(order, sources=(replace(sealed, path=copy).source,)), _CONFIG)
    assert not order.out.exists()


def test_a_gpu_that_is_not_there_is_refused(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for a GPU on a machine without one, the run does not start on something else."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="there is no GPU"):
        carry_out(order, replace(_CONFIG, device="cuda"))


def test_the_rows_of_a_batch_add_up_to_the_whole(order: Order, tmp_path: Path) -> None:
    """One long row or several short ones: the first step has the same loss and gradient."""
    first = []
    for name, row_tokens in (("wide", 256), ("narrow", 70)):
        config = replace(_CONFIG, steps=1, batch_tokens=256, row_tokens=row_tokens)
        carry_out(replace(order, out=tmp_path / name), config)
        first.append(_losses(tmp_path / name)[1])
    assert np.allclose(first[0], first[1], rtol=1e-5)


def test_bf16_stays_near_fp32(order: Order, tmp_path: Path) -> None:
    """With matrices in bf16, the weights stay fp32 and the first loss is within 2 %."""
    results: list[RunResult] = []
    for compute in ("fp32", "bf16"):
        config = replace(_CONFIG, steps=1, compute=compute)
        results.append(carry_out(replace(order, out=tmp_path / compute), config))
    fp32, bf16 = (_losses(tmp_path / compute)[1][0] for compute in ("fp32", "bf16"))
    assert bf16 == pytest.approx(fp32, rel=0.02)
    assert bf16 != fp32
    weights = load_file(tmp_path / "bf16/model/model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
