"""Export an audit: what the log says within a scope, closed over all that it names, signed.

Bodies are disclosed for exchanges that a dataset took, and for no others: an audit shows what was
learned from. With `is_metadata_only` none is. Entries, tables and bodies are read and written one
after the other: a long log needs no more memory than a short one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from policies.diagnostics import nearest
from proxy.audit.contents import Contents, Openings, Written
from proxy.audit.formats.every import format_files
from proxy.audit.holding import LedgerHolding
from proxy.audit.operators import operators
from proxy.audit.page import page
from proxy.audit.scope import Chosen, Scope, choose
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import DatasetError, LedgerError
from proxy.ledger.bundle import (
    CHECKPOINT,
    EXPORT,
    EXPORT_KEY,
    LOG_KEY,
    VERSION,
    LedgerEntry,
    Opening,
    openings_digest,
)
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.checkpoint import unverified_checkpoint
from proxy.ledger.entry import DatasetEntry, ExportEntry
from proxy.ledger.guide import guide
from proxy.ledger.leaf import Leaf, read_leaf
from proxy.ledger.writing import BundleWriter
from proxy.lineage import Lineage
from proxy.notary import (
    Notary,
    append_if,
    disclosed,
    refuse_erased,
    refuse_later,
    refuse_taken,
)
from proxy.selection import tile_reader_of
from proxy.store.anchors import anchor_files
from proxy.store.bodies import Opening as StoredOpening
from proxy.store.bodies import open_seal
from proxy.store.log import Pending, leaf_of
from proxy.store.queries import checkpoints, datasets, documents, head
from proxy.store.session import Reading

__all__ = ["Exported", "export_audit"]

_FOLDERS = {"policies": "json", "terms": "json", "grants": "yaml"}
"""The folders of documents, and what the names in them end with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An audit on disk and on record."""

    export: str
    path: Path
    entries: int
    examples: int
    openings: int
    absent: tuple[str, ...]
    """Datasets in scope whose bundle is no longer in the workspace: their examples are not listed."""
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """What is written and chosen before the entry is on record."""

    written: Written
    contents: Contents
    absent: tuple[str, ...]
    size: int
    """Of the log that was read: what is erased later makes the draft void."""


def export_audit(
    scope: Scope,
    notary: Notary,
    *,
    datasets: Path,
    target: Path,
    actor: str,
    recipient: str,
) -> Exported:
    """Put an export on record and write its bundle to `target`; `datasets` holds dataset bundles.

    Raises:
        DatasetError: no dataset is of the student, or has the name, asked for.
        LedgerError: the ledger cannot be read, written or signed, or something was erased meanwhile.
        BundleError: the bundle cannot be written, or a dataset's bundle is not the one on record.
    """
    refuse_taken(target)
    with BundleWriter(target) as writer:
        draft = _draft(scope, notary, datasets, writer)
        entry = _entry(scope, draft, actor=actor, recipient=recipient)
        # All that may fail for want of space or of a document has been written by now.
        pending = Pending(entry, documents=(disclosed(draft.written.seals),))
        (seq,) = append_if(
            notary.log, [pending], lambda now: refuse_later(now, ("erase",), size=draft.size)
        )
        note = notary.sign()
        last = LedgerEntry(seq, leaf_of(entry))
        reader = tile_reader_of(notary.log.database)
        evidence = draft.contents.end(last, note, reader, _sizes(notary))
        about = _about(entry, draft, note)
        with notary.log.database.read() as connection:
            # The page reads documents once more, through a connection that is open.
            evidence.holding = LedgerHolding(connection, notary.log.database, datasets)
            writer.add("index.html", page(evidence, about, notary.log_key).encode())
            digests = draft.written.digests
            for name, data in format_files(evidence, about, digests, notary.export_key).items():
                writer.add(name, data)
        _write_rest(writer, about, notary, note)
        writer.finish(entry.id, notary.export_key)
    refuse_erased(notary.log, entry.id, seq, target)
    return Exported(
        export=entry.export,
        path=target,
        entries=draft.written.entries + 1,
        examples=draft.written.examples,
        openings=draft.written.openings,
        absent=draft.absent,
        checkpoint=note,
    )


def _draft(scope: Scope, notary: Notary, folder: Path, writer: BundleWriter) -> _Draft:
    with notary.log.database.read() as connection:
        size = head(connection).size
        _refuse_unknown(connection, scope)
        holding = LedgerHolding(connection, notary.log.database, folder)
        chosen = _choose(scope, holding, connection)
        contents = Contents(writer, holding, operators())
        written = contents.write(
            leaves=_within(chosen, holding.leaves()),
            examples=_examples(chosen, holding),
            openings=_openings(scope, connection),
        )
        for kind, ending in _FOLDERS.items():
            for digest, data in _documents(connection, kind, written.named[kind]):
                writer.add(f"{kind}/{digest}.{ending}", data)
    absent = tuple(name for name in holding.absent if chosen is None or name in chosen.datasets)
    return _Draft(written=written, contents=contents, absent=absent, size=size)


def _choose(scope: Scope, holding: LedgerHolding, connection: Reading) -> Chosen | None:
    """The entries of a scope; None for all of them."""
    if scope.is_whole:
        return None
    lineage = Lineage(connection)

    def relatives(exchange: str) -> Iterator[Leaf]:
        for name in lineage.of(exchange).exchanges:
            relative = lineage.relative(name)
            for item in relative.entries if relative else ():
                yield read_leaf(item.seq, item.leaf)

    return choose(scope, holding.leaves(), holding.examples(), relatives)


def _within(chosen: Chosen | None, leaves: Iterable[Leaf]) -> Iterator[Leaf]:
    return (leaf for leaf in leaves if chosen is None or leaf in chosen)


def _examples(chosen: Chosen | None, holding: LedgerHolding) -> Iterator[Mapping[str, Json]]:
    for row in holding.examples():
        if chosen is None or chosen.has_example(row):
            yield row


def _openings(scope: Scope, connection: Reading) -> Openings:
    """The openings of seals, in their order; what was erased or not kept is left out."""

    def opened(seals: Iterable[str]) -> Iterator[Opening]:
        for name in () if scope.is_metadata_only else seals:
            found = open_seal(connection, name)
            if isinstance(found, StoredOpening):
                yield Opening(salt=found.salt, body=found.data)

    return opened


def _documents(
    connection: Reading, folder: str, digests: Iterable[str]
) -> Iterator[tuple[str, bytes]]:
    for digest in sorted(digests):
        found = documents(connection, [digest])
        if digest not in found:
            raise LedgerError(
                f"the ledger names `{folder}/{digest}`, which is not stored beside it",
                help="restore the database from a backup that has it",
                code="document-absent",
            )
        yield digest, found[digest].content


def _entry(scope: Scope, draft: _Draft, *, actor: str, recipient: str) -> ExportEntry:
    export = new_id()
    written = draft.written
    return ExportEntry(
        id=export,
        at=stamp(utc_now()),
        actor=actor,
        export=export,
        query=scope.query,
        entries=written.digest,
        openings=openings_digest(written.seals),
        tables=dict(written.roots),
        policies=sorted(written.named["policies"]),
        terms=sorted(written.named["terms"]),
        grants=sorted(written.named["grants"]),
        recipient=recipient,
        nonce=new_nonce(),
    )


def _about(entry: ExportEntry, draft: _Draft, note: str) -> dict[str, Json]:
    """What `export.json` says."""
    checkpoint = unverified_checkpoint(note)
    return {
        "v": VERSION,
        "kind": "audit",
        "subject": entry.id,
        "at": entry.at,
        "recipient": entry.recipient,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "query": dict(entry.query),
        "entries": draft.written.entries + 1,
        "examples": draft.written.examples,
        "openings": draft.written.openings,
        "absent_datasets": list(draft.absent),
    }


def _write_rest(writer: BundleWriter, about: Mapping[str, Json], notary: Notary, note: str) -> None:
    writer.add(EXPORT, canonical(about))
    writer.add(CHECKPOINT, note.encode())
    writer.add(LOG_KEY, notary.log_key.encode() + b"\n")
    writer.add(EXPORT_KEY, notary.export_key.public_pem.encode())
    writer.add("VERIFY.md", guide("audit").encode())
    with notary.log.database.read() as connection:
        for name, data in anchor_files(connection, unverified_checkpoint(note).size).items():
            writer.add(name, data)


def _sizes(notary: Notary) -> list[int]:
    """The sizes of all checkpoints that readers may hold."""
    sizes: list[int] = []
    with notary.log.database.read() as connection:
        while page := checkpoints(connection, after=sizes[-1] if sizes else -1):
            sizes += [stored.size for stored in page]
    return sizes


def _refuse_unknown(connection: Reading, scope: Scope) -> None:
    """Let only students and datasets pass that the ledger knows."""
    sealed: list[DatasetEntry] = [item.entry for item in datasets(connection)]
    students = {entry.student for entry in sealed}
    if scope.student is not None and scope.student not in students:
        raise DatasetError(
            f"no dataset was sealed for the student `{scope.student}`",
            help=nearest(scope.student, students)
            or "see `inbond dataset list`, or export the whole log without `--student`",
            code="no-dataset",
        )
    names = {entry.dataset for entry in sealed}
    if scope.dataset is not None and scope.dataset not in names:
        raise DatasetError(
            f"no dataset `{scope.dataset}` was sealed",
            help=nearest(scope.dataset, names) or "see `inbond dataset list`",
            code="no-dataset",
        )
