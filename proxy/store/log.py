"""The log: entries appended in one transaction each batch, crash-safe, in any number of processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Literal, cast, get_args

from pydantic import BaseModel
from sqlalchemy import bindparam, select, update

from proxy.errors import BundleError, ForkError, LedgerError
from proxy.ledger.canonical import canonical
from proxy.ledger.closure import policy_digest
from proxy.ledger.entry import MAX_LEAF_BYTES, CallEntry, Entry, ExchangeEntry
from proxy.ledger.merkle import Frontier, Growth, leaf_hash
from proxy.store.bodies import Body
from proxy.store.counters import OpenTallies, Step, Tallies
from proxy.store.fixed import Driver, Fixed, Insert, Several
from proxy.store.lock import FileLock
from proxy.store.queries import head
from proxy.store.session import Database, RuleBrokenError
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

__all__ = ["Document", "Log", "Pending", "Settle", "document_digest", "leaf_of"]


_LOCKED_HEAD = Fixed(select(LogRow.frontier).where(LogRow.id == bindparam("id")).with_for_update())
_HEAD = Fixed(update(LogRow).where(LogRow.id == bindparam("of")), ("size", "frontier"))
_PLACES = Several(select(EntryRow.id, EntryRow.seq, EntryRow.hash), EntryRow.id)
_CALLS = Several(
    select(CallRow.id, ExchangeRow.id.label("exchange")).outerjoin(
        ExchangeRow, ExchangeRow.call == CallRow.id
    ),
    CallRow.id,
)
_HELD = Several(select(DocumentRow.digest), DocumentRow.digest)
_ENTRY = Insert(EntryRow)
_SALT = Insert(SaltRow)
_BODY = Insert(BodyRow)
_DOCUMENT = Insert(DocumentRow)
_SUBTREE = Insert(SubtreeRow)


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
    step: Step | None = None
    """What it adds to tallies, once: with the entry or not at all."""


type Settle = Callable[[OpenTallies], Sequence[Pending]]
"""Gives the entries of one group once it can read tallies, or none.

It is run in the transaction that writes them, and again where that fails.
"""


@dataclass(frozen=True, slots=True)
class _Leaf:
    pending: Pending
    data: bytes
    hash: bytes


type _Group = Sequence[_Leaf] | Settle


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
        self._tallies = Tallies()

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

        Raises:
            LedgerError: as `append_groups`.
        """
        (places,) = self.append_groups([batch])
        return places

    def append_groups(self, groups: Sequence[Sequence[Pending] | Settle]) -> list[list[int]]:
        """Make groups durable, all of them or nothing; gives the places of each one's entries.

        What one group adds to tallies the next one reads. An entry that is in the log already keeps its old place: an append tried twice is one entry.

        Raises:
            CanonicalError: an entry has no canonical form.
            ForkError: the log was not shown to extend its last checkpoint, or became shorter.
            LedgerBusy: another process or program holds the ledger.
            LedgerError: an entry breaks a rule of the log, or the database cannot be written.
        """
        # Leaves are made before the lock is taken, but for those that nobody knows before.
        ready = [group if callable(group) else [_leaf(one) for one in group] for group in groups]
        if not self._is_trusted:
            raise ForkError(
                "the ledger was not checked against its last checkpoint",
                help="check it first: every command that appends must",
            )
        with self.exclusive():
            try:
                return self._append_new(ready)
            except RuleBrokenError:
                # Something is in the log already, or ends no call under way: say which and how.
                return self._append_some(ready)

    def _append_new(self, groups: Sequence[_Group]) -> list[list[int]]:
        """Append entries of which none is in the log, without asking.

        Raises:
            RuleBrokenError: one is, or it breaks promise P2: ids and calls are unique in the database.
        """
        with self.database.drive() as driver:
            before = self._locked_head(driver)
            tallies = self._tallies.open(driver)
            settled = [_settled(group, tallies) for group in groups]
            leaves = [leaf for group in settled for leaf in group]
            growth = before.grow([leaf.hash for leaf in leaves])
            if leaves:
                _insert(driver, before.size, leaves)
                _move_head(driver, growth)
                tallies.write()
        self._seen = growth.frontier.size
        places = count(before.size)
        return [[next(places) for _ in group] for group in settled]

    def _append_some(self, groups: Sequence[_Group]) -> list[list[int]]:
        """Append those entries that are not in the log, each checked before."""
        with self.database.drive() as driver:
            before = self._locked_head(driver)
            tallies = self._tallies.open(driver)
            settled = [_settled(group, tallies) for group in groups]
            leaves = [leaf for group in settled for leaf in group]
            places = _places(driver, leaves)
            fresh = _fresh(leaves, places)
            growth = before.grow([leaf.hash for leaf in fresh])
            if fresh:
                _check_calls(driver, [leaf.pending.entry for leaf in fresh])
                _insert(driver, before.size, fresh)
                _move_head(driver, growth)
                tallies = self._tallies.open(driver)  # what is in the log already is counted
                _settled(fresh, tallies)
                tallies.write()
        self._seen = growth.frontier.size
        new = enumerate((leaf.pending.entry.id for leaf in fresh), start=before.size)
        seqs = {id_: place.seq for id_, place in places.items()} | {id_: seq for seq, id_ in new}
        return [[seqs[leaf.pending.entry.id] for leaf in group] for group in settled]

    def _locked_head(self, driver: Driver) -> Frontier:
        ((frontier,),) = _LOCKED_HEAD.run(driver, {"id": 1}).fetchall()
        before = Frontier.from_bytes(frontier)
        self._refuse_shrinking(before.size)
        return before

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
    data = canonical(_plain(entry))
    if len(data) > MAX_LEAF_BYTES:
        raise LedgerError(
            f"the `{entry.kind}` entry is {len(data)} bytes long; a leaf holds {MAX_LEAF_BYTES}",
            help="put long values in a body or a document, and name its digest in the entry",
        )
    return data


def _plain(record: BaseModel) -> dict[str, object]:
    """The fields of an entry: plain values, but for the records in some of them."""
    fields: dict[str, object] = vars(record).copy()
    for name in _records_of(type(record)):
        if fields[name] is not None:
            fields[name] = _plain(cast("BaseModel", fields[name]))
    return fields


@cache
def _records_of(kind: type[BaseModel]) -> tuple[str, ...]:
    """The fields in which an entry of a kind may have a record."""
    kinds = {name: field.annotation for name, field in kind.model_fields.items()}
    return tuple(name for name, kind in kinds.items() if BaseModel in _classes(kind))


def _classes(kind: object) -> set[type]:
    named = (one for one in (kind, *get_args(kind)) if isinstance(one, type))
    return {each for one in named for each in one.mro()}


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


def _settled(group: _Group, tallies: OpenTallies) -> Sequence[_Leaf]:
    """The leaves of a group, counted."""
    leaves = [_leaf(pending) for pending in group(tallies)] if callable(group) else group
    for leaf in leaves:
        if leaf.pending.step is not None:
            tallies.add(leaf.pending.step)
    return leaves


@dataclass(frozen=True, slots=True)
class _Place:
    seq: int
    hash: bytes


def _places(driver: Driver, leaves: Sequence[_Leaf]) -> dict[str, _Place]:
    """Where the entries that are in the log already stand, by id."""
    ids = [leaf.pending.entry.id for leaf in leaves]
    return {id_: _Place(seq, hash_) for id_, seq, hash_ in _PLACES.of(driver, ids)}


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


def _check_calls(driver: Driver, entries: Sequence[Entry]) -> None:
    """Refuse an exchange of a call that is unknown or has ended (promise P2)."""
    ended = [entry.call for entry in entries if isinstance(entry, ExchangeEntry)]
    if not ended:
        return
    exchange_of: dict[str, str | None] = dict(_CALLS.of(driver, ended))
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


def _insert(driver: Driver, size: int, fresh: Sequence[_Leaf]) -> None:
    _ENTRY.run(
        driver,
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
    _insert_bodies(driver, [body for leaf in fresh for body in leaf.pending.bodies])
    _insert_documents(driver, [document for leaf in fresh for document in leaf.pending.documents])
    apply_changes(
        driver,
        (
            change
            for seq, leaf in enumerate(fresh, start=size)
            for change in changes(seq, leaf.pending.entry)
        ),
    )


def _insert_bodies(driver: Driver, bodies: Sequence[Body]) -> None:
    _SALT.run(driver, [{"seal": body.seal, "salt": body.salt} for body in bodies])
    blobs = [{"seal": body.seal, "blob": body.blob} for body in bodies if body.blob is not None]
    _BODY.run(driver, blobs)


def _insert_documents(driver: Driver, documents: Sequence[Document]) -> None:
    """Insert the documents that are not there yet: their names are their content."""
    new = {document.digest: document for document in documents}
    held = {digest for (digest,) in _HELD.of(driver, list(new))}
    rows = [
        {"digest": digest, "kind": document.kind, "content": document.content}
        for digest, document in new.items()
        if digest not in held
    ]
    _DOCUMENT.run(driver, rows)


def _move_head(driver: Driver, growth: Growth) -> None:
    frontier = growth.frontier
    _HEAD.run(driver, {"of": 1, "size": frontier.size, "frontier": frontier.to_bytes()})
    subtrees = [
        {"level": subtree.level, "idx": subtree.index, "hash": subtree.hash}
        for subtree in growth.finished
    ]
    _SUBTREE.run(driver, subtrees)
