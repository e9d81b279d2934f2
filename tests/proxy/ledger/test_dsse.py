"""Statements are signed as DSSE says, without chance."""

import base64
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from proxy.ledger.canonical import Json
from proxy.ledger.dsse import signed_statement
from tests.proxy.ledger.sample import EXPORT_KEY

MADE = signed_statement([{"name": "a", "digest": {"sha256": "0"}}], "urn:p", {"x": 1}, EXPORT_KEY)


def signature_over(signed: bytes) -> None:
    """Verify the envelope's signature over these bytes."""
    signature = base64.b64decode(json.loads(MADE)["signatures"][0]["sig"])
    EXPORT_KEY.private.public_key().verify(signature, signed, ec.ECDSA(SHA256()))


def test_the_signature_is_over_type_and_payload() -> None:
    """It verifies over DSSE's encoding, and over nothing else."""
    payload = base64.b64decode(json.loads(MADE)["payload"])
    signature_over(b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload))
    with pytest.raises(InvalidSignature):
        signature_over(payload)


def test_the_same_statement_is_the_same_bytes() -> None:
    """RFC 6979: no random number is in a signature."""
    subject: dict[str, Json] = {"name": "a", "digest": {"sha256": "0"}}
    assert signed_statement([subject], "urn:p", {"x": 1}, EXPORT_KEY) == MADE
    assert signed_statement([subject], "urn:p", {"x": 2}, EXPORT_KEY) != MADE
