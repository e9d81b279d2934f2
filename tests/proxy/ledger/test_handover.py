"""Tests of proxy.ledger.handover."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.checkpoint import Checkpoint, LogKey, open_checkpoint, sign_checkpoint
from proxy.ledger.handover import follow, read_handover, sign_handover
from proxy.ledger.note import read_note, signature_line

KEYS = [LogKey.generate("acme.example/log", bytes([n] * 32)) for n in range(5)]
HEAD = Checkpoint(origin="acme.example/log", size=7, root=bytes(32))
NOTES = [sign_handover(HEAD, old, new) for old, new in pairwise(KEYS)]
STEPS = [read_handover(note) for note in NOTES]


def test_a_handover_names_both_keys_and_the_last_checkpoint() -> None:
    """What was signed comes out again."""
    step = STEPS[0]
    assert (step.old, step.new) == (KEYS[0].verifier, KEYS[1].verifier)
    assert step.checkpoint == HEAD


def test_a_handover_is_no_checkpoint() -> None:
    """Neither key's signature under a handover passes as one under a checkpoint, nor the other way."""
    for key in KEYS[:2]:
        with pytest.raises(ProofError, match="three lines"):
            open_checkpoint(NOTES[0], key.verifier)
    with pytest.raises(ProofError) as caught:
        read_handover(sign_checkpoint(HEAD, *KEYS[:2]))
    assert caught.value.code == "handover"


@pytest.mark.parametrize("missing", [0, 1])
def test_both_keys_must_sign(missing: int) -> None:
    """A key that only somebody else names is not trusted, and names nobody."""
    parts = read_note(NOTES[0])
    (kept,) = [each for n, each in enumerate(parts.signatures) if n != missing]
    with pytest.raises(ProofError) as caught:
        read_handover(f"{parts.text}\n{kept.to_line()}")
    assert caught.value.code == "unsigned"
    bad = signature_line(HEAD.origin, KEYS[missing].verifier.key_id, bytes(64))
    with pytest.raises(ProofError) as caught:
        read_handover(f"{parts.text}\n{kept.to_line()}{bad}")
    assert caught.value.code == "signature"


@given(pinned=st.integers(0, 4), order=st.permutations(STEPS))
def test_readers_of_any_key_follow(pinned: int, order: list) -> None:  # type: ignore[type-arg] # what `permutations` gives
    """Whoever pinned one of the keys trusts those after it, and retired ones for what is old."""
    chain = follow(KEYS[pinned].verifier, order)
    assert [step.new for step in chain.later] == [key.verifier for key in KEYS[pinned + 1 :]]
    assert list(chain.retired) == [key.verifier for key in reversed(KEYS[:pinned])]
    for number, key in enumerate(KEYS):
        note = sign_checkpoint(HEAD, key)
        assert chain.open_any(note) == HEAD
        if number >= pinned:
            assert chain.open_newest(note) == HEAD
            is_pinned = chain.signer_of(note) == "the pinned key"
            assert is_pinned == (number == pinned)
        else:
            with pytest.raises(ProofError) as caught:
                chain.open_newest(note)
            assert caught.value.code == "unsigned"


def test_a_gap_ends_the_trust() -> None:
    """Without the handover between them, a later key is a stranger's."""
    chain = follow(KEYS[0].verifier, [STEPS[0], STEPS[2]])
    assert [step.new for step in chain.later] == [KEYS[1].verifier]
    with pytest.raises(ProofError):
        chain.open_any(sign_checkpoint(HEAD, KEYS[3]))


def test_a_circle_of_handovers_ends() -> None:
    """Keys that name each other are followed once."""
    back = read_handover(sign_handover(HEAD, KEYS[1], KEYS[0]))
    chain = follow(KEYS[0].verifier, [STEPS[0], back])
    assert [step.new for step in chain.later] == [KEYS[1].verifier]


@pytest.mark.parametrize("line", ["handover", "handover a b", "handover a b c", "other a b"])
def test_other_lines_are_no_handover(line: str) -> None:
    """A checkpoint with another line, or with words that are no keys, hands nothing over."""
    text = f"{HEAD.to_text()}{line}\n"
    key = KEYS[0]
    note = f"{text}\n{signature_line(key.name, key.verifier.key_id, key.sign(text))}"
    with pytest.raises(ProofError):
        read_handover(note)
