"""Statements whose text is made once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

from proxy.store.fixed import Driver, Fixed, Insert, Several, Target, _pieces
from proxy.store.session import Database
from proxy.store.tables import DocumentRow
from tests.proxy.store.ledgers import open_ledger

PUT = Insert(DocumentRow)
CHANGE = Fixed(update(DocumentRow).where(DocumentRow.digest == bindparam("of")), ("kind",))
GET = Several(select(DocumentRow.digest, DocumentRow.kind), DocumentRow.digest)

COUNTS = (1, 2, 3, 70, 200)


def _row(number: int) -> dict[str, object]:
    return {"digest": f"{number:064}", "kind": "terms", "content": bytes([number])}


@contextmanager
def _target(database: Database, *, is_driver: bool) -> Iterator[Target]:
    if is_driver:
        with database.drive() as driver:
            yield driver
    else:
        with database.write() as connection:
            yield connection


@pytest.mark.parametrize("is_driver", [True, False])
@pytest.mark.parametrize("count", COUNTS)
def test_rows_come_back_as_they_went_in(tmp_path: Path, count: int, *, is_driver: bool) -> None:
    """However many rows, through a driver or a connection: what was put is got, and only that."""
    ledger = open_ledger(tmp_path)
    rows = [_row(number) for number in range(count)]
    digests = [f"{number:064}" for number in range(count)]
    with _target(ledger.database, is_driver=is_driver) as target:
        PUT.run(target, rows)
        PUT.run(target, [_row(255)])
        changed = CHANGE.run(target, {"of": digests[0], "kind": "grant"}).rowcount
        found = dict(GET.of(target, [*digests, "absent"]))
    with ledger.database.read() as connection:
        stored = connection.execute(select(DocumentRow.digest, DocumentRow.content)).all()
    ledger.database.close()
    assert changed == 1
    assert found == dict.fromkeys(digests, "terms") | {digests[0]: "grant"}
    assert [tuple(row) for row in stored] == [
        (r["digest"], r["content"]) for r in (*rows, _row(255))
    ]


@pytest.mark.parametrize("count", [0, *COUNTS])
def test_rows_take_few_statements(tmp_path: Path, count: int) -> None:
    """Rows and keys go 64 to a statement, the rest by powers of two; none takes no statement."""
    ledger = open_ledger(tmp_path)
    seen: list[str] = []
    with ledger.database.drive() as driver:
        driver.cursor.connection.set_trace_callback(seen.append)
        PUT.run(driver, [_row(number) for number in range(count)])
        GET.of(driver, [f"{number:064}" for number in range(count)])
        driver.cursor.connection.set_trace_callback(None)
    ledger.database.close()
    assert len(seen) == 2 * (count // 64 + (count % 64).bit_count())


def test_a_text_is_made_once(tmp_path: Path) -> None:
    """A dialect's text is kept."""
    ledger = open_ledger(tmp_path)
    with ledger.database.drive() as driver:
        CHANGE.run(driver, {"of": "a", "kind": "grant"})
        (first,) = CHANGE._texts.values()
        CHANGE.run(driver, {"of": "b", "kind": "grant"})
    ledger.database.close()
    assert tuple(CHANGE._texts.values()) == (first,)


class _Cursor:
    """Stands for a driver we do not have here: it keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, object]] = []

    def execute(self, statement: str, parameters: object) -> None:
        self.given.append((statement, parameters))

    def fetchall(self) -> list[object]:
        return []


def test_drivers_that_name_parameters_get_them_by_name() -> None:
    """Where a driver takes parameters by name, each row and each key has its own."""
    dialect: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # sqlalchemy leaves it so
    cursor = _Cursor()
    driver = Driver(dialect, cursor)
    PUT.run(driver, [_row(1), _row(2)])
    GET.of(driver, ["a", "b"])
    (put, rows), (get, keys) = cursor.given
    assert put.count("%(") == 6
    assert put.endswith("(%(digest_1)s, %(kind_1)s, %(content_1)s)")
    assert rows == {
        f"{name}_{n}": value
        for n, row in enumerate((_row(1), _row(2)))
        for name, value in row.items()
    }
    assert "%(key_0)s" in get
    assert keys == {"key_0": "a", "key_1": "b"}


@given(st.integers(0, 2_000))
def test_pieces_make_up_the_whole(count: int) -> None:
    """Pieces follow one another to the end; their lengths are powers of two up to 64."""
    pieces = _pieces(count)
    ends = [start + length for start, length in pieces]
    assert [start for start, _ in pieces] == [0, *ends][: len(pieces)]
    assert sum(length for _, length in pieces) == count
    assert {length for _, length in pieces} <= {1, 2, 4, 8, 16, 32, 64}
