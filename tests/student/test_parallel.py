"""Many processes take the steps of one: the same losses, shards that fit together, one voice.

And one that is killed, whenever that is, goes on as if it had not been.
"""

import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from student.config import Config, Order
from student.errors import ConfigError, ModelError, StudentError
from student.model import Student
from student.parallel import Team, Whole, join_team, share_out, spread
from student.record import verify_record
from student.trainer import carry_out
from tests.student.datasets import NOW, Sealed, seal_dataset
from tests.student.teams import Outcome, Scenario, run_teams

_KNOBS: dict[str, Any] = {
    "steps": 6,
    "batch_tokens": 256,
    "row_tokens": 70,
    "learning_rate": 3e-3,
    "held_out_share": 0.1,
    "snapshot_steps": 3,
    "device": "cpu",
}
_LORA: dict[str, Any] = {**_KNOBS, "steps": 3, "lora_rank": 4, "learning_rate": 2e-2}
_BF16: dict[str, Any] = {**_KNOBS, "steps": 2, "compute": "bf16"}
_STORM: dict[str, Any] = {**_KNOBS, "steps": 4, "snapshot_steps": 1, "keep_snapshots": 1}
_KILLS = (16, 12, 9, 17, 25, 31)
"""Before which of its changes in the run directory each process of one run is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    """Runs of two processes, and the order to carry out the same in one."""

    folder: Path
    order: Order
    outcomes: dict[str, Outcome]

    def alone(self, knobs: dict[str, Any], name: str, **changes: Any) -> Path:
        """The folder of the same run, in this process alone."""
        out = changes.pop("out", self.folder / f"alone-{name}")
        carry_out(replace(self.order, out=out, **changes), Config(**knobs))
        return Path(out)

    def losses(self, name: str) -> dict[int, list[float]]:
        """Loss and gradient norm of each step, of a run of two processes that went well."""
        outcome = self.outcomes[name]
        assert outcome.statuses == [0, 0], outcome.said
        return _losses(self.folder / name)


def _losses(folder: Path) -> dict[int, list[float]]:
    lines = verify_record(folder, None).lines
    return {
        line.values["step"]: [line.values["loss"], line.values["gradient_norm"]]
        for line in lines
        if line.kind == "step"
    }


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model/model.safetensors")


def _tampered(sealed: Sealed, folder: Path) -> str:
    copy = seal_dataset(folder / "tampered").path
    entries = (copy / "entries.jsonl").read_bytes()
    (copy / "entries.jsonl").write_bytes(entries.replace(b"acme-large", b"acme-small", 1))
    return str(copy)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, base: Path) -> _Runs:
    """Runs of two processes, all from one start of Python: importing torch is what costs."""
    folder = tmp_path_factory.mktemp("teams")
    sealed = seal_dataset(folder / "dataset")

    def scenario(name: str, knobs: dict[str, Any], **changes: Any) -> Scenario:
        values = {
            "out": str(folder / name),
            "dataset": str(sealed.path),
            "vkey": sealed.vkey,
            "base": str(base),
            "cache": str(folder / "cache"),
            "config": knobs,
        }
        return Scenario(**{**values, **changes})

    killed = {"out": str(folder / "killed"), "kill_at": 5}
    storm = {"out": str(folder / "storm"), "processes": 1, "is_resumed": None}
    scenarios = {
        "whole": scenario("whole", _KNOBS),
        "kill": scenario("kill", _KNOBS, **killed),
        "killed": scenario("killed", _KNOBS, is_resumed=True),
        "kill-again": scenario("fewer", _KNOBS, kill_at=5),
        "lora": scenario("lora", _LORA),
        "bf16": scenario("bf16", _BF16),
        "refused": scenario("refused", _KNOBS, dataset=_tampered(sealed, folder)),
        "full": scenario("whole", _KNOBS),
        **{
            f"storm-{change}": scenario("storm", _STORM, **storm, kill_at_change=change)
            for change in _KILLS
        },
        "storm": scenario("storm", _STORM, **storm),
    }
    order = Order(
        sources=(sealed.source,),
        base=str(base),
        out=folder / "alone",
        cache=folder / "cache",
        now=NOW,
        seed=bytes(32),
    )
    return _Runs(folder=folder, order=order, outcomes=run_teams(scenarios, folder / "logs"))


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(runs: _Runs) -> None:
    """Losses, gradients and final weights of two processes are within 1e-5 of those of one."""
    two = runs.losses("whole")
    alone = runs.alone(_KNOBS, "whole")
    assert two == {
        step: pytest.approx(figures, rel=1e-5, abs=1e-5) for step, figures in _losses(alone).items()
    }
    ours, theirs = _weights(alone), _weights(runs.folder / "whole")
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)
    started = verify_record(runs.folder / "whole", None).lines[0]
    assert started.values == {"processes": 2, "device": "cpu"}


@pytest.mark.slow
def test_each_process_keeps_its_shard(runs: _Runs) -> None:
    """A snapshot of two processes has two shards, each about half of the weights."""
    folder = runs.folder / "whole/snapshots/step-00000006/weights"
    shards = [load_file(path) for path in sorted(folder.iterdir())]
    sizes = [sum(value.numel() for value in shard.values()) for shard in shards]
    assert len(sizes) == 2
    assert sizes[0] + sizes[1] == sum(w.numel() for w in _weights(runs.folder / "whole").values())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


@pytest.mark.slow
def test_two_killed_processes_resume_bit_by_bit(runs: _Runs) -> None:
    """Killed and resumed on as many processes, all losses, weights and shards are the same."""
    assert runs.outcomes["kill"].statuses[0] == -signal.SIGKILL
    assert runs.losses("killed") == runs.losses("whole")
    ours, theirs = _weights(runs.folder / "killed"), _weights(runs.folder / "whole")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    last = [
        verify_record(runs.folder / name, None).lines[-2].values for name in ("killed", "whole")
    ]
    assert last[0]["folder"] == "step-00000006"
    assert last[0] == last[1]


@pytest.mark.slow
def test_a_killed_team_resumes_in_one_process(runs: _Runs) -> None:
    """On another number of processes the shards fit together, and the losses are within 1e-5."""
    out = runs.alone(_KNOBS, "fewer", out=runs.folder / "fewer", is_resumed=True)
    assert _losses(out) == {
        step: pytest.approx(figures, rel=1e-5, abs=1e-5)
        for step, figures in runs.losses("whole").items()
    }


@pytest.mark.slow
def test_a_process_killed_anywhere_resumes_bit_by_bit(runs: _Runs) -> None:
    """Killed again and again, before whatever it writes, a run ends with the very same weights."""
    killed = [runs.outcomes[f"storm-{change}"].statuses for change in _KILLS]
    assert killed == [[-signal.SIGKILL]] * len(_KILLS)
    assert runs.outcomes["storm"].statuses == [0], runs.outcomes["storm"].said
    alone = runs.alone(_STORM, "storm")
    ours, theirs = _weights(alone), _weights(runs.folder / "storm")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert _losses(alone) == _losses(runs.folder / "storm")


@pytest.mark.slow
def test_adapters_and_bf16_are_shared_out_too(runs: _Runs) -> None:
    """Two processes learn the adapter that one learns, and in bf16 stay as near as bf16 allows."""
    alone = runs.alone(_LORA, "lora")
    assert runs.losses("lora") == {
        step: pytest.approx(figures, rel=1e-5, abs=1e-5) for step, figures in _losses(alone).items()
    }
    ours, theirs = _weights(alone), _weights(runs.folder / "lora")
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)
    halves = _losses(runs.alone(_BF16, "bf16"))
    assert runs.losses("bf16")[1][0] == pytest.approx(halves[1][0], rel=0.01)


@pytest.mark.slow
def test_the_leader_alone_says_why_a_run_is_refused(runs: _Runs) -> None:
    """What all processes refuse is said once, and all of them end with its status."""
    for name, code in (("refused", "unproven-dataset"), ("full", "run-exists")):
        outcome = runs.outcomes[name]
        assert outcome.statuses == [1, 1]
        assert f"error[{code}]" in outcome.said[0]
        assert "error" not in outcome.said[1].lower()


@given(rows=st.lists(st.integers()), size=st.integers(1, 5))
def test_rows_are_shared_out_once_and_evenly(rows: list[int], size: int) -> None:
    """Each row goes to one process, all get as many, and none gets a row too much."""
    shares = [share_out(rows, Team(rank=rank, size=size), None) for rank in range(size)]
    assert len({len(share) for share in shares}) == 1
    given_out = [row for share in shares for row in share if row is not None]
    assert sorted(given_out) == sorted(rows)
    assert sum(map(len, shares)) - len(rows) < size


def test_a_process_of_its_own_is_a_team_of_one() -> None:
    """Without `torchrun` there is one process, which leads, and work is done as it stands."""
    with join_team("cpu", {}) as team:
        assert (team.size, team.is_leader) == (1, True)
        assert team.lead(lambda: 1) == team.together(lambda: 1) == team.first_here(lambda: 1) == 1
        assert team.gather("x") == ["x"]
        assert team.tell("x") == "x"
        assert team.add_up(torch.ones(2)).tolist() == [1, 1]
        with pytest.raises(StudentError, match="no"):
            team.lead(_refusing)


def _refusing() -> None:
    raise StudentError("no")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a GPU of its own says how many there are, before any waits for it."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(ConfigError, match="no GPU of its own") as caught,
        join_team("cuda", {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}),
    ):
        pass
    assert "--nproc-per-node 1" in caught.value.help


def test_one_process_keeps_its_model_whole(student: Student) -> None:
    """In a team of one nothing is sharded, and work sees the very model."""
    whole = spread(student.model, Team())
    assert isinstance(whole, Whole)
    assert whole(lambda model: model) is student.model
    assert not any(hasattr(weight, "full_tensor") for weight in student.model.parameters())


def test_a_model_without_blocks_is_not_shared_out(student: Student) -> None:
    """A model whose blocks are not found is refused, with what to do."""
    model: Any = student.model
    model.model.layers = nn.Sequential(*model.model.layers)
    with pytest.raises(ModelError, match="no list of blocks"):
        spread(model, Team(size=2))
