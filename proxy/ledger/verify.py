"""Whether a bundle is true, offline: the one verifier of datasets and audits (design §7).

Needs the standard library and `cryptography`; pyarrow for the tables. Establishes, in this order:
the signature covers every file and no other; the checkpoint is signed by the pinned key; the tiles
hash to its root and it extends every older checkpoint given; each entry is its tile's slot;
openings are of sealed bytes; then what `proxy.ledger.closure` says.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from proxy.errors import BundleError, LedgerError, ProofError, ProxyError
from proxy.ledger.anchored import NOBODY, Trusted, chain_of, check_anchors, check_handovers
from proxy.ledger.bundle import (
    CHECKPOINT,
    ENTRIES,
    EXPORT,
    EXPORT_KEY,
    VERSION,
    OpenBundle,
    read_bundle,
)
from proxy.ledger.census import take_census
from proxy.ledger.checkpoint import Checkpoint, Verifier
from proxy.ledger.closure import Closure
from proxy.ledger.crew import Crew
from proxy.ledger.envelope import SIGNATURE, read_signature
from proxy.ledger.erasures import check_erasures
from proxy.ledger.merkle import NodeReader, root_at
from proxy.ledger.openings import scan_openings
from proxy.ledger.report import Report
from proxy.ledger.stretch import Wanted
from proxy.ledger.tiles import TILE_WIDTH, Tile, tile_hashes, tile_reader, verify_tiles

__all__ = ["verify"]

_TILE = re.compile(r"log/tile/(\d{1,2})/((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?")

_UNTOLD = frozenset({"unsigned", "other-log", "newer", "process-ended", "tile-absent"})
"""Codes of errors that leave open whether the bundle is true."""

_HELP = "get the bundle again, and ask who changed it"


@dataclass(frozen=True, slots=True)
class _Reader:
    """What the reader holds and asks."""

    checkpoints: Sequence[str]
    now: str | None
    trusted: Trusted


def verify(
    path: Path,
    vkey: str,
    *,
    checkpoints: Sequence[str] = (),
    now: str | None = None,
    trusted: Trusted = NOBODY,
    processes: int = 1,
) -> Report:
    """What holds of the bundle at `path` under the pinned key. Never raises on a bad bundle.

    `checkpoints` are older signed notes that the reader kept; `now`, a ledger stamp, asks whether a
    dataset is still valid; `trusted` are witnesses and authorities whose word the reader takes. With
    more `processes` a large bundle is read by as many at once, each of which imports `__main__`.
    """
    report = Report()
    try:
        verifier = Verifier.from_text(vkey)
        bundle = read_bundle(path)
    except ProxyError as error:
        report.note(error, where=str(path), is_false=False)
        return _quoted(report)
    reader = _Reader(checkpoints, now, trusted)
    with bundle, Crew(processes) as crew:
        try:
            _verify(bundle, verifier, reader, crew, report)
        except (LedgerError, BundleError) as error:
            report.note(error, where=str(path), is_false=error.code not in _UNTOLD)
    return _quoted(report)


def _quoted(report: Report) -> Report:
    """The report: what to do stands with all that is false, and no sign moves a terminal's cursor."""
    report.findings[:] = [
        replace(
            found,
            where=_spelled(found.where),
            message=_spelled(found.message),
            help=found.help or (_HELP if found.is_false else ""),
        )
        for found in report.findings
    ]
    return report


def _spelled(text: str) -> str:
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _verify(
    bundle: OpenBundle,
    verifier: Verifier,
    reader: _Reader,
    crew: Crew,
    report: Report,
) -> None:
    intact = _check_signature(bundle, report)
    _check_version(bundle)
    chain, note = chain_of(bundle, verifier, report), _text(bundle, CHECKPOINT)
    checkpoint = _open(note, chain.open_newest, CHECKPOINT)
    about = bundle.about()
    if (about.get("origin"), about.get("size")) != (checkpoint.origin, checkpoint.size):
        report.refute("export", EXPORT, "the origin or size stated is not the checkpoint's")
    report.proven.append(
        f"the checkpoint of `{checkpoint.origin}` at size {checkpoint.size} is signed by"
        f" {chain.signer_of(note)}"
    )
    read = _check_tiles(bundle, checkpoint, report)
    check_handovers(chain, note, read, report)
    extended = _check_older(reader.checkpoints, chain.open_any, checkpoint, read, report)
    witnessed = check_anchors(bundle, chain, checkpoint, read, reader.trusted, report)
    if not max(extended, witnessed):
        report.not_covered.append("rewriting by the key's holder")
    is_dataset = about.get("kind") == "dataset"
    openings = scan_openings(bundle, crew, has_texts=is_dataset)
    wanted = Wanted(has_openings=openings.is_any, is_dataset=is_dataset)
    parts = bundle.pieces.parts(ENTRIES)
    slots = partial(read, 0)
    census = take_census(parts, checkpoint.size, slots, wanted, crew, openings.see)
    report.proven.append(f"{census.count} entries stand in the log at their places, unchanged")
    openings.settle(report)
    closure = Closure(bundle, census, openings, crew, intact, report)
    closure.check(reader.now)
    check_erasures(bundle, census.others, intact, report)
    report.claimed.append("that entries were made at the times they state, of what was seen then")
    report.claimed.append("the verdicts and the facts they rest on: decide again with `policies/`")
    report.not_covered.append("traffic that went around the recorder")
    report.not_covered.append(
        "what only the export key's signature covers: an opening left out; a report, a count, an "
        "attestation or the copy of the log's key edited; a file added"
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
        name for name in present & signed.keys() if bundle.pieces.digest(name) == signed[name]
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


def _open(note: str, opens: Callable[[str], Checkpoint], where: str) -> Checkpoint:
    try:
        return opens(note)
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
    opens: Callable[[str], Checkpoint],
    checkpoint: Checkpoint,
    read: NodeReader,
    report: Report,
) -> int:
    """The size of the largest older checkpoint that the log extends; 0 where there is none."""
    extended = 0
    for number, note in enumerate(notes, 1):
        where = f"--checkpoint {number}"
        try:
            old = _open(note, opens, where)
            if old.size > checkpoint.size:
                report.doubt("checkpoint-newer", where, "the checkpoint is newer than the bundle's")
                continue
            is_same = root_at(old.size, read) == old.root
        except ProofError as error:
            report.note(error, where=where, is_false=error.code not in _UNTOLD)
            continue
        if is_same:
            extended = max(extended, old.size)
            report.proven.append(f"the log extends the checkpoint at size {old.size}")
        else:
            report.refute("rewritten", where, "the log does not extend this older checkpoint")
    return extended
