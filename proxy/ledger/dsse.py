"""Statements about what a log holds, signed with the export key: DSSE envelopes around in-toto v1."""

import base64
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from proxy.ledger.canonical import Json, canonical
from proxy.ledger.envelope import ExportKey

__all__ = ["signed_statement"]

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"


def signed_statement(
    subjects: Sequence[Mapping[str, Json]],
    predicate_type: str,
    predicate: Mapping[str, Json],
    key: ExportKey,
) -> bytes:
    """A DSSE envelope (JSON) around a statement about `subjects`, each of `name` and `digest`.

    The signature is RFC 6979's, so that the same statement under the same key is the same bytes.
    """
    payload = canonical(
        {
            "_type": _STATEMENT,
            "subject": [dict(subject) for subject in subjects],
            "predicateType": predicate_type,
            "predicate": dict(predicate),
        }
    )
    algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
    signature = key.private.sign(_encoding(payload), algorithm)
    return canonical(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
        }
    )


def _encoding(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding (DSSE v1.0.0, "Signature Definition")."""
    kind = _PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
