"""What a part of a dataset says can be handed on, and what is wrong with it is said as before."""

from pathlib import Path

import pytest

from proxy.ledger.bundle import EXAMPLES, MANIFEST
from proxy.ledger.columns import row_parts
from proxy.ledger.lessons import read_lines, read_rows
from proxy.ledger.merkle import Frontier
from proxy.ledger.openings import texts_digest
from proxy.ledger.pieces import parts_of
from proxy.ledger.tables import Column, Table, to_parquet
from proxy.ledger.verify import verify
from tests.proxy.ledger.sample import VKEY, dataset_case, resign

CASE = dataset_case()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A dataset that was written."""
    return CASE.write(tmp_path / "bundle")


def test_rows_come_with_their_digests(path: Path) -> None:
    """Each example is the one that was sealed, and all together have the dataset's root."""
    (part,) = row_parts(path / EXAMPLES)
    read = read_rows(part)
    assert [row for row, _ in read.rows] == list(CASE.contents.rows)
    assert [digest for _, digest in read.rows] == [
        texts_digest(row.texts) for row in CASE.contents.rows
    ]
    assert Frontier().add(read.peaks).size == read.count == len(CASE.contents.rows)


def test_rows_of_other_columns_are_no_examples(path: Path) -> None:
    """A table without a column that examples have is refused, with its place."""
    rows = [{"seq": at} for at, _ in enumerate(CASE.contents.rows)]
    table = Table(columns={"seq": Column.INTEGER}, rows=rows)
    (path / EXAMPLES).write_bytes(to_parquet(table))
    (part,) = row_parts(path / EXAMPLES)
    assert read_rows(part).problem is not None
    resign(path)
    assert (EXAMPLES, "bundle") in {
        (finding.where, finding.code) for finding in verify(path, VKEY).findings
    }


def test_the_manifest_says_what_is_permitted(path: Path) -> None:
    """Only what the gate permits has a place; a damaged line ends it and is counted from one."""
    (part,) = parts_of(path / MANIFEST, MANIFEST)
    lines = read_lines(part).lines
    assert {name: seq for name, seq in lines if seq is not None} == {
        line.exchange: line.seq for line in CASE.contents.manifest if line.verdict == "permit"
    }
    with (path / MANIFEST).open("ab") as file:
        file.write(b"no line\n")
    (part,) = parts_of(path / MANIFEST, MANIFEST)
    fault = read_lines(part).fault
    assert fault is not None
    assert (fault[0], fault[1]) == (len(lines) + 1, "this is no line of a manifest")


def test_other_numbers_of_examples_are_not_read(path: Path) -> None:
    """A file of a few bytes may hold millions of rows: more than were sealed are refused unread."""
    rows = [{"seq": 1}] * (len(CASE.contents.rows) + 1)
    (path / EXAMPLES).write_bytes(to_parquet(Table(columns={"seq": Column.INTEGER}, rows=rows)))
    resign(path)
    found = [finding.code for finding in verify(path, VKEY).findings]
    assert found == ["rows"]
