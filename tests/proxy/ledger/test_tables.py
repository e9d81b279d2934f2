"""Tables say what the leaves say, and Parquet brings every value back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import BundleError
from proxy.ledger.canonical import Json, parse_canonical
from proxy.ledger.tables import Column, Table, from_parquet, tables_of, to_parquet
from tests.proxy.ledger.sample import AT, BUNDLE, GRANT_DIGEST, TERMS_DIGEST, audit_case

LEAVES = [(entry.seq, parse_canonical(entry.leaf)) for entry in audit_case().contents.entries]
TABLES = tables_of(LEAVES)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
VALUES: dict[Column, st.SearchStrategy[Json]] = {
    Column.TEXT: TEXT,
    Column.OPTIONAL_TEXT: TEXT | st.none(),
    Column.INTEGER: st.integers(-(2**53) + 1, 2**53 - 1),
    Column.OPTIONAL_INTEGER: st.integers(0, 9) | st.none(),
    Column.FLAG: st.booleans(),
    Column.LIST: st.lists(TEXT, max_size=3),
}


def test_exchanges_restate_call_and_exchange() -> None:
    """Each exchange is a row of what its call and its own leaf say."""
    rows = list(TABLES["exchanges"].rows)
    assert [row["exchange"] for row in rows] == ["first", "second", "third"]
    # The call's `model.id` stands for the name asked; nobody answered the interrupted call.
    assert [row["model"] for row in rows] == ["acme/large", "acme/large", None]
    assert rows[0] == {
        "seq": 276,
        "exchange": "first",
        "call": "call-first",
        "called_at": AT,
        "ended_at": AT,
        "key": "key:1",
        "project": "support",
        "student": None,
        "route": "acme-api",
        "model_asked": "large",
        "model": "acme/large",
        "outcome": "complete",
        "status": 200,
        "is_whole": True,
        "request_seal": json.loads(audit_case().contents.entries[5].leaf)["request"]["seal"],
        "answer_seal": audit_case().contents.openings[0].seal,
        "input_tokens": 1,
        "output_tokens": 2,
    }


def test_decisions_are_those_of_gates_and_people() -> None:
    """Decisions of the request and response gates and of people are rows, in order of the log."""
    rows = [(row["gate"], row["exchange"], row["verdict"]) for row in TABLES["decisions"].rows]
    assert rows == [
        ("request", None, "permit"),
        ("response", "first", "permit"),
        ("request", None, "permit"),
        ("response", "second", "review"),
        ("request", None, "permit"),
        ("response", "second", "reject"),
    ]
    last = TABLES["decisions"].rows[-1]
    assert (last["by"], last["reason"], last["terms"]) == (["acme/second-look"], "read it", [])


def test_documents_are_rows() -> None:
    """Policies, terms and grants are rows of their own leaves."""
    assert [row["bundle"] for row in TABLES["policies"].rows] == [BUNDLE]
    assert [row["digest"] for row in TABLES["terms"].rows] == [TERMS_DIGEST]
    assert [row["digest"] for row in TABLES["grants"].rows] == [GRANT_DIGEST]


def test_every_row_fits_its_columns() -> None:
    """Each row of each table has exactly its columns, each value of the column's type."""
    for table in TABLES.values():
        for row in table.rows:
            assert list(row) == list(table.columns)
            assert all(column.holds(row[name]) for name, column in table.columns.items())


def test_an_exchange_without_its_call_is_refused() -> None:
    """An exchange whose call does not stand before it gives no table."""
    leaves = [(seq, leaf) for seq, leaf in LEAVES if leaf["id"] != "call-first"]
    with pytest.raises(BundleError, match="`first` stands without its call"):
        tables_of(leaves)


def test_tables_come_back_from_parquet() -> None:
    """What was written as Parquet is read as the same rows."""
    for table in TABLES.values():
        assert from_parquet(to_parquet(table)) == [dict(row) for row in table.rows]


@settings(max_examples=30)
@given(data=st.data())
def test_values_come_back_from_parquet(data: st.DataObject) -> None:
    """Values of every column come back as they were."""
    columns = {column.name: column for column in Column}
    row = st.fixed_dictionaries({name: VALUES[column] for name, column in columns.items()})
    rows = data.draw(st.lists(row, max_size=3))
    assert from_parquet(to_parquet(Table(columns=columns, rows=rows))) == rows


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 9])
def test_other_bytes_are_no_table(data: bytes) -> None:
    """Bytes that are no Parquet file are refused."""
    with pytest.raises(BundleError, match="not a Parquet table"):
        from_parquet(data)


@given(value=st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT | st.integers()))
def test_a_value_fits_the_columns_of_its_type(value: Json) -> None:
    """A value fits exactly the columns made for its type."""
    fitting = {column for column in Column if column.holds(value)}
    match value:
        case None:
            assert fitting == {Column.OPTIONAL_TEXT, Column.OPTIONAL_INTEGER}
        case bool():
            assert fitting == {Column.FLAG}
        case int():
            assert fitting == {Column.INTEGER, Column.OPTIONAL_INTEGER}
        case str():
            assert fitting == {Column.TEXT, Column.OPTIONAL_TEXT}
        case _:
            is_text = all(isinstance(part, str) for part in value)
            assert fitting == ({Column.LIST} if is_text else set())
