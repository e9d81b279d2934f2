"""SQLite's files and errors."""

import sqlite3
from pathlib import Path

import pytest

from proxy.store.sqlite import is_write_ahead, make_private, sqlite_fault_of


def test_a_file_shows_its_kind_of_log(tmp_path: Path) -> None:
    """A new file keeps no write-ahead log until a connection turns it; one that is not there may."""
    path = tmp_path / "inbond.db"
    make_private(path)
    assert not is_write_ahead(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    assert is_write_ahead(path)
    assert is_write_ahead(tmp_path / "absent")


@pytest.mark.parametrize(
    ("code", "message", "is_busy"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "held the ledger's database for 2 s", True),
        (sqlite3.SQLITE_FULL, "is full", False),
        (sqlite3.SQLITE_READONLY_DBMOVED, "is read-only", False),
        (sqlite3.SQLITE_ERROR, "answers: no such table", False),
    ],
)
def test_a_code_says_what_happened(code: int, message: str, is_busy: bool) -> None:  # noqa: FBT001 - a parameter of the cases
    """The primary part of a result code decides, and whether trying again may help."""
    error = sqlite3.OperationalError("no such table")
    error.sqlite_errorcode = code
    fault = sqlite_fault_of(error, 2)
    assert message in fault.message
    assert fault.is_busy is is_busy
