"""Issue a bundle: first the entry that commits to it, then the files.

Whatever can be refused is refused before the entry. If the machine stops between the two, the ledger
holds a `dataset` or `export` entry whose bundle nobody has: nothing was disclosed, and the next
build or export makes another.
"""

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.errors import BundleError, LedgerError
from proxy.ledger.bundle import (
    BundleContents,
    LedgerEntry,
    Opening,
    openings_digest,
    write_bundle,
)
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.checkpoint import unverified_checkpoint
from proxy.ledger.entry import DatasetEntry, EraseEntry, ExportEntry
from proxy.ledger.envelope import ExportKey
from proxy.ledger.example import ExampleRow, ManifestLine
from proxy.ledger.tables import Table
from proxy.selection import documents_of, tile_reader_of
from proxy.store.anchors import anchor_files
from proxy.store.checkpoints import Signer
from proxy.store.log import Document, Log, Pending, leaf_of
from proxy.store.queries import checkpoints, entries
from proxy.store.session import Reading

__all__ = [
    "Draft",
    "Notary",
    "append_if",
    "disclosed",
    "refuse_erased",
    "refuse_later",
    "refuse_taken",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a bundle will hold, but for the entry that commits to it and the texts they name."""

    entries: Sequence[LedgerEntry]
    """Ascending and closed (`proxy.selection`)."""
    openings: Sequence[Opening]
    about: Mapping[str, Json]
    rows: Sequence[ExampleRow] = ()
    manifest: Sequence[ManifestLine] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    decided_at_size: int | None = None
    """The size of the log that was decided on: a person's later word makes the draft void."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notary:
    """Puts bundles on record, with the keys of one installation."""

    log: Log
    signer: Signer
    export_key: ExportKey
    log_key: str
    """The vkey of the log."""
    anchor: Callable[[], None] = lambda: None
    """Shows the newest checkpoint to others."""

    def sign(self) -> str:
        """The checkpoint over all entries, shown to whoever the settings name.

        Raises:
            ForkError: the database does not extend what was signed, or was shown to others.
            LedgerError: it cannot be signed.
        """
        note = self.signer.sign()
        self.anchor()
        return note

    def issue(self, entry: DatasetEntry | ExportEntry, draft: Draft, target: Path) -> str:
        """Append the entry, sign the log, write the bundle to `target`; gives the checkpoint.

        Raises:
            BundleError: the target exists or cannot be written; nothing is on record then.
            LedgerError: the ledger cannot be read, written or signed, or somebody decided something
                meanwhile.
        """
        refuse_taken(target)
        _refuse_unwritable(target)
        leaf = leaf_of(entry)
        with self.log.database.read() as connection:
            _refuse_moved(connection, draft)
            named = documents_of(connection, [*draft.entries, LedgerEntry(0, leaf)])
        (seq,) = self.log.append(
            [Pending(entry, documents=(disclosed(opening.seal for opening in draft.openings),))]
        )
        note = self.sign()
        with self.log.database.read() as connection:
            _refuse_moved(connection, draft, before=seq)
            older = _checkpoint_sizes(connection)
            anchored = anchor_files(connection, unverified_checkpoint(note).size)
        contents = BundleContents(
            kind="dataset" if isinstance(entry, DatasetEntry) else "audit",
            subject=entry.id,
            checkpoint=note,
            log_key=self.log_key,
            read=tile_reader_of(self.log.database),
            entries=[*draft.entries, LedgerEntry(seq, leaf)],
            openings=draft.openings,
            policies=named.policies,
            terms=named.terms,
            grants=named.grants,
            rows=draft.rows,
            manifest=draft.manifest,
            tables=draft.tables,
            about=draft.about,
            older=older,
            files=anchored,
        )
        write_bundle(target, contents, self.export_key)
        refuse_erased(self.log, entry.id, seq, target)
        return note


def refuse_taken(path: Path) -> None:
    """Let only a path pass where there is nothing yet.

    Raises:
        BundleError: there is something.
    """
    if path.exists() or path.is_symlink():
        raise BundleError(
            "there is something at this path already",
            help="choose another; nothing was put on record",
            where=str(path),
            code="path-taken",
        )


def _refuse_unwritable(target: Path) -> None:
    probe = target.with_name(f".{target.name}.probe")
    try:
        probe.mkdir(parents=True)
        probe.rmdir()
    except OSError as error:
        raise BundleError(
            f"no bundle can be written here: {(error.strerror or 'unknown reason').lower()}",
            help="make the folder writable, or choose another; nothing was put on record",
            where=str(target.parent),
            code="not-writable",
        ) from error


def _refuse_moved(connection: Reading, draft: Draft, *, before: int | None = None) -> None:
    if draft.decided_at_size is None:
        return
    kinds = ("decision", "judgement", "grant", "source", "import", "erase")
    refuse_later(connection, kinds, size=draft.decided_at_size, before=before)


def refuse_later(
    connection: Reading, kinds: Collection[str], *, size: int, before: int | None = None
) -> None:
    """Let pass only what was decided on a log of `size` to which no entry of these kinds came since.

    Raises:
        LedgerError: one came, at a place before `before` where that is given.
    """
    for kind in kinds:
        later = entries(connection, after=size - 1, kind=kind, limit=1)
        if later and (before is None or later[0].seq < before):
            raise LedgerError(
                f"somebody put a `{kind}` on record while this was decided",
                help="run the command again: what was said since counts",
                code="moved",
            )


def append_if(log: Log, batch: Sequence[Pending], check: Callable[[Reading], None]) -> list[int]:
    """Append a batch after a check that no other writer can come between; gives the places.

    Raises:
        LedgerError: as the check, or as `Log.append`; nothing was appended then.
    """

    def settle(_: object) -> Sequence[Pending]:
        with log.database.read() as connection:
            check(connection)
        return batch

    (places,) = log.append_groups([settle])
    return places


def refuse_erased(log: Log, entry: str, seq: int, target: Path) -> None:
    """Delete a bundle again if an erasure that came while it was written names it.

    Raises:
        LedgerError: one did.
    """
    after = seq
    with log.database.read() as connection:
        while page := entries(connection, after=after, kind="erase"):
            named = (e.entry for e in page if isinstance(e.entry, EraseEntry))
            if any(entry in each.copies for each in named):
                shutil.rmtree(target, ignore_errors=True)
                raise LedgerError(
                    "what it discloses was erased while it was written",
                    help="run the command again: what was said since counts",
                    code="moved",
                )
            after = page[-1].seq


def disclosed(seals: Iterable[str]) -> Document:
    """The list of the seals that a bundle opens: what an erasure must know later."""
    listed = sorted(seals)
    return Document(digest=openings_digest(listed), kind="seals", content=canonical(listed))


def _checkpoint_sizes(connection: Reading) -> list[int]:
    sizes: list[int] = []
    while page := checkpoints(connection, after=sizes[-1] if sizes else -1):
        sizes += [stored.size for stored in page]
    return sizes
