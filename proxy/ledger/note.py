"""C2SP signed notes: a text, and lines of signatures under it; keys as text.

Notes and keys are those of golang.org/x/mod/sumdb/note, so that Go's tools read them.
"""

import base64
from dataclasses import dataclass
from hashlib import sha256

from proxy.errors import ProofError

__all__ = [
    "KEY_BYTES",
    "Note",
    "Signature",
    "decode",
    "encode",
    "is_name",
    "is_size",
    "key_id_of",
    "key_text",
    "read_key",
    "read_note",
    "read_signatures",
    "signature_line",
]

KEY_BYTES = 32
"""Of an Ed25519 key, public or secret (RFC 8032 §5.1.5)."""

_DASH = "\N{EM DASH} "
_ID_BYTES = 4
_MAX_NOTE = 65_536
_MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line: who signed by name and key id, and what."""

    name: str
    key_id: bytes
    signature: bytes

    def to_line(self) -> str:
        """The line, with its newline."""
        return signature_line(self.name, self.key_id, self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a signed note holds; no signature is verified."""

    text: str
    """What is signed, with its last newline."""
    signatures: tuple[Signature, ...]


def read_note(note: str) -> Note:
    """The parts of a signed note.

    Raises:
        ProofError: the text is no signed note.
    """
    text, gap, tail = note.rpartition("\n\n")
    has_controls = any(char < " " and char != "\n" for char in note)
    if not gap or has_controls or len(note) > _MAX_NOTE:
        raise _bad_note()
    return Note(text=text + "\n", signatures=read_signatures(tail))


def read_signatures(lines: str) -> tuple[Signature, ...]:
    """One or more signature lines, each with its newline.

    Raises:
        ProofError: a line is none.
    """
    if not lines.endswith("\n"):
        raise _bad_note()
    return tuple(map(_read_signature, lines[:-1].split("\n")))


def _read_signature(line: str) -> Signature:
    name, _, rest = line.removeprefix(_DASH).partition(" ")
    data = decode(rest)
    if not line.startswith(_DASH) or not is_name(name) or len(data) <= _ID_BYTES:
        raise _bad_note()
    return Signature(name=name, key_id=data[:_ID_BYTES], signature=data[_ID_BYTES:])


def signature_line(name: str, key_id: bytes, signature: bytes) -> str:
    """A signature line, with its newline (C2SP signed-note, "Signatures")."""
    return f"{_DASH}{name} {encode(key_id + signature)}\n"


def key_id_of(name: str, algorithm: bytes, public: bytes) -> bytes:
    """The four bytes that mark a key's signatures (C2SP signed-note, "Signatures")."""
    return sha256(name.encode() + b"\n" + algorithm + public).digest()[:_ID_BYTES]


def key_text(name: str, key_id: bytes, algorithm: bytes, key: bytes) -> str:
    """A key as text: `name+id+key`."""
    return f"{name}+{key_id.hex()}+{encode(algorithm + key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyText:
    """What the text of a key holds; whether the id is the key's is not checked."""

    name: str
    key_id: bytes
    key: bytes


def read_key(text: str, algorithm: bytes) -> KeyText | None:
    """The parts of a key's text; None if it is not one of this algorithm."""
    match text.strip().split("+", 2):
        case [name, key_id, key] if is_name(name):
            data = decode(key)
            is_fit = data[:1] == algorithm and len(data) == 1 + KEY_BYTES
            if is_fit and len(key_id) == 2 * _ID_BYTES and _is_hex(key_id):
                return KeyText(name=name, key_id=bytes.fromhex(key_id), key=data[1:])
    return None


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdef" for char in text)


def is_name(name: str) -> bool:
    """Whether a key can have this name."""
    return bool(name) and "+" not in name and name.isprintable() and not any(map(str.isspace, name))


def is_size(text: str) -> bool:
    """Whether a text is the size of a tree: decimal, without leading zeroes, below 2^63."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_SIZE))
    return is_number and str(int(text)) == text and int(text) <= _MAX_SIZE


def encode(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """The bytes of strict base64; none where the text is anything else.

    Python forgives stray bits in the last character; one value must have one spelling.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return data if encode(data) == text else b""


def _bad_note() -> ProofError:
    return ProofError(
        "the text is not a signed note",
        help="give the file `log/checkpoint` of a bundle, unchanged",
        code="note",
    )
