"""A sheet shows each cell with its query, for people and for programs."""

import json

from proxy.audit.formats.sheet import Cell, Sheet

SHEET = Sheet(
    title="Title",
    instrument="A rule",
    source="https://example.org",
    confidence="read-secondary",
    read_on="2026-11-24",
    export="e",
    at="t",
    cells=[
        Cell(section="One", asks="how many", value="3", query="SELECT 3"),
        Cell(section="Two", asks="a | b", value="<b>"),
        Cell(section="Two", asks="unknown"),
    ],
)


def test_people_read_sections_and_queries() -> None:
    """Each section has its table; what is not a query is no code; markup is text."""
    text = SHEET.to_markdown().decode()
    assert text.count("## ") == 2
    assert "| how many | 3 | `SELECT 3` |" in text
    assert "| a \\| b | &lt;b&gt; | no query: a ledger does not hold it |" in text


def test_programs_read_whether_a_cell_is_recorded() -> None:
    """The JSON has the source of the fields and a flag for each cell."""
    made = json.loads(SHEET.to_json())
    assert [cell["recorded"] for cell in made["cells"]] == [True, True, False]
    assert made["fields_from"]["confidence"] == "read-secondary"
