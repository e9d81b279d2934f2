"""What a bundle must hold: given the entries in question, all that they name.

A bundle is closed: every policy, source and grant that an entry names is in it, every exchange has
its call, and the keys that sign are the log's own. The verifier checks exactly this.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.errors import LedgerError
from proxy.ledger.bundle import LedgerEntry, Opening
from proxy.ledger.contributors import call_of
from proxy.ledger.entry import Entry, StatusEntry
from proxy.ledger.leaf import named_digests
from proxy.ledger.merkle import NodeReader
from proxy.ledger.quick import quick_leaf
from proxy.lineage import Lineage
from proxy.store.bodies import Opening as StoredOpening
from proxy.store.bodies import open_seal
from proxy.store.queries import documents, entries, entries_at, node_reader
from proxy.store.recalls import erased_exchanges
from proxy.store.records import StoredEntry
from proxy.store.session import Database, Reading

__all__ = [
    "Documents",
    "close_over",
    "documents_of",
    "every_entry",
    "open_seals",
    "tile_reader_of",
]

_ALWAYS = ("open", "key", "grant", "source", "import")
"""Kinds of which every entry goes into every bundle: few, and each may take back an earlier one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Public texts by digest, as a bundle keeps them."""

    policies: Mapping[str, bytes]
    terms: Mapping[str, bytes]
    grants: Mapping[str, bytes]


def every_entry(connection: Reading, kind: str | None = None) -> list[StoredEntry[Entry]]:
    """All entries of the log, or of one kind, read page by page."""
    found: list[StoredEntry[Entry]] = []
    after = -1
    while page := entries(connection, after=after, kind=kind):
        found += page
        after = page[-1].seq
    return found


def close_over(
    connection: Reading, chosen: Iterable[StoredEntry[Entry]], digests: Collection[str]
) -> list[LedgerEntry]:
    """The chosen entries with all that they, and the given digests, name; ascending.

    Whatever contributed to an exchange that was chosen is named by it.
    """
    kept = {item.seq: item.leaf for item in chosen}
    kept |= {item.seq: item.leaf for item in _relatives(connection, kept)}
    kept |= {item.seq: item.leaf for item in _taken_back(connection, kept)}
    for kind in _ALWAYS:
        kept |= {item.seq: item.leaf for item in every_entry(connection, kind)}
    named = set(digests)
    for seq, leaf in kept.items():
        named |= {digest for _, digest in named_digests(quick_leaf(seq, leaf))}
    for kind in ("policy", "terms"):
        for item in every_entry(connection, kind):
            introduced = {digest for _, digest in named_digests(quick_leaf(item.seq, item.leaf))}
            if introduced & named:
                kept[item.seq] = item.leaf
    return [LedgerEntry(seq, kept[seq]) for seq in sorted(kept)]


def _relatives(connection: Reading, kept: Mapping[int, bytes]) -> Iterator[StoredEntry[Entry]]:
    """The entries of all exchanges that contributed to those of these leaves."""
    lineage = Lineage(connection)
    for seq, leaf in kept.items():
        read = quick_leaf(seq, leaf)
        if read.texts("parents") or read.fields.get("continues") is not None:
            exchange = call_of(read.id) if read.kind == "call" else read.id
            for name in lineage.of(exchange).exchanges:
                relative = lineage.relative(name)
                yield from () if relative is None else relative.entries


def _taken_back(connection: Reading, kept: Mapping[int, bytes]) -> Iterator[StoredEntry[Entry]]:
    """What erased an exchange of these leaves, and what was said later of their datasets."""
    erased, said = erased_exchanges(connection), every_entry(connection, "status")
    if not erased and not said:
        return
    leaves = [quick_leaf(seq, leaf) for seq, leaf in kept.items()]
    exchanges = {leaf.id for leaf in leaves if leaf.kind == "exchange"}
    datasets = {leaf.text("dataset") for leaf in leaves if leaf.kind == "dataset"}
    yield from entries_at(connection, {erased[id_] for id_ in exchanges & erased.keys()})
    yield from (
        item
        for item in said
        if isinstance(item.entry, StatusEntry) and item.entry.dataset in datasets
    )


def documents_of(connection: Reading, chosen: Iterable[LedgerEntry]) -> Documents:
    """The texts that entries name.

    Raises:
        LedgerError: one is not stored: the bundle would not be closed.
    """
    named: dict[str, set[str]] = {"policies": set(), "terms": set(), "grants": set()}
    for item in chosen:
        for folder, digest in named_digests(quick_leaf(item.seq, item.leaf)):
            named[folder].add(digest)
    found = documents(connection, [digest for digests in named.values() for digest in digests])
    absent = [
        f"{folder}/{digest}"
        for folder, digests in named.items()
        for digest in sorted(digests - found.keys())
    ]
    if absent:
        raise LedgerError(
            f"the ledger names `{absent[0]}`, which is not stored beside it",
            help="restore the database from a backup that has it",
            code="document-absent",
        )
    return Documents(
        **{
            folder: {digest: found[digest].content for digest in digests}
            for folder, digests in named.items()
        }
    )


def open_seals(connection: Reading, seals: Iterable[str]) -> list[Opening]:
    """The openings of seals; what was erased or not kept is left out.

    Raises:
        ProofError: a stored body is not what was sealed.
    """
    found = (open_seal(connection, name) for name in sorted(set(seals)))
    return [
        Opening(salt=opening.salt, body=opening.data)
        for opening in found
        if isinstance(opening, StoredOpening)
    ]


def tile_reader_of(database: Database) -> NodeReader:
    """A reader of the log's hashes that opens the database for each tile it is asked for."""

    def read(level: int, start: int, count: int) -> Sequence[bytes]:
        with database.read() as connection:
            return node_reader(connection)(level, start, count)

    return read
