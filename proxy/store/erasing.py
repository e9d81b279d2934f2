"""Erase bodies: their salts go, then what is encrypted under them, then what files keep of both.

A salt is 32 bytes that stand in one table; without it nothing opens the body again, wherever a copy
of the body lies. Databases do not overwrite what is deleted by themselves: SQLite does with
`secure_delete` and an emptied write-ahead log, PostgreSQL where the small table is written anew.
"""

import time
from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, delete

from proxy.errors import LedgerBusy
from proxy.store.recalls import erasures, held_salts
from proxy.store.session import Database
from proxy.store.tables import BodyRow, PieceRow, SaltRow

__all__ = ["erase_bodies", "purge", "unfinished"]

_PAGE = 500
_WAIT_S = 0.05


def unfinished(connection: Connection) -> frozenset[str]:
    """The seals that entries say are erased and whose salts are here: a crash, or a restored backup."""
    found: set[str] = set()
    for item in erasures(connection):
        found |= held_salts(connection, item.entry.seals)
    return frozenset(found)


def erase_bodies(database: Database, seals: Collection[str], uploads: Collection[str]) -> int:
    """Delete what opens these seals, and the kept pieces of uploads; gives how many salts went.

    All of it or nothing. `purge` must follow.

    Raises:
        LedgerError: the database cannot be written.
    """
    gone = 0
    with database.write() as connection:
        for page in _pages(sorted(set(seals))):
            gone += connection.execute(delete(SaltRow).where(SaltRow.seal.in_(page))).rowcount
            connection.execute(delete(BodyRow).where(BodyRow.seal.in_(page)))
        for page in _pages(sorted(set(uploads))):
            connection.execute(delete(PieceRow).where(PieceRow.call.in_(page)))
    return gone


def purge(database: Database, *, timeout_s: float = 30.0) -> None:
    """Have no file of the database keep what was deleted.

    Raises:
        LedgerBusy: somebody reads an older state all the time: the files still hold it.
        LedgerError: the database cannot be written.
    """
    if database.engine.dialect.name == "sqlite":
        _empty_write_ahead_log(database, timeout_s)
    else:
        _rewrite(database, ("salt", "body", "batch_piece"))


def _empty_write_ahead_log(database: Database, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not _is_emptied(database):
        if time.monotonic() >= deadline:
            raise LedgerBusy(
                f"the write-ahead log could not be emptied for {timeout_s:g} s: somebody reads it",
                where=database.where,
                help="what opens the bodies is deleted, and a file still holds it: "
                "run `inbond erase --finish`",
                code="not-purged",
            )
        time.sleep(_WAIT_S)


def _is_emptied(database: Database) -> bool:
    """Copy the write-ahead log into the file and cut it to nothing, unless somebody needs it."""
    with database.bare() as driver:
        answer = driver.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)", ())
        ((is_busy, _, _),) = answer.fetchall()
    return not is_busy


def _rewrite(database: Database, tables: Sequence[str]) -> None:
    with database.bare() as driver:
        for table in tables:
            driver.exec_driver_sql(f"VACUUM (FULL) {table}", ())


def _pages[T](values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[at : at + _PAGE] for at in range(0, len(values), _PAGE))
