"""The EU's, California's and the Data & Trust Alliance's sheets of training content."""

from proxy.audit.formats.figures import (
    Figure,
    bases,
    cell,
    clauses,
    count,
    licences,
    models,
    period,
    providers,
)
from proxy.audit.formats.material import Material
from proxy.audit.formats.sheet import Cell, Sheet

__all__ = ["sheets"]

_READ_ON = "2026-11-24"
_FIXED = "no query: so it is by what an audit is"


def sheets(material: Material) -> dict[str, bytes]:
    """Each sheet as Markdown and JSON, by path in the bundle."""
    made = {
        "eu-ai-act-summary": _eu(material),
        "california-ab-2013": _california(material),
        "data-provenance-sheet": _alliance(material),
    }
    found: dict[str, bytes] = {}
    for name, sheet in made.items():
        found[f"{name}.md"] = sheet.to_markdown()
        found[f"{name}.json"] = sheet.to_json()
    return found


def _eu(material: Material) -> Sheet:
    general, sources, processing = (
        "1 General information",
        "2 List of data sources",
        "3 Data processing aspects",
    )
    synthetic = count(material)
    used: Figure = ("yes" if synthetic[0] != "0" else "no example in this audit", synthetic[1])
    cells = [
        cell(general, "1.1 Provider and its contact"),
        cell(general, "1.1 Authorised representative"),
        cell(general, "1.2 Model versions"),
        cell(general, "1.2 Models this one depends on", bases(material)),
        cell(general, "1.2 Date of placement on the Union market"),
        cell(general, "1.3 Modality of the examples", ("text", _FIXED)),
        cell(general, "1.3 Band of the training data's size, in tokens"),
        cell(general, "1.3 Number of examples", synthetic),
        cell(general, "1.3 First and latest acquisition", period(material)),
        cell(general, "1.3 Languages and other characteristics"),
        cell(sources, "2.1 Publicly available datasets"),
        cell(sources, "2.2.1 Data licensed from rightsholders"),
        cell(sources, "2.2.2 Other private datasets of third parties"),
        cell(sources, "2.3 Crawled and scraped data"),
        cell(sources, "2.4 User data"),
        cell(sources, "2.5 Synthetic data: used", used),
        cell(sources, "2.5 Synthetic data: the models that generated it", models(material)),
        cell(sources, "2.5 Synthetic data: who operates those models", providers(material)),
        cell(sources, "2.5 Synthetic data: clauses that admit it", clauses(material)),
        cell(sources, "2.6 Other sources"),
        cell(processing, "3.1 Respect of reservations of text and data mining"),
        cell(processing, "3.2 Removal of illegal content"),
    ]
    return _sheet(
        material,
        "Public summary of training content",
        "Regulation (EU) 2024/1689, Article 53(1)(d); template of the Commission, 2025",
        "https://digital-strategy.ec.europa.eu/en/faqs/"
        "template-general-purpose-ai-model-providers-summarise-their-training-content",
        cells,
    )


def _california(material: Material) -> Sheet:
    section = "Items"
    cells = [
        cell(section, "1 Sources or owners of the datasets", providers(material)),
        cell(section, "2 How the datasets further the intended purpose"),
        cell(section, "3 Number of data points", count(material)),
        cell(section, "4 Types of data points", ("prompts and answers as text", _FIXED)),
        cell(section, "5 Copyright, trademark, patent or public domain"),
        cell(section, "6 Purchased or licensed: the licences", licences(material)),
        cell(section, "6 Purchased or licensed: the clauses relied on", clauses(material)),
        cell(section, "7 Personal information"),
        cell(section, "8 Aggregate consumer information"),
        cell(section, "9 Cleaning, processing or other modification"),
        cell(section, "10 Period of collection", period(material)),
        cell(section, "10 Whether collection is ongoing"),
        cell(section, "11 When the datasets were first used in development", _first_run(material)),
        cell(section, "12 Synthetic data: the models that generated it", models(material)),
    ]
    return _sheet(
        material,
        "Transparency of training data, California AB 2013",
        "California Civil Code 3110 and 3111",
        "https://casetext.com, https://regulume.com/compliance/ca-genai/",
        cells,
    )


def _alliance(material: Material) -> Sheet:
    source, provenance, use = "Source", "Provenance", "Use"
    issued = ("SELECT json_extract_string(content, '$.at')[:10] FROM read_text('export.json')",)
    cells = [
        cell(source, "Standards version", ("1.0", _FIXED)),
        cell(source, "Dataset title", (f"audit-{material.id}", _FIXED)),
        cell(source, "Unique metadata identifier", (f"urn:uuid:{material.id}", _FIXED)),
        cell(source, "Metadata location", ("export.json", _FIXED)),
        cell(source, "Dataset issuer", (material.origin, _FIXED)),
        cell(source, "Description: number of examples", count(material)),
        cell(provenance, "Source metadata for the dataset", ("dataset/croissant.json", _FIXED)),
        cell(provenance, "Source, if not the issuer", providers(material)),
        cell(provenance, "Data origin geography"),
        cell(provenance, "Dataset issue date", (material.at[:10], *issued)),
        cell(provenance, "Date of the previous version"),
        cell(provenance, "Range of dates of data generation", period(material)),
        cell(provenance, "Method", ("answers of models, recorded on the way", _FIXED)),
        cell(provenance, "Data format", ("Parquet", _FIXED)),
        cell(use, "Confidentiality classification"),
        cell(use, "Consent documentation location"),
        cell(use, "Privacy enhancing technologies"),
        cell(use, "Data processing geography"),
        cell(use, "Data storage geography"),
        cell(use, "Licence to use", licences(material)),
        cell(use, "Intended data use", _students(material)),
        cell(use, "Proprietary data presence"),
    ]
    return _sheet(
        material,
        "Data provenance sheet",
        "Data & Trust Alliance, Data Provenance Standards 1.0",
        "https://dataandtrustalliance.org/our-initiatives/data-provenance-standards",
        cells,
    )


def _first_run(material: Material) -> Figure:
    found = min((run.text("at")[:10] for run in material.runs), default="")
    return found, (
        "SELECT min(json_extract_string(leaf, '$.at'))[:10] FROM 'entries.jsonl' "
        "WHERE json_extract_string(leaf, '$.kind') = 'run'"
    )


def _students(material: Material) -> Figure:
    found = sorted({key.student for key, _ in material.learned()})
    query = "SELECT DISTINCT student FROM 'tables/examples.parquet' ORDER BY 1"
    return "; ".join(f"training of {name}" for name in found), query


def _sheet(
    material: Material, title: str, instrument: str, source: str, cells: list[Cell]
) -> Sheet:
    return Sheet(
        title=title,
        instrument=instrument,
        source=source,
        confidence="read-secondary",
        read_on=_READ_ON,
        export=material.id,
        at=material.at,
        cells=cells,
    )
