"""Bundles: audits and datasets as a directory (or a zip of it) that verifies alone (design §7)."""

import base64
import json
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from proxy.errors import BundleError
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.checkpoint import unverified_checkpoint
from proxy.ledger.described import dataset_files
from proxy.ledger.envelope import SIGNATURE, ExportKey
from proxy.ledger.example import (
    EXAMPLE_COLUMNS,
    ExampleRow,
    ManifestLine,
    manifest_bytes,
)
from proxy.ledger.guide import guide, index_page
from proxy.ledger.merkle import NodeReader, leaf_hash
from proxy.ledger.pieces import UNREADABLE, Pieces
from proxy.ledger.quick import quick_object
from proxy.ledger.seal import seal
from proxy.ledger.source import Archive, Folder, check_limits, check_path, damaged
from proxy.ledger.tables import Table, from_parquet, tables_of, to_parquet
from proxy.ledger.tiles import read_tile, tiles_serving
from proxy.ledger.writing import BundleWriter

__all__ = [
    "CHECKPOINT",
    "ENTRIES",
    "EXAMPLES",
    "EXPORT",
    "EXPORT_KEY",
    "LOG_KEY",
    "MANIFEST",
    "OPENINGS",
    "VERSION",
    "BundleContents",
    "LedgerEntry",
    "OpenBundle",
    "Opening",
    "entries_digest",
    "entry_line",
    "opening_line",
    "openings_digest",
    "read_bundle",
    "read_entry",
    "read_opening",
    "write_bundle",
    "zip_bundle",
]

VERSION = 1
"""Of this format: `v` in `export.json`."""

CHECKPOINT = "log/checkpoint"
ENTRIES = "entries.jsonl"
OPENINGS = "openings.jsonl"
EXPORT = "export.json"
EXAMPLES = "dataset/examples.parquet"
MANIFEST = "dataset/manifest.jsonl"
EXPORT_KEY = "keys/export.pem"
LOG_KEY = "keys/log.vkey"

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A leaf's exact bytes and its place in the log."""

    seq: int
    leaf: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What shows that a seal is of these bytes."""

    salt: bytes
    body: bytes

    @property
    def seal(self) -> str:
        """The seal that this opens, in hex."""
        return seal(self.salt, self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContents:
    """Everything that goes into a bundle. Digests are sha256 in hex of the bytes beside them."""

    kind: Literal["audit", "dataset"]
    subject: str
    """The id of the `export` or `dataset` entry that commits to this bundle: the last entry."""
    checkpoint: str
    """The signed note; its tree holds every entry."""
    log_key: str
    """The vkey of the log. A reader pins it from elsewhere; this copy is a convenience."""
    read: NodeReader
    entries: Sequence[LedgerEntry]
    """Ascending, without gaps in what they name: calls of exchanges, keys, policies, terms, grants."""
    openings: Sequence[Opening] = ()
    policies: Mapping[str, bytes] = field(default_factory=dict)
    terms: Mapping[str, bytes] = field(default_factory=dict)
    grants: Mapping[str, bytes] = field(default_factory=dict)
    rows: Sequence[ExampleRow] = ()
    manifest: Sequence[ManifestLine] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    """More tables than those derived from the leaves; `ExportEntry.tables` holds their roots."""
    about: Mapping[str, Json] = field(default_factory=dict)
    """For `export.json`: the query, counts, what is not proven."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """More files by path: reports, attestations. Only the signature covers them."""
    older: Sequence[int] = ()
    """Sizes of checkpoints that readers may hold: the bundle will prove itself consistent with them."""


def entries_digest(leaves: Iterable[bytes]) -> str:
    """What a `dataset` or `export` entry commits to of the entries included before it, in order."""
    return sha256(canonical([leaf_hash(leaf).hex() for leaf in leaves])).hexdigest()


def openings_digest(seals: Iterable[str]) -> str:
    """What a `dataset` or `export` entry commits to of the seals it opened."""
    return sha256(canonical(sorted(seals))).hexdigest()


def write_bundle(target: Path, contents: BundleContents, sign: ExportKey) -> None:
    """Write a bundle directory, whole or not at all.

    Raises:
        BundleError: the target exists, or a path of an extra file leaves the bundle.
    """
    files = _files(contents, sign)
    with BundleWriter(target) as writer:
        for name, data in files.items():
            writer.add(name, data)
        writer.finish(contents.subject, sign)


def zip_bundle(source: Path, target: Path) -> None:
    """Pack a bundle directory into one file; the same directory always gives the same bytes.

    Raises:
        BundleError: the source is no bundle directory, or the target exists.
    """
    if target.exists():
        raise BundleError(
            "there is something at this path", help="choose another", where=str(target)
        )
    with read_bundle(source) as bundle, zipfile.ZipFile(target, "x") as archive:
        for name in bundle.names:
            place = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            place.external_attr = (stat.S_IFREG | 0o644) << 16
            place.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(place, bundle.read(name))


def read_bundle(path: Path) -> "OpenBundle":
    """Open a bundle: a directory or a zip. Its files are read when they are asked for.

    Raises:
        BundleError: there is no bundle, a path leaves it, a link is in it, or it is too large.
    """
    source = Folder(path) if path.is_dir() else Archive(path)
    try:
        return OpenBundle(source=source)
    except BundleError:
        source.close()
        raise


class OpenBundle:
    """A bundle being read. Nothing in it is verified: that is `proxy.ledger.verify`."""

    def __init__(self, *, source: "Folder | Archive") -> None:
        self._source = source
        self.pieces = Pieces(source)
        """The long files, read piece by piece."""
        self.names = tuple(sorted(source.sizes))
        """The paths of all files."""
        check_limits(source.sizes)
        if EXPORT not in source.sizes:
            raise BundleError(
                f"there is no `{EXPORT}`: this is no bundle",
                help="give the path of a dataset or an audit",
                where=source.place,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pieces.close()
        self._source.close()

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            BundleError: there is no such file, or it cannot be read.
        """
        if name not in self._source.sizes:
            raise damaged(f"the bundle has no `{name}`", name)
        try:
            return self._source.read(name)
        except UNREADABLE as error:
            raise damaged("the file cannot be read", name) from error

    def about(self) -> dict[str, Json]:
        """What `export.json` says.

        Raises:
            BundleError: it is damaged.
        """
        return _object(self.read(EXPORT), EXPORT)

    def entries(self) -> list[LedgerEntry]:
        """The entries, in the order of the file.

        Raises:
            BundleError: a line is not an entry's.
        """
        return [read_entry(line, at) for line, at in _lines(self.read(ENTRIES), ENTRIES)]

    def openings(self) -> dict[str, Opening]:
        """The openings by the seal they claim to open; none where the bundle is metadata only.

        Raises:
            BundleError: a line is not an opening's, or a seal is opened twice.
        """
        found: dict[str, Opening] = {}
        data = self.read(OPENINGS) if OPENINGS in self.names else b""
        for line, at in _lines(data, OPENINGS):
            name, opening = read_opening(line, at)
            if name in found:
                raise damaged(f"seal `{name}` is opened twice", at)
            found[name] = opening
        return found

    def examples(self) -> tuple[ExampleRow, ...]:
        """The rows of a dataset, in order.

        Raises:
            BundleError: the table is absent or damaged.
            ImportError: pyarrow is not installed.
        """
        try:
            return tuple(ExampleRow.from_row(row) for row in from_parquet(self.read(EXAMPLES)))
        except BundleError as error:
            error.where = EXAMPLES
            raise


def _files(contents: BundleContents, key: ExportKey) -> dict[str, bytes]:
    checkpoint = unverified_checkpoint(contents.checkpoint)
    about: dict[str, Json] = {
        **contents.about,
        "v": VERSION,
        "kind": contents.kind,
        "subject": contents.subject,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
    }
    files = {
        EXPORT: canonical(about),
        CHECKPOINT: contents.checkpoint.encode(),
        LOG_KEY: contents.log_key.encode() + b"\n",
        EXPORT_KEY: key.public_pem.encode(),
        "VERIFY.md": guide(contents.kind).encode(),
        "index.html": index_page(about, len(contents.entries)).encode(),
        ENTRIES: b"".join(map(entry_line, contents.entries)),
        **{f"policies/{digest}.json": data for digest, data in contents.policies.items()},
        **{f"terms/{digest}.json": data for digest, data in contents.terms.items()},
        **{f"grants/{digest}.yaml": data for digest, data in contents.grants.items()},
    }
    seqs = [entry.seq for entry in contents.entries]
    for tile in tiles_serving(checkpoint.size, seqs, contents.older):
        files[f"log/{tile.path}"] = read_tile(tile, contents.read)
    if contents.openings:
        by_seal = sorted(contents.openings, key=lambda opening: opening.seal)
        files[OPENINGS] = b"".join(map(opening_line, by_seal))
    leaves = [(entry.seq, quick_object(entry.leaf)) for entry in contents.entries]
    for name, table in (dict(contents.tables) | tables_of(leaves)).items():
        files[f"tables/{name}.parquet"] = to_parquet(table)
    if contents.kind == "dataset":
        rows = [row.to_row() for row in contents.rows]
        files[EXAMPLES] = to_parquet(Table(columns=EXAMPLE_COLUMNS, rows=rows))
        files[MANIFEST] = manifest_bytes(contents.manifest)
        files |= dataset_files(contents.rows, leaves[-1][1], table=EXAMPLES, data=files[EXAMPLES])
    return files | _extra(contents.files, files)


def _extra(extra: Mapping[str, bytes], taken: Mapping[str, bytes]) -> dict[str, bytes]:
    for name in extra:
        check_path(name)
        if name == SIGNATURE or (name in taken and name != "index.html"):
            raise damaged(f"`{name}` is a file of the bundle itself", name)
    return dict(extra)


def entry_line(entry: LedgerEntry) -> bytes:
    """A line of `entries.jsonl`."""
    text = entry.leaf.decode()
    if text.isascii() and text.isprintable() and "\\" not in text:
        # Nothing but quotes to escape: so are nearly all leaves, and a log has many.
        return b'{"leaf":"%s","seq":%d}\n' % (entry.leaf.replace(b'"', b'\\"'), entry.seq)
    return canonical({"seq": entry.seq, "leaf": text}) + b"\n"


def opening_line(opening: Opening) -> bytes:
    """A line of `openings.jsonl`, whose lines are sorted by seal."""
    salt, body = (base64.b64encode(part).decode() for part in (opening.salt, opening.body))
    return canonical({"seal": opening.seal, "salt": salt, "body": body}) + b"\n"


def read_entry(line: bytes, where: str) -> LedgerEntry:
    """The entry that a line of `entries.jsonl` holds.

    Raises:
        BundleError: the line is not an entry's.
    """
    said = _object(line, where)
    return LedgerEntry(_field(said, "seq", int, where), _field(said, "leaf", str, where).encode())


def read_opening(line: bytes, where: str) -> tuple[str, Opening]:
    """The seal that a line of `openings.jsonl` claims to open, and the opening.

    Raises:
        BundleError: the line is not an opening's.
    """
    said = _object(line, where)
    name = _field(said, "seal", str, where)
    salt, body = (_unbase64(_field(said, part, str, where), where) for part in ("salt", "body"))
    return name, Opening(salt=salt, body=body)


def _lines(data: bytes, name: str) -> Iterable[tuple[bytes, str]]:
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        yield line, f"{name}:{number}"
    if data and not data.endswith(b"\n"):
        raise damaged("the last line is cut short", name)


def _object(data: bytes, where: str) -> dict[str, Json]:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise damaged("this is not JSON in UTF-8, each key once", where) from error
    if not isinstance(value, dict):
        raise damaged("this is not a JSON object", where)
    return value


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object of which no reader can take another value than we do."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError(pairs)
    return value


def _field[T: (int, str)](line: Mapping[str, Json], name: str, kind: type[T], where: str) -> T:
    value = line.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise damaged(f"`{name}` is absent or of another type", where)
    if isinstance(value, str) and not value.isascii() and _HALF.search(value):
        raise damaged(f"`{name}` holds half a surrogate pair", where)
    return value


def _unbase64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise damaged("this is not base64", where) from error
