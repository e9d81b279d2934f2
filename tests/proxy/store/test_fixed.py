"""Statements whose text is made once."""

from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects import postgresql

from proxy.store.fixed import Fixed, Several
from proxy.store.tables import DocumentRow
from tests.proxy.store.ledgers import open_ledger

PUT = Fixed(insert(DocumentRow), ("digest", "kind", "content"))
CHANGE = Fixed(update(DocumentRow).where(DocumentRow.digest == bindparam("of")), ("kind",))
GET = Several(select(DocumentRow.digest, DocumentRow.kind), DocumentRow.digest)


def _row(name: str) -> dict[str, object]:
    return {"digest": name * 64, "kind": "terms", "content": name.encode()}


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_rows_come_back_as_they_went_in(tmp_path: Path, names: str) -> None:
    """One row or several: what was put is what is got, and an update touches the row it names."""
    ledger = open_ledger(tmp_path)
    with ledger.database.write() as connection:
        PUT.run(connection, [_row(name) for name in names])
        PUT.run(connection, _row("z"))
        CHANGE.run(connection, {"of": "a" * 64, "kind": "grant"})
        found = {row.digest[0]: row.kind for row in GET.of(connection, [n * 64 for n in names])}
    ledger.database.close()
    assert found == {name: "grant" if name == "a" else "terms" for name in names}


def test_the_text_is_made_once(tmp_path: Path) -> None:
    """A dialect's text is kept."""
    ledger = open_ledger(tmp_path)
    fixed = Fixed(insert(DocumentRow), ("digest", "kind", "content"))
    with ledger.database.write() as connection:
        fixed.run(connection, _row("a"))
        (first,) = fixed._texts.values()
        fixed.run(connection, _row("b"))
    ledger.database.close()
    assert tuple(fixed._texts.values()) == (first,)


def test_drivers_that_name_parameters_get_them_by_name() -> None:
    """Where a driver takes parameters by name a row goes as it is."""
    text = PUT._compiled(postgresql.dialect())  # type: ignore[no-untyped-call] # sqlalchemy leaves it so
    assert text.arguments(_row("a")) == _row("a")
