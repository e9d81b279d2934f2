"""What commands say to people, word for word."""

from pathlib import Path

from student.contents import contents
from student.evaluate import Evaluation, HeldOut
from student.model import Base
from student.summary import contents_lines, evaluation_lines, example_lines, result_lines
from student.tasks import TaskResult
from student.trainer import RunResult
from tests.student.records import write_record

_BEFORE = HeldOut(loss=2.0, tokens=40, examples=3, agreed=10)
_AFTER = HeldOut(loss=1.0, tokens=40, examples=3, agreed=30)


def test_before_and_after_stand_side_by_side() -> None:
    """Loss, perplexity, agreement and each task, and what they were measured on."""
    found = [
        Evaluation(
            student=name, held_out=held_out, tasks=(TaskResult(name="sums", right=right, asked=9),)
        )
        for name, held_out, right in (("base", _BEFORE, 1), ("model", _AFTER, 7))
    ]
    assert list(evaluation_lines(found)) == [
        "                      before                  after",
        "student               base                    model",
        "held-out loss         2.0000                  1.0000",
        "perplexity            7.39                    2.72",
        "agrees with teacher   25.0%                   75.0%",
        "task sums             1 of 9                  7 of 9",
        "Held out are 40 tokens of 3 answers; loss in nats per token.",
    ]


def test_one_student_is_measured_alone() -> None:
    """Without another to compare with there is one column, and no figure that was not taken."""
    found = [Evaluation(student="base", held_out=None, tasks=())]
    assert list(evaluation_lines(found)) == [
        "                      measured",
        "student               base",
    ]


def test_a_result_says_how_near_and_where() -> None:
    """Before and after, weights, report, record and key."""
    result = RunResult(
        run="run-1", student="writer", folder=Path("out"), datasets=("aa",), record="bb",
        vkey="key", weights={}, base=Base(spec="b", origin="b", licence=None, files={}), steps=9,
        before=_BEFORE, after=None,
    )  # fmt: skip
    before = "2.0000 nats per token (perplexity 7.39), 25.0% of the teacher's tokens are its first"
    assert list(result_lines(result)) == [
        "run       run-1: 9 steps on student `writer`",
        f"before    {before} choice, on 40 tokens of 3 examples",
        "after     nothing was held out",
        "weights   out/model",
        "report    out/report.html",
        "record    bb",
        "run key   key",
    ]


def test_contents_name_each_teacher_with_its_papers(tmp_path: Path) -> None:
    """Teachers are numbered, so that the examples behind each can be asked for."""
    record = write_record(tmp_path)
    lines = list(contents_lines(contents(tmp_path, record.vkey)))
    at = lines.index("teacher   1: acme-large by acme")
    assert lines[at + 1 : at + 5] == [
        "          5 examples, licence Apache-2.0",
        "          clause: acme-api/own-use acme-terms 4.1",
        f"          grant: {'ab' * 32}",
        "          duty: notice: Built with Acme",
    ]
    assert "          4 learned" in lines
    assert lines[-1] == "signed    by pinned key; 0 lines after the last signature"


def test_examples_are_listed_by_teacher(tmp_path: Path) -> None:
    """Each with what became of it and why; of a teacher who taught nothing there are none."""
    found = contents(tmp_path, write_record(tmp_path).vkey)
    lines = list(example_lines(found, None))
    assert lines[0] == "e0#0  teacher 1  learned"
    assert lines[-1] == "y#0  teacher 1  left out (empty)"
    assert list(example_lines(found, 1)) == lines
    assert list(example_lines(found, 2)) == []
