"""PROV-JSON: from teachers by exchanges to datasets, and by runs to weights.

https://www.w3.org/submissions/prov-json/.
"""

from proxy.audit.formats.material import Material
from proxy.ledger.canonical import Json, canonical

__all__ = ["prov"]


def prov(material: Material) -> bytes:
    """`lineage/prov.json`."""
    agents: dict[str, Json] = {"inbond:log": {"prov:label": material.origin}}
    entities: dict[str, Json] = {}
    activities: dict[str, Json] = {}
    made: dict[str, Json] = {}
    used: dict[str, Json] = {}
    derived: dict[str, Json] = {}
    by: dict[str, Json] = {}
    teachers = {each: f"inbond:teacher-{at}" for at, each in enumerate(material.teachers())}
    for teacher, name in teachers.items():
        agents[name] = {"prov:label": teacher.model, "inbond:provider": teacher.provider}
    for leaf in material.datasets:
        name = f"inbond:dataset-{leaf.text('dataset')}"
        build = f"inbond:build-{leaf.id}"
        entities[name] = {"inbond:root": leaf.text("root"), "inbond:student": leaf.text("student")}
        activities[build] = {"prov:endTime": leaf.text("at")}
        made[f"_:made-{leaf.id}"] = {"prov:entity": name, "prov:activity": build}
        by[f"_:by-{leaf.id}"] = {"prov:activity": build, "prov:agent": "inbond:log"}
        for at, teacher in enumerate(material.teachers(leaf.text("dataset"))):
            by[f"_:by-{leaf.id}-{at}"] = {
                "prov:activity": build,
                "prov:agent": teachers[teacher],
            }
    for run in material.runs:
        name, training = f"inbond:weights-{run.id}", f"inbond:run-{run.id}"
        entities[name] = {"prov:label": run.text("student"), "inbond:record": run.text("record")}
        activities[training] = {"prov:label": run.text("run")}
        made[f"_:made-{run.id}"] = {"prov:entity": name, "prov:activity": training}
        for leaf in material.datasets_of(run):
            source = f"inbond:dataset-{leaf.text('dataset')}"
            used[f"_:used-{run.id}-{leaf.id}"] = {
                "prov:activity": training,
                "prov:entity": source,
            }
            derived[f"_:derived-{run.id}-{leaf.id}"] = {
                "prov:generatedEntity": name,
                "prov:usedEntity": source,
            }
    parts: dict[str, dict[str, Json]] = {
        "agent": agents,
        "entity": entities,
        "activity": activities,
        "wasGeneratedBy": made,
        "used": used,
        "wasDerivedFrom": derived,
        "wasAssociatedWith": by,
    }
    document: dict[str, Json] = {"prefix": {"inbond": "urn:inbond:"}}
    return canonical(document | {name: part for name, part in parts.items() if part})
