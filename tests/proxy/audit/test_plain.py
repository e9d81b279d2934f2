"""Plain tables hold the same rows in each format, and no spreadsheet runs a cell of them."""

import csv
import json
from pathlib import Path

from proxy.audit.plain import write_tables
from proxy.ledger.tables import from_parquet
from tests.proxy.audit.conftest import Told


def test_each_format_has_the_same_rows(told: Told, tmp_path: Path) -> None:
    """JSON lines and Parquet hold equal rows, CSV as many."""
    for form in ("jsonl", "csv", "parquet"):
        counts = write_tables(told.holding, None, tmp_path / form, form)
        assert (counts["exchanges"], counts["examples"]) == (3, 2)
    for name in ("exchanges", "decisions", "examples"):
        lines = (tmp_path / f"jsonl/{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = from_parquet((tmp_path / f"parquet/{name}.parquet").read_bytes())
        assert [json.loads(line) for line in lines] == rows


def test_no_cell_is_a_formula(told: Told, tmp_path: Path) -> None:
    """A project called `=shed` stays a text in a spreadsheet."""
    write_tables(told.holding, None, tmp_path / "csv", "csv")
    with (tmp_path / "csv/exchanges.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["project"] for row in rows] == ["garden", "'=shed", "garden"]
    assert {row["is_whole"] for row in rows} == {"true"}
