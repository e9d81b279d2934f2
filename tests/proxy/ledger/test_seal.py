"""Seals commit to bytes, and a destroyed salt takes the stored body with it."""

import hmac
from hashlib import sha256

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.seal import SALT_BYTES, decrypt_body, encrypt_body, seal, seal_record

SALTS = st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES)
SALT = bytes(range(SALT_BYTES))


@given(salt=SALTS, data=st.binary())
def test_a_seal_is_an_hmac(salt: bytes, data: bytes) -> None:
    """A seal is HMAC-SHA256 of the bytes under the salt, and its record tells their length."""
    assert seal(salt, data) == hmac.new(salt, data, sha256).hexdigest()
    record = seal_record(salt, data)
    assert (record.seal, record.size_bytes) == (seal(salt, data), len(data))


def test_a_seal_is_the_published_vector() -> None:
    """The seal of RFC 4231 test case 2, its key padded with zeros as HMAC does, is the published one."""
    salt = b"Jefe".ljust(SALT_BYTES, b"\0")
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert seal(salt, b"what do ya want for nothing?") == expected


@given(salt=SALTS, data=st.binary())
def test_bodies_round_trip(salt: bytes, data: bytes) -> None:
    """A stored body opens under its salt, and storing it twice gives the same bytes."""
    blob = encrypt_body(salt, data)
    assert decrypt_body(salt, blob) == data
    assert encrypt_body(salt, data) == blob


def test_a_body_is_aes_gcm_over_zstd() -> None:
    """The stored form is what the module says, so that other tools can open it."""
    blob = encrypt_body(SALT, b"answer")
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"inbond body v1").derive(SALT)
    packed = AESGCM(key).decrypt(bytes(12), blob[1:], b"\x01")
    assert zstandard.decompress(packed) == b"answer"


@given(data=st.binary(max_size=64), bit=st.integers(0))
def test_a_flipped_bit_does_not_open(data: bytes, bit: int) -> None:
    """A bit turned anywhere in a stored body is noticed."""
    blob = bytearray(encrypt_body(SALT, data))
    bit %= 8 * len(blob)
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProofError, match="stored body"):
        decrypt_body(SALT, bytes(blob))


@given(blob=st.binary(max_size=64))
def test_any_bytes_are_refused(blob: bytes) -> None:
    """Bytes that were not stored under this salt do not open."""
    with pytest.raises(ProofError):
        decrypt_body(SALT, blob)


def test_another_salt_does_not_open() -> None:
    """Without its salt a stored body cannot be read."""
    with pytest.raises(ProofError, match="does not open under its salt"):
        decrypt_body(bytes(SALT_BYTES), encrypt_body(SALT, b"answer"))


def test_decompression_is_bounded() -> None:
    """A body larger than the limit is refused before it is unpacked."""
    blob = encrypt_body(SALT, bytes(1001))
    assert decrypt_body(SALT, blob, limit_bytes=1001) == bytes(1001)
    with pytest.raises(ProofError, match="larger than 1000 bytes"):
        decrypt_body(SALT, blob, limit_bytes=1000)


def test_a_frame_that_hides_its_size_is_refused() -> None:
    """A compressed frame that does not state its size is refused, even under the right key."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"inbond body v1").derive(SALT)
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(b"answer")
    blob = b"\x01" + AESGCM(key).encrypt(bytes(12), packed, b"\x01")
    with pytest.raises(ProofError, match="larger than"):
        decrypt_body(SALT, blob)


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_a_salt_has_32_bytes(salt: bytes) -> None:
    """A salt of another length seals and opens nothing."""
    with pytest.raises(ProofError, match="32 bytes"):
        seal(salt, b"")
    with pytest.raises(ProofError, match="32 bytes"):
        encrypt_body(salt, b"")
