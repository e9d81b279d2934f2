"""A table of examples is described for Croissant and on a card, and names are only names."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from proxy.ledger.described import Described, Teacher, croissant, dataset_card, plain
from proxy.ledger.tables import Column

DESCRIBED = Described(
    name="d",
    at="2026-11-24T05:00:00.123Z",
    subject="s",
    students=("gardener",),
    teachers={Teacher(provider="acme", model="large", licence="MIT"): 2},
    clauses=("acme/rule terms 4.2",),
    duties=(),
    valid_until=None,
    path="dataset/examples.parquet",
    sha256="9" * 64,
    columns={"example": Column.TEXT, "seq": Column.INTEGER, "clauses": Column.LIST},
)


def test_croissant_describes_each_column() -> None:
    """Columns have their types, lists are arrays, and the table lies beside the description."""
    made = json.loads(croissant(DESCRIBED))
    fields = {each["name"]: each for each in made["recordSet"][0]["field"]}
    assert fields["seq"]["dataType"] == "sc:Integer"
    assert (fields["clauses"]["isArray"], "isArray" in fields["example"]) == (True, False)
    assert made["distribution"][0]["contentUrl"] == "examples.parquet"
    assert made["license"] == ["MIT"]


def test_a_table_of_an_audit_lies_in_another_folder() -> None:
    """A description in `dataset/` leads out of it."""
    made = replace(DESCRIBED, path="tables/examples.parquet", teachers={})
    found = json.loads(croissant(made))
    assert found["distribution"][0]["contentUrl"] == "../tables/examples.parquet"
    assert found["license"] == "not recorded"


def test_a_card_says_what_is_not_known() -> None:
    """Teachers, clauses and counts stand there; no duty is `none`, no date is `not recorded`."""
    card = dataset_card(DESCRIBED).decode()
    assert "| acme | large | MIT | 2 |" in card
    assert "- Valid until: not recorded" in card
    assert "## Duties that come with them\n\nnone" in card


@given(text=st.text(max_size=20))
def test_a_name_is_never_markup(text: str) -> None:
    """Whatever a text is, it is one cell of one row, and opens no tag."""
    shown = plain(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert "|" not in shown.replace("\\|", "")
