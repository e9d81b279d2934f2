"""Every read of the ledger: one function per question, answered with frozen values.

A connection comes from `Database.read`: all questions put to one connection see one state. Long
lists are paged by `after`, the `seq` of the last row seen, and `limit`.
"""

from collections.abc import Collection, Iterator, Sequence

from pydantic import ValidationError
from sqlalchemy import (
    Connection,
    Row,
    Select,
    Subquery,
    exists,
    func,
    literal,
    or_,
    select,
    union_all,
)

from proxy.errors import LedgerError
from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.entry import (
    CallEntry,
    DatasetEntry,
    DecisionEntry,
    Entry,
    ExchangeEntry,
    ImportEntry,
    JudgementEntry,
    PolicyEntry,
    RunEntry,
    SourceEntry,
    parse_entry,
)
from proxy.ledger.merkle import Frontier, NodeReader
from proxy.store.records import (
    Approval,
    Approvals,
    Candidate,
    ClearedRequest,
    ClientKey,
    Counts,
    OpenCall,
    RecordedExchange,
    ReviewItem,
    StoredDocument,
    StoredEntry,
    StoredNote,
)
from proxy.store.tables import (
    ApprovalRow,
    BatchWordRow,
    CallRow,
    CheckpointRow,
    DatasetRow,
    DecisionRow,
    DocumentRow,
    EntryRow,
    ExchangeRow,
    JudgementRow,
    KeyRow,
    LineRow,
    LogRow,
    RunRow,
    SubtreeRow,
)

__all__ = [
    "approval_list",
    "approvals",
    "candidates",
    "candidates_after",
    "checkpoint_at",
    "checkpoints",
    "cleared_requests",
    "client_key",
    "client_keys",
    "counts",
    "datasets",
    "decisions_of",
    "documents",
    "entries",
    "entries_at",
    "entry_by_id",
    "exchange_with_call",
    "head",
    "held_documents",
    "imports",
    "judgements_of",
    "last_checkpoint",
    "latest_calls",
    "latest_policy",
    "leaves",
    "node_reader",
    "open_calls",
    "review_item",
    "review_items",
    "runs",
    "sources",
    "unlisted_calls",
]

_PAGE = 500


def head(connection: Connection) -> Frontier:
    """The frontier of the log after its last entry.

    Raises:
        ProofError: the log's row is damaged.
    """
    return Frontier.from_bytes(connection.execute(select(LogRow.frontier)).scalar_one())


def node_reader(connection: Connection) -> NodeReader:
    """A reader of the log's hashes by tile level, for roots, proofs and tiles.

    It raises `LedgerError` where the log does not hold what is asked for.
    """

    def read(level: int, start: int, count: int) -> list[bytes]:
        if level:
            query = select(SubtreeRow.hash).where(SubtreeRow.level == level)
            place = SubtreeRow.idx
        else:
            query, place = select(EntryRow.hash), EntryRow.seq
        query = query.where(place >= start, place < start + count).order_by(place)
        hashes = list(connection.execute(query).scalars())
        if len(hashes) != count:
            raise LedgerError(
                f"the log lacks hashes {start} to {start + count - 1} of level {level}",
                help="run `inbond ledger verify`",
            )
        return hashes

    return read


def entry_by_id(connection: Connection, id_: str) -> StoredEntry[Entry] | None:
    """The entry of this id."""
    row = connection.execute(
        select(EntryRow.seq, EntryRow.leaf).where(EntryRow.id == id_)
    ).one_or_none()
    return None if row is None else _stored(row.seq, row.leaf)


def entries(
    connection: Connection, *, after: int = -1, limit: int = _PAGE, kind: str | None = None
) -> tuple[StoredEntry[Entry], ...]:
    """Entries in log order, of one kind or of all."""
    query = select(EntryRow.seq, EntryRow.leaf).where(EntryRow.seq > after)
    if kind is not None:
        query = query.where(EntryRow.kind == kind)
    rows = connection.execute(query.order_by(EntryRow.seq).limit(limit))
    return tuple(_stored(row.seq, row.leaf) for row in rows)


def leaves(
    connection: Connection, *, after: int = -1, limit: int = _PAGE
) -> tuple[LedgerEntry, ...]:
    """Leaves in log order, their bytes as they stand: for who reads all of them."""
    query = select(EntryRow.seq, EntryRow.leaf).where(EntryRow.seq > after)
    rows = connection.execute(query.order_by(EntryRow.seq).limit(limit))
    return tuple(LedgerEntry(*row) for row in rows)


def entries_at(connection: Connection, seqs: Collection[int]) -> tuple[StoredEntry[Entry], ...]:
    """The entries at these places, ascending; a place without one is left out."""
    wanted = sorted(set(seqs))
    found: list[StoredEntry[Entry]] = []
    for page in _pages(wanted):
        query = select(EntryRow.seq, EntryRow.leaf).where(EntryRow.seq.in_(page))
        rows = connection.execute(query.order_by(EntryRow.seq))
        found += [_stored(row.seq, row.leaf) for row in rows]
    return tuple(found)


def exchange_with_call(connection: Connection, id_: str) -> RecordedExchange | None:
    """The call and the exchange of an id, which may be that of either."""
    query = (
        select(CallRow.seq, ExchangeRow.seq.label("end"))
        .outerjoin(ExchangeRow, ExchangeRow.call == CallRow.id)
        .where(or_(CallRow.id == id_, ExchangeRow.id == id_))
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    end = None if row.end is None else _at(connection, row.end, ExchangeEntry)
    return RecordedExchange(_at(connection, row.seq, CallEntry), end)


def review_items(
    connection: Connection, *, after: int = -1, limit: int = _PAGE
) -> tuple[ReviewItem, ...]:
    """What waits for a person, oldest first."""
    waiting = _waiting()
    query = select(waiting).where(waiting.c.seq > after).order_by(waiting.c.seq).limit(limit)
    return tuple(
        _review_item(connection, row.gate, row.call, row.seq) for row in connection.execute(query)
    )


def review_item(connection: Connection, exchange: str) -> ReviewItem | None:
    """The item of one exchange, if it waits for a person."""
    waiting = _waiting()
    row = connection.execute(select(waiting).where(waiting.c.id == exchange)).one_or_none()
    return None if row is None else _review_item(connection, row.gate, row.call, row.seq)


def unlisted_calls(connection: Connection, *, limit: int) -> tuple[StoredEntry[CallEntry], ...]:
    """Calls to hosts that nobody registered, the newest first."""
    found = (
        select(EntryRow.seq, EntryRow.leaf)
        .join(CallRow, CallRow.seq == EntryRow.seq)
        .where(CallRow.route == "unlisted")
        .order_by(CallRow.seq.desc())
        .limit(limit)
    )
    rows = connection.execute(found)
    return tuple(_narrow(_stored(row.seq, row.leaf), CallEntry) for row in rows)


def latest_calls(connection: Connection, *, limit: int) -> tuple[StoredEntry[CallEntry], ...]:
    """The last calls, the newest first."""
    found = (
        select(EntryRow.seq, EntryRow.leaf)
        .where(EntryRow.kind == "call")
        .order_by(EntryRow.seq.desc())
        .limit(limit)
    )
    rows = connection.execute(found)
    return tuple(_narrow(_stored(row.seq, row.leaf), CallEntry) for row in rows)


def open_calls(connection: Connection) -> tuple[OpenCall, ...]:
    """Every call without an exchange, oldest first."""
    has_batch = exists().where(
        BatchWordRow.call == LineRow.create_call, BatchWordRow.kind == "batch"
    )
    query = (
        select(
            CallRow.seq,
            CallRow.id,
            CallRow.at,
            CallRow.worker,
            LineRow.create_call,
            has_batch.label("has_batch"),
        )
        .outerjoin(LineRow, LineRow.call == CallRow.id)
        .outerjoin(ExchangeRow, ExchangeRow.call == CallRow.id)
        .where(ExchangeRow.id.is_(None))
        .order_by(CallRow.seq)
    )
    return tuple(OpenCall(*row) for row in connection.execute(query))


def client_key(connection: Connection, digest: str) -> ClientKey | None:
    """The client key of this sha256, revoked or not."""
    row = connection.execute(_client_keys().where(KeyRow.digest == digest)).one_or_none()
    return None if row is None else _client_key(row)


def client_keys(connection: Connection) -> tuple[ClientKey, ...]:
    """Every client key, oldest first."""
    return tuple(_client_key(row) for row in connection.execute(_client_keys()))


def approvals(connection: Connection) -> Approvals:
    """Which documents are approved, and which were revoked."""
    by_state: dict[str, set[str]] = {"approved": set(), "revoked": set()}
    for row in connection.execute(select(ApprovalRow.digest, ApprovalRow.state)):
        by_state.setdefault(row.state, set()).add(row.digest)
    return Approvals(frozenset(by_state["approved"]), frozenset(by_state["revoked"]))


def approval_list(connection: Connection) -> tuple[Approval, ...]:
    """Every document that needs two people, by subject and name."""
    query = select(
        ApprovalRow.digest,
        ApprovalRow.subject,
        ApprovalRow.name,
        ApprovalRow.state,
        ApprovalRow.proposed_by,
        ApprovalRow.approved_by,
        ApprovalRow.revoked_by,
    ).order_by(ApprovalRow.subject, ApprovalRow.name, ApprovalRow.digest)
    return tuple(Approval(*row) for row in connection.execute(query))


def datasets(connection: Connection) -> tuple[StoredEntry[DatasetEntry], ...]:
    """Every sealed dataset, oldest first."""
    return _of_kind(connection, select(DatasetRow.seq).order_by(DatasetRow.seq), DatasetEntry)


def runs(
    connection: Connection, *, student: str | None = None
) -> tuple[StoredEntry[RunEntry], ...]:
    """Every training run, oldest first; of one student or of all."""
    query = select(RunRow.seq).order_by(RunRow.seq)
    if student is not None:
        query = query.where(RunRow.student == student)
    return _of_kind(connection, query, RunEntry)


def sources(connection: Connection) -> tuple[StoredEntry[SourceEntry], ...]:
    """All that was said about imported data, oldest first."""
    query = select(EntryRow.seq).where(EntryRow.kind == "source").order_by(EntryRow.seq)
    return _of_kind(connection, query, SourceEntry)


def imports(connection: Connection) -> tuple[StoredEntry[ImportEntry], ...]:
    """All that was said about imports, oldest first."""
    query = select(EntryRow.seq).where(EntryRow.kind == "import").order_by(EntryRow.seq)
    return _of_kind(connection, query, ImportEntry)


def candidates_after(
    connection: Connection,
    *,
    project: str | None = None,
    student: str | None = None,
    after: int = -1,
    limit: int = _PAGE,
) -> tuple[Candidate, ...]:
    """The next exchanges a dataset may choose from, in log order.

    `student` is the one that the client's key stamps.
    """
    query = _pairs().where(
        ExchangeRow.outcome == "complete", ExchangeRow.is_whole, ExchangeRow.seq > after
    )
    if project is not None:
        query = query.where(CallRow.project == project)
    if student is not None:
        query = query.join(KeyRow, KeyRow.key == CallRow.key).where(KeyRow.student == student)
    rows = connection.execute(query.order_by(ExchangeRow.seq).limit(limit))
    pairs = [(row.call, row.exchange) for row in rows]
    stored = {item.seq: item for item in entries_at(connection, [seq for p in pairs for seq in p])}
    said = _said_between(connection, [exchange for _, exchange in pairs])
    return tuple(_candidate(stored[call], stored[end], said.get(end, ())) for call, end in pairs)


def candidates(
    connection: Connection, *, project: str | None = None, student: str | None = None
) -> Iterator[Candidate]:
    """All exchanges a dataset may choose from, in log order, read page by page."""
    after = -1
    while page := candidates_after(connection, project=project, student=student, after=after):
        yield from page
        after = page[-1].seq


def decisions_of(connection: Connection, exchange: str) -> tuple[StoredEntry[DecisionEntry], ...]:
    """What was decided later about one exchange, oldest first."""
    query = select(DecisionRow.seq).where(DecisionRow.exchange == exchange)
    return _of_kind(connection, query.order_by(DecisionRow.seq), DecisionEntry)


def judgements_of(connection: Connection, exchange: str) -> tuple[StoredEntry[JudgementEntry], ...]:
    """The facts that people supplied for one exchange, oldest first."""
    query = select(JudgementRow.seq).where(JudgementRow.exchange == exchange)
    return _of_kind(connection, query.order_by(JudgementRow.seq), JudgementEntry)


def cleared_requests(connection: Connection, project: str) -> tuple[ClearedRequest, ...]:
    """The calls of a project whose last word at the request gate is a clearance, oldest first."""
    last = (
        select(DecisionRow.exchange, func.max(DecisionRow.seq).label("seq"))
        .where(DecisionRow.gate == "request")
        .group_by(DecisionRow.exchange)
        .subquery()
    )
    query = (
        select(CallRow.seq.label("call"), ExchangeRow.id, DecisionRow.seq.label("decision"))
        .join(ExchangeRow, ExchangeRow.call == CallRow.id)
        .join(last, last.c.exchange == ExchangeRow.id)
        .join(DecisionRow, DecisionRow.seq == last.c.seq)
        .where(CallRow.project == project, DecisionRow.action == "clear")
        .order_by(CallRow.seq)
    )
    return tuple(
        ClearedRequest(
            _at(connection, row.call, CallEntry),
            row.id,
            _at(connection, row.decision, DecisionEntry),
        )
        for row in connection.execute(query)
    )


def latest_policy(connection: Connection) -> StoredEntry[PolicyEntry] | None:
    """The policy bundle that came into force last."""
    query = select(func.max(EntryRow.seq)).where(EntryRow.kind == "policy")
    seq = connection.execute(query).scalar_one()
    return None if seq is None else _at(connection, seq, PolicyEntry)


def held_documents(connection: Connection, digests: Collection[str]) -> frozenset[str]:
    """Which of these digests name a stored document."""
    query = select(DocumentRow.digest).where(DocumentRow.digest.in_(digests))
    return frozenset(connection.execute(query).scalars())


def documents(connection: Connection, digests: Collection[str]) -> dict[str, StoredDocument]:
    """The stored documents of these digests, by digest; a missing one is left out."""
    found: dict[str, StoredDocument] = {}
    for page in _pages(sorted(set(digests))):
        query = select(DocumentRow.digest, DocumentRow.kind, DocumentRow.content)
        for row in connection.execute(query.where(DocumentRow.digest.in_(page))):
            found[row.digest] = StoredDocument(*row)
    return found


def last_checkpoint(connection: Connection) -> StoredNote | None:
    """The checkpoint of the largest size."""
    query = select(CheckpointRow.size, CheckpointRow.note).order_by(CheckpointRow.size.desc())
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else StoredNote(*row)


def checkpoint_at(connection: Connection, size: int) -> StoredNote | None:
    """The checkpoint of exactly this size."""
    query = select(CheckpointRow.size, CheckpointRow.note).where(CheckpointRow.size == size)
    row = connection.execute(query).one_or_none()
    return None if row is None else StoredNote(*row)


def checkpoints(
    connection: Connection, *, after: int = -1, limit: int = _PAGE
) -> tuple[StoredNote, ...]:
    """Checkpoints by size; `after` is the size of the last one seen."""
    query = select(CheckpointRow.size, CheckpointRow.note).where(CheckpointRow.size > after)
    rows = connection.execute(query.order_by(CheckpointRow.size).limit(limit))
    return tuple(StoredNote(*row) for row in rows)


def counts(connection: Connection) -> Counts:
    """How much the ledger holds, by outcome and verdict."""
    outcomes = select(ExchangeRow.outcome, func.count()).group_by(ExchangeRow.outcome)
    verdict = func.coalesce(ExchangeRow.verdict, "")
    verdicts = (
        select(verdict, func.count()).where(ExchangeRow.verdict.is_not(None)).group_by(verdict)
    )
    waiting = select(func.count()).select_from(_waiting())
    note = last_checkpoint(connection)
    return Counts(
        entries=head(connection).size,
        calls=connection.execute(select(func.count()).select_from(CallRow)).scalar_one(),
        exchanges={row[0]: row[1] for row in connection.execute(outcomes)},
        verdicts={row[0]: row[1] for row in connection.execute(verdicts)},
        waiting=connection.execute(waiting).scalar_one(),
        checkpoint=0 if note is None else note.size,
    )


def _pairs() -> Select[int, int]:
    return select(CallRow.seq.label("call"), ExchangeRow.seq.label("exchange")).join(
        ExchangeRow, ExchangeRow.call == CallRow.id
    )


def _client_keys() -> Select[str, str | None, str | None, str | None, str, bool]:
    return (
        select(
            KeyRow.key, KeyRow.digest, KeyRow.project, KeyRow.student, KeyRow.at, KeyRow.is_revoked
        )
        .where(KeyRow.role == "client")
        .order_by(KeyRow.at, KeyRow.key)
    )


def _client_key(row: Row[str, str | None, str | None, str | None, str, bool]) -> ClientKey:
    return ClientKey(*row)


def _waiting() -> Subquery:
    """Answers held back and calls held at the request gate that nobody has settled.

    Two questions, so that each has its index, however long the log is.
    """
    pair = (
        select(ExchangeRow.id, ExchangeRow.seq, CallRow.seq.label("call"))
        .join(CallRow, CallRow.id == ExchangeRow.call)
        .where(ExchangeRow.is_settled.is_(False))
    )
    answers = pair.add_columns(literal("response").label("gate")).where(
        ExchangeRow.verdict == "review"
    )
    calls = pair.add_columns(literal("request").label("gate")).where(
        CallRow.verdict == "review", ExchangeRow.outcome == "refused"
    )
    return union_all(answers, calls).subquery()


def _review_item(connection: Connection, gate: str, call: int, exchange: int) -> ReviewItem:
    held, end = _at(connection, call, CallEntry), _at(connection, exchange, ExchangeEntry)
    return ReviewItem(gate, held, end)


def _said_between(
    connection: Connection, exchanges: Sequence[int]
) -> dict[int, list[StoredEntry[Entry]]]:
    """What people said about these exchanges, by the exchange's place."""
    if not exchanges:
        return {}
    said: dict[int, list[StoredEntry[Entry]]] = {}
    for view in (DecisionRow, JudgementRow):
        query = (
            select(ExchangeRow.seq.label("exchange"), EntryRow.seq, EntryRow.leaf)
            .join(view, view.exchange == ExchangeRow.id)
            .join(EntryRow, EntryRow.seq == view.seq)
            .where(ExchangeRow.seq.in_(exchanges))
            .order_by(EntryRow.seq)
        )
        for row in connection.execute(query):
            said.setdefault(row.exchange, []).append(_stored(row.seq, row.leaf))
    return said


def _candidate(
    call: StoredEntry[Entry], exchange: StoredEntry[Entry], said: Sequence[StoredEntry[Entry]]
) -> Candidate:
    return Candidate(
        call=_narrow(call, CallEntry),
        exchange=_narrow(exchange, ExchangeEntry),
        decisions=tuple(_narrow(x, DecisionEntry) for x in said if x.entry.kind == "decision"),
        judgements=tuple(_narrow(x, JudgementEntry) for x in said if x.entry.kind == "judgement"),
    )


def _of_kind[E: Entry](
    connection: Connection, query: Select[int], kind: type[E]
) -> tuple[StoredEntry[E], ...]:
    seqs = list(connection.execute(query).scalars())
    return tuple(_narrow(stored, kind) for stored in entries_at(connection, seqs))


def _at[E: Entry](connection: Connection, seq: int, kind: type[E]) -> StoredEntry[E]:
    leaf = connection.execute(select(EntryRow.leaf).where(EntryRow.seq == seq)).scalar_one()
    return _narrow(_stored(seq, leaf), kind)


def _stored(seq: int, leaf: bytes) -> StoredEntry[Entry]:
    try:
        return StoredEntry(seq, leaf, parse_entry(leaf))
    except ValidationError as error:
        raise LedgerError(
            f"entry {seq} cannot be read",
            help="run `inbond ledger verify`; a newer inbond may have written it",
        ) from error


def _narrow[E: Entry](stored: StoredEntry[Entry], kind: type[E]) -> StoredEntry[E]:
    if not isinstance(stored.entry, kind):
        raise LedgerError(
            f"entry {stored.seq} is not what the views say it is",
            help="run `inbond ledger verify`",
        )
    return StoredEntry(stored.seq, stored.leaf, stored.entry)


def _pages[T](values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[at : at + _PAGE] for at in range(0, len(values), _PAGE))
