"""SPDX 3.0.1 (JSON-LD): students as AI packages, datasets as dataset packages, with licences.

https://spdx.github.io/spdx-spec/v3.0.1/. The licence of a dataset's teachers is declared; what the
recorder's rules concluded has no licence expression: each package has NOASSERTION for it.
"""

import re

from proxy.audit.formats.material import Material
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.leaf import Leaf

__all__ = ["licence_term", "spdx"]

_LISTED = frozenset(
    {
        "AGPL-3.0-only",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC-BY-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-NC-SA-4.0",
        "CC-BY-SA-4.0",
        "CC0-1.0",
        "GPL-3.0-only",
        "MIT",
        "ODC-By-1.0",
    }
)
"""The identifiers of SPDX's list that data and weights are commonly given under."""
_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")
_INFO = "_:creation"
_NONE = "https://spdx.org/rdf/3.0.1/terms/Licensing/NoAssertion"


def spdx(material: Material) -> bytes:
    """`bom/spdx3.json`."""
    base = f"urn:uuid:{material.id}#"
    agent = f"{base}recorder"
    elements: list[dict[str, Json]] = [
        {"type": "SoftwareAgent", "spdxId": agent, "name": material.origin}
    ]
    for leaf in material.datasets:
        elements += _dataset(material, leaf, base, agent)
    for run in material.runs:
        elements += _model(material, run, base, agent)
    document: dict[str, Json] = {
        "type": "SpdxDocument",
        "spdxId": f"{base}document",
        "name": f"audit-{material.id}",
        "profileConformance": ["core", "software", "simpleLicensing", "ai", "dataset"],
        "rootElement": [f"{base}{leaf.id}" for leaf in [*material.runs, *material.datasets]]
        or [agent],
        "element": [element["spdxId"] for element in elements],
    }
    info: dict[str, Json] = {
        "type": "CreationInfo",
        "@id": _INFO,
        "specVersion": "3.0.1",
        "created": _seconds(material.at),
        "createdBy": [agent],
    }
    graph: list[Json] = [
        info,
        *({**element, "creationInfo": _INFO} for element in [document, *elements]),
    ]
    return canonical(
        {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": graph}
    )


def _dataset(material: Material, leaf: Leaf, base: str, agent: str) -> list[dict[str, Json]]:
    name = leaf.text("dataset")
    licences = sorted({each.licence for each in material.teachers(name) if each.licence})
    me = f"{base}{leaf.id}"
    at = _seconds(leaf.text("at"))
    found: list[dict[str, Json]] = [
        {
            "type": "dataset_DatasetPackage",
            "spdxId": me,
            "name": name,
            "dataset_datasetType": ["text"],
            "dataset_dataCollectionProcess": "Answers of models, recorded on the way.",
            "software_primaryPurpose": "data",
            "software_downloadLocation": f"urn:uuid:{leaf.id}",
            "builtTime": at,
            "releaseTime": at,
            "validUntilTime": _seconds(leaf.text("valid_until")),
            "originatedBy": [agent],
            "suppliedBy": agent,
        },
        _related(me, "hasConcludedLicense", [_NONE]),
    ]
    if not licences:
        return [*found, _related(me, "hasDeclaredLicense", [_NONE])]
    expression: dict[str, Json] = {
        "type": "simplelicensing_LicenseExpression",
        "spdxId": f"{me}-licence",
        "simplelicensing_licenseExpression": " AND ".join(map(licence_term, licences)),
    }
    return [*found, expression, _related(me, "hasDeclaredLicense", [f"{me}-licence"])]


def licence_term(licence: str) -> str:
    """A licence as a term of an SPDX licence expression (SPDX 3.0.1, annex B)."""
    if licence in _LISTED or licence.startswith("LicenseRef-"):
        return licence
    return f"LicenseRef-{_UNFIT.sub('-', licence)}"


def _model(material: Material, run: Leaf, base: str, agent: str) -> list[dict[str, Json]]:
    me = f"{base}{run.id}"
    package: dict[str, Json] = {
        "type": "ai_AIPackage",
        "spdxId": me,
        "name": run.text("student"),
        "software_packageVersion": run.text("run"),
        "software_primaryPurpose": "model",
        "software_downloadLocation": f"urn:uuid:{run.id}",
        "releaseTime": _seconds(run.text("at")),
        "suppliedBy": agent,
    }
    found = [
        package,
        _related(me, "hasConcludedLicense", [_NONE]),
        _related(me, "hasDeclaredLicense", [_NONE]),
    ]
    learned: list[Json] = [f"{base}{leaf.id}" for leaf in material.datasets_of(run)]
    return [*found, _related(me, "trainedOn", learned)] if learned else found


def _related(source: str, kind: str, targets: list[Json]) -> dict[str, Json]:
    return {
        "type": "Relationship",
        "spdxId": f"{source}-{kind}",
        "from": source,
        "relationshipType": kind,
        "to": targets,
    }


def _seconds(stamp: str) -> str:
    """A ledger stamp without its milliseconds, as SPDX wants times."""
    return f"{stamp[:19]}Z"
