"""Copying a ledger into another database: every leaf, checkpoint, body and tally, or nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, insert, select, update

from proxy.errors import LedgerError
from proxy.ledger.merkle import Frontier, leaf_hash
from proxy.store.log import Log
from proxy.store.queries import head
from proxy.store.session import Database
from proxy.store.tables import CheckpointRow, EntryRow, LeaseRow, LogRow, Row

__all__ = ["Copied", "copy_ledger"]

_PAGE = 500
_CLOSED = 2
"""The `id` of the head of a log that goes on elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied."""

    entries: int
    root: bytes
    """Computed again from the leaves of the copy."""
    rows: int
    """Of all tables together."""


def copy_ledger(
    log: Log, target: Database, *, on_progress: Callable[[int], None] | None = None
) -> Copied:
    """Copy a ledger that was checked against its last checkpoint into an empty database.

    Nobody appends meanwhile. The copy is one transaction of the target; once it is durable the old
    ledger takes no entry any more. `on_progress` is told how many rows were copied.

    Raises:
        LedgerBusy: somebody holds either database.
        LedgerError: the target is not empty, or either cannot be read or written; the target then
            holds nothing, and the old ledger goes on.
    """
    with log.exclusive(), log.database.write() as source:
        _refuse_closed(source, log.database.where)
        with target.write() as copy:
            _refuse_filled(copy, target.where)
            rows = _copy_rows(source, copy, on_progress)
            frontier = head(source)
            values = {"size": frontier.size, "frontier": frontier.to_bytes()}
            copy.execute(update(LogRow).values(values))
            found = _frontier_of(copy)
            if found != frontier:
                raise LedgerError(
                    f"the copy's {found.size} leaves do not add up to the head of the log",
                    where=target.where,
                    help="run `inbond ledger verify` on the old ledger first",
                )
        source.execute(update(LogRow).values(id=_CLOSED))
    return Copied(entries=found.size, root=found.root(), rows=rows)


def _refuse_closed(source: Connection, where: str) -> None:
    if source.execute(select(LogRow.id)).scalar_one() == _CLOSED:
        raise LedgerError(
            "this ledger was copied to another database already, and goes on there",
            where=where,
            help="name the other database in the setting `database`",
        )


def _refuse_filled(copy: Connection, where: str) -> None:
    size = copy.execute(select(LogRow.size)).scalar_one()
    notes = copy.execute(select(func.count()).select_from(CheckpointRow)).scalar_one()
    if size or notes:
        raise LedgerError(
            f"the database to copy to holds a ledger of {size} entries",
            where=where,
            help="name an empty one: nothing is copied over a ledger",
        )


def _copy_rows(
    source: Connection, copy: Connection, on_progress: Callable[[int], None] | None
) -> int:
    copied = 0
    for table in _tables():
        # In the order of the key, so that the indexes of the copy are filled from end to end.
        query = select(table).order_by(*table.primary_key.columns)
        for page in source.execute(query).yield_per(_PAGE).mappings().partitions():
            copy.execute(insert(table), [dict(row) for row in page])
            copied += len(page)
            if on_progress:
                on_progress(copied)
    return copied


def _tables() -> list[Table]:
    """Every table but the head, which is there, and what workers say of themselves."""
    left = {LogRow.__tablename__, LeaseRow.__tablename__}
    return [table for table in Row.metadata.sorted_tables if table.name not in left]


def _frontier_of(copy: Connection) -> Frontier:
    """The frontier of the leaves that the copy holds, in its order."""
    frontier, after = Frontier(), -1
    query = select(EntryRow.seq, EntryRow.leaf).order_by(EntryRow.seq).limit(_PAGE)
    while rows := copy.execute(query.where(EntryRow.seq > after)).all():
        frontier = frontier.grow([leaf_hash(row.leaf) for row in rows]).frontier
        after = rows[-1].seq
    return frontier
