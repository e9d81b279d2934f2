"""A run is on record with all that makes it, and goes on only as what it began as."""

from dataclasses import replace
from pathlib import Path

import pytest

import student
from student import digest
from student.config import Config, Order
from student.errors import RecordError
from student.intake import open_dataset
from student.mixture import mix
from student.model import Student
from student.papers import Papers, versions
from student.record import verify_record
from tests.student.datasets import NOW, STUDENT, Sealed, seal_dataset


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    """A sound dataset."""
    return seal_dataset(tmp_path / "dataset")


@pytest.fixture
def order(sealed: Sealed, base: Path, tmp_path: Path) -> Order:
    """A run that is not begun."""
    return Order(
        sources=(sealed.source,),
        base=str(base),
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        now=NOW,
        seed=bytes(32),
    )


@pytest.fixture
def papers(sealed: Sealed, student: Student, tmp_path: Path) -> Papers:
    """What makes that run."""
    opened = open_dataset(sealed.path, sealed.vkey, student=STUDENT, now=NOW)
    admitted, config = [opened], Config(row_tokens=256)
    tokens = mix(admitted, student.tokenizer, config, tmp_path / "cache", weights=[1.0])
    parts = tokens.split(share=0.1, seed=0)
    return Papers(
        admitted=admitted, student=student, config=config, tokens=tokens, parts=parts, steps=3
    )


def test_the_record_names_all_that_makes_a_run(papers: Papers, order: Order) -> None:
    """Dataset, base, tokenizer, knobs and versions are in the header that the record signs."""
    record = papers.open(order)
    header = verify_record(order.out, record.vkey).header
    assert header["datasets"][0]["root"] == papers.admitted[0].root
    assert header["base"]["files"] == papers.student.base.files
    assert header["tokenizer"] == papers.student.tokenizer.digest
    assert (header["config"], header["steps"]) == (papers.config.document(), 3)
    assert header["versions"] == versions()


def test_a_run_goes_on_as_what_it_began_as(papers: Papers, order: Order) -> None:
    """Opened again to resume, the record is the same; with another knob it is refused."""
    record = papers.open(order)
    resumed = replace(order, is_resumed=True)
    assert papers.open(resumed).run == record.run
    with pytest.raises(RecordError, match=r"config: .*\"seed\": 0"):
        replace(papers, config=Config(row_tokens=256, seed=1)).open(resumed)


def test_the_code_is_named_by_its_digest() -> None:
    """Versions name the trainer's own files by digest: a version alone may be changed by hand."""
    folder = Path(student.__file__).parent
    assert versions()["student/*.py"] == digest.of_folder(folder, "*.py")
