"""What the ledger knows of batches: which calls left in which, and what is still open of them.

Ids of batches and files are the provider's own, so that a question names the route as well.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Select, delete, exists, func, insert, select

from proxy.errors import LedgerError
from proxy.ledger.entry import CallEntry, parse_entry
from proxy.ledger.seal import decrypt_body
from proxy.store.bodies import Absent, opened
from proxy.store.session import Database
from proxy.store.tables import (
    BatchWordRow,
    BodyRow,
    CallRow,
    EntryRow,
    ExchangeRow,
    LineRow,
    PieceRow,
    SaltRow,
)

__all__ = [
    "Files",
    "LineOf",
    "Sent",
    "any_ended",
    "batch_of_file",
    "creates_of",
    "files_of",
    "keep_pieces",
    "left_open",
    "lines_of",
    "pieces_in",
    "pieces_of",
    "sent_calls",
    "upload_of",
]

_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOf:
    """A call that left as a line of a batch."""

    call: str
    custom: str
    request_seal: str
    is_open: bool
    """Whether it has no exchange yet."""
    others: tuple[str, ...] = ()
    """Calls of the same id in the same batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A call that was sent, and the bytes of its sealed request."""

    call: CallEntry
    request: bytes | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files of results that answers named for a batch, and those that were read whole."""

    named: frozenset[str]
    read: frozenset[str]
    is_ended: bool
    """Whether an answer said that the batch has ended."""


def upload_of(connection: Connection, route: str, file: str) -> str | None:
    """The call that sent a file of requests; None where none of ours did."""
    query = (
        _words(route, "input", file)
        .where(BatchWordRow.batch.is_(None))
        .order_by(BatchWordRow.seq.desc())
    )
    return connection.execute(query.limit(1)).scalar()


def creates_of(connection: Connection, route: str, batch: str) -> tuple[str, ...]:
    """The calls that sent requests in a batch, oldest first."""
    has_lines = exists().where(LineRow.create_call == BatchWordRow.call)
    query = _words(route, "batch", batch).where(has_lines).order_by(BatchWordRow.seq)
    return tuple(dict.fromkeys(connection.execute(query).scalars()))


def batch_of_file(connection: Connection, route: str, file: str) -> str | None:
    """The batch whose results an answer said a file holds."""
    query = (
        select(BatchWordRow.batch)
        .join(CallRow, CallRow.id == BatchWordRow.call)
        .where(
            CallRow.route == route,
            BatchWordRow.kind == "output",
            BatchWordRow.name == file,
            BatchWordRow.batch.is_not(None),
        )
    )
    return connection.execute(query.limit(1)).scalar()


def files_of(connection: Connection, route: str, batch: str) -> Files:
    """What is known of a batch's files of results."""
    query = (
        select(BatchWordRow.kind, BatchWordRow.name, BatchWordRow.state)
        .join(CallRow, CallRow.id == BatchWordRow.call)
        .where(CallRow.route == route, BatchWordRow.batch == batch)
        .distinct()
    )
    rows = connection.execute(query).all()
    return Files(
        named=frozenset(row.name for row in rows if row.kind == "output"),
        read=frozenset(row.name for row in rows if row.kind == "read"),
        is_ended=any(row.state == "ended" for row in rows),
    )


def lines_of(
    connection: Connection, creates: Sequence[str], customs: Collection[str]
) -> dict[str, LineOf]:
    """The lines of these ids, by the keyed digest of the id; one that nobody sent is left out."""
    found: dict[str, LineOf] = {}
    wanted = sorted(customs)
    for start in range(0, len(wanted), _PAGE):
        part = wanted[start : start + _PAGE]
        query = _lines(creates).where(LineRow.custom.in_(part)).order_by(CallRow.seq)
        for row in connection.execute(query):
            # Of two adds of one id the first counts, until it has ended.
            line = LineOf(
                call=row.id,
                custom=row.custom,
                request_seal=row.request_seal,
                is_open=row.exchange is None,
            )
            first = found.get(row.custom)
            if first is None:
                found[row.custom] = line
            elif first.is_open:
                found[row.custom] = replace(first, others=(*first.others, line.call))
            else:
                found[row.custom] = replace(line, others=(*first.others, first.call))
    return found


def left_open(connection: Connection, creates: Sequence[str], *, limit: int) -> tuple[str, ...]:
    """The calls of these batches that have no exchange yet, oldest first."""
    query = _lines(creates).where(ExchangeRow.id.is_(None)).order_by(CallRow.seq).limit(limit)
    return tuple(row.id for row in connection.execute(query))


def any_ended(connection: Connection, calls: Sequence[str]) -> bool:
    """Whether one of these calls has an exchange."""
    for start in range(0, len(calls), _PAGE):
        query = select(ExchangeRow.id).where(ExchangeRow.call.in_(calls[start : start + _PAGE]))
        if connection.execute(query.limit(1)).first() is not None:
            return True
    return False


def sent_calls(connection: Connection, calls: Sequence[str]) -> dict[str, Sent]:
    """These calls with their requests opened.

    Raises:
        LedgerError: a leaf cannot be read.
        ProofError: what is stored of a request is not what was sealed.
    """
    found: dict[str, Sent] = {}
    for start in range(0, len(calls), _PAGE):
        query = (
            select(EntryRow.leaf, CallRow.request_seal, SaltRow.salt, BodyRow.blob)
            .join(CallRow, CallRow.seq == EntryRow.seq)
            .outerjoin(SaltRow, SaltRow.seal == CallRow.request_seal)
            .outerjoin(BodyRow, BodyRow.seal == CallRow.request_seal)
            .where(CallRow.id.in_(calls[start : start + _PAGE]))
        )
        for row in connection.execute(query):
            call = parse_entry(row.leaf)
            assert isinstance(call, CallEntry)  # noqa: S101 - the view is of calls
            found[call.id] = Sent(call=call, request=opened(row.request_seal, row.salt, row.blob))
    return found


def keep_pieces(
    database: Database, call: str, at: str, pieces: Iterator[tuple[bytes, bytes]], *, before: str
) -> None:
    """Keep the pieces of a file of requests, each a salt and what is encrypted under it.

    Pieces of files sent before an instant are deleted.

    Raises:
        LedgerError: the database cannot be written; a part of the pieces may be kept then.
    """
    with database.write() as connection:
        connection.execute(delete(PieceRow).where(PieceRow.at < before))
    for place, (salt, blob) in enumerate(pieces):
        # Each in a transaction of its own: nobody waits for a large file.
        with database.write() as connection:
            row = {"call": call, "place": place, "at": at, "salt": salt, "blob": blob}
            connection.execute(insert(PieceRow), row)


def pieces_of(database: Database, call: str) -> Iterator[bytes]:
    """The bytes of a file of requests, piece by piece.

    Raises:
        LedgerError: the database cannot be read, or pieces were deleted meanwhile.
        ProofError: a piece is not what was encrypted.
    """
    place = 0
    with database.read() as connection:
        counted = select(func.count()).where(PieceRow.call == call)
        count = connection.execute(counted).scalar_one()
    while True:
        query = select(PieceRow.salt, PieceRow.blob).where(
            PieceRow.call == call, PieceRow.place == place
        )
        with database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None and place < count:
            raise LedgerError(
                "a file of requests was deleted while it was read",
                help="upload it again, and make the batch of that file",
            )
        if row is None:
            return
        yield decrypt_body(row.salt, row.blob)
        place += 1


def pieces_in(connection: Connection, call: str) -> Iterator[bytes]:
    """What is kept of the upload of a call now, piece by piece, as one state of the ledger has it.

    Raises:
        ProofError: a piece is not what was encrypted.
    """
    query = select(PieceRow.place).where(PieceRow.call == call).order_by(PieceRow.place)
    for place in connection.execute(query).scalars().all():
        found = select(PieceRow.salt, PieceRow.blob).where(
            PieceRow.call == call, PieceRow.place == place
        )
        row = connection.execute(found).one()
        yield decrypt_body(row.salt, row.blob)


def _words(route: str, kind: str, name: str) -> Select[str]:
    return (
        select(BatchWordRow.call)
        .join(CallRow, CallRow.id == BatchWordRow.call)
        .where(CallRow.route == route, BatchWordRow.kind == kind, BatchWordRow.name == name)
    )


def _lines(creates: Sequence[str]) -> Select[str, str, str, str | None]:
    return (
        select(CallRow.id, LineRow.custom, CallRow.request_seal, ExchangeRow.id.label("exchange"))
        .join(CallRow, CallRow.id == LineRow.call)
        .outerjoin(ExchangeRow, ExchangeRow.call == LineRow.call)
        .where(LineRow.create_call.in_(creates))
    )
