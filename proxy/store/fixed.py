"""Statements whose text is made once: on the append path, building SQL costs more than running it.

They run on an SQLAlchemy connection or, without its machinery, on a driver's own cursor (`Driver`).
Values go to the driver as they are. Many rows are one statement: a driver gives up the interpreter
around each statement it runs, and taking it back from a busy event loop costs more than the rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    Dialect,
    Select,
    SQLColumnExpression,
    Table,
    bindparam,
    insert,
)
from sqlalchemy.sql.elements import ClauseElement

from proxy.store.tables import Row

__all__ = ["Driver", "Fixed", "Insert", "Several", "Target"]

type Values = Mapping[str, object]

_MOST_AT_ONCE = 64
"""Rows or keys of one statement: the longest stays far below any database's limit of parameters."""


class Answer(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchall(self) -> Sequence[Any]:
        """The rows, in the order of the columns asked for."""


class Target(Protocol):
    """An open transaction: an SQLAlchemy connection, or a `Driver`."""

    @property
    def dialect(self) -> Dialect:
        """Whose SQL is spoken."""

    def exec_driver_sql(self, statement: str, parameters: Any) -> Answer:
        """Run a statement as it is."""


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver's own cursor in an open transaction: its errors are the driver's own too."""

    dialect: Dialect
    cursor: Any

    def exec_driver_sql(self, statement: str, parameters: Any) -> Answer:
        """Run a statement as it is."""
        self.cursor.execute(statement, parameters)
        answer: Answer = self.cursor
        return answer


@dataclass(frozen=True, slots=True)
class _Text:
    sql: str
    order: tuple[str, ...] | None
    """The order of the parameters where the driver takes them by place, else None."""

    def arguments(self, values: Values) -> Any:
        """The parameters as the driver takes them."""
        return values if self.order is None else tuple([values[name] for name in self.order])


def _compiled(clause: ClauseElement, dialect: Dialect, columns: Sequence[str] = ()) -> _Text:
    compiled: Any = clause.compile(dialect=dialect, column_keys=list(columns) or None)
    order = compiled.positiontup
    return _Text(str(compiled), None if order is None else tuple(order))


class Fixed:
    """One statement, its text kept for each dialect."""

    def __init__(self, clause: ClauseElement, columns: Sequence[str] = ()) -> None:
        """`columns` are those an `update` sets; its `bindparam`s are named beside them."""
        self._clause = clause
        self._columns = tuple(columns)
        self._texts: dict[str, _Text] = {}

    def run(self, target: Target, values: Values) -> Answer:
        """Execute with these parameters."""
        text = self._texts.get(target.dialect.name) or self._make(target.dialect)
        return target.exec_driver_sql(text.sql, text.arguments(values))

    def _make(self, dialect: Dialect) -> _Text:
        text = self._texts[dialect.name] = _compiled(self._clause, dialect, self._columns)
        return text


class Insert:
    """The insertion of whole rows into one table: few statements however many rows there are."""

    def __init__(self, view: type[Row]) -> None:
        table = view.__table__
        assert isinstance(table, Table)  # noqa: S101 - every class is mapped to a plain table
        self._table = table
        self._columns = tuple(column.name for column in table.columns)
        self._by_count: dict[int, _Rows] = {}

    def run(self, target: Target, rows: Sequence[Values]) -> None:
        """Insert the rows in order; each names every column."""
        for start, count in _pieces(len(rows)):
            fixed = self._by_count.get(count) or self._make(count)
            fixed.run(target, rows[start : start + count])

    def _make(self, count: int) -> "_Rows":
        made = self._by_count[count] = _Rows(self._table, self._columns, count)
        return made


class _Rows:
    """The insertion of a certain number of rows."""

    def __init__(self, table: Table, columns: tuple[str, ...], count: int) -> None:
        self._columns = columns
        self._names = tuple(f"{name}_{n}" for n in range(count) for name in columns)
        self._clause = insert(table).values(
            [{name: bindparam(f"{name}_{n}") for name in columns} for n in range(count)]
        )
        self._texts: dict[str, _Text] = {}

    def run(self, target: Target, rows: Sequence[Values]) -> None:
        text = self._texts.get(target.dialect.name) or self._make(target.dialect)
        values = [row[name] for row in rows for name in self._columns]
        is_placed = text.order is not None
        target.exec_driver_sql(text.sql, tuple(values) if is_placed else self._named(values))

    def _named(self, values: list[object]) -> Values:
        return dict(zip(self._names, values, strict=True))

    def _make(self, dialect: Dialect) -> _Text:
        text = self._texts[dialect.name] = _compiled(self._clause, dialect)
        # INVARIANT: values by place are given in the order of the columns, row after row.
        assert text.order in (None, self._names)  # noqa: S101 - our own mistake
        return text


@dataclass(slots=True)
class Several:
    """A query for the rows of some keys: few statements however many keys there are."""

    query: Select[*tuple[Any, ...]]
    key: SQLColumnExpression[str]
    """The column that holds the keys."""
    _by_count: dict[int, Fixed] = field(default_factory=dict, init=False)

    def of(self, target: Target, keys: Sequence[str]) -> list[Any]:
        """The rows of these keys, in any order."""
        found: list[Any] = []
        for start, count in _pieces(len(keys)):
            fixed = self._by_count.get(count) or self._make(count)
            names = {f"key_{n}": key for n, key in enumerate(keys[start : start + count])}
            found += fixed.run(target, names).fetchall()
        return found

    def _make(self, count: int) -> Fixed:
        names: list[ColumnElement[str]] = [bindparam(f"key_{n}") for n in range(count)]
        fixed = self._by_count[count] = Fixed(self.query.where(self.key.in_(names)))
        return fixed


def _pieces(count: int) -> list[tuple[int, int]]:
    """Start and length of pieces that make up `count`: lengths are powers of two, so texts are few."""
    pieces: list[tuple[int, int]] = []
    start = 0
    while start < count:
        length = min(_MOST_AT_ONCE, 1 << (count - start).bit_length() - 1)
        pieces.append((start, length))
        start += length
    return pieces
