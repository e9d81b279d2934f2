"""Checkpoints: C2SP tlog-checkpoint in a C2SP signed note, and the Ed25519 keys of a log.

Keys and notes are those of golang.org/x/mod/sumdb/note, so that Go's tools read them.
"""

import base64
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from proxy.errors import ProofError
from proxy.ledger.merkle import HASH_BYTES

__all__ = [
    "Checkpoint",
    "LogKey",
    "Verifier",
    "open_checkpoint",
    "sign_checkpoint",
    "unverified_checkpoint",
]

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_DASH = "\N{EM DASH} "
_KEY_ID_BYTES = 4
_MAX_NOTE = 65_536
_MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A tree head: the log's name, its number of leaves and its root."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """The text that is signed (C2SP tlog-checkpoint, "Note text")."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"

    @classmethod
    def from_text(cls, text: str) -> "Checkpoint":
        """The tree head a note's text states.

        Raises:
            ProofError: the text is no checkpoint, or has lines this version does not know.
        """
        match text.split("\n"):
            case [origin, size, root, ""] if origin and _is_size(size):
                checkpoint = cls(origin=origin, size=int(size), root=_decode(root))
                if len(checkpoint.root) == HASH_BYTES:
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
        """The four bytes that mark this key's signatures (C2SP signed-note, "Signatures")."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def to_text(self) -> str:
        """The key as text, to pin: `name+id+key`."""
        return f"{self.name}+{self.key_id.hex()}+{_encode(_ED25519 + self.public)}"

    @classmethod
    def from_text(cls, text: str) -> "Verifier":
        """The key this text names.

        Raises:
            ProofError: the text is not an Ed25519 verifier key, or its id is not the key's.
        """
        name, key_id, key = _split_key(text.strip())
        verifier = cls(name=name, public=key)
        if verifier.key_id.hex() != key_id:
            raise _bad_key()
        return verifier

    def verify(self, signature: bytes, text: str) -> bool:
        """Whether this key signed the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


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
        if not _is_name(name) or len(seed) != HASH_BYTES:
            raise _bad_key()
        return cls(name=name, seed=seed)

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return Verifier(name=self.name, public=key.public_key().public_bytes_raw())

    def to_text(self) -> str:
        """The secret key as text, for a file of mode 0600 and nothing else."""
        key_id = self.verifier.key_id.hex()
        return f"{_PRIVATE}{self.name}+{key_id}+{_encode(_ED25519 + self.seed)}"

    @classmethod
    def from_text(cls, text: str) -> "LogKey":
        """The key this text holds.

        Raises:
            ProofError: the text is not an Ed25519 signing key; the message does not repeat it.
        """
        text = text.strip()
        if not text.startswith(_PRIVATE):
            raise _bad_key()
        name, key_id, seed = _split_key(text.removeprefix(_PRIVATE))
        key = cls(name=name, seed=seed)
        if key.verifier.key_id.hex() != key_id:
            raise _bad_key()
        return key

    def sign(self, text: str) -> bytes:
        """The Ed25519 signature of a note's text."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())


def sign_checkpoint(checkpoint: Checkpoint, key: LogKey) -> str:
    """The signed note of a checkpoint (C2SP signed-note)."""
    text = checkpoint.to_text()
    signature = _encode(key.verifier.key_id + key.sign(text))
    return f"{text}\n{_DASH}{key.name} {signature}\n"


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint of a note that this key signed; signatures of other keys are passed over.

    Raises:
        ProofError: the note is no signed note (`note`), is not signed by this key (`unsigned`), or
            is of another log than the key's (`other-log`).
    """
    parts = _split_note(note)
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
    checkpoint = Checkpoint.from_text(parts.text)
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
    return Checkpoint.from_text(_split_note(note).text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signature:
    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    text: str
    signatures: tuple[_Signature, ...]


def _split_note(note: str) -> _Note:
    text, gap, tail = note.rpartition("\n\n")
    has_controls = any(char < " " and char != "\n" for char in note)
    if not gap or not tail.endswith("\n") or has_controls or len(note) > _MAX_NOTE:
        raise _bad_note()
    signatures = tuple(_split_signature(line) for line in tail[:-1].split("\n"))
    return _Note(text=text + "\n", signatures=signatures)


def _split_signature(line: str) -> _Signature:
    name, _, rest = line.removeprefix(_DASH).partition(" ")
    data = _decode(rest)
    if not line.startswith(_DASH) or not _is_name(name) or len(data) <= _KEY_ID_BYTES:
        raise _bad_note()
    return _Signature(name=name, key_id=data[:_KEY_ID_BYTES], signature=data[_KEY_ID_BYTES:])


def _split_key(text: str) -> tuple[str, str, bytes]:
    match text.split("+", 2):
        case [name, key_id, key] if _is_name(name):
            data = _decode(key)
            if data[:1] == _ED25519 and len(data) == 1 + HASH_BYTES:
                return name, key_id, data[1:]
    raise _bad_key()


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and name.isprintable() and not any(map(str.isspace, name))


def _is_size(text: str) -> bool:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_SIZE))
    return is_number and str(int(text)) == text and int(text) <= _MAX_SIZE


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    """The bytes of strict base64; none where the text is anything else.

    Python forgives stray bits in the last character; one value must have one spelling.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return data if _encode(data) == text else b""


def _bad_note() -> ProofError:
    return ProofError(
        "the text is not a signed note",
        help="give the file `log/checkpoint` of a bundle, unchanged",
        code="note",
    )


def _bad_key() -> ProofError:
    return ProofError(
        "the text is not an Ed25519 key of a log",
        help="give the whole line `name+id+key`, as `inbond init` printed it",
        code="key",
    )
