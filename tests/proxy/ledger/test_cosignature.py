"""Tests of proxy.ledger.cosignature."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.checkpoint import Checkpoint, LogKey, Verifier, open_checkpoint, sign_checkpoint
from proxy.ledger.cosignature import WitnessKey, WitnessVerifier, cosign, find_cosignature
from proxy.ledger.note import encode, key_id_of, signature_line

LOG = LogKey.generate("acme.example/log", bytes(32))
KEY = WitnessKey.generate("witness.example/w1", bytes(range(32)))
OTHER = WitnessKey.generate("witness.example/w1", bytes(32))
CHECKPOINT = Checkpoint(origin=LOG.name, size=7, root=bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, LOG)
TEXT = CHECKPOINT.to_text()
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
LINE = cosign(TEXT, KEY, AT)


def test_a_cosignature_is_what_c2sp_says() -> None:
    """Key id, time and Ed25519 signature stand in the line as the specification lays them out."""
    public = Ed25519PrivateKey.from_private_bytes(KEY.seed).public_key()
    seconds = int(AT.timestamp())
    signed = f"cosignature/v1\ntime {seconds}\n{TEXT}".encode()
    signature = Ed25519PrivateKey.from_private_bytes(KEY.seed).sign(signed)
    key_id = key_id_of(KEY.name, b"\x04", public.public_bytes_raw())
    blob = encode(key_id + seconds.to_bytes(8, "big") + signature)
    assert f"— {KEY.name} {blob}\n" == LINE


def test_a_cosigned_note_opens_for_both() -> None:
    """Under the log's key it is the checkpoint, under the witness's the time it was seen."""
    found = find_cosignature(NOTE + LINE, KEY.verifier)
    assert found is not None
    assert (found.at, found.line) == (AT, LINE)
    assert open_checkpoint(NOTE + LINE, LOG.verifier) == CHECKPOINT


def test_lines_may_come_apart_from_the_note() -> None:
    """A witness answers with lines alone; those of others are passed over, the latest counts."""
    later = cosign(TEXT, KEY, AT.replace(hour=13))
    found = find_cosignature(NOTE, KEY.verifier, cosign(TEXT, OTHER, AT) + later + LINE)
    assert found is not None
    assert found.line == later
    assert find_cosignature(NOTE, KEY.verifier) is None
    assert find_cosignature(NOTE, OTHER.verifier, LINE) is None


def test_a_cosignature_of_another_text_is_refused() -> None:
    """A line of the witness that does not fit the checkpoint is an error, not a missing one."""
    other = Checkpoint(origin=LOG.name, size=8, root=bytes(32)).to_text()
    with pytest.raises(ProofError, match="does not fit the checkpoint") as caught:
        find_cosignature(NOTE + cosign(other, KEY, AT), KEY.verifier)
    assert caught.value.code == "cosignature"


@pytest.mark.parametrize("seconds", [0, 2**63, 2**64 - 1])
def test_a_time_that_cannot_be_is_refused(seconds: int) -> None:
    """A cosignature without a time, or with one that no clock shows, is not believed."""
    signed = Ed25519PrivateKey.from_private_bytes(KEY.seed).sign(
        f"cosignature/v1\ntime {seconds}\n{TEXT}".encode()
    )
    line = signature_line(KEY.name, KEY.verifier.key_id, seconds.to_bytes(8) + signed)
    with pytest.raises(ProofError):
        find_cosignature(NOTE + line, KEY.verifier)


@given(place=st.integers(0, len(LINE) - 1), char=st.characters(exclude_categories=["Cs"]))
def test_a_changed_line_is_no_cosignature(place: int, char: str) -> None:
    """A line with any one character changed is the same, of nobody, or an error."""
    changed = LINE[:place] + char + LINE[place + 1 :]
    if changed == LINE:
        return
    try:
        assert find_cosignature(NOTE, KEY.verifier, changed) is None
    except ProofError:
        return


@given(name=st.sampled_from(["w", "w.example/1"]), seed=st.binary(min_size=32, max_size=32))
def test_keys_round_trip(name: str, seed: bytes) -> None:
    """The texts of a key and of its public half hold that key."""
    key = WitnessKey.generate(name, seed)
    assert WitnessKey.from_text(key.to_text()) == key
    assert WitnessVerifier.from_text(key.verifier.to_text()) == key.verifier


def test_keys_of_logs_and_witnesses_are_not_mixed_up() -> None:
    """The key of a log is no witness's, and the other way round, public or secret."""
    for text in (LOG.verifier.to_text(), "", KEY.to_text()):
        with pytest.raises(ProofError) as caught:
            WitnessVerifier.from_text(text)
        assert caught.value.code == "witness-key"
    changed = KEY.verifier.to_text().replace(KEY.verifier.key_id.hex(), "00000000")
    with pytest.raises(ProofError):
        WitnessVerifier.from_text(changed)
    with pytest.raises(ProofError):
        Verifier.from_text(KEY.verifier.to_text())


@pytest.mark.parametrize("text", ["", LOG.to_text(), KEY.to_text()[:-4], KEY.verifier.to_text()])
def test_other_texts_are_no_secret_key(text: str) -> None:
    """What is not a whole signing key of a witness is refused, and not repeated."""
    with pytest.raises(ProofError) as caught:
        WitnessKey.from_text(text)
    assert "AAAA" not in f"{caught.value} {caught.value.help}"


def test_a_secret_key_with_another_id_is_refused() -> None:
    """The id in a signing key's text is that of the key."""
    with pytest.raises(ProofError):
        WitnessKey.from_text(KEY.to_text().replace(KEY.verifier.key_id.hex(), "00000000"))


def test_a_secret_key_does_not_print() -> None:
    """Neither `repr` nor `str` shows the seed."""
    assert repr(KEY.seed) not in f"{KEY!r} {KEY}"


def test_a_key_needs_a_name_and_a_seed() -> None:
    """Names that a note cannot carry, and seeds of another length, make no key."""
    for name, seed in (("", bytes(32)), ("a b", bytes(32)), ("a", bytes(31))):
        with pytest.raises(ProofError):
            WitnessKey.generate(name, seed)


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    """A public key that is not on the curve says no instead of failing."""
    assert WitnessVerifier(name="a", public=b"\xff" * 31).time_of(b"\x01" * 72, TEXT) is None
