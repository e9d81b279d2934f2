"""What questions are put to: a workspace's ledger with its datasets, or a bundle somebody was given."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from proxy.audit.approvers import Approvers
from proxy.errors import BundleError
from proxy.inforce import bundle_at
from proxy.ledger.bundle import EXAMPLES, OpenBundle, read_bundle
from proxy.ledger.canonical import Json
from proxy.ledger.entry import Entry
from proxy.ledger.example import EXAMPLE_COLUMNS, ExampleRow, rows_root
from proxy.ledger.leaf import Leaf, read_leaf
from proxy.ledger.tables import Column, parquet_rows
from proxy.store.queries import datasets, documents, entries, leaves
from proxy.store.session import Database, Reading

__all__ = ["LEARNED", "BundleHolding", "Holding", "LedgerHolding"]

_TEXTS = frozenset({"messages", "tools", "completion", "logprobs", "sampling"})
LEARNED = {
    "dataset": Column.TEXT,
    **{name: kind for name, kind in EXAMPLE_COLUMNS.items() if name not in _TEXTS},
    "approved_by": Column.LIST,
}
"""Of `tables/examples.parquet`: who taught what under which clause, in which dataset, on whose word."""

_TABLE = "tables/examples.parquet"
_PAGE = 2_000


class Holding(Protocol):
    """Entries in the order of the log, the examples that datasets took, and the documents named."""

    @property
    def absent(self) -> tuple[str, ...]:
        """Datasets whose bundle is not at hand: their examples are not listed."""
        ...

    def leaves(self) -> Iterator[Leaf]:
        """Every entry, in the order of the log."""
        ...

    def examples(self) -> Iterator[Mapping[str, Json]]:
        """Every example, with the columns of `LEARNED`, dataset by dataset."""
        ...

    def document(self, folder: str, digest: str) -> bytes | None:
        """A policy bundle, a source or a grant by its digest; None where it is not at hand."""
        ...


class LedgerHolding:
    """A workspace's ledger, read through one connection, with the datasets in its folder."""

    def __init__(self, connection: Reading, database: Database, folder: Path) -> None:
        self._connection = connection
        self._load = partial(bundle_at, database)
        self._folder = folder
        self._sealed = [item.entry for item in datasets(connection)]

    @property
    def absent(self) -> tuple[str, ...]:
        """Datasets whose bundle is no longer in the workspace."""
        return tuple(
            entry.dataset for entry in self._sealed if not (self._folder / entry.dataset).is_dir()
        )

    def leaves(self) -> Iterator[Leaf]:
        """Every entry, in the order of the log."""
        after = -1
        while page := leaves(self._connection, after=after, limit=_PAGE):
            for item in page:
                yield Leaf(seq=item.seq, data=item.leaf, fields=json.loads(item.leaf))
            after = page[-1].seq

    def examples(self) -> Iterator[Mapping[str, Json]]:
        """Every example of the datasets in the workspace.

        Raises:
            BundleError: a dataset's bundle is not the one on record.
        """
        approvers = Approvers(self._words(), self._load)
        gone = set(self.absent)
        for entry in self._sealed:
            if entry.dataset not in gone:
                for row in _rows(self._folder / entry.dataset, entry.dataset, entry.root):
                    yield _learned(entry.dataset, row, approvers.of(row))

    def document(self, folder: str, digest: str) -> bytes | None:
        """A document stored beside the log."""
        del folder
        found = documents(self._connection, [digest])
        return found[digest].content if digest in found else None

    def _words(self) -> Iterator[Entry]:
        for kind in ("grant", "decision", "judgement"):
            after = -1
            while page := entries(self._connection, after=after, kind=kind):
                yield from (item.entry for item in page)
                after = page[-1].seq


class BundleHolding:
    """An audit or a dataset that was made before. Nothing of it is verified by reading it."""

    def __init__(self, bundle: OpenBundle) -> None:
        self._bundle = bundle

    @property
    def absent(self) -> tuple[str, ...]:
        """Datasets that were not at hand when the audit was made."""
        named = self._bundle.about().get("absent_datasets")
        return tuple(map(str, named)) if isinstance(named, list) else ()

    def leaves(self) -> Iterator[Leaf]:
        """Every entry of the bundle.

        Raises:
            LedgerError: a line is no entry.
        """
        for item in self._bundle.entries():
            yield read_leaf(item.seq, item.leaf)

    def examples(self) -> Iterator[Mapping[str, Json]]:
        """The examples of an audit's table, or of the dataset that the bundle is."""
        if _TABLE in self._bundle.names:
            for row in parquet_rows(self._bundle.read(_TABLE)):
                yield _checked(row)
        elif EXAMPLES in self._bundle.names:
            dataset = [leaf.text("dataset") for leaf in self.leaves() if leaf.kind == "dataset"]
            for example in self._bundle.examples():
                yield _learned(dataset[-1] if dataset else "", example, ())

    def document(self, folder: str, digest: str) -> bytes | None:
        """A document of the bundle."""
        name = f"{folder}/{digest}.{'yaml' if folder == 'grants' else 'json'}"
        return self._bundle.read(name) if name in self._bundle.names else None


def _learned(dataset: str, row: ExampleRow, approved_by: Iterable[str]) -> dict[str, Json]:
    """An example without its texts: a row of `tables/examples.parquet`."""
    cells = {name: cell for name, cell in row.to_row().items() if name not in _TEXTS}
    return {"dataset": dataset, **cells, "approved_by": list(approved_by)}


def _rows(path: Path, name: str, root: str) -> tuple[ExampleRow, ...]:
    """The rows of a sealed dataset; they must be those on record."""
    with read_bundle(path) as bundle:
        rows = bundle.examples()
    if rows_root(row.to_row() for row in rows) != root:
        raise BundleError(
            f"the dataset `{name}` in the workspace is not the one on record",
            help="put the bundle back as it was sealed, or move it away: the audit then says so",
            where=str(path),
            code="dataset-changed",
        )
    return rows


def _checked(row: Mapping[str, object]) -> dict[str, Json]:
    """A row of an audit's table, whose columns must be those of this version."""
    found: dict[str, Json] = {}
    for name, column in LEARNED.items():
        value = row.get(name)
        if not column.holds(value):
            raise BundleError(
                f"column `{name}` of the examples is absent or of another type",
                help="verify the bundle first: `inbond audit verify`",
                where=_TABLE,
            )
        if isinstance(value, str | int | None):
            found[name] = value
        elif isinstance(value, list):
            found[name] = [str(part) for part in value]
    return found
