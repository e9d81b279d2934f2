"""Tests of proxy.keys."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from proxy.errors import ProofError, SettingsError
from proxy.keys import load_keys, make_keys

ENTROPY = bytes(range(96))


def test_keys_come_back_as_they_were_made(tmp_path: Path) -> None:
    """What is loaded is what was made, and its files are the owner's alone."""
    made = make_keys(tmp_path, origin="inbond/test", entropy=ENTROPY)
    loaded = load_keys(tmp_path)
    assert loaded.log == made.log
    assert loaded.fingerprint == made.fingerprint == ENTROPY[32:64]
    assert loaded.export.to_pem() == made.export.to_pem()
    assert "BEGIN PUBLIC KEY" in loaded.export.public_pem
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_keys_are_not_shown(tmp_path: Path) -> None:
    """The repr of keys names the log and no secret."""
    keys = make_keys(tmp_path, origin="inbond/test", entropy=ENTROPY)
    shown = repr(keys)
    assert "inbond/test" in shown
    secrets = (repr(ENTROPY[:32]), repr(ENTROPY[32:64]), "PRIVATE KEY")
    assert all(secret not in shown for secret in secrets)


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    """Making keys where there are some fails and leaves them alone."""
    make_keys(tmp_path, origin="inbond/test", entropy=ENTROPY)
    with pytest.raises(FileExistsError):
        make_keys(tmp_path, origin="inbond/test", entropy=ENTROPY[::-1])
    assert load_keys(tmp_path).fingerprint == ENTROPY[32:64]


def test_a_bad_origin_makes_nothing(tmp_path: Path) -> None:
    """An origin that is no name for a key leaves no file behind."""
    with pytest.raises(ProofError):
        make_keys(tmp_path, origin="a b", entropy=ENTROPY)
    assert list(tmp_path.iterdir()) == []


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.key", b"canary"),
        ("log.key", b"\xff"),
        ("export.pem", b"canary"),
        ("export.pem", b"\xff"),
        ("export.pem", _pem(ec.generate_private_key(ec.SECP384R1()))),
        ("export.pem", _pem(ed25519.Ed25519PrivateKey.generate())),
        ("fingerprint.secret", b"canary"),
        ("fingerprint.secret", b"\xff"),
        ("fingerprint.secret", b"00" * 31),
    ],
)
def test_a_damaged_key_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that does not hold its key is named, and what it holds is not repeated."""
    make_keys(tmp_path, origin="inbond/test", entropy=ENTROPY)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_keys(tmp_path)
    assert (caught.value.code, caught.value.where) == ("bad-key-file", str(tmp_path / name))
    assert "canary" not in str(caught.value)
