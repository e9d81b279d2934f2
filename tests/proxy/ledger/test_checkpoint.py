"""Checkpoints and keys read and write as Go's sumdb/note does, and a changed note does not open."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.checkpoint import (
    Checkpoint,
    LogKey,
    Verifier,
    open_checkpoint,
    sign_checkpoint,
    unverified_checkpoint,
)

# The keys and the note of the example in Go's package documentation (golang.org/x/mod/sumdb/note).
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)

KEY = LogKey.generate("acme.example/log", bytes(range(32)))
OTHER = LogKey.generate("acme.example/log", bytes(32))
CHECKPOINT = Checkpoint(origin=KEY.name, size=1234, root=bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, KEY)

NAMES = st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="+"), min_size=1)
SEEDS = st.binary(min_size=32, max_size=32)


def test_keys_and_signatures_are_those_of_go() -> None:
    """The example key of Go's package signs the example text with the published signature."""
    key = LogKey.from_text(GO_SECRET)
    assert key.to_text() == GO_SECRET
    assert key.verifier.to_text() == GO_PUBLIC
    assert key.verifier == Verifier.from_text(GO_PUBLIC)
    signature = base64.b64encode(key.verifier.key_id + key.sign(GO_TEXT)).decode()
    assert signature == GO_SIGNATURE


def test_a_note_looks_as_c2sp_says() -> None:
    """A checkpoint's note is origin, size, root, a blank line and one signature line."""
    lines = NOTE.split("\n")
    root = base64.b64encode(CHECKPOINT.root).decode()
    assert lines[:4] == [KEY.name, "1234", root, ""]
    assert lines[4].startswith(f"— {KEY.name} ")
    assert lines[5:] == [""]


@given(name=NAMES, seed=SEEDS)
def test_keys_round_trip(name: str, seed: bytes) -> None:
    """The texts of a key and of its public half hold that key."""
    key = LogKey.generate(name, seed)
    assert LogKey.from_text(key.to_text()) == key
    assert Verifier.from_text(key.verifier.to_text()) == key.verifier


@given(name=NAMES, seed=SEEDS, size=st.integers(0, 2**63 - 1), root=SEEDS)
def test_checkpoints_round_trip(name: str, seed: bytes, size: int, root: bytes) -> None:
    """A signed checkpoint opens under its key."""
    key = LogKey.generate(name, seed)
    checkpoint = Checkpoint(origin=name, size=size, root=root)
    assert open_checkpoint(sign_checkpoint(checkpoint, key), key.verifier) == checkpoint


def test_a_secret_key_does_not_print() -> None:
    """Neither `repr` nor `str` nor a format of a signing key shows its seed."""
    shown = f"{KEY!r} {KEY} {[KEY]}"
    assert "acme.example/log" in shown
    assert repr(KEY.seed) not in shown
    assert KEY.seed.hex() not in shown


@given(place=st.integers(0, len(NOTE) - 1), char=st.characters(exclude_categories=["Cs"]))
def test_a_changed_note_does_not_open(place: int, char: str) -> None:
    """A note with any one character changed opens as the same checkpoint or not at all."""
    changed = NOTE[:place] + char + NOTE[place + 1 :]
    if changed != NOTE:
        with pytest.raises(ProofError):
            open_checkpoint(changed, KEY.verifier)


@given(note=st.text())
def test_any_text_is_refused(note: str) -> None:
    """Text that this key did not sign does not open."""
    with pytest.raises(ProofError):
        open_checkpoint(note, KEY.verifier)


def test_another_key_is_not_trusted() -> None:
    """A note signed by another key of the same name is `unsigned`."""
    with pytest.raises(ProofError, match="no signature of key") as caught:
        open_checkpoint(sign_checkpoint(CHECKPOINT, OTHER), KEY.verifier)
    assert caught.value.code == "unsigned"


def test_signatures_of_others_are_passed_over() -> None:
    """A witness may sign too: the pinned key's signature decides."""
    witness = LogKey.generate("witness", bytes(32))
    line = base64.b64encode(witness.verifier.key_id + witness.sign(CHECKPOINT.to_text())).decode()
    note = f"{NOTE}— witness {line}\n"
    assert open_checkpoint(note, KEY.verifier) == CHECKPOINT
    assert open_checkpoint(f"{NOTE}— witness AAAAAAA=\n", KEY.verifier) == CHECKPOINT


def test_a_writer_reads_what_it_signed() -> None:
    """Without a key a note's checkpoint can be read, and text that is no note cannot."""
    assert unverified_checkpoint(NOTE) == CHECKPOINT
    with pytest.raises(ProofError):
        unverified_checkpoint(CHECKPOINT.to_text())


def test_a_signature_has_one_spelling() -> None:
    """Base64 with stray bits in its last character is refused, although it decodes the same."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    head, last = NOTE.removesuffix("=\n")[:-1], NOTE.removesuffix("=\n")[-1]
    other = f"{head}{alphabet[alphabet.index(last) ^ 1]}=\n"
    spelled = [base64.b64decode(note.split()[-1]) for note in (NOTE, other)]
    assert spelled[0] == spelled[1]
    with pytest.raises(ProofError):
        open_checkpoint(other, KEY.verifier)


def test_a_second_signature_must_fit_too() -> None:
    """A note with one good and one bad signature of the pinned key does not open."""
    bad = base64.b64encode(KEY.verifier.key_id + bytes(64)).decode()
    with pytest.raises(ProofError, match="does not fit its text") as caught:
        open_checkpoint(f"{NOTE}— {KEY.name} {bad}\n", KEY.verifier)
    assert caught.value.code == "signature"


def test_a_checkpoint_of_another_log_is_refused() -> None:
    """A key's signature on a checkpoint whose origin is not the key's name is `other-log`."""
    note = sign_checkpoint(Checkpoint(origin="elsewhere", size=0, root=bytes(32)), KEY)
    with pytest.raises(ProofError, match="of log `elsewhere`") as caught:
        open_checkpoint(note, KEY.verifier)
    assert caught.value.code == "other-log"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n",
        "log\n1\n",
        f"log\n01\n{base64.b64encode(bytes(32)).decode()}\n",
        f"log\n-1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"log\n²\n{base64.b64encode(bytes(32)).decode()}\n",
        f"log\n{2**63}\n{base64.b64encode(bytes(32)).decode()}\n",
        f"log\n1\n{base64.b64encode(bytes(31)).decode()}\n",
        f"log\n1\n{base64.b64encode(bytes(32)).decode()}",
        f"log\n1\n{base64.b64encode(bytes(32)).decode()}\nmore\n",
        "log\n1\nnot base64\n",
    ],
)
def test_other_texts_are_no_checkpoint(text: str) -> None:
    """A signed text that is not exactly a checkpoint's three lines is refused."""
    with pytest.raises(ProofError, match="three lines"):
        Checkpoint.from_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+c74f20a3",
        GO_PUBLIC[:-1],
        GO_PUBLIC.replace("c74f20a3", "c74f20a4"),
        GO_PUBLIC.replace("PeterNeumann", "Peter Neumann"),
        GO_PUBLIC.replace("+AR", "+AB"),
        GO_PUBLIC.replace("+AR", "+BB"),
        GO_PUBLIC.replace("PeterNeumann", ""),
        GO_SECRET,
    ],
)
def test_other_texts_are_no_public_key(text: str) -> None:
    """Text that is not a whole Ed25519 verifier key with its own id is refused."""
    with pytest.raises(ProofError) as caught:
        Verifier.from_text(text)
    assert caught.value.code == "key"


@pytest.mark.parametrize(
    "text",
    [GO_PUBLIC, GO_SECRET[:-1], GO_SECRET.replace("c74f20a3", "c74f20a4"), "PRIVATE+KEY+"],
)
def test_other_texts_are_no_secret_key(text: str) -> None:
    """Text that is not a whole signing key is refused, and the message does not repeat it."""
    with pytest.raises(ProofError) as caught:
        LogKey.from_text(text)
    assert caught.value.code == "key"
    assert "AYEKFALV" not in f"{caught.value} {caught.value.help}"


@pytest.mark.parametrize(
    ("name", "seed"), [("", bytes(32)), ("a+b", bytes(32)), ("a b", bytes(32)), ("a", bytes(31))]
)
def test_a_key_needs_a_name_and_a_seed(name: str, seed: bytes) -> None:
    """Names that a note cannot carry, and seeds of another length, make no key."""
    with pytest.raises(ProofError):
        LogKey.generate(name, seed)


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    """A public key that is not on the curve says no instead of failing."""
    assert not Verifier(name="a", public=b"\xff" * 31).verify(bytes(64), "text")
