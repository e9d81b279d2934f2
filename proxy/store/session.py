"""The ledger's database: opened, checked, and read or written in transactions of one kind each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import PoolProxiedConnection

from proxy.errors import LedgerBusy, LedgerError
from proxy.store.faults import STORAGE
from proxy.store.fixed import Driver
from proxy.store.lock import FileLock
from proxy.store.postgres import (
    begin,
    check_server,
    fault_of,
    lock_for,
    make_postgres_engine,
    words_of,
)
from proxy.store.sqlite import (
    BEGIN_IMMEDIATE,
    is_write_ahead,
    make_private,
    make_sqlite_engine,
    sqlite_fault_of,
)
from proxy.store.tables import SCHEMA

__all__ = [
    "STORAGE",
    "Database",
    "FateUnknownError",
    "Reading",
    "RuleBrokenError",
    "make_engine",
    "open_database",
]

type Reading = Connection
"""One state of the ledger, to put questions to (`proxy.store.queries`)."""

_CREATE_TIMEOUT_S = 60.0

_LOCK_HEAD = "SELECT id FROM log WHERE id = 1 FOR UPDATE"
"""What every writer waits for where the database has no lock of its own (PostgreSQL)."""


class RuleBrokenError(LedgerError):
    """The database's own rules forbid what was to be written; nothing was."""


class FateUnknownError(LedgerError):
    """The server was lost while it committed: what was written is there, or it is not."""

    code = STORAGE


class Database:
    """The database of one ledger. Safe to share between threads, not across a fork."""

    def __init__(self, engine: Engine, *, where: str, busy_timeout_s: float) -> None:
        self.engine = engine
        self.where = where
        self.busy_timeout_s = busy_timeout_s
        self._writer = engine.execution_options(is_writer=True)
        self.is_sqlite = engine.dialect.name == "sqlite"
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
            if not self.is_sqlite:  # which locks the whole database as it begins
                connection.exec_driver_sql(_LOCK_HEAD)
            yield connection

    @contextmanager
    def aside(self, alone: Literal["migration", "recovery"] | None = None) -> Iterator[Connection]:
        """A connection to write with beside the log: on PostgreSQL, others append meanwhile.

        With a purpose, nobody on any host does the same meanwhile; on SQLite, nobody writes at all.

        Raises:
            LedgerBusy: somebody else does it.
            LedgerError: the database cannot be written; nothing was.
        """
        with self._translated(), self._writer.begin() as connection:
            if alone is not None and not self.is_sqlite:
                lock_for(connection, alone)
            yield connection

    @contextmanager
    def drive(self) -> Iterator[Driver]:
        """A transaction on the driver's own cursor: for statements that are run all the time.

        On PostgreSQL it holds nothing at first: what appends locks the head of the log.

        Raises:
            FateUnknownError: the server was lost while it committed.
            LedgerBusy: another program holds the database.
            LedgerError: the database cannot be written; nothing was.
        """
        with self._translated():
            pooled = self.engine.raw_connection()
            try:
                cursor = pooled.cursor()
                if self.is_sqlite:
                    cursor.execute(BEGIN_IMMEDIATE)
                else:
                    begin(cursor, is_writer=True)
                yield Driver(self.engine.dialect, cursor)
                self._commit(pooled)
            finally:
                if getattr(pooled.driver_connection, "closed", False):
                    pooled.invalidate()  # there is nothing left to undo it on
                pooled.close()  # which undoes what was not committed

    def _commit(self, pooled: PoolProxiedConnection) -> None:
        try:
            pooled.commit()
        except self._dbapi.Error as error:
            if not getattr(pooled.driver_connection, "closed", False):
                raise
            fault = fault_of(error)
            raise FateUnknownError(fault.message, where=self.where, help=fault.help) from None

    @contextmanager
    def bare(self) -> Iterator[Driver]:
        """The driver's own cursor outside of any transaction: for what a database does to its files.

        Raises:
            LedgerBusy: another program holds the database.
            LedgerError: the database cannot be written.
        """
        with self._translated():
            pooled = self.engine.raw_connection()
            try:
                # Of both databases, connections begin no transaction by themselves.
                yield Driver(self.engine.dialect, pooled.cursor())
            finally:
                pooled.close()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, self._dbapi.IntegrityError) as error:
            raise RuleBrokenError(
                f"the ledger's own rules forbid this: {words_of(_orig(error))}",
                where=self.where,
                help="run `inbond ledger verify`, and report this if it finds nothing",
            ) from (error if self.is_sqlite else None)
        except PoolTimeoutError as error:
            raise LedgerBusy(
                "every connection to the ledger's database is in use",
                where=self.where,
                help="try again",
            ) from error
        except (DBAPIError, self._dbapi.Error) as error:
            if self.is_sqlite:
                fault = sqlite_fault_of(_orig(error), self.busy_timeout_s)
                raise fault.as_error(self.where) from error
            # Not chained: PostgreSQL's words quote the row.
            raise fault_of(_orig(error)).as_error(self.where) from None


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
        make_private(Path(where))
    engine = make_engine(target, busy_timeout_s)
    database = Database(engine, where=where, busy_timeout_s=busy_timeout_s)
    lock = FileLock(directory / "ledger.lock")
    try:
        if target.get_backend_name() == "sqlite" and not is_write_ahead(Path(where)):
            _turn_write_ahead(database, lock)
        _bring_up(database, lock, migrate=migrate)
    except BaseException:
        database.close()
        raise
    return database


def _parse(url: str, directory: Path) -> URL:
    try:
        target = make_url(url)
        kind = target.get_backend_name()
        target.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        raise _no_address() from error
    if kind == "postgresql":
        return _with_driver(target)
    if kind != "sqlite":
        raise _no_address()
    if not target.database or target.database == ":memory:":
        raise LedgerError(
            "a ledger in memory would not survive its process",
            help="name a file in the setting `database`: `sqlite:///inbond.db`",
        )
    return target.set(database=str(directory / target.database))


def _no_address() -> LedgerError:
    return LedgerError(
        "the setting `database` is not the address of a database inbond can use",
        help="write `sqlite:///inbond.db` or `postgresql+psycopg://USER@HOST/NAME`",
    )


def _with_driver(target: URL) -> URL:
    """The address, with the one driver that inbond uses."""
    target = target.set(drivername="postgresql+psycopg")
    try:
        target.get_dialect().import_dbapi()
    except ImportError as error:
        raise LedgerError(
            "the driver for PostgreSQL is not installed",
            help="install inbond with the extra `postgres`: `pip install inbond[postgres]`",
        ) from error
    return target


def _shown(target: URL) -> str:
    # The query may hold a password too.
    return target.set(query={}).render_as_string(hide_password=True)


def _turn_write_ahead(database: Database, lock: FileLock) -> None:
    """Connect once, alone: SQLite waits for nobody where a file changes to a write-ahead log."""
    with lock.hold(_CREATE_TIMEOUT_S), database.read():
        pass


def make_engine(target: URL, busy_timeout_s: float) -> Engine:
    """An engine whose transactions begin as the ledger needs them; every commit is durable."""
    is_sqlite = target.get_backend_name() == "sqlite"
    return (make_sqlite_engine if is_sqlite else make_postgres_engine)(target, busy_timeout_s)


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
    with lock.hold(_CREATE_TIMEOUT_S), database.aside("migration") as connection:
        upgrade(connection)


def _revision(database: Database) -> str | None:
    """The version of the tables; None where there are no tables at all."""
    with database.read() as connection:
        if not database.is_sqlite:
            check_server(connection, database.where)
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
