"""`inbond dataset`: what is built, listed and shown, and how wrong use ends."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from tests.proxy.workshop import NOW, Asked, Said, Workshop


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with one exchange to learn from and one held back."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        made.ask(Asked(), Asked(said=(Said(finish="length"),)))
        yield made


def test_build_says_what_was_left_out(here: Workshop) -> None:
    """Path, root, rows and counts by reason are one object; the bundle is where it says."""
    found = here.record("dataset", "build", "--student", "gardener", "--recipient", "cluster")
    assert (found["rows"], found["considered"], found["left_out"]) == (1, 2, {"not-admitted": 1})
    assert Path(str(found["path"])).parent == here.settings.datasets_directory
    listed = json.loads(here.inbond("dataset", "list", "--json").stdout)
    assert (listed["dataset"], listed["recipient"]) == (found["dataset"], "cluster")


def test_no_dataset_is_said_on_stderr(here: Workshop) -> None:
    """An empty list has no data."""
    result = here.inbond("dataset", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no dataset was sealed yet" in result.stderr


def test_a_misspelt_student_is_offered_the_nearest(here: Workshop) -> None:
    """An unknown student is wrong use, with the name that was meant."""
    result = here.inbond("dataset", "build", "--student", "gardner")
    assert result.exit_code == 2
    assert "error[unknown-student]" in result.stderr
    assert "did you mean `gardener`?" in result.stderr


def test_a_folder_that_cannot_be_written_leaves_nothing_on_record(here: Workshop) -> None:
    """Where `datasets` is a file, the error says so and no entry was appended."""
    here.record("policy", "approve", here.declare("gardener", competes="[]"), "--reason", "x")
    here.inbond("dataset", "build", "--student", "nobody")
    here.settings.datasets_directory.rmdir()
    here.settings.datasets_directory.touch()
    result = here.inbond("dataset", "build", "--student", "gardener")
    assert (result.exit_code, "error[not-writable]" in result.stderr) == (1, True)
    assert not any(entry.kind == "dataset" for entry in here.entries())


def test_show_groups_examples_by_what_they_rest_on(here: Workshop) -> None:
    """Teacher, licence and clauses with a count, then what the build left out."""
    path = here.record("dataset", "build", "--student", "gardener")["path"]
    group, summary = map(
        json.loads, here.inbond("dataset", "show", path, "--json").stdout.split("\n")[:2]
    )
    assert (group["model"], group["licence"], group["examples"]) == (
        "smollm2-135m-instruct",
        "Apache-2.0",
        1,
    )
    assert (summary["rows"], summary["left_out"]) == (1, {"not-admitted": 1})
    assert "inbond audit verify" in here.inbond("dataset", "show", path).stderr


def test_show_of_something_else_is_an_error(here: Workshop, tmp_path: Path) -> None:
    """A folder that is no bundle, an audit, and a path to nothing each have their message."""
    assert here.inbond("dataset", "show", tmp_path / "gone").exit_code == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    result = here.inbond("dataset", "show", empty)
    assert (result.exit_code, "this is no bundle" in result.stderr) == (1, True)
    here.record("audit", "export", tmp_path / "audit")
    result = here.inbond("dataset", "show", tmp_path / "audit")
    assert (result.exit_code, "examples.parquet" in result.stderr) == (1, True)


def test_a_person_who_reads_gets_a_table(here: Workshop) -> None:
    """Without `--json` names and values stand beside each other."""
    result = here.inbond("dataset", "build", "--student", "gardener")
    assert (result.exit_code, "left_out     not-admitted=1" in result.stdout) == (0, True)
    assert "deciding on every exchange" in result.stderr
    assert os.fspath(here.settings.datasets_directory) in result.stdout
