"""What is in a student comes from its verified record alone."""

from pathlib import Path

import pytest

from student.contents import contents
from student.errors import RecordError
from student.record import Record
from tests.student.records import HEADER, write_record


def test_contents_name_teachers_clauses_and_counts(tmp_path: Path) -> None:
    """Teachers with licences, clauses, grants and duties, counts, losses and weights are there."""
    record = write_record(tmp_path)
    found = contents(tmp_path, record.vkey)
    (teaching,) = found.teachings
    assert (teaching["model"], teaching["licence"]) == ("acme-large", "Apache-2.0")
    assert teaching["clauses"] == ["acme-api/own-use acme-terms 4.1"]
    assert found.counts == HEADER.counts
    assert (found.first_loss, found.last_loss, found.steps, found.planned) == (2.5, 1.5, 2, 2)
    assert (found.is_finished, found.resumes, found.is_pinned) == (True, 0, True)
    assert found.held_out == ({"loss": 3.0, "tokens": 4, "examples": 1, "agreed": 1},)
    assert found.fates == {"held out": 1, "learned": 4, "left out": 1}
    assert found.datasets[0]["terms"] == ["12" * 32]
    assert set(found.weights) == {"weights"}


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    """Before its first step a run has no losses, no weights and is not finished."""
    Record.start(tmp_path, HEADER, b"\x02" * 32)
    found = contents(tmp_path, None)
    assert (found.first_loss, found.last_loss, found.steps) == (None, None, 0)
    assert not found.is_finished
    assert found.weights == {}


def test_a_damaged_record_has_no_contents(tmp_path: Path) -> None:
    """What cannot be verified is not shown."""
    write_record(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RecordError):
        contents(tmp_path, None)
