"""What the ledger knows of erasures, holds and withdrawn datasets: reads, one function a question."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, func, or_, select

from proxy.ledger.entry import (
    CallEntry,
    DatasetEntry,
    EraseEntry,
    ExchangeEntry,
    ExportEntry,
    HoldEntry,
    StatusEntry,
)
from proxy.store.queries import documents, entries, entries_at, entry_by_id
from proxy.store.records import RecordedExchange, StoredEntry
from proxy.store.tables import (
    BatchWordRow,
    CallRow,
    ErasedRow,
    ExchangeRow,
    HoldRow,
    LineRow,
    SaltRow,
    StatusRow,
)

__all__ = [
    "Asked",
    "asked_for",
    "batch_carriers",
    "disclosed_seals",
    "disclosures",
    "erased_exchanges",
    "erasures",
    "exchanges_of_seals",
    "held_salts",
    "holds",
    "last_status",
    "recorded",
]

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which exchanges are meant: those of which all that is given holds."""

    exchanges: Collection[str] | None = None
    """Their ids, or those of their calls."""
    key: str | None = None
    project: str | None = None
    routes: Collection[str] | None = None
    before: str | None = None
    """A ledger stamp: calls made earlier."""


def asked_for(connection: Connection, asked: Asked) -> Iterator[RecordedExchange]:
    """The calls that are meant, in log order, with their exchanges; read page by page."""
    if asked.exchanges is not None:
        for start in range(0, len(asked.exchanges), _PAGE):
            part = sorted(asked.exchanges)[start : start + _PAGE]
            is_named = or_(CallRow.id.in_(part), ExchangeRow.id.in_(part))
            yield from _recorded(connection, _wanted(asked).where(is_named))
        return
    after = -1
    while True:
        query = _wanted(asked).where(CallRow.seq > after).limit(_PAGE)
        page = _recorded(connection, query)
        if not page:
            return
        yield from page
        after = page[-1].call.seq


def recorded(connection: Connection, exchanges: Collection[str]) -> tuple[RecordedExchange, ...]:
    """These exchanges with their calls; one that is not on record is left out."""
    return tuple(asked_for(connection, Asked(exchanges=exchanges)))


def batch_carriers(connection: Connection, calls: Collection[str]) -> dict[str, tuple[str, ...]]:
    """For each of these calls that left in a batch, the calls whose bodies hold its line as well.

    They are the call that made the batch, and the upload of the file that it was made of.
    """
    found: dict[str, tuple[str, ...]] = {}
    for page in _pages(sorted(calls)):
        query = select(LineRow.call, LineRow.create_call).where(LineRow.call.in_(page))
        for row in connection.execute(query):
            found[row.call] = (row.create_call, *_uploads(connection, row.create_call))
    return found


def _uploads(connection: Connection, create: str) -> tuple[str, ...]:
    """The uploads of the files that answers to a call said its batch was made of."""
    inputs = select(BatchWordRow.name).where(
        BatchWordRow.call == create, BatchWordRow.kind == "input"
    )
    route = select(CallRow.route).where(CallRow.id == create).scalar_subquery()
    query = (
        select(BatchWordRow.call)
        .join(CallRow, CallRow.id == BatchWordRow.call)
        .where(
            CallRow.route == route,
            BatchWordRow.kind == "input",
            BatchWordRow.batch.is_(None),
            BatchWordRow.name.in_(inputs),
            BatchWordRow.call != create,
        )
        .distinct()
    )
    return tuple(connection.execute(query).scalars())


def erasures(connection: Connection) -> Iterator[StoredEntry[EraseEntry]]:
    """All that was erased, oldest first."""
    after = -1
    while page := entries(connection, after=after, kind="erase"):
        for item in page:
            if isinstance(item.entry, EraseEntry):
                yield StoredEntry(item.seq, item.leaf, item.entry)
        after = page[-1].seq


def erased_exchanges(connection: Connection) -> dict[str, int]:
    """Every erased exchange, by id: the place of the first entry that says so."""
    query = select(ErasedRow.exchange, func.min(ErasedRow.seq)).group_by(ErasedRow.exchange)
    return {row[0]: row[1] for row in connection.execute(query)}


def held_salts(connection: Connection, seals: Collection[str]) -> frozenset[str]:
    """Which of these seals can still be opened, as far as their salts go."""
    found: set[str] = set()
    for page in _pages(sorted(seals)):
        found |= set(
            connection.execute(select(SaltRow.seal).where(SaltRow.seal.in_(page))).scalars()
        )
    return frozenset(found)


def holds(connection: Connection) -> tuple[StoredEntry[HoldEntry], ...]:
    """The holds in force, by the entries that placed them, oldest first."""
    query = select(HoldRow.hold).where(HoldRow.is_lifted.is_(False)).order_by(HoldRow.seq)
    found: list[StoredEntry[HoldEntry]] = []
    for name in connection.execute(query).scalars():
        item = entry_by_id(connection, name)
        if item is not None and isinstance(item.entry, HoldEntry):
            found.append(StoredEntry(item.seq, item.leaf, item.entry))
    return tuple(found)


def last_status(
    connection: Connection, dataset: str, *, state: str | None = None
) -> StoredEntry[StatusEntry] | None:
    """The last word on a dataset, or the last that says `state`."""
    query = select(func.max(StatusRow.seq)).where(StatusRow.dataset == dataset)
    if state is not None:
        query = query.where(StatusRow.state == state)
    seq = connection.execute(query).scalar()
    for item in entries_at(connection, [] if seq is None else [seq]):
        if isinstance(item.entry, StatusEntry):
            return StoredEntry(item.seq, item.leaf, item.entry)
    return None


def disclosures(connection: Connection) -> Iterator[StoredEntry[DatasetEntry | ExportEntry]]:
    """Every dataset and every audit, oldest first within each kind."""
    for kind in ("dataset", "export"):
        after = -1
        while page := entries(connection, after=after, kind=kind):
            for item in page:
                if isinstance(item.entry, DatasetEntry | ExportEntry):
                    yield StoredEntry(item.seq, item.leaf, item.entry)
            after = page[-1].seq


def disclosed_seals(
    connection: Connection, entry: DatasetEntry | ExportEntry
) -> frozenset[str] | None:
    """The seals that a dataset or an audit opened; None where the list was not kept."""
    found = documents(connection, [entry.openings]).get(entry.openings)
    return None if found is None else frozenset(map(str, json.loads(found.content)))


def exchanges_of_seals(connection: Connection, seals: Collection[str]) -> Mapping[str, str]:
    """The exchanges whose answers these seals are of, by seal."""
    found: dict[str, str] = {}
    for page in _pages(sorted(seals)):
        query = select(ExchangeRow.answer_seal, ExchangeRow.id).where(
            ExchangeRow.answer_seal.in_(page)
        )
        found |= {str(row[0]): row[1] for row in connection.execute(query)}
    return found


def _wanted(asked: Asked) -> Select[int, int | None]:
    query = (
        select(CallRow.seq.label("call"), ExchangeRow.seq.label("end"))
        .outerjoin(ExchangeRow, ExchangeRow.call == CallRow.id)
        .order_by(CallRow.seq)
    )
    if asked.key is not None:
        query = query.where(CallRow.key == asked.key)
    if asked.project is not None:
        query = query.where(CallRow.project == asked.project)
    if asked.routes is not None:
        query = query.where(CallRow.route.in_(asked.routes))
    if asked.before is not None:
        query = query.where(CallRow.at < asked.before)
    return query


def _recorded(
    connection: Connection, query: Select[int, int | None]
) -> tuple[RecordedExchange, ...]:
    rows = connection.execute(query).all()
    seqs = [seq for row in rows for seq in row if seq is not None]
    stored = {item.seq: item for item in entries_at(connection, seqs)}
    found: list[RecordedExchange] = []
    for row in rows:
        call = stored[row.call]
        end = None if row.end is None else stored[row.end]
        assert isinstance(call.entry, CallEntry)  # noqa: S101 - the view is of calls
        ended = None
        if end is not None:
            assert isinstance(end.entry, ExchangeEntry)  # noqa: S101 - the view is of exchanges
            ended = StoredEntry(end.seq, end.leaf, end.entry)
        found.append(RecordedExchange(StoredEntry(call.seq, call.leaf, call.entry), ended))
    return tuple(found)


def _pages[T](values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[at : at + _PAGE] for at in range(0, len(values), _PAGE))
