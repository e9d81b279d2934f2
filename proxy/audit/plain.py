"""Tables of an audit as plain files: JSON lines, CSV for spreadsheets, Parquet."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from proxy.audit.holding import LEARNED, Holding
from proxy.audit.scope import Chosen
from proxy.errors import BundleError
from proxy.ledger.canonical import Json
from proxy.ledger.tables import TABLES, ParquetFile, Tabulator

__all__ = ["Format", "write_tables"]

type Format = Literal["jsonl", "csv", "parquet"]

_BATCH = 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection")."""


class _Lines:
    """Rows as text, one a line."""

    def __init__(self, path: Path, columns: Mapping[str, object], form: Format) -> None:
        self._file = path.open("x", encoding="utf-8", newline="")
        self._columns = list(columns)
        self._is_csv = form == "csv"
        if self._is_csv:
            self._file.write(_csv_line(self._columns))

    def write(self, rows: list[Mapping[str, Json]]) -> None:
        for row in rows:
            if self._is_csv:
                self._file.write(_csv_line([_csv_cell(row[name]) for name in self._columns]))
            else:
                self._file.write(json.dumps(dict(row), ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()


def write_tables(
    holding: Holding, chosen: Chosen | None, folder: Path, form: Format
) -> dict[str, int]:
    """Write each table of a scope into a new folder; gives how many rows each has.

    `chosen` is None for all entries. These files are views and prove nothing: an audit does.

    Raises:
        BundleError: the folder exists or cannot be written.
    """
    columns = {**TABLES, "examples": LEARNED}
    try:
        folder.mkdir(parents=True)
        files: dict[str, _Lines | ParquetFile] = {
            name: ParquetFile(folder / f"{name}.parquet", columns[name])
            if form == "parquet"
            else _Lines(folder / f"{name}.{form}", columns[name], form)
            for name in columns
        }
        counts = _fill(files, _rows(holding, chosen))
        for file in files.values():
            file.close()
    except OSError as error:
        raise BundleError(
            f"the tables could not be written: {(error.strerror or 'unknown reason').lower()}",
            help="choose another path",
            where=str(error.filename or folder),
            code="not-writable",
        ) from error
    return counts


def _fill(
    files: Mapping[str, _Lines | ParquetFile], rows: Iterator[tuple[str, Mapping[str, Json]]]
) -> dict[str, int]:
    waiting: dict[str, list[Mapping[str, Json]]] = {name: [] for name in files}
    counts = dict.fromkeys(files, 0)
    for name, row in rows:
        counts[name] += 1
        waiting[name].append(row)
        if len(waiting[name]) == _BATCH:
            files[name].write(waiting[name])
            waiting[name].clear()
    for name, left in waiting.items():
        if left:
            files[name].write(left)
    return counts


def _rows(holding: Holding, chosen: Chosen | None) -> Iterator[tuple[str, Mapping[str, Json]]]:
    tabulator = Tabulator()
    for leaf in holding.leaves():
        if chosen is None or leaf in chosen:
            yield from tabulator.rows(leaf.seq, leaf.fields)
    for row in holding.examples():
        if chosen is None or chosen.has_example(row):
            yield "examples", row


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def _csv_cell(value: Json) -> str:
    """A cell that no spreadsheet runs: what begins like a formula gets an apostrophe before it."""
    if isinstance(value, list):
        text = "; ".join(map(str, value))
    else:
        text = (
            ""
            if value is None
            else str(value).lower()
            if value is True or value is False
            else str(value)
        )
    return f"'{text}" if isinstance(value, str | list) and text.startswith(_FORMULA) else text
