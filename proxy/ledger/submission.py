"""What a log asks a witness, and what the witness answers (C2SP tlog-witness, `add-checkpoint`).

The rules of the witness are here, without its memory and without a network: `judge` says what the
answer is, given the last checkpoint that was cosigned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from proxy.errors import ProofError
from proxy.ledger.checkpoint import Checkpoint, Verifier, open_checkpoint
from proxy.ledger.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from proxy.ledger.note import decode, encode, is_size, read_note

__all__ = ["MAX_SUBMISSION_BYTES", "Judged", "Refused", "Submission", "judge", "origin_of"]

_MAX_PROOF = 63
MAX_SUBMISSION_BYTES = 131_072
"""A longer request holds no checkpoint: a note has at most 65,536 characters."""

type Status = Literal[400, 403, 404, 409, 422]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request to cosign: the size that was cosigned last, the proof from there, and the note."""

    old_size: int
    proof: Sequence[bytes]
    note: str

    def to_text(self) -> str:
        """The body of the request."""
        lines = [f"old {self.old_size}", *map(encode, self.proof), ""]
        return "\n".join(lines) + "\n" + self.note

    @classmethod
    def from_text(cls, text: str) -> "Submission":
        """The request of a body.

        Raises:
            ProofError: the body is no such request.
        """
        head, gap, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        word, _, size = first.partition(" ")
        proof = tuple(map(decode, lines))
        is_proof = len(proof) <= _MAX_PROOF and all(len(each) == HASH_BYTES for each in proof)
        if not gap or word != "old" or not is_size(size) or not is_proof:
            raise ProofError(
                "the body is no request to cosign a checkpoint",
                help="send `old SIZE`, the proof, an empty line and the checkpoint",
                code="submission",
            )
        return cls(old_size=int(size), proof=proof, note=note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A checkpoint that may be cosigned."""

    checkpoint: Checkpoint
    text: str
    """What the note signs: what the cosignature is of."""
    note: str
    """The checkpoint with the signatures of the log alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a checkpoint may not be cosigned, as HTTP and in words."""

    status: Status
    reason: str
    size: int | None = None
    """With 409: the size that was cosigned last."""


def origin_of(submission: Submission) -> str:
    """The log that a request is of.

    Raises:
        ProofError: its checkpoint is none.
    """
    return Checkpoint.from_text(read_note(submission.note).text, may_extend=True).origin


def judge(
    submission: Submission, logs: Sequence[Verifier], last: Checkpoint | None
) -> Judged | Refused:
    """Whether a witness may cosign: `logs` are its trusted keys, `last` what it cosigned of this log.

    Raises:
        ProofError: the checkpoint is none.
    """
    parts = read_note(submission.note)
    stated = Checkpoint.from_text(parts.text, may_extend=True)
    keys = [key for key in logs if key.name == stated.origin]
    if not keys:
        return Refused(status=404, reason=f"no key of log `{stated.origin}` is known here")
    verifiers = [key for key in keys if _is_signed(submission.note, key)]
    if not verifiers or _has_bad_signature(submission.note, keys):
        return Refused(status=403, reason="no trusted key of the log signed this, or not this text")
    refused = _grown(submission, stated, last)
    if refused is not None:
        return refused
    ids = {(key.name, key.key_id) for key in verifiers}
    lines = [each.to_line() for each in parts.signatures if (each.name, each.key_id) in ids]
    note = "\n".join([parts.text, "".join(lines)])
    return Judged(checkpoint=stated, text=parts.text, note=note)


def _is_signed(note: str, key: Verifier) -> bool:
    try:
        open_checkpoint(note, key, may_extend=True)
    except ProofError:
        return False
    return True


def _has_bad_signature(note: str, keys: Sequence[Verifier]) -> bool:
    """Whether a line names a trusted key that did not make it: such a note is malformed."""
    parts = read_note(note)
    return any(
        (each.name, each.key_id) == (key.name, key.key_id)
        and not key.verify(each.signature, parts.text)
        for each in parts.signatures
        for key in keys
    )


def _grown(submission: Submission, now: Checkpoint, last: Checkpoint | None) -> Refused | None:
    """Why a checkpoint does not extend the last one; None where it is shown to."""
    size = 0 if last is None else last.size
    if submission.old_size > now.size:
        return Refused(status=400, reason="the old size is larger than the checkpoint's")
    if submission.old_size != size:
        return Refused(status=409, reason=f"size {size} was cosigned last", size=size)
    if now.size == 0 and now.root != EMPTY_ROOT:
        return Refused(status=422, reason="the root of an empty log is another")
    root = EMPTY_ROOT if last is None else last.root
    if not _is_consistent(size, root, now, submission.proof):
        return Refused(status=422, reason="the proof does not show that the log only grew")
    return None


def _is_consistent(size: int, root: bytes, now: Checkpoint, proof: Sequence[bytes]) -> bool:
    try:
        verify_consistency(size, root, now.size, now.root, proof)
    except ProofError:
        return False
    return True
