"""Others' word on checkpoints: kept beside the log, and as the files that bundles hold of it."""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, func, insert, select

from proxy.errors import LedgerError
from proxy.ledger.entry import KeyEntry
from proxy.ledger.handover import Handover, read_handover
from proxy.store.queries import checkpoint_at, entries
from proxy.store.session import Database, Reading, RuleBrokenError
from proxy.store.tables import AnchorRow

__all__ = [
    "Anchor",
    "AnchorKind",
    "anchor_files",
    "anchored_size",
    "cosigned",
    "handovers",
    "keep_anchor",
    "latest_anchors",
]

_MOST = 64
"""So many time-stamps of one authority go into a bundle at most."""


class AnchorKind(StrEnum):
    """Who says something of a checkpoint."""

    FILE = "file"
    TIMESTAMP = "timestamp"
    WITNESS = "witness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What somebody said of the checkpoint of `size` leaves."""

    size: int
    kind: AnchorKind
    name: str
    proof: bytes
    """A time-stamp in DER, a cosignature line, or the path of a file."""


def keep_anchor(database: Database, anchor: Anchor) -> None:
    """Keep an anchor; the first of its kind, name and size stays.

    Raises:
        LedgerError: the checkpoint is not kept, or the database cannot be written.
    """
    values = {
        "size": anchor.size,
        "kind": anchor.kind.value,
        "name": anchor.name,
        "proof": anchor.proof,
    }
    try:
        with database.aside() as connection:
            connection.execute(insert(AnchorRow), values)
    except RuleBrokenError:
        with database.read() as connection:
            if anchored_size(connection, anchor.kind, anchor.name) < anchor.size:
                raise


def anchored_size(connection: Reading, kind: AnchorKind, name: str) -> int:
    """The largest size that has an anchor of this kind and name; -1 before the first."""
    query = select(func.max(AnchorRow.size)).where(AnchorRow.kind == kind, AnchorRow.name == name)
    found = connection.execute(query).scalar_one()
    return -1 if found is None else int(found)


def latest_anchors(connection: Reading) -> tuple[Anchor, ...]:
    """The newest anchor of each kind and name."""
    found = (_at(connection, kind, name, sizes[-1]) for (kind, name), sizes in _sizes(connection))
    return tuple(found)


def cosigned(connection: Reading, size: int) -> str:
    """The note of the checkpoint of `size` leaves with the lines of witnesses under it.

    Raises:
        LedgerError: that checkpoint is not kept.
    """
    query = select(AnchorRow.proof).where(
        AnchorRow.kind == AnchorKind.WITNESS, AnchorRow.size == size
    )
    lines = connection.execute(query.order_by(AnchorRow.name)).scalars()
    return _note_at(connection, size) + "".join(bytes(line).decode() for line in lines)


def handovers(connection: Reading) -> dict[str, Handover]:
    """How the log's key was replaced, in order, by the note that says so.

    Raises:
        ProofError: an entry holds a note that is none of a handover.
    """
    found: dict[str, Handover] = {}
    after = -1
    while page := entries(connection, after=after, kind="key"):
        for item in page:
            if isinstance(item.entry, KeyEntry) and item.entry.handover is not None:
                found[item.entry.handover] = read_handover(item.entry.handover)
        after = page[-1].seq
    return found


def anchor_files(connection: Reading, size: int) -> dict[str, bytes]:
    """The files with anchors and handovers for a bundle of a log of `size` leaves.

    Of each witness the newest cosignature; of each authority the newest time-stamp, and older ones at
    even distances.

    Raises:
        LedgerError: the database cannot be read.
    """
    files: dict[str, bytes] = {}
    for note, step in handovers(connection).items():
        files[f"log/handovers/{step.checkpoint.size}.note"] = note.encode()
    for (kind, name), sizes in _sizes(connection, most=size):
        if kind is AnchorKind.WITNESS:
            files[f"log/anchors/{sizes[-1]}.cosigned"] = cosigned(connection, sizes[-1]).encode()
        if kind is not AnchorKind.TIMESTAMP:
            continue
        for at in sizes[:: -(len(sizes) // _MOST + 1)]:
            stamp = _at(connection, kind, name, at)
            files[f"log/anchors/{at}.{name}.tsr"] = stamp.proof
            files[f"log/anchors/{at}.checkpoint"] = _note_at(connection, at).encode()
    return files


def _sizes(
    connection: Connection, *, most: int | None = None
) -> list[tuple[tuple[AnchorKind, str], list[int]]]:
    """The sizes that have an anchor, ascending, for each kind and name in order."""
    found = defaultdict[tuple[AnchorKind, str], list[int]](list)
    query = select(AnchorRow.kind, AnchorRow.name, AnchorRow.size).order_by(AnchorRow.size)
    for kind, name, size in connection.execute(query):
        if most is None or size <= most:
            found[AnchorKind(kind), name].append(size)
    return sorted(found.items())


def _at(connection: Connection, kind: AnchorKind, name: str, size: int) -> Anchor:
    query = select(AnchorRow.proof).where(
        AnchorRow.kind == kind, AnchorRow.name == name, AnchorRow.size == size
    )
    proof = bytes(connection.execute(query).scalar_one())
    return Anchor(size=size, kind=kind, name=name, proof=proof)


def _note_at(connection: Connection, size: int) -> str:
    kept = checkpoint_at(connection, size)
    if kept is None:
        raise LedgerError(
            f"the checkpoint of {size} entries is not kept",
            help="run `inbond ledger verify`, and restore the database from a backup",
        )
    return kept.note
