"""Attestations verify under the export key, and say of a dataset what its last status says."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from proxy.audit.formats.attestations import attestations
from proxy.audit.formats.material import Material
from tests.proxy.audit.formats.conftest import DATASET, ROOT, RUN, WEIGHTS
from tests.proxy.ledger.sample import EXPORT_KEY


def statement(envelope: bytes) -> dict[str, Any]:
    """The statement in an envelope, whose signature verifies."""
    found = json.loads(envelope)
    payload = base64.b64decode(found["payload"])
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    signature = base64.b64decode(found["signatures"][0]["sig"])
    EXPORT_KEY.private.public_key().verify(signature, signed, ec.ECDSA(SHA256()))
    made: dict[str, Any] = json.loads(payload)
    return made


def test_a_dataset_was_admitted_under_a_policy(material: Material) -> None:
    """The summary names root, policy, end and the last status."""
    made = statement(
        attestations(material, EXPORT_KEY)[f"attestations/admitted-{DATASET}.dsse.json"]
    )
    assert made["subject"] == [{"name": DATASET, "digest": {"rfc9162Sha256": ROOT}}]
    assert made["predicateType"] == "https://in-toto.io/attestation/svr/v0.1"
    assert made["predicate"]["properties"] == [
        "INBOND_EVERY_EXAMPLE_ADMITTED_WHEN_SEALED",
        f"INBOND_POLICY_{'e' * 64}",
        "INBOND_VALID_UNTIL_2026-12-24T05:00:00.000Z",
        "INBOND_LAST_STATUS_REVOKED",
    ]


def test_a_run_leads_from_datasets_to_weights(material: Material) -> None:
    """Provenance names the weights, the datasets and the record of the run."""
    made = statement(attestations(material, EXPORT_KEY)[f"attestations/run-{RUN}.dsse.json"])
    assert made["subject"] == [{"name": "model.safetensors", "digest": {"sha256": WEIGHTS}}]
    definition = made["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"][0]["digest"] == {"rfc9162Sha256": ROOT}


def test_the_same_audit_gives_the_same_bytes(material: Material) -> None:
    """Signatures are made without chance."""
    assert attestations(material, EXPORT_KEY) == attestations(material, EXPORT_KEY)


def test_nothing_is_attested_of_nothing(nothing: Material) -> None:
    """Without datasets and runs there is no envelope."""
    assert attestations(nothing, EXPORT_KEY) == {}
