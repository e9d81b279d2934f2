"""`inbond ledger verify`: everything the database says, computed again from its leaves."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError
from sqlalchemy import URL, ColumnElement, Connection, String, Table, collate, select
from sqlalchemy.exc import IntegrityError

from proxy.errors import CanonicalError, LedgerError, ProofError
from proxy.ledger.canonical import parse_canonical
from proxy.ledger.checkpoint import Checkpoint, Verifier
from proxy.ledger.entry import Entry, parse_entry
from proxy.ledger.handover import follow
from proxy.ledger.merkle import Frontier, Subtree, leaf_hash
from proxy.store.anchors import handovers
from proxy.store.bodies import Absent, open_seal
from proxy.store.erasing import unfinished
from proxy.store.log import document_digest
from proxy.store.queries import checkpoints, head
from proxy.store.recalls import erasures
from proxy.store.session import Database, make_engine
from proxy.store.tables import (
    VIEWS,
    BodyRow,
    DocumentRow,
    EntryRow,
    Row,
    SubtreeRow,
)
from proxy.store.views import apply_changes, changes

__all__ = ["Finding", "StoreReport", "verify_store"]

_PAGE = 500
_RESTORE = "restore the database from a backup that verifies"
_REBUILD = "run `inbond ledger rebuild`: the views are made again from the leaves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and what to do."""

    code: str
    message: str
    help: str
    seq: int | None = None
    """The place of the entry concerned, if it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What was computed again, and what was wrong."""

    entries: int
    root: bytes
    """Of the leaves as they are now."""
    checkpoints: int
    bodies: int
    erased: int
    """Bodies that were erased, or whose salt is gone."""
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was wrong."""
        return not self.findings


@dataclass(slots=True)
class _Audit:
    """What one verification has read so far."""

    frontier: Frontier = field(default_factory=Frontier)
    roots: dict[int, bytes] = field(default_factory=dict)
    """The root at each size that has a checkpoint."""
    missing: int = 0
    """Places without a leaf so far."""
    findings: list[Finding] = field(default_factory=list)

    def find(self, code: str, message: str, help: str, seq: int | None = None) -> None:  # noqa: A002 - the word users see in `help:` lines
        self.findings.append(Finding(code=code, message=message, help=help, seq=seq))


def verify_store(
    database: Database, verifier: Verifier, *, on_progress: Callable[[int], None] | None = None
) -> StoreReport:
    """Compute everything in the database again from its leaves.

    `on_progress` is told how many entries were read. The database is only read, in one state.

    Raises:
        LedgerError: the database cannot be read.
    """
    audit = _Audit()
    with database.read() as connection, TemporaryDirectory(prefix="inbond-") as folder:
        notes = _open_notes(connection, verifier, audit)
        with _blank_views(Path(folder)) as mirror:
            for page in _pages(connection):
                _read_page(connection, mirror, audit, page, sizes=notes.keys())
                if on_progress:
                    on_progress(audit.frontier.size)
            _compare_views(connection, mirror, audit)
        _check_head(connection, audit)
        _check_notes(notes, audit)
        bodies = _check_bodies(connection, audit)
        _check_documents(connection, audit)
        erased = bodies.erased + _check_erased(connection, audit)
    return StoreReport(
        entries=audit.frontier.size,
        root=audit.frontier.root(),
        checkpoints=len(notes),
        bodies=bodies.held,
        erased=erased,
        findings=tuple(audit.findings),
    )


@dataclass(frozen=True, slots=True)
class _Bodies:
    held: int
    erased: int


@dataclass(frozen=True, slots=True)
class _Leaf:
    seq: int
    kind: str
    id: str
    data: bytes
    hash: bytes


def _pages(connection: Connection) -> Iterator[list[_Leaf]]:
    after = -1
    query = select(EntryRow.seq, EntryRow.kind, EntryRow.id, EntryRow.leaf, EntryRow.hash)
    query = query.order_by(EntryRow.seq).limit(_PAGE)
    while rows := connection.execute(query.where(EntryRow.seq > after)).all():
        yield [_Leaf(*row) for row in rows]
        after = rows[-1].seq


def _read_page(
    connection: Connection,
    mirror: Connection,
    audit: _Audit,
    page: Sequence[_Leaf],
    *,
    sizes: Collection[int],
) -> None:
    read = [(leaf.seq, entry) for leaf in page if (entry := _read_leaf(leaf, audit)) is not None]
    finished: list[Subtree] = []
    for leaf in page:
        if leaf.seq != audit.frontier.size + audit.missing:
            _find_gap(audit, leaf.seq)
        if audit.frontier.size in sizes:
            audit.roots[audit.frontier.size] = audit.frontier.root()
        growth = audit.frontier.grow([leaf_hash(leaf.data)])
        audit.frontier = growth.frontier
        finished += growth.finished
    _check_subtrees(connection, audit, finished)
    _replay(mirror, audit, read)


def _find_gap(audit: _Audit, seq: int) -> None:
    first = audit.frontier.size + audit.missing
    audit.find("gap", f"entries {first} to {seq - 1} are missing", _RESTORE, first)
    audit.missing = seq - audit.frontier.size


def _read_leaf(leaf: _Leaf, audit: _Audit) -> Entry | None:
    """The entry a leaf holds, unless it has none; what is wrong with it is found."""
    if leaf_hash(leaf.data) != leaf.hash:
        audit.find("leaf", f"entry {leaf.seq} is not what its hash says", _RESTORE, leaf.seq)
    try:
        parse_canonical(leaf.data)
        entry = parse_entry(leaf.data)
    except (CanonicalError, ValidationError) as error:
        why = error.message if isinstance(error, CanonicalError) else "no entry of this version"
        audit.find("leaf", f"entry {leaf.seq} cannot be read: {why}", _RESTORE, leaf.seq)
        return None
    if (entry.id, entry.kind) != (leaf.id, leaf.kind):
        audit.find("leaf", f"entry {leaf.seq} stands under another id or kind", _RESTORE, leaf.seq)
    return entry


def _check_subtrees(connection: Connection, audit: _Audit, finished: Sequence[Subtree]) -> None:
    for subtree in finished:
        query = select(SubtreeRow.hash).where(
            SubtreeRow.level == subtree.level, SubtreeRow.idx == subtree.index
        )
        if connection.execute(query).scalar_one_or_none() != subtree.hash:
            name = f"subtree {subtree.index} of level {subtree.level}"
            audit.find("subtree", f"{name} is not that of its leaves", _RESTORE)


def _replay(mirror: Connection, audit: _Audit, read: Sequence[tuple[int, Entry]]) -> None:
    """Put entries into the blank views, many at a time; one by one where a rule is broken."""
    try:
        with mirror.begin_nested():
            apply_changes(mirror, (change for item in read for change in changes(*item)))
    except IntegrityError:
        for seq, entry in read:
            _replay_one(mirror, audit, seq, entry)


def _replay_one(mirror: Connection, audit: _Audit, seq: int, entry: Entry) -> None:
    try:
        with mirror.begin_nested():
            apply_changes(mirror, changes(seq, entry))
    except IntegrityError as error:
        why = str(error.orig).lower()
        audit.find("rule", f"entry {seq} breaks a rule of the log: {why}", _RESTORE, seq)


@contextmanager
def _blank_views(folder: Path) -> Iterator[Connection]:
    """Views of the same shape and rules as the ledger's, empty, outside of it."""
    engine = make_engine(URL.create("sqlite", database=str(folder / "views.db")), 0)
    try:
        with engine.begin() as connection:
            Row.metadata.create_all(connection, tables=[_table(view) for view in VIEWS])
            yield connection
    finally:
        engine.dispose()


def _compare_views(connection: Connection, mirror: Connection, audit: _Audit) -> None:
    for view in VIEWS:
        table = _table(view)
        pairs = zip_longest(
            *(
                place.execute(select(table).order_by(*_key_in_order(table, place))).yield_per(_PAGE)
                for place in (connection, mirror)
            )
        )
        wrong = next(((mine, right) for mine, right in pairs if mine != right), None)
        if wrong is not None:
            row = wrong[0] if wrong[0] is not None else wrong[1]
            key = row[0] if row is not None else ""
            message = f"view `{table.name}` is not what the leaves say, first at `{key}`"
            audit.find("view", message, _REBUILD)


def _key_in_order(table: Table, place: Connection) -> list[ColumnElement[Any]]:
    """The columns of the key, sorted by bytes: PostgreSQL sorts text by its own locale otherwise."""
    by_bytes = "C" if place.dialect.name == "postgresql" else "BINARY"
    return [
        collate(column, by_bytes) if isinstance(column.type, String) else column
        for column in table.primary_key.columns
    ]


def _check_head(connection: Connection, audit: _Audit) -> None:
    try:
        stored = head(connection)
    except ProofError as error:
        audit.find("head", error.message, _RESTORE)
        return
    if stored != audit.frontier:
        message = (
            f"the head of the log says {stored.size} entries, and its"
            f" {audit.frontier.size} leaves do not add up to it"
        )
        audit.find("head", message, _RESTORE)


def _open_notes(connection: Connection, verifier: Verifier, audit: _Audit) -> dict[int, Checkpoint]:
    """The checkpoints with a good signature, by size; of the key, or of one that it replaced."""
    try:
        chain = follow(verifier, handovers(connection).values())
    except LedgerError as error:
        audit.find("key", f"a key entry: {error.message}", _RESTORE)
        chain = follow(verifier, ())
    opened: dict[int, Checkpoint] = {}
    after = -1
    while page := checkpoints(connection, after=after, limit=_PAGE):
        for stored in page:
            after = stored.size
            try:
                checkpoint = chain.open_any(stored.note)
            except ProofError as error:
                audit.find("checkpoint", f"checkpoint {stored.size}: {error.message}", _RESTORE)
                continue
            opened[stored.size] = checkpoint
    return opened


def _check_notes(notes: Mapping[int, Checkpoint], audit: _Audit) -> None:
    audit.roots[audit.frontier.size] = audit.frontier.root()
    for size, checkpoint in notes.items():
        if (checkpoint.size, checkpoint.root) != (size, audit.roots.get(size)):
            message = f"the leaves do not add up to the checkpoint of {size} entries"
            audit.find("checkpoint", message, _RESTORE)


def _check_bodies(connection: Connection, audit: _Audit) -> _Bodies:
    """Open every stored body under its seal."""
    held = erased = 0
    after = ""
    query = select(BodyRow.seal).order_by(BodyRow.seal).limit(_PAGE)
    while seals := connection.execute(query.where(BodyRow.seal > after)).scalars().all():
        for seal in seals:
            try:
                is_erased = isinstance(open_seal(connection, seal), Absent)
            except ProofError as error:
                audit.find("body", f"body `{seal}`: {error.message}", error.help)
                continue
            held, erased = held + (not is_erased), erased + is_erased
        after = seals[-1]
    return _Bodies(held, erased)


def _check_erased(connection: Connection, audit: _Audit) -> int:
    """Find what was erased and opens again; gives how many bodies entries say were erased."""
    for seal in sorted(unfinished(connection)):
        message = f"body `{seal}` was erased, and opens again: a backup was restored, or a crash"
        audit.find("erased-body", message, "run `inbond erase --finish`")
    return sum(len(item.entry.seals) for item in erasures(connection))


def _check_documents(connection: Connection, audit: _Audit) -> None:
    after = ""
    query = select(DocumentRow.digest, DocumentRow.kind, DocumentRow.content)
    query = query.order_by(DocumentRow.digest)
    while rows := connection.execute(query.where(DocumentRow.digest > after).limit(_PAGE)).all():
        for digest, kind, content in rows:
            if document_digest(kind, content) != digest:
                audit.find("document", f"document `{digest}` was changed", _RESTORE)
        after = rows[-1].digest


def _table(view: type[Row]) -> Table:
    table = view.__table__
    assert isinstance(table, Table)  # noqa: S101 - every view is mapped to a plain table
    return table
