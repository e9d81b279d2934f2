"""Checkpoints: C2SP tlog-checkpoint in a C2SP signed note, and the Ed25519 keys of a log."""

from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from proxy.errors import ProofError
from proxy.ledger.merkle import HASH_BYTES
from proxy.ledger.note import (
    KEY_BYTES,
    decode,
    encode,
    is_name,
    is_size,
    key_id_of,
    key_text,
    read_key,
    read_note,
    signature_line,
)

__all__ = [
    "Checkpoint",
    "LogKey",
    "NoteSigner",
    "Verifier",
    "open_checkpoint",
    "sign_checkpoint",
    "unverified_checkpoint",
]

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A tree head: the log's name, its number of leaves and its root."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """The text that is signed (C2SP tlog-checkpoint, "Note text")."""
        return f"{self.origin}\n{self.size}\n{encode(self.root)}\n"

    @classmethod
    def from_text(cls, text: str, *, may_extend: bool = False) -> "Checkpoint":
        """The tree head a note's text states.

        Other logs may add lines to theirs (C2SP tlog-checkpoint, "Extension lines"); ours never do.

        Raises:
            ProofError: the text is no checkpoint, or has lines that may not be there.
        """
        match text.split("\n"):
            case [origin, size, root, *more, ""] if origin and is_size(size):
                is_whole = all(more) if may_extend else not more
                checkpoint = cls(origin=origin, size=int(size), root=decode(root))
                if is_whole and len(checkpoint.root) == HASH_BYTES:
                    return checkpoint
        raise ProofError(
            "the text is no checkpoint of three lines",
            help="give the file `log/checkpoint` of a bundle, unchanged",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """The public half of a log's key, and the name it signs under."""

    name: str
    public: bytes
    """The 32 bytes of the Ed25519 public key."""

    @property
    def key_id(self) -> bytes:
        """The four bytes that mark this key's signatures."""
        return key_id_of(self.name, _ED25519, self.public)

    def to_text(self) -> str:
        """The key as text, to pin: `name+id+key`."""
        return key_text(self.name, self.key_id, _ED25519, self.public)

    @classmethod
    def from_text(cls, text: str) -> "Verifier":
        """The key this text names.

        Raises:
            ProofError: the text is not an Ed25519 verifier key, or its id is not the key's.
        """
        parts = read_key(text, _ED25519)
        if parts is not None:
            verifier = cls(name=parts.name, public=parts.key)
            if verifier.key_id == parts.key_id:
                return verifier
        raise _bad_key()

    def verify(self, signature: bytes, text: str) -> bool:
        """Whether this key signed the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


class NoteSigner(Protocol):
    """Whatever signs for a log: a key in memory, or a program that asks one kept elsewhere."""

    @property
    def name(self) -> str:
        """The log's name."""

    @property
    def verifier(self) -> Verifier:
        """The public half."""

    def sign(self, text: str) -> bytes:
        """The Ed25519 signature of a note's text.

        Raises:
            LedgerError: it cannot be had.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """A log's signing key. Its `repr` and `str` show the name alone."""

    name: str
    seed: bytes = field(repr=False)
    """The 32 secret bytes of the Ed25519 private key (RFC 8032 §5.1.5)."""

    @classmethod
    def generate(cls, name: str, seed: bytes) -> "LogKey":
        """The key of these 32 random bytes.

        Raises:
            ProofError: the name is empty, has a blank, a control or a `+`, or the seed has not 32 bytes.
        """
        if not is_name(name) or len(seed) != KEY_BYTES:
            raise _bad_key()
        return cls(name=name, seed=seed)

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return Verifier(name=self.name, public=key.public_key().public_bytes_raw())

    def to_text(self) -> str:
        """The secret key as text, for a file of mode 0600 and nothing else."""
        return _PRIVATE + key_text(self.name, self.verifier.key_id, _ED25519, self.seed)

    @classmethod
    def from_text(cls, text: str) -> "LogKey":
        """The key this text holds.

        Raises:
            ProofError: the text is not an Ed25519 signing key; the message does not repeat it.
        """
        text = text.strip()
        parts = read_key(text.removeprefix(_PRIVATE), _ED25519)
        if text.startswith(_PRIVATE) and parts is not None:
            key = cls(name=parts.name, seed=parts.key)
            if key.verifier.key_id == parts.key_id:
                return key
        raise _bad_key()

    def sign(self, text: str) -> bytes:
        """The Ed25519 signature of a note's text."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())


def sign_checkpoint(checkpoint: Checkpoint, *keys: NoteSigner) -> str:
    """The signed note of a checkpoint (C2SP signed-note), with a line of each key in order.

    Raises:
        LedgerError: a signature cannot be had.
    """
    text = checkpoint.to_text()
    lines = [signature_line(key.name, key.verifier.key_id, key.sign(text)) for key in keys]
    return "\n".join([text, "".join(lines)])


def open_checkpoint(note: str, verifier: Verifier, *, may_extend: bool = False) -> Checkpoint:
    """The checkpoint of a note that this key signed; signatures of other keys are passed over.

    Raises:
        ProofError: the note is no signed note (`note`), is not signed by this key (`unsigned`), or
            is of another log than the key's (`other-log`).
    """
    parts = read_note(note)
    who = (verifier.name, verifier.key_id)
    mine = [each.signature for each in parts.signatures if (each.name, each.key_id) == who]
    if not mine:
        raise ProofError(
            f"the checkpoint has no signature of key `{verifier.name}+{verifier.key_id.hex()}`",
            help="pin the key of the log that made it; never take the key from the bundle itself",
            code="unsigned",
        )
    if not all(verifier.verify(signature, parts.text) for signature in mine):
        raise ProofError(
            "the signature of the checkpoint does not fit its text",
            help="get the checkpoint again, and ask who changed it",
            code="signature",
        )
    checkpoint = Checkpoint.from_text(parts.text, may_extend=may_extend)
    if checkpoint.origin != verifier.name:
        raise ProofError(
            f"the checkpoint is of log `{checkpoint.origin}`, not of `{verifier.name}`",
            help="pin the key of the log that made it",
            code="other-log",
        )
    return checkpoint


def unverified_checkpoint(note: str) -> Checkpoint:
    """The checkpoint a note states, whoever signed it: for its writer, never for a reader.

    Raises:
        ProofError: the note is no signed note of a checkpoint.
    """
    return Checkpoint.from_text(read_note(note).text)


def _bad_key() -> ProofError:
    return ProofError(
        "the text is not an Ed25519 key of a log",
        help="give the whole line `name+id+key`, as `inbond init` printed it",
        code="key",
    )
