"""The files of an audit that grow with the log, written in one pass: entries, tables, bodies, tiles."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256

from proxy.audit.evidence import Evidence
from proxy.audit.holding import LEARNED, Holding
from proxy.ledger.bundle import (
    ENTRIES,
    OPENINGS,
    LedgerEntry,
    Opening,
    entry_line,
    opening_line,
)
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.checkpoint import unverified_checkpoint
from proxy.ledger.leaf import Leaf, named_digests, read_leaf
from proxy.ledger.merkle import Frontier, NodeReader, leaf_hash
from proxy.ledger.tables import TABLES, Column, ParquetFile, Tabulator
from proxy.ledger.tiles import TILE_WIDTH, read_tile, tiles_serving
from proxy.ledger.writing import BundleWriter

__all__ = ["Contents", "Openings", "Written"]

_BATCH = 10_000
"""Rows of a table that are written at a time."""

type Openings = Callable[[Iterable[str]], Iterable[Opening]]
"""The openings of seals, in the same order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the `export` entry commits to."""

    entries: int
    digest: str
    """Of the entries."""
    examples: int
    openings: int
    seals: tuple[str, ...]
    """The seals opened."""
    roots: Mapping[str, str]
    """Of the tables."""
    digests: Mapping[str, str]
    """sha256 in hex of the files of the tables, by path."""
    named: Mapping[str, set[str]]
    """The digests of documents that entries name, by folder."""


class _TableFile:
    """One table, written batch by batch, and the root over its rows."""

    def __init__(self, writer: BundleWriter, name: str, columns: Mapping[str, Column]) -> None:
        self._writer = writer
        self.name = f"tables/{name}.parquet"
        self._path = writer.place(self.name)
        self._file = ParquetFile(self._path, columns)
        self._rows: list[Mapping[str, Json]] = []
        self._frontier = Frontier()

    def add(self, row: Mapping[str, Json]) -> None:
        self._rows.append(row)
        if len(self._rows) == _BATCH:
            self._flush()

    def close(self) -> str:
        """The root, once all rows are written."""
        self._flush()
        self._file.close()
        self._writer.take(self.name)
        return self._frontier.root().hex()

    def sha256(self) -> str:
        """Of the file, in hex, once it is closed."""
        with self._path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def _flush(self) -> None:
        if self._rows:
            self._file.write(self._rows)
            self._frontier = self._frontier.extend(
                [leaf_hash(canonical(row)) for row in self._rows]
            )
            self._rows.clear()


class _Digest:
    """`entries_digest` of leaves that come one after the other."""

    def __init__(self) -> None:
        self._hash = sha256(b"[")
        self.count = 0

    def add(self, leaf: bytes) -> None:
        comma = "," if self.count else ""
        self._hash.update(f'{comma}"{leaf_hash(leaf).hex()}"'.encode())
        self.count += 1

    def close(self) -> str:
        """The digest, in hex."""
        self._hash.update(b"]")
        return self._hash.hexdigest()


class Contents:
    """Writes the parts of an audit into a bundle, and gathers the evidence for its page."""

    def __init__(
        self, writer: BundleWriter, holding: Holding, providers: Mapping[str, str]
    ) -> None:
        self._writer = writer
        self._evidence = Evidence(holding=holding, providers=providers)
        self._tiles: set[int] = set()
        self._tables: dict[str, _TableFile] = {}

    def write(
        self,
        *,
        leaves: Iterable[Leaf],
        examples: Iterable[Mapping[str, Json]],
        openings: Openings,
    ) -> Written:
        """Write entries, tables and openings; `end` adds the entry of the export.

        Raises:
            BundleError: an exchange stands without its call, or a file cannot be written.
        """
        columns = {**TABLES, "examples": LEARNED}
        self._tables = {name: _TableFile(self._writer, name, columns[name]) for name in columns}
        named: dict[str, set[str]] = {"policies": set(), "terms": set(), "grants": set()}
        digest = self._write_entries(leaves, named)
        seals: set[str] = set()
        count = 0
        for row in examples:
            count += 1
            self._tables["examples"].add(row)
            self._evidence.learn(row)
            seals.add(str(row["answer_seal"]))
        opened = self._write_openings(openings(sorted(seals)))
        roots = {name: table.close() for name, table in self._tables.items()}
        return Written(
            entries=digest.count,
            digest=digest.close(),
            examples=count,
            openings=len(opened),
            seals=tuple(opened),
            roots=roots,
            digests={table.name: table.sha256() for table in self._tables.values()},
            named=named,
        )

    def end(self, last: LedgerEntry, note: str, read: NodeReader, older: Iterable[int]) -> Evidence:
        """Write the last entry, and the tiles that prove all; gives what the page is made of."""
        self._writer.resume(ENTRIES).write(entry_line(last))
        self._writer.end(ENTRIES)
        leaf = read_leaf(last.seq, last.leaf)
        self._evidence.take(leaf)
        self._tiles.add(last.seq // TILE_WIDTH)
        size = unverified_checkpoint(note).size
        for tile in tiles_serving(size, (index * TILE_WIDTH for index in self._tiles), older):
            self._writer.add(f"log/{tile.path}", read_tile(tile, read))
        return self._evidence.close()

    def _write_entries(self, leaves: Iterable[Leaf], named: Mapping[str, set[str]]) -> _Digest:
        file = self._writer.begin(ENTRIES)
        tabulator, digest = Tabulator(), _Digest()
        for leaf in leaves:
            file.write(entry_line(LedgerEntry(leaf.seq, leaf.data)))
            digest.add(leaf.data)
            self._tiles.add(leaf.seq // TILE_WIDTH)
            for name, row in tabulator.rows(leaf.seq, leaf.fields):
                self._tables[name].add(row)
            for folder, name in named_digests(leaf):
                named[folder].add(name)
            self._evidence.take(leaf)
        return digest

    def _write_openings(self, openings: Iterable[Opening]) -> list[str]:
        """The seals opened; without any there is no file."""
        opened: list[str] = []
        file = None
        for opening in openings:
            file = file or self._writer.begin(OPENINGS)
            file.write(opening_line(opening))
            opened.append(opening.seal)
        if file is not None:
            self._writer.end(OPENINGS)
        return opened
