"""A CycloneDX 1.6 ML-BOM: students, teachers and datasets, with licences and the grants' ends.

https://cyclonedx.org/docs/1.6/json/. Written by hand: cyclonedx-python-lib has no model cards and no
`licensing`; its validator reads what stands here.
"""

from collections.abc import Iterable

from proxy.audit.formats.material import Grant, Material
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.described import Teacher
from proxy.ledger.leaf import Leaf

__all__ = ["cyclonedx"]


def cyclonedx(material: Material) -> bytes:
    """`bom/cyclonedx.json`."""
    teachers = material.teachers()
    components: list[Json] = [
        *(_run(material, run) for run in material.runs),
        *(_dataset(material, leaf) for leaf in material.datasets),
        *(_teacher(teacher) for teacher in teachers),
    ]
    depends: list[Json] = [
        *(
            _depends(run.id, (leaf.id for leaf in material.datasets_of(run)))
            for run in material.runs
        ),
        *(
            _depends(leaf.id, map(_ref, material.teachers(leaf.text("dataset"))))
            for leaf in material.datasets
        ),
    ]
    return canonical(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{material.id}",
            "version": 1,
            "metadata": {
                "timestamp": material.at,
                "tools": {"components": [{"type": "application", "name": "inbond"}]},
            },
            "components": components,
            "dependencies": depends,
        }
    )


def _run(material: Material, run: Leaf) -> Json:
    datasets: list[Json] = [{"ref": leaf.id} for leaf in material.datasets_of(run)]
    files: list[Json] = [
        {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
        for name, digest in material.weights(run).items()
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": run.id,
        "name": run.text("student"),
        "version": run.text("run"),
        "components": files,
        "modelCard": {
            "modelParameters": {"approach": {"type": "supervised"}, "datasets": datasets}
        },
        "properties": [{"name": "inbond:base", "value": run.text("base")}],
    }


def _dataset(material: Material, dataset: Leaf) -> Json:
    name = dataset.text("dataset")
    licences = sorted({each.licence for each in material.teachers(name) if each.licence})
    granted = material.grants(name)
    return {
        "type": "data",
        "bom-ref": dataset.id,
        "name": name,
        "data": [{"type": "dataset", "name": name}],
        "licenses": [*map(_licence, licences), *map(_granted, granted)],
        "properties": [
            {"name": "inbond:root", "value": dataset.text("root")},
            {"name": "inbond:policy", "value": dataset.text("decision_bundle")},
            {"name": "inbond:valid-until", "value": dataset.text("valid_until")},
            {"name": "inbond:last-status", "value": material.state(dataset) or "not recorded"},
        ],
    }


def _teacher(teacher: Teacher) -> Json:
    licences: list[Json] = [_licence(teacher.licence)] if teacher.licence else []
    return {
        "type": "machine-learning-model",
        "bom-ref": _ref(teacher),
        "name": teacher.model,
        "supplier": {"name": teacher.provider},
        "licenses": licences,
    }


def _licence(name: str) -> Json:
    return {"license": {"name": name, "acknowledgement": "declared"}}


def _granted(grant: Grant) -> Json:
    licensing: dict[str, Json] = {"altIds": [grant.digest], "licenseTypes": ["other"]}
    if grant.until is not None:
        licensing["expiration"] = grant.until
    return {
        "license": {
            "name": f"grant {grant.name}",
            "acknowledgement": "concluded",
            "licensing": licensing,
        }
    }


def _ref(teacher: Teacher) -> str:
    return f"teacher:{teacher.provider}/{teacher.model}/{teacher.licence}"


def _depends(ref: str, on: Iterable[str]) -> Json:
    return {"ref": ref, "dependsOn": [*dict.fromkeys(on)]}
