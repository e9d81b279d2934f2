"""Figures are what their examples say."""

from proxy.audit.formats import figures
from proxy.audit.formats.material import Material


def test_figures_are_of_the_examples(material: Material) -> None:
    """Counts, names and days stand as the rows have them."""
    assert figures.count(material)[0] == "3"
    assert figures.providers(material)[0] == "acme"
    assert figures.licences(material)[0] == "Apache-2.0"
    assert figures.clauses(material)[0] == "acme/rule terms 4.2"
    assert figures.period(material)[0] == "2026-11-24 to 2026-11-24"
    assert figures.bases(material)[0] == "base/model"
    assert "large" in figures.models(material)[0]


def test_what_is_not_there_is_not_recorded(nothing: Material) -> None:
    """A cell without a figure, or with an empty one, says so."""
    assert figures.cell("s", "f").value == "not recorded"
    made = figures.cell("s", "f", figures.period(nothing))
    assert made.value == "not recorded"
    assert made.query.startswith("SELECT")
