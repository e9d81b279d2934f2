"""Handovers: how the log's key is replaced, and how a reader who pinned another one follows.

The old key says on purpose, in a note that it signs for nothing else, which key comes next; the new
one signs the same note, so that no key is named against its holder's will. The note is a checkpoint with
one line more (C2SP tlog-checkpoint, "Extension lines"): ordinary checkpoints of ours never have one.
A `key` entry holds the note; bundles hold it as `log/handovers/SIZE.note`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proxy.errors import ProofError
from proxy.ledger.checkpoint import Checkpoint, NoteSigner, Verifier, open_checkpoint
from proxy.ledger.note import read_note, signature_line

__all__ = ["Handover", "KeyChain", "follow", "read_handover", "sign_handover"]

_WORD = "handover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """One replacement of the log's key, signed by both."""

    checkpoint: Checkpoint
    """What the old key had signed last."""
    old: Verifier
    new: Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChain:
    """The keys of one log that hang together with the pinned one."""

    pinned: Verifier
    retired: tuple[Verifier, ...] = ()
    """Those that came before it, the latest first."""
    later: tuple[Handover, ...] = ()
    """How it was replaced, in order."""

    def signer_of(self, note: str) -> str:
        """In words, which key of the chain signed a note that `open_newest` opens."""
        is_pinned = self.has_pinned(note)
        return "the pinned key" if is_pinned else "a key that came after the pinned one"

    def has_pinned(self, note: str) -> bool:
        """Whether the pinned key is among those that signed a note that `open_newest` opens."""
        signers = {(each.name, each.key_id) for each in read_note(note).signatures}
        return (self.pinned.name, self.pinned.key_id) in signers

    def open_newest(self, note: str) -> Checkpoint:
        """The checkpoint of a note that the pinned key signed, or one that came after it.

        Raises:
            ProofError: as `open_checkpoint` of the pinned key.
        """
        return _open(note, [self.pinned, *(step.new for step in self.later)])

    def open_any(self, note: str) -> Checkpoint:
        """The checkpoint of a note that any key of the chain signed, also one that is retired.

        Raises:
            ProofError: as `open_checkpoint` of the pinned key.
        """
        return _open(note, [self.pinned, *(step.new for step in self.later), *self.retired])


def sign_handover(last: Checkpoint, old: NoteSigner, new: NoteSigner) -> str:
    """The note by which the old key hands the log over to the new one, after its last checkpoint.

    Raises:
        LedgerError: a signature cannot be had.
    """
    keys = " ".join(key.verifier.to_text() for key in (old, new))
    text = f"{last.to_text()}{_WORD} {keys}\n"
    lines = [signature_line(key.name, key.verifier.key_id, key.sign(text)) for key in (old, new)]
    return "\n".join([text, "".join(lines)])


def read_handover(note: str) -> Handover:
    """The handover of a note that both its keys signed.

    Raises:
        ProofError: the note is none of a handover, or a key did not sign it.
    """
    lines = read_note(note).text.split("\n")
    match lines[-2].split(" ") if len(lines) == 5 else []:
        case [word, old, new] if word == _WORD:
            keys = (Verifier.from_text(old), Verifier.from_text(new))
            heads = {open_checkpoint(note, key, may_extend=True) for key in keys}
            (checkpoint,) = heads
            return Handover(checkpoint=checkpoint, old=keys[0], new=keys[1])
    raise ProofError("the note is none of a handover", help="get the bundle again", code="handover")


def follow(pinned: Verifier, handovers: Iterable[Handover]) -> KeyChain:
    """The keys that hang together with the pinned one; handovers of other keys add no trust."""
    steps = list(handovers)
    later: list[Handover] = []
    reached = [pinned]
    for key in reached:
        found = [step for step in steps if step.old == key and step.new not in reached]
        later += found
        reached += [step.new for step in found]
    retired = [pinned]
    for key in retired:
        retired += [step.old for step in steps if step.new == key and step.old not in retired]
    return KeyChain(pinned=pinned, retired=tuple(retired[1:]), later=tuple(later))


def _open(note: str, keys: Sequence[Verifier]) -> Checkpoint:
    first: ProofError | None = None
    for key in keys:
        try:
            return open_checkpoint(note, key)
        except ProofError as error:
            if error.code != "unsigned":
                # A line of a key that it did not sign is no line of nobody: whoever put it there lies.
                raise
            first = first or error
    assert first is not None  # noqa: S101 - the pinned key is always among them
    raise first
