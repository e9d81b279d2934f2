"""The commands: results on stdout, progress on stderr, statuses 0, 1 and 2, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from student.cli import student as command
from tests.student.datasets import LESSONS, Sealed, seal_dataset
from tests.student.records import write_record


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A dataset that is valid for long enough; not to be written to."""
    path = tmp_path_factory.mktemp("sound") / "dataset"
    return seal_dataset(path, valid_until="2999-01-01T00:00:00.000Z")


def _run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)


def _train(sealed: Sealed, base: Path, out: Path, *more: object) -> Result:
    return _run(
        "train", sealed.path, "--key", sealed.vkey, "--base", base, "--out", out,
        "--cache", out.parent / "cache", "--steps", 3, "--row-tokens", 128, "--batch-tokens", 256,
        "--held-out", 0.2, *more,
    )  # fmt: skip


def test_training_prints_the_run_and_leaves_progress_on_stderr(
    sealed: Sealed, base: Path, tmp_path: Path
) -> None:
    """The result names run, losses, weights and record; steps are told on stderr."""
    result = _train(sealed, base, tmp_path / "run")
    assert result.exit_code == 0
    assert "step 3/3" in result.stderr
    assert "step" not in result.stdout.replace("3 steps", "")
    for word in ("before", "after", "record", "run key", str(tmp_path / "run/model")):
        assert word in result.stdout


def test_training_gives_one_json_object_with_the_run_directory(
    sealed: Sealed, base: Path, tmp_path: Path
) -> None:
    """With `--json`, what a ledger's `run` entry needs is one object on stdout."""
    result = _train(sealed, base, tmp_path / "run", "--json")
    document = json.loads(result.stdout)
    assert document["folder"] == str(tmp_path / "run")
    assert document["steps"] == 3
    assert {"run", "student", "datasets", "record", "weights", "base"} <= set(document)


def test_holding_nothing_out_is_said(sealed: Sealed, base: Path, tmp_path: Path) -> None:
    """Without held-out examples there is no figure, and the result says so."""
    result = _train(sealed, base, tmp_path / "run", "--held-out", 0)
    assert result.stdout.count("nothing was held out") == 2


def test_the_cache_is_where_the_desktop_says(
    sealed: Sealed, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--cache`, tokens lie in the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _run("evaluate", sealed.path, "--key", sealed.vkey, "--model", base, "--held-out", 0.2)
    assert list((tmp_path / "inbond").glob("tokens-*"))


def test_a_run_is_resumed_by_name(sealed: Sealed, base: Path, tmp_path: Path) -> None:
    """`--resume` on a finished run says that it is finished, and status 1."""
    _train(sealed, base, tmp_path / "run")
    result = _train(sealed, base, tmp_path / "run", "--resume")
    assert result.exit_code == 1
    assert "error[finished]: this run is finished" in result.stderr


def test_a_dataset_that_is_not_proven_ends_with_1(
    sealed: Sealed, base: Path, tmp_path: Path
) -> None:
    """A foreign dataset is refused in three lines: what, where, and what to do."""
    other = seal_dataset(tmp_path / "dataset", valid_until="2999-01-01T00:00:00.000Z")
    (other.path / "export.sig").unlink()
    result = _train(other, base, tmp_path / "run")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error[unproven-dataset]: the dataset is not proven")
    assert "\n --> " in result.stderr
    assert "\n  = help: " in result.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--lr", "0"), "error[student-config]: `learning_rate` is `0.0`"),
        (("--length", "shorten"), "'shorten' is not one of"),
        (("--seed", "x"), "not a valid integer"),
    ],
)
def test_wrong_use_ends_with_2(
    sealed: Sealed, base: Path, tmp_path: Path, more: tuple[str, str], message: str
) -> None:
    """A value that cannot work is named, and nothing is written."""
    result = _train(sealed, base, tmp_path / "run", *more)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_no_such_base_ends_with_2(sealed: Sealed, tmp_path: Path) -> None:
    """A base that is not there is wrong use."""
    result = _train(sealed, tmp_path / "absent", tmp_path / "run")
    assert result.exit_code == 2
    assert "no model folder" in result.stderr


def _evaluate(sealed: Sealed, base: Path, cache: Path, *more: object) -> Result:
    return _run(
        "evaluate", sealed.path, "--key", sealed.vkey, "--model", base, "--cache", cache,
        "--held-out", 0.2, *more,
    )  # fmt: skip


def test_evaluating_prints_before_and_after(sealed: Sealed, base: Path, tmp_path: Path) -> None:
    """Two students side by side on held-out answers and on tasks."""
    tasks = tmp_path / "sums.jsonl"
    tasks.write_text('{"prompt": "What is 2 + 2?", "answer": "4"}')
    result = _evaluate(
        sealed, base, tmp_path, "--against", base, "--tasks", tasks, "--answer-tokens", 4
    )
    assert result.exit_code == 0, result.stderr
    for row in ("before  ", "held-out loss", "agrees with teacher", "task sums             0 of 1"):
        assert row in result.stdout


def test_evaluating_gives_one_json_object(sealed: Sealed, base: Path, tmp_path: Path) -> None:
    """Programs read every figure by name."""
    (found,) = json.loads(_evaluate(sealed, base, tmp_path, "--json").stdout)["students"]
    assert found["student"] == base.name
    assert found["held_out"].keys() == {
        "loss", "perplexity", "tokens", "examples", "agreed", "agreement", "kl", "kl_tokens",
    }  # fmt: skip
    assert found["tasks"] == []


def test_a_task_that_is_none_ends_with_2(sealed: Sealed, base: Path, tmp_path: Path) -> None:
    """The line is named before any student is loaded."""
    (tmp_path / "bad.jsonl").write_text("{}")
    result = _evaluate(sealed, base, tmp_path, "--tasks", tmp_path / "bad.jsonl")
    assert result.exit_code == 2
    assert f" --> {tmp_path / 'bad.jsonl'}:1" in result.stderr


def test_several_datasets_are_trained_on_together(
    sealed: Sealed, base: Path, tmp_path: Path
) -> None:
    """One key for both, a weight for each; the run's record names both with their weights."""
    more = seal_dataset(
        tmp_path / "more", LESSONS[:3], valid_until="2999-01-01T00:00:00.000Z",
        name="more", prefix="0194",
    )  # fmt: skip
    result = _train(sealed, base, tmp_path / "run", more.path, "--weight", 1, "--weight", 2)
    assert result.exit_code == 0, result.stderr
    shown = _run("show", tmp_path / "run").stdout
    assert "dataset   colours, root" in shown
    assert "dataset   more, root" in shown
    assert ", weight 2.0" in shown


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--weight", 1, "--weight", 2), "there are 1 datasets, and `--weight` is given 2 times"),
        (("--key", "other"), "there are 1 datasets, and `--key` is given 2 times"),
        (("--weight", 0), "the weight of a dataset is `0.0`"),
    ],
)
def test_keys_and_weights_must_fit_the_datasets(
    sealed: Sealed, base: Path, tmp_path: Path, more: tuple[object, ...], message: str
) -> None:
    """Which belongs to which is never guessed."""
    result = _train(sealed, base, tmp_path / "run", *more)
    assert (result.exit_code, message in result.stderr) == (2, True)


def test_a_run_leaves_a_report_and_metrics(sealed: Sealed, base: Path, tmp_path: Path) -> None:
    """The page is there when the run is done, with the speed of each step; it can be written anew."""
    _train(sealed, base, tmp_path / "run")
    assert "Speed by step" in (tmp_path / "run/report.html").read_text()
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 3
    again = _run("report", tmp_path / "run", "--out", tmp_path / "page.html", "--json")
    assert json.loads(again.stdout) == {"report": str(tmp_path / "page.html")}
    assert str(tmp_path / "run/report.html") in _run("report", tmp_path / "run").stdout


def test_a_refused_run_leaves_nothing(sealed: Sealed, base: Path, tmp_path: Path) -> None:
    """Neither record, nor metrics, nor a folder for TensorBoard."""
    (tmp_path / "writer.yaml").write_text("student: summary-writer\n")
    result = _train(
        sealed, base, tmp_path / "run", "--tensorboard", "--declaration", tmp_path / "writer.yaml"
    )
    assert (result.exit_code, "declared otherwise" in result.stderr) == (1, True)
    assert not (tmp_path / "run").exists()


def test_showing_lists_the_examples_of_a_teacher(tmp_path: Path) -> None:
    """One line for each, or as JSON; a teacher that is not there is wrong use."""
    write_record(tmp_path)
    assert len(_run("show", tmp_path, "--examples").stdout.splitlines()) == 6
    assert "x#0  teacher 1  held out" in _run("show", tmp_path, "--teacher", 1).stdout
    assert len(json.loads(_run("show", tmp_path, "--examples", "--json").stdout)["roll"]) == 6
    refused = _run("show", tmp_path, "--teacher", 2)
    assert (refused.exit_code, "there is no teacher 2" in refused.stderr) == (2, True)


def test_showing_says_who_taught_under_which_clause(tmp_path: Path) -> None:
    """Teachers, licences, clauses, grants, duties and counts are printed."""
    record = write_record(tmp_path)
    result = _run("show", tmp_path, "--key", record.vkey)
    assert result.exit_code == 0
    for text in (
        "acme-large by acme", "licence Apache-2.0", "clause: acme-api/own-use acme-terms 4.1",
        "duty: notice: Built with Acme", "1 left out: empty", "by pinned key",
    ):  # fmt: skip
        assert text in result.stdout


def test_showing_without_a_pin_says_what_is_not_shown(tmp_path: Path) -> None:
    """With the record's own key nobody knows whose it is, and the command says so."""
    write_record(tmp_path)
    assert "whose it is is not shown" in _run("show", tmp_path).stdout


def test_showing_as_json_gives_one_object(tmp_path: Path) -> None:
    """Programs read the same contents as one object."""
    write_record(tmp_path)
    assert json.loads(_run("show", tmp_path, "--json").stdout)["teachings"][0]["examples"] == 5


def test_showing_a_changed_record_ends_with_1(tmp_path: Path) -> None:
    """Weights that are not those recorded are found, and nothing is printed as if true."""
    write_record(tmp_path)
    (tmp_path / "model/weights").write_bytes(b"other")
    result = _run("show", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error[record-damaged]" in result.stderr


def test_help_and_show_do_not_import_torch() -> None:
    """Imports that cost happen in the command that needs them."""
    code = "import sys, student.cli, student.contents, student.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
