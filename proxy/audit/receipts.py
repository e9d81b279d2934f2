"""Make a receipt for one exchange; if it discloses texts, the ledger keeps that it did, and to whom."""

from dataclasses import dataclass
from pathlib import Path

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import BundleError, LedgerError
from proxy.ledger.bundle import Opening, entries_digest, openings_digest
from proxy.ledger.checkpoint import unverified_checkpoint
from proxy.ledger.entry import ExportEntry
from proxy.ledger.leaf import named_digests, read_leaf, seals_of
from proxy.ledger.merkle import inclusion_proof
from proxy.ledger.receipt import Receipt
from proxy.notary import Notary, append_if, disclosed, refuse_later, refuse_taken
from proxy.selection import open_seals, tile_reader_of
from proxy.store.anchors import cosigned
from proxy.store.log import Pending
from proxy.store.queries import exchange_with_call, head

__all__ = ["Proven", "prove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A receipt that was written."""

    exchange: str
    path: Path
    place: int
    """Of the entry in the log."""
    size: int
    """Of the log, as the checkpoint has it."""
    openings: int


def prove(
    notary: Notary, name: str, target: Path, *, actor: str, recipient: str | None = None
) -> Proven:
    """Write the receipt of an exchange, named by its id, its call's or one of its examples'.

    With a recipient the texts that are still kept are disclosed, and an `export` entry says so.

    Raises:
        LedgerError: there is no such exchange, the ledger cannot be read, written or signed, or
            something was erased meanwhile.
        BundleError: the target exists or cannot be written.
    """
    refuse_taken(target)
    with notary.log.database.read() as connection:
        before = head(connection).size
        found = exchange_with_call(connection, name.partition("#")[0])
        if found is None or found.exchange is None:
            raise LedgerError(
                f"there is no exchange `{name}`",
                help="take an id from `inbond audit ask receipt`, or `x-inbond-exchange` of an answer",
                code="no-exchange",
            )
        seq, leaf = found.exchange.seq, found.exchange.leaf
        seals = set() if recipient is None else set(seals_of(read_leaf(seq, leaf)))
        openings = open_seals(connection, seals)
    export = None
    if openings and recipient is not None:
        entry = _disclosure(found.exchange.entry.id, seq, leaf, openings, actor, recipient)
        pending = Pending(entry, documents=(disclosed(each.seal for each in openings),))
        append_if(notary.log, [pending], lambda now: refuse_later(now, ("erase",), size=before))
        export = entry.id
    note = notary.sign()
    size = unverified_checkpoint(note).size
    with notary.log.database.read() as connection:
        note = cosigned(connection, size)
    proof = inclusion_proof(seq, size, tile_reader_of(notary.log.database))
    receipt = Receipt(
        index=seq, leaf=leaf, proof=proof, checkpoint=note, openings=openings, export=export
    )
    try:
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(receipt.to_text())
    except OSError as error:
        raise BundleError(
            f"the receipt could not be written: {(error.strerror or 'unknown reason').lower()}",
            help="free the path and try again",
            where=str(target),
            code="not-writable",
        ) from error
    return Proven(
        exchange=found.exchange.entry.id, path=target, place=seq, size=size, openings=len(openings)
    )


def _disclosure(
    exchange: str, seq: int, leaf: bytes, openings: list[Opening], actor: str, recipient: str
) -> ExportEntry:
    named = set(named_digests(read_leaf(seq, leaf)))
    by_folder = {
        folder: sorted(digest for kind, digest in named if kind == folder)
        for folder in ("policies", "terms", "grants")
    }
    export = new_id()
    return ExportEntry(
        id=export,
        at=stamp(utc_now()),
        actor=actor,
        export=export,
        query={"scope": "exchange", "exchange": exchange, "bodies": "receipt"},
        entries=entries_digest([leaf]),
        openings=openings_digest(opening.seal for opening in openings),
        tables={},
        policies=by_folder["policies"],
        terms=by_folder["terms"],
        grants=by_folder["grants"],
        recipient=recipient,
        nonce=new_nonce(),
    )
