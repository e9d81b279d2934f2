"""Statements whose text is made once: on the append path, building SQL costs more than running it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Dialect,
    Select,
    SQLColumnExpression,
    bindparam,
)
from sqlalchemy.sql.elements import ClauseElement

__all__ = ["Fixed", "Several"]

type Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Text:
    sql: str
    order: tuple[str, ...] | None
    """The order of the parameters where the driver takes them by place, else None."""

    def arguments(self, row: Row) -> Any:
        """The parameters of one row as the driver takes them."""
        return row if self.order is None else tuple(row[name] for name in self.order)


class Fixed:
    """One statement, its text kept for each dialect. Values go to the driver as they are."""

    def __init__(self, clause: ClauseElement, columns: Sequence[str] = ()) -> None:
        """`columns` are those an `insert` or `update` sets; its `bindparam`s are named beside them."""
        self._clause = clause
        self._columns = tuple(columns)
        self._texts: dict[str, _Text] = {}

    def run(self, connection: Connection, rows: Row | Sequence[Row]) -> CursorResult[Any]:
        """Execute with one row of parameters, or once for each of several."""
        dialect = connection.dialect
        text = self._texts.get(dialect.name) or self._compiled(dialect)
        if isinstance(rows, Mapping):
            return connection.exec_driver_sql(text.sql, text.arguments(rows))
        return connection.exec_driver_sql(text.sql, [text.arguments(row) for row in rows])

    def _compiled(self, dialect: Dialect) -> _Text:
        compiled: Any = self._clause.compile(
            dialect=dialect, column_keys=list(self._columns) or None
        )
        order = compiled.positiontup
        text = _Text(str(compiled), None if order is None else tuple(order))
        self._texts[dialect.name] = text
        return text


class Several:
    """A query for the rows of some keys: one statement however many there are."""

    def __init__(self, query: Select[*tuple[Any, ...]], key: SQLColumnExpression[str]) -> None:
        """`key` is the column that holds the keys."""
        self._one = Fixed(query.where(key == bindparam("key")))
        self._many = query.where(key.in_(bindparam("keys", expanding=True)))

    def of(self, connection: Connection, keys: Sequence[str]) -> CursorResult[Any]:
        """The rows of these keys."""
        if len(keys) == 1:
            return self._one.run(connection, {"key": keys[0]})
        return connection.execute(self._many, {"keys": keys})
