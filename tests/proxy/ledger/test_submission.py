"""Tests of proxy.ledger.submission."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.checkpoint import Checkpoint, LogKey, sign_checkpoint
from proxy.ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    leaf_hash,
    leaf_reader,
    root_of,
)
from proxy.ledger.note import signature_line
from proxy.ledger.submission import Judged, Refused, Submission, judge, origin_of

KEY = LogKey.generate("acme.example/log", bytes(32))
NEXT = LogKey.generate("acme.example/log", bytes(range(32)))
STRANGER = LogKey.generate("other.example/log", bytes(32))
HASHES = [leaf_hash(bytes([n])) for n in range(40)]
LOGS = [STRANGER.verifier, KEY.verifier]


def head(size: int, origin: str = KEY.name) -> Checkpoint:
    """The tree head of the first leaves."""
    return Checkpoint(origin=origin, size=size, root=root_of(HASHES[:size]))


def asked(old: int, new: int, key: LogKey = KEY) -> Submission:
    """A right request to cosign."""
    proof = consistency_proof(old, new, leaf_reader(HASHES))
    return Submission(old_size=old, proof=proof, note=sign_checkpoint(head(new), key))


def status(submission: Submission, last: Checkpoint | None) -> int:
    """What the witness answers."""
    judged = judge(submission, LOGS, last)
    return judged.status if isinstance(judged, Refused) else 200


@given(old=st.integers(0, 40), new=st.integers(0, 40))
def test_what_only_grew_may_be_cosigned(old: int, new: int) -> None:
    """A right proof from the last size is accepted, for every pair of sizes."""
    if old > new:
        old, new = new, old
    last = head(old) if old else None
    judged = judge(asked(old, new), LOGS, last)
    assert isinstance(judged, Judged)
    assert (judged.checkpoint, judged.text) == (head(new), head(new).to_text())
    assert origin_of(asked(old, new)) == KEY.name


@given(old=st.integers(1, 39), new=st.integers(2, 40), place=st.integers(0, 300))
def test_a_wrong_proof_is_never_accepted(old: int, new: int, place: int) -> None:
    """One flipped byte in the proof, or a last checkpoint with another root, gives 422."""
    old = min(old, new - 1)
    right = asked(old, new)
    forked = Checkpoint(origin=KEY.name, size=old, root=bytes(32))
    assert status(right, forked) == 422
    which, at = divmod(place, 32)
    proof = [bytearray(each) for each in right.proof]
    proof[which % len(proof)][at] ^= 1
    assert status(replace(right, proof=tuple(map(bytes, proof))), head(old)) == 422


@given(old=st.integers(0, 40), new=st.integers(0, 40))
def test_a_request_round_trips(old: int, new: int) -> None:
    """The body of a request holds it."""
    if old > new:
        old, new = new, old
    submission = asked(old, new)
    assert Submission.from_text(submission.to_text()) == submission


def test_the_old_size_is_the_one_cosigned_last() -> None:
    """Another old size is answered with 409 and the right one, larger than the new one with 400."""
    judged = judge(asked(3, 9), LOGS, head(5))
    assert judged == Refused(status=409, reason="size 5 was cosigned last", size=5)
    assert status(asked(3, 9), None) == 409
    assert status(asked(0, 9), head(5)) == 409
    assert status(replace(asked(9, 9), old_size=10), head(9)) == 400


def test_a_smaller_checkpoint_is_not_cosigned() -> None:
    """A witness never goes back: with any old size the request fails."""
    for old in range(10):
        right = asked(min(old, 5), 5)
        assert status(replace(right, old_size=old), head(9)) in (400, 409)


def test_the_same_size_with_another_root_is_refused() -> None:
    """A second checkpoint of the size cosigned last must be the same one."""
    fork = sign_checkpoint(replace(head(5), root=bytes(32)), KEY)
    assert status(Submission(old_size=5, proof=(), note=fork), head(5)) == 422
    assert status(asked(5, 5), head(5)) == 200


def test_the_empty_log_has_one_root() -> None:
    """Size 0 goes with the root of the empty tree alone, and needs no proof."""
    assert head(0).root == EMPTY_ROOT
    assert status(asked(0, 0), None) == 200
    wrong = sign_checkpoint(Checkpoint(origin=KEY.name, size=0, root=bytes(32)), KEY)
    assert status(Submission(old_size=0, proof=(), note=wrong), None) == 422
    padded = replace(asked(0, 5), proof=(bytes(32),))
    assert status(padded, None) == 422


def test_an_unknown_log_is_not_found() -> None:
    """A log none of whose keys is trusted gets 404, whoever signed."""
    note = sign_checkpoint(head(5, "unknown"), LogKey.generate("unknown", bytes(32)))
    assert status(Submission(old_size=0, proof=(), note=note), None) == 404


def test_another_key_of_a_known_log_is_forbidden() -> None:
    """A log's checkpoint that only a key we do not trust signed gets 403."""
    assert status(asked(0, 5, NEXT), None) == 403
    assert isinstance(judge(asked(0, 5, NEXT), [*LOGS, NEXT.verifier], None), Judged)


def test_a_bad_signature_of_a_trusted_key_is_forbidden() -> None:
    """A line that names a trusted key and is not its signature spoils the note."""
    note = asked(0, 5).note
    bad = signature_line(KEY.name, KEY.verifier.key_id, bytes(64))
    assert status(replace(asked(0, 5), note=note + bad), None) == 403
    both = [*LOGS, NEXT.verifier]
    bad_next = signature_line(NEXT.name, NEXT.verifier.key_id, bytes(64))
    judged = judge(replace(asked(0, 5), note=note + bad_next), both, None)
    assert isinstance(judged, Refused)
    assert judged.status == 403


def test_signatures_of_strangers_are_left_out() -> None:
    """The note that is kept has the lines of trusted keys alone."""
    note = asked(0, 5).note
    judged = judge(
        replace(asked(0, 5), note=note + signature_line("x", bytes(4), b"y")), LOGS, None
    )
    assert isinstance(judged, Judged)
    assert judged.note == note


def test_lines_that_other_logs_add_are_signed_too() -> None:
    """A checkpoint with extension lines is judged by its first three and cosigned whole."""
    text = f"{head(5).to_text()}more\n"
    note = f"{text}\n{signature_line(KEY.name, KEY.verifier.key_id, KEY.sign(text))}"
    judged = judge(Submission(old_size=0, proof=(), note=note), LOGS, None)
    assert isinstance(judged, Judged)
    assert (judged.checkpoint, judged.text) == (head(5), text)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "old 0\n",
        "new 0\n\nnote",
        "old 00\n\nnote",
        "old -1\n\nnote",
        "old 0\nnot a hash\n\nnote",
        "old 0\n" + "A" * 44 + "\n\nnote",
        "old 1\n" + ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64) + "\nnote",
    ],
)
def test_other_bodies_are_no_request(body: str) -> None:
    """What is not an old size, at most 63 hashes, a gap and a note is refused."""
    with pytest.raises(ProofError) as caught:
        Submission.from_text(body)
    assert caught.value.code == "submission"


@given(note=st.text())
def test_any_note_is_judged_or_refused(note: str) -> None:
    """A note that is no checkpoint raises what the rim turns into 400."""
    with pytest.raises(ProofError):
        judge(Submission(old_size=0, proof=(), note=note), LOGS, None)
