"""Receipts: one entry with its proof, as a `.tlog-proof` text (c2sp.org/tlog-proof).

The proof's `extra`, which no proof covers by itself, is canonical JSON of the entry's exact text and
of what is disclosed: `{"leaf": …, "openings": [{"seal", "salt", "body"}, …]}`. The entry's hash is what
the proof is of, and the entry names the seals. With texts, `export` is the id of the entry that says to
whom they were disclosed: by it an erasure finds the file.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import LedgerError, ProofError, ProxyError
from proxy.ledger.bundle import Opening
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.checkpoint import Verifier, open_checkpoint
from proxy.ledger.leaf import read_leaf, seals_of
from proxy.ledger.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from proxy.ledger.report import Report

__all__ = ["HEADER", "Receipt", "is_receipt", "verify_receipt"]

HEADER = "c2sp.org/tlog-proof@v1"
"""The first line of every receipt."""

_MAX_BYTES = 64 * 2**20
"""A longer file is no receipt: it holds one entry and the texts of one exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One entry, its place, its inclusion proof, and the signed checkpoint that it is proven against."""

    index: int
    leaf: bytes
    proof: Sequence[bytes]
    checkpoint: str
    openings: Sequence[Opening] = ()
    export: str | None = None
    """The `export` entry that keeps what is disclosed here."""

    def to_text(self) -> str:
        """The text of the `.tlog-proof` file."""
        openings: list[Json] = [
            {"seal": each.seal, "salt": _encode(each.salt), "body": _encode(each.body)}
            for each in self.openings
        ]
        kept: dict[str, Json] = {} if self.export is None else {"export": self.export}
        extra = canonical({"leaf": self.leaf.decode(), "openings": openings, **kept})
        lines = [
            HEADER,
            f"extra {_encode(extra)}",
            f"index {self.index}",
            *map(_encode, self.proof),
            "",
        ]
        return "\n".join(lines) + "\n" + self.checkpoint

    @classmethod
    def from_text(cls, text: str) -> "Receipt":
        """The receipt of a text.

        Raises:
            ProofError: the text is no receipt of inbond.
        """
        head, gap, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        try:
            header, extra, index, *hashes = lines
            if header != HEADER or not gap or not extra.startswith("extra "):
                raise _bad_receipt()
            said = json.loads(_decode(extra.removeprefix("extra ")))
            openings = tuple(
                Opening(salt=_decode(each["salt"]), body=_decode(each["body"]))
                for each in said["openings"]
            )
            proof = tuple(map(_decode, hashes))
            place = _index(index)
            leaf = str(said["leaf"]).encode()
            export = None if said.get("export") is None else str(said["export"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise _bad_receipt() from error
        if any(len(each) != HASH_BYTES for each in proof):
            raise _bad_receipt()
        return cls(
            index=place,
            leaf=leaf,
            proof=proof,
            checkpoint=checkpoint,
            openings=openings,
            export=export,
        )


def is_receipt(path: Path) -> bool:
    """Whether the file at a path begins like a receipt, and is no longer than one may be."""
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER.encode()


def verify_receipt(text: str, vkey: str) -> Report:
    """What holds of a receipt under the pinned key. Never raises on a bad receipt."""
    report = Report()
    try:
        verifier = Verifier.from_text(vkey)
        receipt = Receipt.from_text(text)
        checkpoint = open_checkpoint(receipt.checkpoint, verifier)
    except ProxyError as error:
        report.note(error, where="receipt", is_false=error.code == "signature")
        return report
    report.proven.append(
        f"the checkpoint of `{checkpoint.origin}` at size {checkpoint.size} is signed by the pinned key"
    )
    try:
        verify_inclusion(
            leaf_hash(receipt.leaf), receipt.index, checkpoint.size, receipt.proof, checkpoint.root
        )
        leaf = read_leaf(receipt.index, receipt.leaf)
        named = set(seals_of(leaf))
        for opening in receipt.openings:
            if opening.seal not in named:
                report.refute("opening", "receipt", f"the entry names no seal `{opening.seal}`")
    except LedgerError as error:
        report.note(error, where="receipt", is_false=error.code != "newer")
        return report
    report.proven.append(
        f"the {leaf.kind} entry `{leaf.id}` stands in the log at place {receipt.index}, unchanged"
    )
    opened = len(receipt.openings)
    if opened and not report.findings:
        report.proven.append(f"{opened} bodies are the ones that were sealed")
    report.claimed.append("that the entry was made at the time it states, of what was seen then")
    report.not_covered.append(
        "every other entry: what was decided or erased later, the call, the terms"
    )
    report.not_covered.append("rewriting by the key's holder")
    return report


def _index(line: str) -> int:
    word, _, digits = line.partition(" ")
    if word != "index" or not digits.isdecimal() or digits != str(int(digits)):
        raise _bad_receipt()
    return int(digits)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _bad_receipt() -> ProofError:
    return ProofError(
        "this is no receipt",
        help="give a file that `inbond audit prove` made",
        code="receipt",
    )
