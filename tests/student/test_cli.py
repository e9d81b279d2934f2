"""The commands: results on stdout, progress on stderr, statuses 0, 1 and 2, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from student.cli import student as command
from tests.student.datasets import Sealed, seal_dataset
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


@pytest.mark.parametrize("as_json", [False, True])
def test_evaluating_prints_the_held_out_loss(
    sealed: Sealed, base: Path, tmp_path: Path, *, as_json: bool
) -> None:
    """The loss of any student on the held-out answers, for people or programs."""
    result = _run(
        "evaluate", sealed.path, "--key", sealed.vkey, "--model", base,
        "--cache", tmp_path, "--held-out", 0.2, *(["--json"] if as_json else []),
    )  # fmt: skip
    assert result.exit_code == 0
    if as_json:
        assert {"loss", "perplexity", "tokens", "examples"} == set(json.loads(result.stdout))
    else:
        assert "nats per token" in result.stdout


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
    code = "import sys, student.cli, student.contents; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
