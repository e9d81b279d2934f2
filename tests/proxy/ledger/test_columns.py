"""The rows of a Parquet file are the same by their hashes, however they are cut into parts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from proxy.errors import BundleError
from proxy.ledger import columns
from proxy.ledger.canonical import Json
from proxy.ledger.columns import hash_rows, row_parts
from proxy.ledger.example import rows_root
from proxy.ledger.merkle import Frontier
from proxy.ledger.tables import Column, ParquetFile

ROWS: list[dict[str, Json]] = [{"seq": at, "name": f"row {at}"} for at in range(23)]


def written(path: Path, rows: list[dict[str, Json]]) -> Path:
    """A file with a row group for every five rows."""
    with ParquetFile(path, {"seq": Column.INTEGER, "name": Column.TEXT}) as file:
        for at in range(0, len(rows), 5):
            file.write(rows[at : at + 5])
    return path


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_the_root_is_the_same(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of any length give the root over all rows."""
    monkeypatch.setattr(columns, "_PART_ROWS", rows)
    frontier = Frontier()
    for part in row_parts(written(tmp_path / "x.parquet", ROWS)):
        found = hash_rows(part)
        assert len(found.hashes) == found.count * 32
        frontier = frontier.add(found.peaks)
    assert (frontier.root().hex(), frontier.size) == (rows_root(ROWS), len(ROWS))


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    """Bytes that are no Parquet file, and numbers that have no canonical form, are told apart."""
    (tmp_path / "bad").write_bytes(b"PAR1")
    with pytest.raises(BundleError, match="not a Parquet table"):
        row_parts(tmp_path / "bad")
    path = written(tmp_path / "huge", [{"seq": 2**60, "name": "x"}])
    (part,) = row_parts(path)
    assert hash_rows(part).problem == "canonical"
    path.write_bytes(path.read_bytes()[:-9])
    assert hash_rows(part).problem == "parquet"


def test_two_columns_of_one_name_are_no_table(tmp_path: Path) -> None:
    """Another reader may take the one that we do not: no such file says what the leaves say."""
    seqs, names = pa.array([0]), pa.array(["row 0"])
    table = pa.Table.from_arrays([pa.array(["a lie"]), seqs, names], ["name", "seq", "name"])
    pq.write_table(table, tmp_path / "x")
    with pytest.raises(BundleError, match="not a Parquet table"):
        row_parts(tmp_path / "x")


def test_what_python_cannot_hold_is_no_table(tmp_path: Path) -> None:
    """A date beyond all calendars is damage, not a crash."""
    far = pa.array([2**31 - 1], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"seq": far}), tmp_path / "x")
    (part,) = row_parts(tmp_path / "x")
    assert (part.count, hash_rows(part).problem) == (1, "parquet")
