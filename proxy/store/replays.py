"""Exchanges as they are replayed: both leaves and what people said since, page by page.

Leaves are handed out as they are stored: whoever replays a million of them reads no more than it needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import aliased

from proxy.store.session import Reading
from proxy.store.tables import CallRow, DecisionRow, EntryRow, ExchangeRow, JudgementRow

__all__ = ["Ended", "ended", "ended_after"]

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Ended:
    """An exchange that ended, however it did. Leaves are exact bytes."""

    seq: int
    exchange: str
    at: str
    """When the call was made."""
    is_complete: bool
    """Whether the answer was read to its end and can be judged."""
    call: bytes
    end: bytes
    said: tuple[bytes, ...]
    """The decisions and judgements of people, oldest first."""


def ended_after(
    connection: Reading, *, since: str = "", after: int = -1, limit: int = _PAGE
) -> tuple[Ended, ...]:
    """The next exchanges in log order whose call was made at a stamp or later."""
    call, end = aliased(EntryRow), aliased(EntryRow)
    query = (
        select(
            ExchangeRow.seq,
            ExchangeRow.id,
            CallRow.at,
            ExchangeRow.outcome,
            ExchangeRow.is_whole,
            call.leaf.label("call"),
            end.leaf.label("end"),
        )
        .join(CallRow, CallRow.id == ExchangeRow.call)
        .join(call, call.seq == CallRow.seq)
        .join(end, end.seq == ExchangeRow.seq)
        .where(ExchangeRow.seq > after, CallRow.at >= since)
        .order_by(ExchangeRow.seq)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    said = _said(connection, rows[0].seq, rows[-1].seq) if rows else {}
    return tuple(
        Ended(
            seq=row.seq,
            exchange=row.id,
            at=row.at,
            is_complete=row.outcome == "complete" and row.is_whole,
            call=row.call,
            end=row.end,
            said=tuple(said.get(row.seq, ())),
        )
        for row in rows
    )


def ended(connection: Reading, *, since: str = "", after: int = -1) -> Iterator[Ended]:
    """All exchanges behind a place whose call was made at a stamp or later, in log order, by pages."""
    while page := ended_after(connection, since=since, after=after):
        yield from page
        after = page[-1].seq


def _said(connection: Reading, first: int, last: int) -> dict[int, list[bytes]]:
    """What people said about the exchanges of a stretch of the log, by the exchange's place."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for view in (DecisionRow, JudgementRow):
        query = (
            select(ExchangeRow.seq.label("exchange"), EntryRow.seq, EntryRow.leaf)
            .join(view, view.exchange == ExchangeRow.id)
            .join(EntryRow, EntryRow.seq == view.seq)
            .where(ExchangeRow.seq >= first, ExchangeRow.seq <= last)
        )
        for row in connection.execute(query):
            found.setdefault(row.exchange, []).append((row.seq, row.leaf))
    return {exchange: [leaf for _, leaf in sorted(pairs)] for exchange, pairs in found.items()}
