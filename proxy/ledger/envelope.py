"""The signature over a bundle's files: an OpenSSF model-signing bundle, ECDSA P-256.

`export.sig` is a Sigstore bundle (JSON) around a DSSE envelope around an in-toto statement. The
statement's predicate lists every file with its sha256; its subject is the sha256 over those digests
in the order of the names. What is signed is DSSE's encoding of the payload:
`DSSEv1 28 application/vnd.in-toto+json LENGTH PAYLOAD`. Check it with `model_signing verify key`,
or write those bytes to a file and use `openssl dgst -sha256 -verify keys/export.pem`.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from proxy.errors import ProofError

__all__ = ["SIGNATURE", "ExportKey", "read_signature", "sign_files"]

SIGNATURE = "export.sig"
"""The one file of a bundle that no signature covers."""

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256 (NIST SP 800-186 §3.2.1.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportKey:
    """A P-256 key that signs bundles. Its `repr` shows nothing of it."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def generate(cls, seed: bytes) -> "ExportKey":
        """The key of these random bytes (at least 32), by NIST SP 800-186's extra random bits."""
        wide = HKDF(algorithm=SHA256(), length=48, salt=None, info=b"inbond export key v1")
        scalar = int.from_bytes(wide.derive(seed)) % (_ORDER - 1) + 1
        return cls(private=ec.derive_private_key(scalar, ec.SECP256R1()))

    @classmethod
    def from_pem(cls, text: str) -> "ExportKey":
        """The key of a PEM text (PKCS #8).

        Raises:
            ProofError: the text is no P-256 key; the message does not repeat it.
        """
        try:
            private = load_pem_private_key(text.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _bad_key() from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise _bad_key()
        if not isinstance(private.curve, ec.SECP256R1):
            raise _bad_key()
        return cls(private=private)

    def to_pem(self) -> str:
        """The secret key as PEM (PKCS #8), for a file of mode 0600 and nothing else."""
        return self.private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()

    @property
    def public_pem(self) -> str:
        """The public key as PEM, as a `key` entry of role `export` keeps it."""
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign_files(name: str, digests: Mapping[str, str], key: ExportKey) -> bytes:
    """The content of `export.sig` over files, given by path and sha256 in hex.

    `name` is what the signed thing is called.
    """
    # Order matters to model_signing: it sorts paths, not texts, before it hashes their digests.
    names = sorted(digests, key=PurePosixPath)
    over_all = sha256(b"".join(bytes.fromhex(digests[path]) for path in names)).hexdigest()
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": over_all}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE],
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digests[path]} for path in names
            ],
        },
    }
    payload = _dump(statement)
    signature = key.private.sign(_encoding(payload), ec.ECDSA(SHA256()))
    return _dump(
        {
            "mediaType": _MEDIA_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": sha256(key.public_pem.encode()).hexdigest()},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": _PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
        }
    )


def read_signature(data: bytes, public_pem: str) -> dict[str, str]:
    """The files an `export.sig` vouches for under this public key: path to sha256 in hex.

    Raises:
        ProofError: the signature does not verify, or does not say which files it is over.
    """
    try:
        envelope = json.loads(data)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        _load_public(public_pem).verify(signature, _encoding(payload), ec.ECDSA(SHA256()))
        statement = json.loads(payload)
        is_ours = statement["predicateType"] == _PREDICATE
        resources = statement["predicate"]["resources"]
        digests = {str(item["name"]): str(item["digest"]) for item in resources}
    except (ValueError, TypeError, LookupError, RecursionError, InvalidSignature) as error:
        raise _bad_signature() from error
    if not is_ours or len(digests) != len(resources):
        raise _bad_signature()
    return digests


def _load_public(text: str) -> ec.EllipticCurvePublicKey:
    try:
        public = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _bad_key() from error
    is_p256 = isinstance(public, ec.EllipticCurvePublicKey) and isinstance(
        public.curve, ec.SECP256R1
    )
    if not isinstance(public, ec.EllipticCurvePublicKey) or not is_p256:
        raise _bad_key()
    return public


def _encoding(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding (DSSE v1.0.0, "Signature Definition")."""
    return b"DSSEv1 %d %s %d %s" % (
        len(_PAYLOAD_TYPE),
        _PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def _dump(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _bad_key() -> ProofError:
    return ProofError(
        "the text is not a P-256 key in PEM",
        help="give the file that `inbond init` made",
        code="export-key",
    )


def _bad_signature() -> ProofError:
    return ProofError(
        "the signature of the bundle does not verify",
        help="get the bundle again, and ask who changed it",
        where=SIGNATURE,
        code="signature",
    )
