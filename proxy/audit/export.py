"""Export an audit: what the log says within a scope, closed over all that it names, signed.

Bodies are disclosed for exchanges that a dataset took, and for no others: an audit shows what was
learned from. With `is_metadata_only` none is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from policies.diagnostics import nearest
from proxy.audit.approvers import Approvers
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import BundleError, DatasetError
from proxy.inforce import bundle_at
from proxy.ledger.bundle import LedgerEntry, Opening, entries_digest, openings_digest, read_bundle
from proxy.ledger.canonical import Json
from proxy.ledger.entry import (
    CallEntry,
    DatasetEntry,
    DecisionEntry,
    Entry,
    ExchangeEntry,
    ExportEntry,
    JudgementEntry,
    RunEntry,
)
from proxy.ledger.example import EXAMPLE_COLUMNS, ExampleRow, rows_root
from proxy.ledger.leaf import named_digests, read_leaf
from proxy.ledger.tables import Column, Table
from proxy.notary import Draft, Notary, refuse_taken
from proxy.selection import close_over, every_entry, open_seals
from proxy.store.records import StoredEntry

__all__ = ["Exported", "Scope", "export_audit"]

_TEXT_COLUMNS = frozenset({"messages", "tools", "completion", "logprobs"})
_COLUMNS = {
    "dataset": Column.TEXT,
    **{name: kind for name, kind in EXAMPLE_COLUMNS.items() if name not in _TEXT_COLUMNS},
    "approved_by": Column.LIST,
}
"""Of `tables/examples.parquet`: who taught what under which clause, in which dataset, on whose word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an audit is about; without a student, the whole log."""

    student: str | None = None
    is_metadata_only: bool = False

    @property
    def query(self) -> dict[str, str]:
        """The scope as the `export` entry commits to it."""
        found = {"scope": "whole log" if self.student is None else "student"}
        if self.student is not None:
            found["student"] = self.student
        return found | {"bodies": "none" if self.is_metadata_only else "examples"}


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
class _Learned:
    """The rows of one dataset, as its bundle in the workspace has them."""

    dataset: str
    rows: tuple[ExampleRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is in scope."""

    entries: list[LedgerEntry]
    openings: list[Opening]
    examples: Table
    absent: tuple[str, ...]


def export_audit(
    scope: Scope, notary: Notary, *, datasets: Path, target: Path, actor: str, recipient: str
) -> Exported:
    """Put an export on record and write its bundle to `target`; `datasets` holds dataset bundles.

    Raises:
        DatasetError: the student is in no dataset.
        LedgerError: the ledger cannot be read, written or signed.
        BundleError: the bundle cannot be written, or a dataset's bundle is not the one on record.
    """
    refuse_taken(target)
    found = _find(scope, notary, datasets)
    entry = _entry(scope, found, actor=actor, recipient=recipient)
    about: dict[str, Json] = {
        "query": dict(entry.query),
        "examples": len(found.examples.rows),
        "absent_datasets": list(found.absent),
    }
    draft = Draft(
        entries=found.entries,
        openings=found.openings,
        tables={"examples": found.examples},
        about=about,
    )
    note = notary.issue(entry, draft, target)
    return Exported(
        export=entry.export,
        path=target,
        entries=len(found.entries) + 1,
        examples=len(found.examples.rows),
        openings=len(found.openings),
        absent=found.absent,
        checkpoint=note,
    )


def _find(scope: Scope, notary: Notary, folder: Path) -> _Found:
    with notary.log.database.read() as connection:
        everything = every_entry(connection)
        sealed = _datasets(everything, scope)
        learned = [_learned(folder, entry) for entry in sealed if (folder / entry.dataset).is_dir()]
        rows = [row for each in learned for row in each.rows]
        chosen = everything if scope.student is None else _about(everything, sealed, rows, scope)
        entries = close_over(connection, chosen, [])
        seals = set() if scope.is_metadata_only else {row.answer_seal for row in rows}
        openings = open_seals(connection, seals)
    approvers = Approvers(
        (item.entry for item in everything), partial(bundle_at, notary.log.database)
    )
    there = {each.dataset for each in learned}
    return _Found(
        entries=entries,
        openings=openings,
        examples=Table(columns=_COLUMNS, rows=_metadata(learned, approvers)),
        absent=tuple(entry.dataset for entry in sealed if entry.dataset not in there),
    )


def _entry(scope: Scope, found: _Found, *, actor: str, recipient: str) -> ExportEntry:
    named: dict[str, set[str]] = {"policies": set(), "terms": set(), "grants": set()}
    for item in found.entries:
        for folder, digest in named_digests(read_leaf(item.seq, item.leaf)):
            named[folder].add(digest)
    export = new_id()
    return ExportEntry(
        id=export,
        at=stamp(utc_now()),
        actor=actor,
        export=export,
        query=scope.query,
        entries=entries_digest(item.leaf for item in found.entries),
        openings=openings_digest(opening.seal for opening in found.openings),
        tables={"examples": rows_root(found.examples.rows)},
        policies=sorted(named["policies"]),
        terms=sorted(named["terms"]),
        grants=sorted(named["grants"]),
        recipient=recipient,
        nonce=new_nonce(),
    )


def _datasets(everything: Iterable[StoredEntry[Entry]], scope: Scope) -> list[DatasetEntry]:
    sealed = [item.entry for item in everything if isinstance(item.entry, DatasetEntry)]
    if scope.student is None:
        return sealed
    found = [entry for entry in sealed if entry.student == scope.student]
    if not found:
        raise DatasetError(
            f"no dataset was sealed for the student `{scope.student}`",
            help=nearest(scope.student, {entry.student for entry in sealed})
            or "see `inbond dataset list`, or export the whole log without `--student`",
            code="no-dataset",
        )
    return found


def _learned(folder: Path, entry: DatasetEntry) -> _Learned:
    """The rows of a sealed dataset; they must be those on record."""
    path = folder / entry.dataset
    with read_bundle(path) as bundle:
        rows = bundle.examples()
    if rows_root(row.to_row() for row in rows) != entry.root:
        raise BundleError(
            f"the dataset `{entry.dataset}` in the workspace is not the one on record",
            help="put the bundle back as it was sealed, or move it away: the audit then says so",
            where=str(path),
            code="dataset-changed",
        )
    return _Learned(dataset=entry.dataset, rows=rows)


def _metadata(learned: Iterable[_Learned], approvers: Approvers) -> list[dict[str, Json]]:
    return [
        {
            "dataset": each.dataset,
            **{name: cell for name, cell in row.to_row().items() if name not in _TEXT_COLUMNS},
            "approved_by": list(approvers.of(row)),
        }
        for each in learned
        for row in each.rows
    ]


def _about(
    everything: Iterable[StoredEntry[Entry]],
    sealed: Iterable[DatasetEntry],
    rows: Sequence[ExampleRow],
    scope: Scope,
) -> list[StoredEntry[Entry]]:
    """The entries of one student: its datasets, their exchanges, what was said of them, its runs."""
    exchanges = {row.exchange for row in rows}
    calls = {row.call for row in rows}
    datasets = {each.id for each in sealed}

    def belongs(entry: Entry) -> bool:
        match entry:
            case CallEntry(id=call):
                return call in calls
            case ExchangeEntry(id=exchange):
                return exchange in exchanges
            case DecisionEntry(exchange=exchange) | JudgementEntry(exchange=exchange):
                return exchange in exchanges
            case DatasetEntry(id=dataset):
                return dataset in datasets
            case RunEntry(student=student):
                return student == scope.student
            case _:
                return False

    return [item for item in everything if belongs(item.entry)]
