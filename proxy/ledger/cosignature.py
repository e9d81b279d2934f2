"""Cosignatures: a witness's word that a log only grew (C2SP tlog-cosignature, `cosignature/v1`)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from proxy.errors import ProofError
from proxy.ledger.note import (
    KEY_BYTES,
    is_name,
    key_id_of,
    key_text,
    read_key,
    read_note,
    read_signatures,
    signature_line,
)

__all__ = ["Cosignature", "WitnessKey", "WitnessVerifier", "cosign", "find_cosignature"]

_COSIGNATURE_V1 = b"\x04"
_PRIVATE = "PRIVATE+KEY+"
_STAMP_BYTES = 8
_LATEST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
"""No later time can be shown; a witness that states one is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessVerifier:
    """The public half of a witness's key, and the name it signs under."""

    name: str
    public: bytes
    """The 32 bytes of the Ed25519 public key."""

    @property
    def key_id(self) -> bytes:
        """The four bytes that mark this key's cosignatures."""
        return key_id_of(self.name, _COSIGNATURE_V1, self.public)

    def to_text(self) -> str:
        """The key as text, to pin: `name+id+key`."""
        return key_text(self.name, self.key_id, _COSIGNATURE_V1, self.public)

    @classmethod
    def from_text(cls, text: str) -> "WitnessVerifier":
        """The key this text names.

        Raises:
            ProofError: the text is not the key of an Ed25519 witness, or its id is not the key's.
        """
        parts = read_key(text, _COSIGNATURE_V1)
        if parts is not None:
            verifier = cls(name=parts.name, public=parts.key)
            if verifier.key_id == parts.key_id:
                return verifier
        raise _bad_key()

    def time_of(self, signature: bytes, text: str) -> int | None:
        """When this witness cosigned the text, in seconds since 1970; None if it did not."""
        stamp, signed = signature[:_STAMP_BYTES], signature[_STAMP_BYTES:]
        seconds = int.from_bytes(stamp)
        if not 0 < seconds <= _LATEST:
            return None
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public)
            key.verify(signed, _message(text, seconds))
        except (InvalidSignature, ValueError):
            return None
        return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """A witness's signing key. Its `repr` and `str` show the name alone."""

    name: str
    seed: bytes = field(repr=False)
    """The 32 secret bytes of the Ed25519 private key."""

    @classmethod
    def generate(cls, name: str, seed: bytes) -> "WitnessKey":
        """The key of these 32 random bytes.

        Raises:
            ProofError: the name is empty, has a blank, a control or a `+`, or the seed has not 32 bytes.
        """
        if not is_name(name) or len(seed) != KEY_BYTES:
            raise _bad_key()
        return cls(name=name, seed=seed)

    @property
    def verifier(self) -> WitnessVerifier:
        """The public half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return WitnessVerifier(name=self.name, public=key.public_key().public_bytes_raw())

    def to_text(self) -> str:
        """The secret key as text, for a file of mode 0600 and nothing else."""
        return _PRIVATE + key_text(self.name, self.verifier.key_id, _COSIGNATURE_V1, self.seed)

    @classmethod
    def from_text(cls, text: str) -> "WitnessKey":
        """The key this text holds.

        Raises:
            ProofError: the text is not a witness's signing key; the message does not repeat it.
        """
        text = text.strip()
        parts = read_key(text.removeprefix(_PRIVATE), _COSIGNATURE_V1)
        if text.startswith(_PRIVATE) and parts is not None:
            key = cls(name=parts.name, seed=parts.key)
            if key.verifier.key_id == parts.key_id:
                return key
        raise _bad_key()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """A cosignature that was verified: its line, and when the witness says it made it."""

    line: str
    at: datetime


def cosign(text: str, key: WitnessKey, at: datetime) -> str:
    """The cosignature line of a witness under a checkpoint's text."""
    seconds = int(at.timestamp())
    signed = Ed25519PrivateKey.from_private_bytes(key.seed).sign(_message(text, seconds))
    stamped = seconds.to_bytes(_STAMP_BYTES) + signed
    return signature_line(key.name, key.verifier.key_id, stamped)


def find_cosignature(
    note: str, witness: WitnessVerifier, lines: str | None = None
) -> Cosignature | None:
    """The latest cosignature of a witness under a note, or among `lines` given apart from it.

    Lines of other keys are passed over.

    Raises:
        ProofError: the note or the lines are none (`note`), or a line of this witness does not fit
            the text (`cosignature`).
    """
    parts = read_note(note)
    signatures = parts.signatures if lines is None else read_signatures(lines)
    found: Cosignature | None = None
    for each in signatures:
        if (each.name, each.key_id) != (witness.name, witness.key_id):
            continue
        seconds = witness.time_of(each.signature, parts.text)
        if seconds is None:
            raise ProofError(
                f"the cosignature of witness `{witness.name}` does not fit the checkpoint",
                help="get it again, and ask who changed it",
                code="cosignature",
            )
        at = datetime.fromtimestamp(seconds, UTC)
        if found is None or found.at < at:
            found = Cosignature(line=each.to_line(), at=at)
    return found


def _message(text: str, seconds: int) -> bytes:
    """What is signed (C2SP tlog-cosignature, "Ed25519 signed message")."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _bad_key() -> ProofError:
    return ProofError(
        "the text is not an Ed25519 key of a witness",
        help="give the whole line `name+id+key`, as `inbond witness key` prints it",
        code="witness-key",
    )
