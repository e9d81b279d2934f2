"""The blast radius of exchanges: which copies hold them, who got those, which runs learned from them.

A dataset and an audit keep beside the log the list of the seals they opened, whose digest their entry
commits to. Where an older entry's list was not kept, the bundle in the workspace says what it holds;
without it, whoever was given one later than the exchange may hold it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from proxy.errors import BundleError
from proxy.ledger.bundle import MANIFEST, openings_digest, read_bundle
from proxy.ledger.entry import DatasetEntry, ExportEntry, RunEntry
from proxy.ledger.example import read_manifest
from proxy.lineage import children_of
from proxy.store.queries import runs
from proxy.store.recalls import disclosed_seals, disclosures, exchanges_of_seals
from proxy.store.records import RecordedExchange, StoredEntry
from proxy.store.session import Reading

__all__ = ["Copy", "Radius", "members_of", "radius_of"]

_NOTHING = openings_digest(())
"""What an audit without bodies commits to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A dataset or an audit that holds texts of exchanges."""

    entry: DatasetEntry | ExportEntry
    exchanges: tuple[str, ...]
    """Which of those asked about it holds, or may hold."""
    is_sure: bool
    """Whether it is known what it holds."""

    @property
    def root(self) -> str | None:
        """Of a dataset."""
        return self.entry.root if isinstance(self.entry, DatasetEntry) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Radius:
    """What exchanges went into."""

    copies: tuple[Copy, ...]
    runs: tuple[RunEntry, ...]
    descendants: tuple[str, ...]
    """Exchanges that say they were made from them."""

    @property
    def datasets(self) -> tuple[Copy, ...]:
        """The copies that are datasets."""
        return tuple(copy for copy in self.copies if copy.root is not None)


def radius_of(
    connection: Reading, exchanges: Collection[RecordedExchange], datasets: Path
) -> Radius:
    """What these exchanges went into; `datasets` is where bundles lie.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    ids = {each.exchange.entry.id: each for each in exchanges if each.exchange is not None}
    copies = [
        copy
        for item in disclosures(connection)
        if (copy := _copy(connection, item, ids, datasets)) is not None
    ]
    roots = {copy.root for copy in copies}
    learned = (item.entry for item in runs(connection))
    return Radius(
        copies=tuple(copies),
        runs=tuple(run for run in learned if roots & set(run.datasets)),
        descendants=tuple(sorted(children_of(connection, ids.keys()))),
    )


def members_of(connection: Reading, entry: DatasetEntry, datasets: Path) -> frozenset[str] | None:
    """The exchanges that a dataset has rows of; None where nothing says so any more.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    seals = disclosed_seals(connection, entry)
    if seals is not None:
        return frozenset(exchanges_of_seals(connection, seals).values())
    return _in_bundle(entry, datasets / entry.dataset)


def _copy(
    connection: Reading,
    item: StoredEntry[DatasetEntry | ExportEntry],
    ids: Mapping[str, RecordedExchange],
    datasets: Path,
) -> Copy | None:
    entry = item.entry
    if entry.openings == _NOTHING:
        return None
    seals = disclosed_seals(connection, entry)
    if seals is not None:
        found = [id_ for id_, each in ids.items() if seals & _seals(each)]
        is_sure = True
    else:
        inside = None
        if isinstance(entry, DatasetEntry):
            inside = _in_bundle(entry, datasets / entry.dataset)
        is_sure = inside is not None
        found = [
            id_
            for id_, each in ids.items()
            if (id_ in inside if inside is not None else _seq(each) < item.seq)
        ]
    return Copy(entry=entry, exchanges=tuple(sorted(found)), is_sure=is_sure) if found else None


def _in_bundle(entry: DatasetEntry, path: Path) -> frozenset[str] | None:
    """The exchanges of the rows of a bundle, if it is the one on record."""
    if not path.is_dir():
        return None
    try:
        with read_bundle(path) as bundle:
            manifest = bundle.read(MANIFEST)
            if sha256(manifest).hexdigest() != entry.manifest:
                return None
            lines = read_manifest(manifest)
    except BundleError:
        return None
    return frozenset(
        line.exchange for line in lines if line.verdict == "permit" and not line.reason
    )


def _seals(each: RecordedExchange) -> frozenset[str]:
    return frozenset(_sealed(each))


def _sealed(each: RecordedExchange) -> Iterable[str]:
    yield each.call.entry.request.seal
    if each.exchange is not None:
        end = each.exchange.entry
        yield from (record.seal for record in (end.answer, end.wire, end.upload) if record)


def _seq(each: RecordedExchange) -> int:
    return each.call.seq if each.exchange is None else each.exchange.seq
