"""RO-Crate 1.1: the audit's folder described for archives and research data.

https://w3id.org/ro/crate/1.1.
"""

from collections.abc import Iterable

from proxy.audit.formats.material import Material
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.described import NOT_STATED

__all__ = ["ro_crate"]

_TYPES = {
    "html": "text/html",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "md": "text/markdown",
    "parquet": "application/vnd.apache.parquet",
}


def ro_crate(material: Material, names: Iterable[str]) -> bytes:
    """`ro-crate-metadata.json` over files of the bundle, given by path."""
    files = sorted(names)
    root: dict[str, Json] = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Audit {material.id} of {material.origin}",
        "description": "What a ledger of teacher traffic holds, with what proves it.",
        "datePublished": material.at,
        "license": {"@id": "#licence"},
        "hasPart": [{"@id": name} for name in files],
    }
    licences = sorted({each.licence for each in material.teachers() if each.licence})
    described: list[Json] = [
        {
            "@id": name,
            "@type": "File",
            "name": name,
            "encodingFormat": _TYPES.get(name.rpartition(".")[2], "text/plain"),
        }
        for name in files
    ]
    head: dict[str, Json] = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    licence: dict[str, Json] = {
        "@id": "#licence",
        "@type": "CreativeWork",
        "name": ", ".join(licences) or NOT_STATED,
        "description": "The licences of the teachers; tables/examples.parquet has the clauses.",
    }
    graph: list[Json] = [head, root, licence, *described]
    return canonical({"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph})
