"""Whether a bundle is true, offline: the one verifier of datasets and audits (design §7).

Needs the standard library and `cryptography`; pyarrow for the tables. Establishes, in this order:
the signature covers every file and no other; the checkpoint is signed by the pinned key; the tiles
hash to its root and it extends every older checkpoint given; each entry is its tile's slot;
openings are of sealed bytes; then what `proxy.ledger.closure` says.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from proxy.errors import BundleError, LedgerError, ProofError, ProxyError
from proxy.ledger.bundle import (
    CHECKPOINT,
    ENTRIES,
    EXPORT,
    EXPORT_KEY,
    OPENINGS,
    VERSION,
    OpenBundle,
    Opening,
    read_bundle,
)
from proxy.ledger.checkpoint import Checkpoint, Verifier, open_checkpoint
from proxy.ledger.closure import check_closure
from proxy.ledger.envelope import SIGNATURE, read_signature
from proxy.ledger.erasures import check_erasures
from proxy.ledger.leaf import Leaf, read_leaf, seals_of
from proxy.ledger.merkle import NodeReader, leaf_hash, root_at
from proxy.ledger.report import Report
from proxy.ledger.tiles import TILE_WIDTH, Tile, tile_hashes, tile_reader, verify_tiles

__all__ = ["verify"]

_TILE = re.compile(r"log/tile/(\d{1,2})/((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?")

_UNTOLD = frozenset({"unsigned", "other-log", "newer", "tile-absent"})
"""Codes of errors that leave open whether the bundle is true."""


def verify(
    path: Path, vkey: str, *, checkpoints: Sequence[str] = (), now: str | None = None
) -> Report:
    """What holds of the bundle at `path` under the pinned key. Never raises on a bad bundle.

    `checkpoints` are older signed notes that the reader kept; `now`, a ledger stamp, asks whether a
    dataset is still valid.
    """
    report = Report()
    try:
        verifier = Verifier.from_text(vkey)
        bundle = read_bundle(path)
    except ProxyError as error:
        report.note(error, where=str(path), is_false=False)
        return report
    with bundle:
        try:
            _verify(bundle, verifier, checkpoints, now, report)
        except (LedgerError, BundleError) as error:
            report.note(error, where=str(path), is_false=error.code not in _UNTOLD)
    return report


def _verify(
    bundle: OpenBundle,
    verifier: Verifier,
    checkpoints: Sequence[str],
    now: str | None,
    report: Report,
) -> None:
    intact = _check_signature(bundle, report)
    _check_version(bundle)
    checkpoint = _open(_text(bundle, CHECKPOINT), verifier, CHECKPOINT)
    about = bundle.about()
    if (about.get("origin"), about.get("size")) != (checkpoint.origin, checkpoint.size):
        report.refute("export", EXPORT, "the origin or size stated is not the checkpoint's")
    report.proven.append(
        f"the checkpoint of `{checkpoint.origin}` at size {checkpoint.size} is signed by the pinned key"
    )
    read = _check_tiles(bundle, checkpoint, report)
    _check_older(checkpoints, verifier, checkpoint, read, report)
    leaves = _check_entries(bundle, checkpoint, read, report)
    openings = _check_openings(bundle, leaves, report)
    check_closure(bundle, leaves, openings, intact=intact, now=now, report=report)
    check_erasures(bundle, leaves, intact, report)
    report.claimed.append("that entries were made at the times they state, of what was seen then")
    report.claimed.append("the verdicts and the facts they rest on: decide again with `policies/`")
    report.not_covered.append("traffic that went around the recorder")
    report.not_covered.append(
        "what only the export key's signature covers: an opening left out, a report or an "
        "attestation edited, a file added"
    )
    report.not_covered.append(f"what was decided, erased or withdrawn after size {checkpoint.size}")


def _check_signature(bundle: OpenBundle, report: Report) -> frozenset[str]:
    """The files that are what the signature says, after noting those that are not."""
    try:
        signed = read_signature(bundle.read(SIGNATURE), _text(bundle, EXPORT_KEY))
    except (ProofError, BundleError) as error:
        report.note(error, where=SIGNATURE)
        return frozenset()
    present = frozenset(bundle.names) - {SIGNATURE}
    for name in sorted(signed.keys() - present):
        report.refute("file-absent", name, "the signature covers a file that is not here")
    for name in sorted(present - signed.keys()):
        report.refute("file-added", name, "the signature does not cover this file")
    intact = {
        name
        for name in present & signed.keys()
        if sha256(bundle.read(name)).hexdigest() == signed[name]
    }
    for name in sorted(present & signed.keys() - intact):
        report.refute("file-changed", name, "the file is not the one that was signed")
    if intact == present == signed.keys():
        report.proven.append(f"the signature in `{SIGNATURE}` covers all {len(intact)} other files")
    return frozenset(intact)


def _check_version(bundle: OpenBundle) -> None:
    if bundle.about().get("v") != VERSION:
        raise ProofError(
            "the bundle is of another version",
            help="use a newer inbond",
            where=EXPORT,
            code="newer",
        )


def _text(bundle: OpenBundle, name: str) -> str:
    try:
        return bundle.read(name).decode()
    except UnicodeDecodeError as error:
        raise BundleError("the file is not text", help="get it again", where=name) from error


def _open(note: str, verifier: Verifier, where: str) -> Checkpoint:
    try:
        return open_checkpoint(note, verifier)
    except ProofError as error:
        error.where = where
        raise


def _check_tiles(bundle: OpenBundle, checkpoint: Checkpoint, report: Report) -> NodeReader:
    tiles: dict[tuple[int, int], Sequence[bytes]] = {}
    for name in bundle.names:
        tile = _tile_at(name, checkpoint.size)
        if tile is None:
            continue
        try:
            tiles[tile.level, tile.index] = tile_hashes(bundle.read(name), tile.width)
        except ProofError as error:
            error.where = name
            raise
    try:
        verify_tiles(tiles, checkpoint.size, checkpoint.root)
    except ProofError as error:
        # A tile between the entries and the root is part of the bundle: without it nothing holds.
        raise ProofError(error.message, help=error.help, where=error.where or "log/tile") from error
    report.proven.append(f"{len(tiles)} tiles hash to the root of the checkpoint")
    return tile_reader(tiles)


def _tile_at(name: str, size: int) -> Tile | None:
    """The tile that a path names; None for other files."""
    match = _TILE.fullmatch(name)
    if match is None:
        return None
    level, index = int(match[1]), int(re.sub(r"[x/]", "", match[2]))
    width = min(TILE_WIDTH, (size >> 8 * level) - index * TILE_WIDTH)
    tile = Tile(level, index, width)
    if width <= 0 or f"log/{tile.path}" != name:
        raise ProofError(
            f"a tree of {size} has no such tile", help="get the bundle again", where=name
        )
    return tile


def _check_older(
    notes: Iterable[str],
    verifier: Verifier,
    checkpoint: Checkpoint,
    read: NodeReader,
    report: Report,
) -> None:
    is_extended = False
    for number, note in enumerate(notes, 1):
        where = f"--checkpoint {number}"
        try:
            old = _open(note, verifier, where)
            if old.size > checkpoint.size:
                report.doubt("checkpoint-newer", where, "the checkpoint is newer than the bundle's")
                continue
            is_same = root_at(old.size, read) == old.root
        except ProofError as error:
            report.note(error, where=where, is_false=error.code not in _UNTOLD)
            continue
        if is_same:
            is_extended = is_extended or old.size > 0
            report.proven.append(f"the log extends the checkpoint at size {old.size}")
        else:
            report.refute("rewritten", where, "the log does not extend this older checkpoint")
    if not is_extended:
        report.not_covered.append("rewriting by the key's holder")


def _check_entries(
    bundle: OpenBundle, checkpoint: Checkpoint, read: NodeReader, report: Report
) -> list[Leaf]:
    leaves: list[Leaf] = []
    for number, entry in enumerate(bundle.entries(), 1):
        where = f"{ENTRIES}:{number}"
        if not (leaves[-1].seq if leaves else -1) < entry.seq < checkpoint.size:
            raise ProofError("entries are not in ascending order", help="get it again", where=where)
        try:
            slot = read(0, entry.seq, 1)[0]
            leaf = read_leaf(entry.seq, entry.leaf)
        except LedgerError as error:
            # A canonical error's place is a path inside the leaf.
            place = error.where if error.code == "tile-absent" else where
            code = "newer" if error.code == "newer" else "entry"
            raise ProofError(error.message, help=error.help, where=place, code=code) from error
        if leaf_hash(entry.leaf) != slot:
            raise ProofError(
                f"the entry is not what the log holds at place {entry.seq}",
                help="get the bundle again, and ask who changed it",
                where=where,
                code="entry",
            )
        leaves.append(leaf)
    report.proven.append(f"{len(leaves)} entries stand in the log at their places, unchanged")
    return leaves


def _check_openings(
    bundle: OpenBundle, leaves: Iterable[Leaf], report: Report
) -> Mapping[str, Opening]:
    openings = bundle.openings()
    named = {seal for leaf in leaves for seal in seals_of(leaf)}
    good: dict[str, Opening] = {}
    for name, opening in openings.items():
        try:
            is_of = opening.seal == name
        except ProofError as error:
            report.note(error, where=OPENINGS)
            continue
        if not is_of:
            report.refute(
                "opening", OPENINGS, f"the body given for seal `{name}` is not what it seals"
            )
        elif name not in named:
            report.refute("opening", OPENINGS, f"no entry here names the seal `{name}`")
        else:
            good[name] = opening
    report.proven.append(f"{len(good)} bodies are the ones that were sealed")
    return good
