"""The log: entries appended in one transaction each batch, crash-safe, in any number of processes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, bindparam, insert, select, update

from proxy.errors import BundleError, ForkError, LedgerError
from proxy.ledger.canonical import canonical
from proxy.ledger.closure import policy_digest
from proxy.ledger.entry import MAX_LEAF_BYTES, CallEntry, Entry, ExchangeEntry
from proxy.ledger.merkle import Frontier, Growth, leaf_hash
from proxy.store.bodies import Body
from proxy.store.fixed import Fixed, Several
from proxy.store.lock import FileLock
from proxy.store.queries import head, held_documents
from proxy.store.session import Database
from proxy.store.tables import (
    BodyRow,
    CallRow,
    DocumentRow,
    EntryRow,
    ExchangeRow,
    LogRow,
    SaltRow,
    SubtreeRow,
)
from proxy.store.views import apply_changes, changes

__all__ = ["Document", "Log", "Pending", "document_digest", "leaf_of"]


_LOCKED_HEAD = Fixed(select(LogRow.frontier).where(LogRow.id == bindparam("id")).with_for_update())
_HEAD = Fixed(update(LogRow).where(LogRow.id == bindparam("of")), ("size", "frontier"))
_PLACES = Several(select(EntryRow.id, EntryRow.seq, EntryRow.hash), EntryRow.id)
_CALLS = Several(
    select(CallRow.id, ExchangeRow.id.label("exchange")).outerjoin(
        ExchangeRow, ExchangeRow.call == CallRow.id
    ),
    CallRow.id,
)
_ENTRY = Fixed(insert(EntryRow), ("seq", "kind", "id", "leaf", "hash"))
_SALT = Fixed(insert(SaltRow), ("seal", "salt"))
_BODY = Fixed(insert(BodyRow), ("seal", "blob"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A public text that leaves name by its digest.

    `digest` is the sha256 (hex) of `content`; of a policy bundle it is the bundle's own digest.
    """

    digest: str
    kind: Literal["policy", "terms", "grant"]
    content: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry to append, with the bodies and documents it speaks of."""

    entry: Entry
    bodies: tuple[Body, ...] = ()
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class _Leaf:
    pending: Pending
    data: bytes
    hash: bytes


class Log:
    """The log of one installation.

    It appends only after `trust` was called: `proxy.store.checkpoints.Signer.check` does so once the
    database is shown to extend the last checkpoint that was signed.
    """

    def __init__(self, database: Database, lock_path: Path, *, timeout_s: float = 10.0) -> None:
        self.database = database
        self.timeout_s = timeout_s
        self._lock = FileLock(lock_path)
        self._is_trusted = False
        self._seen = 0

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.frontier().size

    def root(self) -> bytes:
        """The root over all entries."""
        return self.frontier().root()

    def frontier(self) -> Frontier:
        """The frontier after the last entry."""
        with self.database.read() as connection:
            return head(connection)

    def trust(self) -> None:
        """Let entries be appended: the database extends what was signed before."""
        self._is_trusted = True

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other writer on this machine out for the length of the block.

        Raises:
            LedgerBusy: another process holds the lock.
        """
        with self._lock.hold(self.timeout_s):
            yield

    def append(self, batch: Sequence[Pending]) -> list[int]:
        """Make a batch durable, all of it or nothing; gives the place of each entry.

        An entry that is in the log already keeps its old place: an append tried twice is one entry.

        Raises:
            CanonicalError: an entry has no canonical form.
            ForkError: the log was not shown to extend its last checkpoint, or became shorter.
            LedgerBusy: another process or program holds the ledger.
            LedgerError: an entry breaks a rule of the log, or the database cannot be written.
        """
        leaves = [_leaf(pending) for pending in batch]
        if not self._is_trusted:
            raise ForkError(
                "the ledger was not checked against its last checkpoint",
                help="check it first: every command that appends must",
            )
        with self.exclusive(), self.database.write() as connection:
            before = _locked_head(connection)
            self._refuse_shrinking(before.size)
            places = _places(connection, leaves)
            fresh = _fresh(leaves, places)
            growth = before.grow([leaf.hash for leaf in fresh])
            if fresh:
                _check_calls(connection, [leaf.pending.entry for leaf in fresh])
                _insert(connection, before.size, fresh)
                _move_head(connection, growth)
        self._seen = growth.frontier.size
        new = enumerate((leaf.pending.entry.id for leaf in fresh), start=before.size)
        seqs = {id_: place.seq for id_, place in places.items()} | {id_: seq for seq, id_ in new}
        return [seqs[pending.entry.id] for pending in batch]

    def _refuse_shrinking(self, size: int) -> None:
        if size < self._seen:
            raise ForkError(
                f"the database holds {size} entries, and held {self._seen} a moment ago",
                where=self.database.where,
                help="somebody replaced it while inbond ran: stop inbond and put the right one back",
            )


def leaf_of(entry: Entry) -> bytes:
    """The exact bytes of an entry's leaf.

    Raises:
        CanonicalError: the entry has no canonical form.
        LedgerError: the leaf would be larger than 65,535 bytes.
    """
    data = canonical(entry.model_dump(mode="json"))
    if len(data) > MAX_LEAF_BYTES:
        raise LedgerError(
            f"the `{entry.kind}` entry is {len(data)} bytes long; a leaf holds {MAX_LEAF_BYTES}",
            help="put long values in a body or a document, and name its digest in the entry",
        )
    return data


def document_digest(kind: str, content: bytes) -> str:
    """The digest by which leaves name a document of this kind; empty where it is none."""
    if kind != "policy":
        return sha256(content).hexdigest()
    try:
        return policy_digest(content)
    except BundleError:
        return ""


def _leaf(pending: Pending) -> _Leaf:
    for document in pending.documents:
        if document_digest(document.kind, document.content) != document.digest:
            raise LedgerError(
                f"the document `{document.digest}` does not have this digest",
                help="name a document by the sha256 of its bytes, a policy bundle by its own digest",
            )
    data = leaf_of(pending.entry)
    return _Leaf(pending, data, leaf_hash(data))


def _locked_head(connection: Connection) -> Frontier:
    return Frontier.from_bytes(_LOCKED_HEAD.run(connection, {"id": 1}).scalar_one())


@dataclass(frozen=True, slots=True)
class _Place:
    seq: int
    hash: bytes


def _places(connection: Connection, leaves: Sequence[_Leaf]) -> dict[str, _Place]:
    """Where the entries that are in the log already stand, by id."""
    ids = [leaf.pending.entry.id for leaf in leaves]
    return {row.id: _Place(row.seq, row.hash) for row in _PLACES.of(connection, ids)}


def _fresh(leaves: Iterable[_Leaf], places: Mapping[str, _Place]) -> list[_Leaf]:
    """The leaves that are not in the log, each once."""
    hashes = {id_: place.hash for id_, place in places.items()}
    fresh: list[_Leaf] = []
    for leaf in leaves:
        id_ = leaf.pending.entry.id
        if id_ not in hashes:
            hashes[id_] = leaf.hash
            fresh.append(leaf)
        elif hashes[id_] != leaf.hash:
            raise LedgerError(
                f"entry `{id_}` is in the log with other content",
                help="give every entry an id of its own",
            )
    return fresh


def _check_calls(connection: Connection, entries: Sequence[Entry]) -> None:
    """Refuse an exchange of a call that is unknown or has ended (promise P2)."""
    ended = [entry.call for entry in entries if isinstance(entry, ExchangeEntry)]
    if not ended:
        return
    exchange_of = {row.id: row.exchange for row in _CALLS.of(connection, ended)}
    exchange_of |= {entry.id: None for entry in entries if isinstance(entry, CallEntry)}
    for call in ended:
        if call not in exchange_of:
            raise LedgerError(
                f"the log holds no call `{call}` that could end",
                help="append the `call` first",
            )
        if exchange_of[call] is not None:
            raise LedgerError(
                f"call `{call}` has ended already",
                help="a call has one `exchange`: record what came later as a `decision`",
            )
        exchange_of[call] = call


def _insert(connection: Connection, size: int, fresh: Sequence[_Leaf]) -> None:
    _ENTRY.run(
        connection,
        [
            {
                "seq": seq,
                "kind": leaf.pending.entry.kind,
                "id": leaf.pending.entry.id,
                "leaf": leaf.data,
                "hash": leaf.hash,
            }
            for seq, leaf in enumerate(fresh, start=size)
        ],
    )
    bodies = [body for leaf in fresh for body in leaf.pending.bodies]
    if bodies:
        _insert_bodies(connection, bodies)
    documents = [document for leaf in fresh for document in leaf.pending.documents]
    if documents:
        _insert_documents(connection, documents)
    apply_changes(
        connection,
        (
            change
            for seq, leaf in enumerate(fresh, start=size)
            for change in changes(seq, leaf.pending.entry)
        ),
    )


def _insert_bodies(connection: Connection, bodies: Sequence[Body]) -> None:
    salts = [{"seal": body.seal, "salt": body.salt} for body in bodies]
    _SALT.run(connection, salts)
    blobs = [{"seal": body.seal, "blob": body.blob} for body in bodies if body.blob is not None]
    if blobs:
        _BODY.run(connection, blobs)


def _insert_documents(connection: Connection, documents: Sequence[Document]) -> None:
    """Insert the documents that are not there yet: their names are their content."""
    new = {document.digest: document for document in documents}
    held = held_documents(connection, list(new))
    rows = [
        {"digest": digest, "kind": document.kind, "content": document.content}
        for digest, document in new.items()
        if digest not in held
    ]
    if rows:
        connection.execute(insert(DocumentRow), rows)


def _move_head(connection: Connection, growth: Growth) -> None:
    frontier = growth.frontier
    _HEAD.run(connection, {"of": 1, "size": frontier.size, "frontier": frontier.to_bytes()})
    subtrees = [
        {"level": subtree.level, "idx": subtree.index, "hash": subtree.hash}
        for subtree in growth.finished
    ]
    if subtrees:
        connection.execute(insert(SubtreeRow), subtrees)
