"""Notices: a few entries of the log with all that proves them, in one file for one reader.

A dataset's status and the receipt of an erasure are notices. Who pins the log key checks one offline:
the checkpoint is signed by that key, and each entry stands in its tree. What else a notice says is
nobody's word but its writer's, unless an entry commits to it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.errors import CanonicalError, ProofError
from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.canonical import Json
from proxy.ledger.checkpoint import Verifier, open_checkpoint, unverified_checkpoint
from proxy.ledger.leaf import Leaf, read_leaf
from proxy.ledger.merkle import NodeReader, inclusion_proof, leaf_hash, verify_inclusion

__all__ = ["Notice", "notice_bytes", "read_notice"]

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice of which every entry was shown to stand in the log."""

    kind: str
    size: int
    """Of the tree that the entries stand in."""
    leaves: tuple[Leaf, ...]
    about: Mapping[str, Json]
    """What is said beside the entries."""


def notice_bytes(
    kind: str,
    entries: Sequence[LedgerEntry],
    *,
    checkpoint: str,
    read: NodeReader,
    about: Mapping[str, Json],
) -> bytes:
    """The file of a notice: entries, each with its inclusion proof in the tree of a signed note.

    Raises:
        ProofError: an entry does not stand in that tree.
    """
    size = unverified_checkpoint(checkpoint).size
    document = {
        "v": _VERSION,
        "kind": kind,
        "checkpoint": checkpoint,
        "entries": [
            {
                "seq": entry.seq,
                "leaf": entry.leaf.decode(),
                "proof": [node.hex() for node in inclusion_proof(entry.seq, size, read)],
            }
            for entry in entries
        ],
        "about": dict(about),
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def read_notice(data: bytes, vkey: str, *, kind: str) -> Notice:
    """What a file says, once all of it holds under the pinned key.

    Raises:
        ProofError: it is no notice of this kind, of another version, or an entry is not in the log.
    """
    verifier = Verifier.from_text(vkey)
    try:
        document = json.loads(data)
        version, found = document["v"], document["kind"]
        note, about = str(document["checkpoint"]), dict(document["about"])
        entries = [
            (
                int(each["seq"]),
                str(each["leaf"]).encode(),
                [bytes.fromhex(x) for x in each["proof"]],
            )
            for each in document["entries"]
        ]
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise _wrong("the file is no notice of a ledger") from error
    if version != _VERSION:
        raise ProofError(
            "the notice is of another version", help="use a newer inbond", code="newer"
        )
    if found != kind:
        raise _wrong(f"the notice is no {kind}")
    checkpoint = open_checkpoint(note, verifier)
    leaves: list[Leaf] = []
    for seq, leaf, proof in entries:
        verify_inclusion(leaf_hash(leaf), seq, checkpoint.size, proof, checkpoint.root)
        leaves.append(_leaf(seq, leaf))
    if not leaves:
        raise _wrong("the notice has no entry")
    return Notice(kind=kind, size=checkpoint.size, leaves=tuple(leaves), about=about)


def _leaf(seq: int, data: bytes) -> Leaf:
    try:
        return read_leaf(seq, data)
    except CanonicalError as error:
        raise _wrong("an entry of the notice cannot be read") from error


def _wrong(message: str) -> ProofError:
    return ProofError(message, help="get the file again from who made it", code="notice")
