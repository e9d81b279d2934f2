"""A receipt proves one entry, and no changed byte of it passes."""

import base64
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.ledger.bundle import Opening
from proxy.ledger.canonical import canonical
from proxy.ledger.checkpoint import Checkpoint, sign_checkpoint
from proxy.ledger.merkle import inclusion_proof, leaf_hash, leaf_reader, root_of
from proxy.ledger.receipt import HEADER, Receipt, is_receipt, verify_receipt
from tests.proxy.ledger.sample import LOG_KEY

VKEY = LOG_KEY.verifier.to_text()
OPENED = Opening(salt=b"s" * 32, body=b"It is green.")
LEAF = canonical(
    {"v": 1, "kind": "admin", "id": "a", "at": "2026", "actor": "u", "action": "x", "reason": ""}
)


def receipt(index: int = 2, size: int = 5, openings: tuple[Opening, ...] = ()) -> Receipt:
    """The receipt of one entry among others."""
    hashes = [leaf_hash(str(n).encode()) for n in range(size)]
    hashes[index] = leaf_hash(LEAF)
    note = sign_checkpoint(
        Checkpoint(origin=LOG_KEY.verifier.name, size=size, root=root_of(hashes)), LOG_KEY
    )
    proof = inclusion_proof(index, size, leaf_reader(hashes))
    return Receipt(index=index, leaf=LEAF, proof=proof, checkpoint=note, openings=openings)


@given(size=st.integers(1, 40), data=st.data())
@settings(max_examples=30)
def test_every_place_of_every_tree_is_proven(size: int, data: st.DataObject) -> None:
    """Written and read again, the receipt verifies and says the same."""
    made = receipt(data.draw(st.integers(0, size - 1)), size)
    assert Receipt.from_text(made.to_text()) == made
    assert verify_receipt(made.to_text(), VKEY).exit_code == 0


@given(data=st.data())
@settings(max_examples=60)
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    """Whatever byte is changed, the entry is not proven, or the text says the same as before."""
    text = receipt().to_text()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters(codec="utf-8")) + text[at + 1 :]
    report = verify_receipt(changed, VKEY)
    if report.exit_code == 0:
        found = Receipt.from_text(changed)
        assert (found.index, found.leaf) == (2, LEAF)


@given(junk=st.text())
@settings(max_examples=40)
def test_any_text_gives_a_report(junk: str) -> None:
    """What is no receipt cannot be told, and makes no traceback."""
    assert verify_receipt(junk, VKEY).exit_code == 2
    assert verify_receipt(f"{HEADER}\n{junk}", VKEY).exit_code != 0


def test_a_text_that_the_entry_does_not_seal_is_false() -> None:
    """An opening of something else is found."""
    report = verify_receipt(receipt(openings=(OPENED,)).to_text(), VKEY)
    assert (report.exit_code, report.findings[0].code) == (1, "opening")


def test_the_format_is_that_of_c2sp() -> None:
    """Header, extra, index, hashes, an empty line, and the checkpoint as it was signed."""
    made = receipt()
    head, _, note = made.to_text().partition("\n\n")
    lines = head.split("\n")
    assert (lines[0], lines[2], note) == (HEADER, "index 2", made.checkpoint)
    assert lines[1].startswith("extra ")
    assert [base64.b64decode(line) for line in lines[3:]] == list(made.proof)


def test_a_file_is_known_by_its_first_line(tmp_path: Path) -> None:
    """A zip or a directory is no receipt."""
    path = tmp_path / "x"
    path.write_text(receipt().to_text())
    assert is_receipt(path)
    path.write_bytes(b"PK\x03\x04")
    assert not is_receipt(path)
    assert not is_receipt(tmp_path)
