"""Tests of proxy.store.anchors."""

import pytest

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError
from proxy.ledger.checkpoint import LogKey, open_checkpoint
from proxy.ledger.cosignature import WitnessKey, cosign, find_cosignature
from proxy.ledger.entry import KeyEntry
from proxy.ledger.handover import read_handover, sign_handover
from proxy.ledger.note import read_note
from proxy.store import anchors as module
from proxy.store.anchors import (
    Anchor,
    AnchorKind,
    anchor_files,
    anchored_size,
    cosigned,
    handovers,
    keep_anchor,
    latest_anchors,
)
from proxy.store.log import Pending
from tests.proxy.store.ledgers import KEY, ORIGIN, Ledger, admin

WITNESS = WitnessKey.generate("witness.example/w", bytes(32))
NEXT = LogKey.generate(ORIGIN, bytes(32))


def keep(ledger: Ledger, kind: AnchorKind, name: str, proof: bytes = b"proof") -> int:
    """Grow and sign the log, and keep an anchor of it; gives the size."""
    ledger.log.append([admin()])
    note = ledger.signer.sign()
    size = open_checkpoint(note, KEY.verifier).size
    if kind is AnchorKind.WITNESS:
        proof = cosign(read_note(note).text, WITNESS, utc_now()).encode()
    keep_anchor(ledger.database, Anchor(size=size, kind=kind, name=name, proof=proof))
    return size


def files(ledger: Ledger, size: int = 10_000) -> dict[str, bytes]:
    """What a bundle holds of anchors."""
    with ledger.database.read() as connection:
        return anchor_files(connection, size)


def test_the_newest_anchor_of_each_place_is_known(either: Ledger) -> None:
    """Places are told apart by kind and name; before the first anchor there is none."""
    with either.database.read() as connection:
        assert anchored_size(connection, AnchorKind.FILE, "a") == -1
        assert latest_anchors(connection) == ()
    for name in ("a", "b", "a"):
        keep(either, AnchorKind.FILE, name)
    keep(either, AnchorKind.TIMESTAMP, "a")
    with either.database.read() as connection:
        assert anchored_size(connection, AnchorKind.FILE, "a") == 3
        assert anchored_size(connection, AnchorKind.TIMESTAMP, "a") == 4
        found = [(each.kind, each.name, each.size) for each in latest_anchors(connection)]
    assert found == [("file", "a", 3), ("file", "b", 2), ("timestamp", "a", 4)]


def test_the_first_word_stays(either: Ledger) -> None:
    """Keeping an anchor again, as a second host may, changes nothing."""
    size = keep(either, AnchorKind.FILE, "a")
    again = Anchor(size=size, kind=AnchorKind.FILE, name="a", proof=b"other")
    keep_anchor(either.database, again)
    with either.database.read() as connection:
        (kept,) = latest_anchors(connection)
    assert kept.proof == b"proof"


def test_an_anchor_is_of_a_checkpoint(either: Ledger) -> None:
    """What is said of a size that was never signed is not kept."""
    anchor = Anchor(size=7, kind=AnchorKind.FILE, name="a", proof=b"")
    with pytest.raises(LedgerError):
        keep_anchor(either.database, anchor)
    with either.database.read() as connection, pytest.raises(LedgerError, match="is not kept"):
        cosigned(connection, 7)


def test_a_bundle_holds_the_newest_word_of_a_witness(ledger: Ledger) -> None:
    """The note of the newest checkpoint that a witness saw, up to the bundle's size, with its line."""
    keep(ledger, AnchorKind.WITNESS, "w")
    keep(ledger, AnchorKind.WITNESS, "w")
    for size, name in ((2, "log/anchors/2.cosigned"), (1, "log/anchors/1.cosigned")):
        ((found, note),) = files(ledger, size).items()
        assert found == name
        assert open_checkpoint(note.decode(), KEY.verifier).size == size
        assert find_cosignature(note.decode(), WITNESS.verifier) is not None


def test_a_bundle_holds_time_stamps_with_what_they_stamp(ledger: Ledger) -> None:
    """Each stamp lies beside the exact note that was stamped; files of folders stay at home."""
    keep(ledger, AnchorKind.FILE, "/mnt/worm")
    size = keep(ledger, AnchorKind.TIMESTAMP, "tsa.example", b"stamp")
    found = files(ledger)
    assert found.keys() == {f"log/anchors/{size}.tsa.example.tsr", f"log/anchors/{size}.checkpoint"}
    assert found[f"log/anchors/{size}.tsa.example.tsr"] == b"stamp"
    assert (
        open_checkpoint(found[f"log/anchors/{size}.checkpoint"].decode(), KEY.verifier).size == size
    )


def test_many_time_stamps_are_thinned(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long history some go into a bundle, the newest always."""
    monkeypatch.setattr(module, "_MOST", 3)
    for _ in range(5):
        keep(ledger, AnchorKind.TIMESTAMP, "tsa")
    stamps = sorted(
        int(name.split("/")[2].split(".")[0]) for name in files(ledger) if "tsr" in name
    )
    assert stamps == [1, 3, 5]


def test_handovers_are_read_from_key_entries(ledger: Ledger) -> None:
    """A `key` entry that holds one gives the handover, and its file for bundles."""
    ledger.log.append([admin()])
    last = open_checkpoint(ledger.signer.sign(), KEY.verifier)
    note = sign_handover(last, KEY, NEXT)
    entry = KeyEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:one",
        action="create",
        role="log",
        key="log:2",
        public=NEXT.verifier.to_text(),
        handover=note,
        nonce=new_nonce(),
    )
    ledger.log.append([Pending(entry)])
    with ledger.database.read() as connection:
        assert handovers(connection) == {note: read_handover(note)}
    assert files(ledger) == {"log/handovers/1.note": note.encode()}
