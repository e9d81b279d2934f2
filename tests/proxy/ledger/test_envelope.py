"""The signature over a bundle: other people's tools check it, and nothing else passes."""

import base64
import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.envelope import ExportKey, read_signature, sign_files

KEY = ExportKey.generate(bytes(32))
DIGESTS = {"b.txt": sha256(b"b").hexdigest(), "a/c.txt": sha256(b"c").hexdigest()}
SIGNED = sign_files("thing", DIGESTS, KEY)

P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def secret_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """A secret key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """A public key as PEM."""
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_signature_names_every_file() -> None:
    """What was signed is what is read."""
    assert read_signature(SIGNED, KEY.public_pem) == DIGESTS


def test_a_signature_is_an_openssf_model_signing_bundle() -> None:
    """Media type, payload type, predicate and the digest over all files are those of the format."""
    bundle = json.loads(SIGNED)
    envelope = bundle["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    hint = bundle["verificationMaterial"]["publicKey"]["hint"]
    assert hint == sha256(KEY.public_pem.encode()).hexdigest()
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert statement["predicateType"] == "https://model_signing/signature/v1.0"
    assert [item["name"] for item in statement["predicate"]["resources"]] == ["a/c.txt", "b.txt"]
    over_all = sha256(sha256(b"c").digest() + sha256(b"b").digest()).hexdigest()
    assert statement["subject"] == [{"name": "thing", "digest": {"sha256": over_all}}]


def test_openssl_verifies_a_signature(tmp_path: Path) -> None:
    """The bytes that VERIFY.md tells to write verify with `openssl dgst`."""
    envelope = json.loads(SIGNED)["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    head = f"DSSEv1 28 application/vnd.in-toto+json {len(payload)} ".encode()
    (tmp_path / "signed").write_bytes(head + payload)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "key.pem").write_text(KEY.public_pem)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "signed"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "Verified OK\n"


@given(bit=st.integers(0, 8 * len(SIGNED) - 1))
def test_a_flipped_bit_changes_nothing_that_is_believed(bit: int) -> None:
    """A bit turned anywhere is refused, or lies where it changes none of the files."""
    data = bytearray(SIGNED)
    data[bit // 8] ^= 1 << bit % 8
    try:
        found = read_signature(bytes(data), KEY.public_pem)
    except ProofError:
        return
    assert found == DIGESTS


@given(data=st.binary())
def test_any_bytes_are_refused(data: bytes) -> None:
    """Bytes that this key did not sign are refused."""
    with pytest.raises(ProofError, match="does not verify"):
        read_signature(data, KEY.public_pem)


def test_another_key_is_refused() -> None:
    """A signature of another key does not verify."""
    with pytest.raises(ProofError, match="does not verify"):
        read_signature(SIGNED, ExportKey.generate(bytes(range(32))).public_pem)


def resigned(statement: object) -> bytes:
    """A bundle whose payload is this statement, signed by the key."""
    payload = json.dumps(statement).encode()
    head = f"DSSEv1 28 application/vnd.in-toto+json {len(payload)} ".encode()
    signature = KEY.private.sign(head + payload, ec.ECDSA(SHA256()))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps({"dsseEnvelope": envelope}).encode()


@pytest.mark.parametrize(
    "statement",
    [
        {"predicateType": "other", "predicate": {"resources": []}},
        {"predicate": {"resources": []}},
        [],
        {
            "predicateType": "https://model_signing/signature/v1.0",
            "predicate": {
                "resources": [{"name": "a", "digest": "1"}, {"name": "a", "digest": "2"}]
            },
        },
    ],
)
def test_a_signed_statement_of_another_kind_is_refused(statement: object) -> None:
    """The key's own signature on another statement, or on a file named twice, is no word on files."""
    with pytest.raises(ProofError, match="does not verify"):
        read_signature(resigned(statement), KEY.public_pem)


@given(seed=st.binary(min_size=32, max_size=32))
def test_keys_round_trip(seed: bytes) -> None:
    """The PEM of a key holds that key, and the same seed makes the same key."""
    key = ExportKey.generate(seed)
    assert ExportKey.from_pem(key.to_pem()).public_pem == key.public_pem
    assert ExportKey.generate(seed).public_pem == key.public_pem


def test_a_secret_key_does_not_print() -> None:
    """Neither `repr` nor `str` shows a key."""
    assert f"{KEY!r} {KEY}" == "ExportKey() ExportKey()"


@pytest.mark.parametrize(
    "text", ["", "text", KEY.public_pem, secret_pem(P384), secret_pem(ED25519)]
)
def test_other_texts_are_no_secret_key(text: str) -> None:
    """Text that is not a P-256 secret key is refused."""
    with pytest.raises(ProofError, match="not a P-256 key"):
        ExportKey.from_pem(text)


@pytest.mark.parametrize("text", ["", KEY.to_pem(), public_pem(P384), public_pem(ED25519)])
def test_other_texts_are_no_public_key(text: str) -> None:
    """Text that is not a P-256 public key verifies nothing."""
    with pytest.raises(ProofError) as caught:
        read_signature(SIGNED, text)
    assert caught.value.code == "export-key"
