"""The figures that sheets share, each with the query that gives it from the bundle's tables."""

from proxy.audit.formats.material import Material
from proxy.audit.formats.sheet import Cell
from proxy.ledger.described import NOT_STATED

__all__ = [
    "Figure",
    "bases",
    "cell",
    "clauses",
    "count",
    "licences",
    "models",
    "period",
    "providers",
]

_FROM = "FROM 'tables/examples.parquet'"
_RUNS = "FROM 'entries.jsonl' WHERE json_extract_string(leaf, '$.kind') = 'run'"

type Figure = tuple[str, str]
"""A value, and the query it came from."""


def cell(section: str, asks: str, figure: Figure | None = None) -> Cell:
    """A field with a figure, or one that the ledger does not know."""
    if figure is None:
        return Cell(section=section, asks=asks)
    return Cell(section=section, asks=asks, value=figure[0] or NOT_STATED, query=figure[1])


def count(material: Material) -> Figure:
    """How many examples there are."""
    found = sum(material.teachers().values())
    return str(found), f"SELECT count(*) {_FROM}"


def providers(material: Material) -> Figure:
    """Who operates the teachers."""
    found = sorted({each.provider for each in material.teachers()})
    return "; ".join(found), f"SELECT DISTINCT provider {_FROM} ORDER BY 1"


def models(material: Material) -> Figure:
    """Which models answered."""
    found = sorted({each.model for each in material.teachers()})
    return "; ".join(found), f"SELECT DISTINCT model {_FROM} ORDER BY 1"


def licences(material: Material) -> Figure:
    """The licences of the teachers."""
    found = sorted({each.licence for each in material.teachers() if each.licence})
    return "; ".join(found), f"SELECT DISTINCT licence {_FROM} WHERE licence <> '' ORDER BY 1"


def clauses(material: Material) -> Figure:
    """The clauses that admit the examples."""
    found = sorted({clause for key, _ in material.learned() for clause in key.clauses})
    return "; ".join(found), f"SELECT DISTINCT unnest(clauses) {_FROM} ORDER BY 1"


def period(material: Material) -> Figure:
    """The days of the first and the last call that an example is of."""
    found = [tally for _, tally in material.learned()]
    query = f"SELECT min(exchange_at)[:10], max(exchange_at)[:10] {_FROM}"
    if not found:
        return "", query
    first, last = min(t.first.at for t in found), max(t.last.at for t in found)
    return f"{first[:10]} to {last[:10]}", query


def bases(material: Material) -> Figure:
    """The base models of the runs on record."""
    found = sorted({run.text("base") for run in material.runs})
    return "; ".join(
        found
    ), f"SELECT DISTINCT json_extract_string(leaf, '$.base') {_RUNS} ORDER BY 1"
