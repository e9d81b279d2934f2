"""Attestations: in-toto SVR for each dataset and SLSA provenance v1 for each run, in DSSE.

They restate what entries of the log say, under the export key. Their predicates:
https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md and
https://slsa.dev/spec/v1.0/provenance.
"""

from proxy.audit.formats.material import Material
from proxy.ledger.canonical import Json
from proxy.ledger.dsse import signed_statement
from proxy.ledger.envelope import ExportKey
from proxy.ledger.leaf import Leaf

__all__ = ["attestations"]

_SVR = "https://in-toto.io/attestation/svr/v0.1"
_SLSA = "https://slsa.dev/provenance/v1"
_ROOT = "rfc9162Sha256"
"""The algorithm of a dataset's root: a Merkle tree over canonical rows."""


def attestations(material: Material, key: ExportKey) -> dict[str, bytes]:
    """The envelopes, by path in the bundle."""
    found: dict[str, bytes] = {}
    for dataset in material.datasets:
        name = f"attestations/admitted-{dataset.id}.dsse.json"
        found[name] = signed_statement([_subject(dataset)], _SVR, _verified(material, dataset), key)
    for run in material.runs:
        subjects: list[dict[str, Json]] = [
            {"name": file, "digest": {"sha256": digest}}
            for file, digest in material.weights(run).items()
        ]
        if subjects:
            name = f"attestations/run-{run.id}.dsse.json"
            found[name] = signed_statement(subjects, _SLSA, _provenance(material, run), key)
    return found


def _subject(dataset: Leaf) -> dict[str, Json]:
    return {"name": dataset.text("dataset"), "digest": {_ROOT: dataset.text("root")}}


def _verified(material: Material, dataset: Leaf) -> dict[str, Json]:
    """That every example was admitted when the dataset was sealed, and what was said of it since."""
    properties: list[Json] = [
        "INBOND_EVERY_EXAMPLE_ADMITTED_WHEN_SEALED",
        f"INBOND_POLICY_{dataset.text('decision_bundle')}",
        f"INBOND_VALID_UNTIL_{dataset.text('valid_until')}",
    ]
    state = material.state(dataset)
    if state is not None:
        properties.append(f"INBOND_LAST_STATUS_{state.upper()}")
    return {
        "verifier": {"id": f"urn:inbond:{material.origin}"},
        "timeVerified": dataset.text("at"),
        "properties": properties,
    }


def _provenance(material: Material, run: Leaf) -> dict[str, Json]:
    names = {leaf.text("root"): leaf.text("dataset") for leaf in material.datasets}
    roots = run.fields.get("datasets")
    resolved: list[Json] = [
        {"name": names.get(str(root), str(root)), "digest": {_ROOT: str(root)}}
        for root in (roots if isinstance(roots, list) else [])
    ]
    base = run.text("base")
    return {
        "buildDefinition": {
            "buildType": "urn:inbond:student-train:v1",
            "externalParameters": {"student": run.text("student"), "base": base},
            "internalParameters": {"steps": run.fields.get("steps")},
            "resolvedDependencies": [
                *resolved,
                {"name": "base model", "uri": f"urn:inbond:{base}"},
            ],
        },
        "runDetails": {
            "builder": {"id": f"urn:inbond:{material.origin}"},
            "metadata": {"invocationId": run.text("run")},
            "byproducts": [{"name": "run record", "digest": {"sha256": run.text("record")}}],
        },
    }
