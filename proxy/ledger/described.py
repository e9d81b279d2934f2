"""A table of examples described for those who look for data: Croissant 1.1 and a dataset card.

Neither holds a text of a prompt or an answer: they say who taught how much, under which clauses.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape

from proxy.ledger.canonical import Json, canonical
from proxy.ledger.example import EXAMPLE_COLUMNS, ExampleRow
from proxy.ledger.tables import Column

__all__ = [
    "NOT_STATED",
    "Described",
    "Teacher",
    "croissant",
    "dataset_card",
    "dataset_files",
    "plain",
]

NOT_STATED = "not recorded"
"""What stands where the ledger does not know."""

_CONFORMS = "http://mlcommons.org/croissant/1.1"
_CONTEXT: dict[str, Json] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The terms of Croissant 1.1, "Context" of its specification."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Teacher:
    """A model that answered: who operates it, and the licence of its answers or weights."""

    provider: str
    model: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What is said of a table of examples."""

    name: str
    at: str
    """When it was sealed or exported: a ledger stamp."""
    subject: str
    """The id of the entry that commits to it."""
    students: tuple[str, ...]
    teachers: Mapping[Teacher, int]
    """Examples of each."""
    clauses: tuple[str, ...]
    duties: tuple[str, ...]
    valid_until: str | None
    path: str
    """Of the table in the bundle."""
    sha256: str
    columns: Mapping[str, Column]

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return sum(self.teachers.values())

    @property
    def licences(self) -> tuple[str, ...]:
        """The licences of the teachers, sorted."""
        return tuple(sorted({each.licence for each in self.teachers if each.licence}))


def dataset_files(
    rows: Sequence[ExampleRow], sealed: Mapping[str, Json], *, table: str, data: bytes
) -> dict[str, bytes]:
    """What describes a sealed dataset, by path: its `dataset` entry, its rows, the bytes of its table."""
    said = {name: str(sealed[name]) for name in ("at", "dataset", "id", "student", "valid_until")}
    teachers = Counter(
        Teacher(provider=row.provider, model=row.model, licence=row.licence) for row in rows
    )
    described = Described(
        name=f"dataset-{said['dataset']}",
        at=said["at"],
        subject=said["id"],
        students=(said["student"],),
        teachers=dict(sorted(teachers.items())),
        clauses=tuple(sorted({clause for row in rows for clause in row.clauses})),
        duties=tuple(sorted({duty for row in rows for duty in row.duties})),
        valid_until=said["valid_until"],
        path=table,
        sha256=sha256(data).hexdigest(),
        columns=EXAMPLE_COLUMNS,
    )
    return {
        "dataset/croissant.json": croissant(described),
        "dataset/README.md": dataset_card(described),
    }


def croissant(described: Described) -> bytes:
    """`croissant.json`: the table and its columns, for readers of Croissant 1.1."""
    file = described.path.rpartition("/")[2]
    students = ", ".join(described.students) or NOT_STATED
    columns: list[Json] = [_field(name, kind, file) for name, kind in described.columns.items()]
    records: dict[str, Json] = {
        "@type": "cr:RecordSet",
        "@id": "examples",
        "name": "examples",
        "key": {"@id": "examples/example"},
        "field": columns,
    }
    return canonical(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "name": described.name,
            "description": f"{described.examples} examples that a ledger admitted for {students}.",
            "conformsTo": _CONFORMS,
            "identifier": f"urn:uuid:{described.subject}",
            "url": f"urn:uuid:{described.subject}",
            "version": "1.0.0",
            "datePublished": described.at,
            "creator": {
                "@type": "sc:Organization",
                "name": "the organisation that keeps the ledger",
            },
            "license": list(described.licences) or NOT_STATED,
            "distribution": [
                {
                    "@type": "cr:FileObject",
                    "@id": file,
                    "name": file,
                    "contentUrl": _from_dataset(described.path),
                    "encodingFormat": "application/x-parquet",
                    "sha256": described.sha256,
                }
            ],
            "recordSet": [records],
        }
    )


def _from_dataset(path: str) -> str:
    """A path of the bundle as it is written in a file of its folder `dataset`."""
    return path.removeprefix("dataset/") if path.startswith("dataset/") else f"../{path}"


def _field(name: str, column: Column, file: str) -> Json:
    described: dict[str, Json] = {
        "@type": "cr:Field",
        "@id": f"examples/{name}",
        "name": name,
        "dataType": "sc:Integer" if column is Column.INTEGER else "sc:Text",
        "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
    }
    return described | ({"isArray": True, "arrayShape": "-1"} if column is Column.LIST else {})


def dataset_card(described: Described) -> bytes:
    """`README.md`: a dataset card in Markdown, with the metadata that Hugging Face reads."""
    rows = "\n".join(
        f"| {plain(teacher.provider)} | {plain(teacher.model)} | {plain(teacher.licence)} | {count} |"
        for teacher, count in sorted(described.teachers.items())
    )
    return f"""---
license: other
pretty_name: "examples {described.subject}"
---

# Dataset {plain(described.name)}

Answers of teachers that a ledger admitted for learning.
Nothing on this card is proven by standing here: `VERIFY.md` says how to check it.

- Student: {plain(", ".join(described.students))}
- Recorded at: {plain(described.at)}
- Valid until: {plain(described.valid_until or "")}
- Examples: {described.examples}
- Table: `{described.path}`, SHA-256 `{described.sha256}`

## Teachers

| provider | model | licence | examples |
| --- | --- | --- | ---: |
{rows}

## Clauses that admit them

{_items(described.clauses)}

## Duties that come with them

{_items(described.duties)}

## Languages, subjects and known biases

{NOT_STATED}: a ledger keeps what was asked and under which terms, not what it is about.
""".encode()


def _items(texts: tuple[str, ...]) -> str:
    return "\n".join(f"- {plain(text)}" for text in texts) or "none"


def plain(text: str) -> str:
    """A text that Markdown shows as it is, on one line; `not recorded` for an empty one."""
    escaped = escape(" ".join(text.split()), quote=False)
    for mark in "\\`*_[]|#!":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped or NOT_STATED
