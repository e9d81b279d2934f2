"""SQLite as the ledger needs it: a private file with a write-ahead log, synced at every commit."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from proxy.errors import LedgerError
from proxy.store.faults import STORAGE, Fault

__all__ = [
    "BEGIN_IMMEDIATE",
    "is_write_ahead",
    "make_private",
    "make_sqlite_engine",
    "sqlite_fault_of",
]

BEGIN_IMMEDIATE = "BEGIN IMMEDIATE"
"""A reader that turns writer can meet a newer state and fail: writers say so at once."""

_MODE = 0o600
_FAULTS = {
    sqlite3.SQLITE_FULL: Fault(
        message="the disk that holds the ledger is full",
        help="free some space: inbond goes on by itself as soon as it can write",
    ),
    sqlite3.SQLITE_READONLY: Fault(
        message="the ledger's database is read-only",
        help="make the file and its folder writable for the user who runs inbond",
    ),
    sqlite3.SQLITE_CANTOPEN: Fault(
        message="the ledger's database cannot be opened",
        help="check that the file and its folder exist and are yours to read and write",
    ),
    sqlite3.SQLITE_NOTADB: Fault(
        message="this file is not a ledger's database",
        help="check `database` in inbond.yaml, or restore the file from a backup",
    ),
    sqlite3.SQLITE_CORRUPT: Fault(
        message="the ledger's database is damaged",
        help="stop inbond, keep a copy of the file, and restore it from a backup",
    ),
    sqlite3.SQLITE_IOERR: Fault(
        message="the disk that holds the ledger fails",
        help="check the disk: inbond goes on by itself as soon as it can write",
    ),
}
_PRIMARY_CODE = 0xFF
"""SQLite's extended result codes keep the primary one in their lowest byte."""

_CHECKPOINT_PAGES = 4_000
"""Pages of the write-ahead log between two copies into the file: 16 MB, four times SQLite's default.

Each copy writes a page once, however often it changed: pages at the ends of indexes always have.
"""


def make_sqlite_engine(target: URL, busy_timeout_s: float) -> Engine:
    """An engine that syncs every commit, and overwrites what is deleted."""
    # Parameters are hidden because an error's text would show salts otherwise.
    engine = create_engine(target, hide_parameters=True, connect_args={"timeout": busy_timeout_s})

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver's own notion of transactions is switched off: BEGIN below is the only one.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
            "secure_delete=ON",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        is_writer = connection.get_execution_options().get("is_writer", False)
        connection.exec_driver_sql(BEGIN_IMMEDIATE if is_writer else "BEGIN")

    return engine


def make_private(path: Path) -> None:
    """Make an empty file for the owner alone: SQLite gives its companions the same mode.

    Raises:
        LedgerError: the file cannot be made or opened.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
    except OSError as error:
        raise LedgerError(
            f"the ledger's database cannot be opened: {(error.strerror or 'unknown').lower()}",
            where=str(path),
            help="check that the file and its folder exist and are yours to read and write",
            code=STORAGE,
        ) from error


def is_write_ahead(path: Path) -> bool:
    """Whether the file keeps a write-ahead log (SQLite file format §1.3.3: write and read version)."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:20] == b"\x02\x02"
    except OSError:
        return True  # the connection will say what is wrong


def sqlite_fault_of(error: BaseException, busy_timeout_s: float) -> Fault:
    """What an error of SQLite means; `busy_timeout_s` is how long a connection waits for others."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Fault(
            message=f"another program has held the ledger's database for {busy_timeout_s:g} s",
            help="try again; if it lasts, close the program that has the file open",
            is_busy=True,
        )
    return _FAULTS.get(code) or Fault(
        message=f"the ledger's database answers: {str(error).strip().lower()}",
        help="check that the database runs and that inbond may use it",
    )
