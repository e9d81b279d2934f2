"""The ledger's database: opened, checked, and read or written in transactions of one kind each."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from proxy.errors import LedgerBusy, LedgerError
from proxy.store.fixed import Driver
from proxy.store.lock import FileLock
from proxy.store.tables import SCHEMA

__all__ = ["STORAGE", "Database", "Reading", "RuleBrokenError", "make_engine", "open_database"]

type Reading = Connection
"""One state of the ledger, to put questions to (`proxy.store.queries`)."""

STORAGE = "ledger-storage"
"""The code of errors of the disk or the server: the same append may succeed later."""

_MODE = 0o600
_CREATE_TIMEOUT_S = 60.0

_FAULTS = {
    sqlite3.SQLITE_FULL: (
        "the disk that holds the ledger is full",
        "free some space: inbond goes on by itself as soon as it can write",
    ),
    sqlite3.SQLITE_READONLY: (
        "the ledger's database is read-only",
        "make the file and its folder writable for the user who runs inbond",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the ledger's database cannot be opened",
        "check that the file and its folder exist and are yours to read and write",
    ),
    sqlite3.SQLITE_NOTADB: (
        "this file is not a ledger's database",
        "check `database` in inbond.yaml, or restore the file from a backup",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "the ledger's database is damaged",
        "stop inbond, keep a copy of the file, and restore it from a backup",
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk that holds the ledger fails",
        "check the disk: inbond goes on by itself as soon as it can write",
    ),
}
_PRIMARY_CODE = 0xFF
"""SQLite's extended result codes keep the primary one in their lowest byte."""


_CHECKPOINT_PAGES = 4_000
"""Pages of the write-ahead log between two copies into the file: 16 MB, four times SQLite's default.

Each copy writes a page once, however often it changed: pages at the ends of indexes always have.
"""

_BEGIN_WRITING = "BEGIN IMMEDIATE"
"""A reader that turns writer can meet a newer state and fail: writers say so at once (SQLite)."""


class RuleBrokenError(LedgerError):
    """The database's own rules forbid what was to be written; nothing was."""


class Database:
    """The database of one ledger. Safe to share between threads, not across a fork."""

    def __init__(self, engine: Engine, *, where: str, busy_timeout_s: float) -> None:
        self.engine = engine
        self.where = where
        self.busy_timeout_s = busy_timeout_s
        self._writer = engine.execution_options(is_writer=True)
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._dbapi = engine.dialect.loaded_dbapi

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the ledger throughout.

        Raises:
            LedgerError: the database cannot be read.
        """
        with self._translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection that holds the writer's lock; leaving the block makes its work durable.

        Raises:
            LedgerBusy: another program holds the database.
            LedgerError: the database cannot be written; nothing was.
        """
        with self._translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def drive(self) -> Iterator[Driver]:
        """As `write`, but with the driver's own cursor: for statements that are run all the time.

        Raises:
            LedgerBusy: another program holds the database.
            LedgerError: the database cannot be written; nothing was.
        """
        with self._translated():
            pooled = self.engine.raw_connection()
            try:
                cursor = pooled.cursor()
                if self._is_sqlite:  # other drivers begin by themselves
                    cursor.execute(_BEGIN_WRITING)
                yield Driver(self.engine.dialect, cursor)
                pooled.commit()
            finally:
                pooled.close()  # which undoes what was not committed

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, self._dbapi.IntegrityError) as error:
            raise RuleBrokenError(
                f"the ledger's own rules forbid this: {str(_orig(error)).lower()}",
                where=self.where,
                help="run `inbond ledger verify`, and report this if it finds nothing",
            ) from error
        except PoolTimeoutError as error:
            raise LedgerBusy(
                "every connection to the ledger's database is in use",
                where=self.where,
                help="try again",
            ) from error
        except (DBAPIError, self._dbapi.Error) as error:
            raise self._fault(_orig(error)) from error

    def _fault(self, error: BaseException) -> LedgerError:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return LedgerBusy(
                f"another program has held the ledger's database for {self.busy_timeout_s:g} s",
                where=self.where,
                help="try again; if it lasts, close the program that has the file open",
            )
        message, advice = _FAULTS.get(
            code,
            (
                f"the ledger's database answers: {str(error).strip().lower()}",
                "check that the database runs and that inbond may use it",
            ),
        )
        return LedgerError(message, where=self.where, help=advice, code=STORAGE)


def _orig(error: Exception) -> BaseException:
    """The driver's own error, also where SQLAlchemy wrapped it."""
    return error.orig or error if isinstance(error, DBAPIError) else error


def open_database(
    url: str, *, directory: Path, busy_timeout_s: float = 5.0, migrate: bool = False
) -> Database:
    """The database at an SQLAlchemy URL, made first if there is none.

    A relative SQLite path counts from `directory`, where the lock file lies too. With `migrate` a
    database of an older version is brought up to date; without, it is refused.

    Raises:
        LedgerBusy: another program holds the database.
        LedgerError: it cannot be opened, made or read, or is of another version.
    """
    target = _parse(url, directory)
    where = target.database or "" if target.get_backend_name() == "sqlite" else _shown(target)
    if target.get_backend_name() == "sqlite":
        _make_private(Path(where))
    engine = make_engine(target, busy_timeout_s)
    database = Database(engine, where=where, busy_timeout_s=busy_timeout_s)
    lock = FileLock(directory / "ledger.lock")
    try:
        if target.get_backend_name() == "sqlite" and not _is_write_ahead(Path(where)):
            _turn_write_ahead(database, lock)
        _bring_up(database, lock, migrate=migrate)
    except BaseException:
        database.close()
        raise
    return database


def _parse(url: str, directory: Path) -> URL:
    try:
        target = make_url(url)
        target.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise LedgerError(
            "the setting `database` is not the address of a database inbond can use",
            help="write `sqlite:///inbond.db`, or install the driver that the address names",
        ) from error
    if target.get_backend_name() != "sqlite":
        return target
    if not target.database or target.database == ":memory:":
        raise LedgerError(
            "a ledger in memory would not survive its process",
            help="name a file in the setting `database`: `sqlite:///inbond.db`",
        )
    return target.set(database=str(directory / target.database))


def _shown(target: URL) -> str:
    return target.render_as_string(hide_password=True)


def _make_private(path: Path) -> None:
    """Make an empty file for the owner alone: SQLite gives its companions the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
    except OSError as error:
        raise LedgerError(
            f"the ledger's database cannot be opened: {(error.strerror or 'unknown').lower()}",
            where=str(path),
            help="check that the file and its folder exist and are yours to read and write",
            code=STORAGE,
        ) from error


def _is_write_ahead(path: Path) -> bool:
    """Whether the file keeps a write-ahead log (SQLite file format §1.3.3: write and read version)."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:20] == b"\x02\x02"
    except OSError:
        return True  # the connection will say what is wrong


def _turn_write_ahead(database: Database, lock: FileLock) -> None:
    """Connect once, alone: SQLite waits for nobody where a file changes to a write-ahead log."""
    with lock.hold(_CREATE_TIMEOUT_S), database.read():
        pass


def make_engine(target: URL, busy_timeout_s: float) -> Engine:
    """An engine whose transactions begin as the ledger needs them; SQLite syncs every commit."""
    # Parameters are hidden because an error's text would show salts otherwise.
    if target.get_backend_name() != "sqlite":
        return create_engine(target, hide_parameters=True)
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
    def begin(connection: Connection) -> None:
        is_writer = connection.get_execution_options().get("is_writer", False)
        connection.exec_driver_sql(_BEGIN_WRITING if is_writer else "BEGIN")

    return engine


def _bring_up(database: Database, lock: FileLock, *, migrate: bool) -> None:
    found = _revision(database)
    if found == SCHEMA:
        return
    from proxy.store.migrate import is_known, upgrade  # noqa: PLC0415 - alembic is slow to import

    if found is not None and not is_known(found):
        raise LedgerError(
            f"the ledger's database is of version `{found}`, which this inbond does not know",
            where=database.where,
            help="upgrade inbond to the version that wrote it",
        )
    if found is not None and not migrate:
        raise LedgerError(
            f"the ledger's database is of version `{found}`; this inbond needs `{SCHEMA}`",
            where=database.where,
            help="make a backup, then run `inbond ledger migrate`",
        )
    with lock.hold(_CREATE_TIMEOUT_S), database.write() as connection:
        upgrade(connection)


def _revision(database: Database) -> str | None:
    """The version of the tables; None where there are no tables at all."""
    with database.read() as connection:
        tables = inspect(connection).get_table_names()
        if not tables:
            return None
        if "alembic_version" not in tables:
            raise LedgerError(
                "this database holds tables of another program",
                where=database.where,
                help="give the ledger a database of its own in the setting `database`",
            )
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
