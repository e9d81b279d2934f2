"""What is appended: an entry with its exact bytes, and the rows that stand beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Literal, cast, get_args

from pydantic import BaseModel
from sqlalchemy import bindparam, select, update

from proxy.clock import new_nonce, stamp, utc_now
from proxy.errors import BundleError, LedgerError
from proxy.ledger.canonical import canonical
from proxy.ledger.closure import policy_digest
from proxy.ledger.entry import MAX_LEAF_BYTES, Entry, ExchangeEntry, exchange_of
from proxy.ledger.merkle import Growth, leaf_hash
from proxy.store.bodies import Body
from proxy.store.counters import Step
from proxy.store.fixed import Driver, Fixed, Insert, Several
from proxy.store.tables import BodyRow, DocumentRow, EntryRow, LogRow, SaltRow, SubtreeRow
from proxy.store.views import apply_changes, changes

__all__ = [
    "Document",
    "Leaf",
    "Pending",
    "document_digest",
    "insert_leaves",
    "interruption",
    "leaf_of",
    "make_leaf",
    "move_head",
]

_HEAD = Fixed(update(LogRow).where(LogRow.id == bindparam("of")), ("size", "frontier"))
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
    kind: Literal["policy", "terms", "grant", "seals", "affected", "evidence"]
    content: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry to append, with the bodies and documents it speaks of."""

    entry: Entry
    bodies: tuple[Body, ...] = ()
    documents: tuple[Document, ...] = ()
    step: Step | None = None
    """What it adds to tallies, once: with the entry or not at all."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A pending entry, the bytes of its leaf and their hash."""

    pending: Pending
    data: bytes
    hash: bytes


def interruption(call: str) -> Pending:
    """The end of a call that nothing else can end any more."""
    entry = ExchangeEntry(
        id=exchange_of(call),
        at=stamp(utc_now()),
        actor="inbond",
        call=call,
        outcome="interrupted",
        problem="interrupted",
        nonce=new_nonce(),
    )
    return Pending(entry)


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


def make_leaf(pending: Pending) -> Leaf:
    """The leaf of an entry.

    Raises:
        CanonicalError: the entry has no canonical form.
        LedgerError: it is too long, or a document does not have the digest it is named by.
    """
    for document in pending.documents:
        if document_digest(document.kind, document.content) != document.digest:
            raise LedgerError(
                f"the document `{document.digest}` does not have this digest",
                help="name a document by the sha256 of its bytes, a policy bundle by its own digest",
            )
    data = leaf_of(pending.entry)
    return Leaf(pending, data, leaf_hash(data))


def insert_leaves(driver: Driver, size: int, fresh: Sequence[Leaf]) -> None:
    """Insert entries from a place on, with their bodies, documents and views."""
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


def move_head(driver: Driver, growth: Growth) -> None:
    """Write the head of the log after it grew, and the subtrees that were finished."""
    frontier = growth.frontier
    _HEAD.run(driver, {"of": 1, "size": frontier.size, "frontier": frontier.to_bytes()})
    subtrees = [
        {"level": subtree.level, "idx": subtree.index, "hash": subtree.hash}
        for subtree in growth.finished
    ]
    _SUBTREE.run(driver, subtrees)
