"""What the exchanges on record were put to: the contracts and models seen, and the leaves admitted.

Leaves are handed out as they are stored: whoever looks through a million of them parses few.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from proxy.store.session import Reading
from proxy.store.tables import CallRow, EntryRow, ExchangeRow

__all__ = ["Sighting", "admitted_leaves", "sightings"]

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """A contract and a model that answered under it. Leaves are exact bytes, of the last exchange."""

    exchanges: int
    """How many answers were read to their end."""
    seq: int
    call: bytes
    end: bytes


def sightings(connection: Reading) -> tuple[Sighting, ...]:
    """Each contract and model that answered, in the order of their last answers."""
    seen = (
        select(func.count().label("exchanges"), func.max(ExchangeRow.seq).label("seq"))
        .join(CallRow, CallRow.id == ExchangeRow.call)
        .where(ExchangeRow.outcome == "complete", ExchangeRow.is_whole)
        .group_by(CallRow.route, ExchangeRow.model_id)
        .subquery()
    )
    call, end = aliased(EntryRow), aliased(EntryRow)
    query = (
        select(seen.c.exchanges, seen.c.seq, call.leaf.label("call"), end.leaf.label("end"))
        .join(ExchangeRow, ExchangeRow.seq == seen.c.seq)
        .join(CallRow, CallRow.id == ExchangeRow.call)
        .join(call, call.seq == CallRow.seq)
        .join(end, end.seq == ExchangeRow.seq)
        .order_by(seen.c.seq)
    )
    return tuple(Sighting(*row) for row in connection.execute(query))


def admitted_leaves(connection: Reading, *, page: int = _PAGE) -> Iterator[bytes]:
    """The leaves of the exchanges that the response gate admitted, so many read at a time."""
    after = -1
    query = (
        select(EntryRow.seq, EntryRow.leaf)
        .join(ExchangeRow, ExchangeRow.seq == EntryRow.seq)
        .where(ExchangeRow.verdict == "permit")
        .order_by(EntryRow.seq)
        .limit(page)
    )
    while rows := connection.execute(query.where(EntryRow.seq > after)).all():
        yield from (row.leaf for row in rows)
        after = rows[-1].seq
