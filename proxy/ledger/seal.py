"""Salted seals, and the encryption of what they seal: destroying a salt erases a body for good.

A seal is `HMAC-SHA256(salt, bytes)` under 32 random bytes that stand nowhere in the log. Whoever
holds salt and bytes can show that the bytes are those sealed; without the salt the seal says
nothing about them and the stored body cannot be read.

A stored body is one version byte, then AES-256-GCM over zstd. The key is HKDF-SHA256 of the salt,
never the salt itself, so that no seal (an HMAC under the salt) can be a key. A salt is drawn for
one body and used once, so its key encrypts one message and the nonce may be constant (NIST SP
800-38D §8 asks that no key sees a nonce twice).
"""

import hmac
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from proxy.errors import ProofError

if TYPE_CHECKING:
    from zstandard import ZstdCompressor

    from proxy.ledger.entry import SealRecord

__all__ = [
    "MAX_BODY_BYTES",
    "SALT_BYTES",
    "decrypt_body",
    "encrypt_body",
    "new_compressor",
    "seal",
    "seal_record",
]

SALT_BYTES = 32
MAX_BODY_BYTES = 256 * 2**20
"""No body larger than this is decompressed."""

_VERSION = b"\x01"
_INFO = b"inbond body v1"
_NONCE = bytes(12)
_LEVEL = 3


def seal(salt: bytes, data: bytes) -> str:
    """The seal of bytes under a salt, in hex.

    Raises:
        ProofError: the salt has not 32 bytes.
    """
    _check_salt(salt)
    return hmac.digest(salt, data, "sha256").hex()


def seal_record(salt: bytes, data: bytes) -> "SealRecord":
    """The seal of bytes as a leaf keeps it."""
    from proxy.ledger.entry import SealRecord  # noqa: PLC0415 - the verifier runs without pydantic

    return SealRecord(seal=seal(salt, data), size_bytes=len(data))


def new_compressor() -> "ZstdCompressor":
    """What packs bodies: making one costs more than packing with it; it serves one thread at a time."""
    import zstandard  # noqa: PLC0415 - the verifier runs without it: a bundle's bodies are plain

    return zstandard.ZstdCompressor(level=_LEVEL)


def encrypt_body(salt: bytes, data: bytes, *, compressor: "ZstdCompressor | None" = None) -> bytes:
    """The body as it is stored: compressed, then encrypted under a key derived from the salt.

    Raises:
        ProofError: the salt has not 32 bytes.
    """
    packed = (compressor or new_compressor()).compress(data)
    return _VERSION + _cipher(salt).encrypt(_NONCE, packed, _VERSION)


def decrypt_body(salt: bytes, blob: bytes, *, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body that was stored.

    Raises:
        ProofError: the blob is damaged, of another salt or of a newer version, or too large.
    """
    import zstandard  # noqa: PLC0415 - the verifier runs without it: a bundle's bodies are plain

    if blob[:1] != _VERSION:
        raise ProofError("the stored body is of another version", help="use a newer inbond")
    try:
        packed = _cipher(salt).decrypt(_NONCE, blob[1:], _VERSION)
        # `max_output_size` does not bind where the frame states its size, so ask the frame first.
        size_bytes = zstandard.frame_content_size(packed)
        if not 0 <= size_bytes <= limit_bytes:
            raise ProofError(
                f"the stored body is larger than {limit_bytes} bytes", help="raise the limit"
            )
        return zstandard.ZstdDecompressor().decompress(packed)
    except (InvalidTag, zstandard.ZstdError) as error:
        raise ProofError(
            "the stored body does not open under its salt",
            help="restore the database: the body or its salt is damaged",
        ) from error


def _cipher(salt: bytes) -> AESGCM:
    _check_salt(salt)
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(salt))


def _check_salt(salt: bytes) -> None:
    if len(salt) != SALT_BYTES:
        raise ProofError(
            f"a salt has {SALT_BYTES} bytes, not {len(salt)}", help="get the opening again"
        )
