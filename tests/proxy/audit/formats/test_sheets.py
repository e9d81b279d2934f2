"""The three sheets fill what the ledger knows, and say of the rest that it is not recorded."""

import json

from proxy.audit.formats.material import Material
from proxy.audit.formats.sheets import sheets


def values(made: bytes) -> dict[str, str]:
    """The cells of a sheet by what they ask."""
    return {cell["field"]: cell["value"] for cell in json.loads(made)["cells"]}


def test_each_sheet_is_there_twice(material: Material) -> None:
    """For people and for programs, with no more than one cell of a name."""
    made = sheets(material)
    assert {name.rpartition(".")[0] for name in made if name.endswith(".md")} == {
        name.rpartition(".")[0] for name in made if name.endswith(".json")
    }
    for name in made:
        if name.endswith(".json"):
            assert len(values(made[name])) == len(json.loads(made[name])["cells"])


def test_cells_are_filled_from_the_ledger(material: Material) -> None:
    """Examples, base and first use are known; a contact is not."""
    made = sheets(material)
    summary = values(made["eu-ai-act-summary.json"])
    assert summary["2.5 Synthetic data: used"] == "yes"
    assert summary["1.2 Models this one depends on"] == "base/model"
    assert summary["1.1 Provider and its contact"] == "not recorded"
    items = values(made["california-ab-2013.json"])
    assert items["11 When the datasets were first used in development"] == "2026-11-24"
    sheet = values(made["data-provenance-sheet.json"])
    assert sheet["Intended data use"] == "training of gardener"


def test_no_example_is_not_a_yes(nothing: Material) -> None:
    """Where no example is in scope, synthetic data is not claimed."""
    summary = values(sheets(nothing)["eu-ai-act-summary.json"])
    assert summary["2.5 Synthetic data: used"] == "no example in this audit"
