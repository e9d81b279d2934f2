"""Tables of a bundle: flat rows that anyone can query, derived from leaves by one function.

Whoever writes a bundle and whoever checks it call the same `tables_of`, so a table says what the
leaves say or the bundle is false. Parquet needs pyarrow, which is imported when it is needed.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from proxy.errors import BundleError
from proxy.ledger.canonical import Json

__all__ = [
    "TABLES",
    "Column",
    "ParquetFile",
    "Table",
    "Tabulator",
    "from_parquet",
    "parquet_rows",
    "tables_of",
    "to_parquet",
]

type Leaf = Mapping[str, Json]

_BATCH = 10_000
"""Rows read at a time."""


class Column(Enum):
    """What a column holds."""

    TEXT = "text"
    OPTIONAL_TEXT = "optional text"
    INTEGER = "integer"
    OPTIONAL_INTEGER = "optional integer"
    FLAG = "flag"
    LIST = "list of text"

    def holds(self, value: object) -> bool:
        """Whether a value is of this column's type."""
        if isinstance(value, list):
            return self is Column.LIST and all(isinstance(part, str) for part in value)
        return self in _COLUMNS_OF.get(type(value), ())


_COLUMNS_OF = {
    type(None): (Column.OPTIONAL_TEXT, Column.OPTIONAL_INTEGER),
    str: (Column.TEXT, Column.OPTIONAL_TEXT),
    int: (Column.INTEGER, Column.OPTIONAL_INTEGER),
    bool: (Column.FLAG,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows that all have the same columns."""

    columns: Mapping[str, Column]
    rows: Sequence[Mapping[str, Json]]


_EXCHANGES = {
    "seq": Column.INTEGER,
    "exchange": Column.TEXT,
    "call": Column.TEXT,
    "called_at": Column.TEXT,
    "ended_at": Column.TEXT,
    "key": Column.TEXT,
    "project": Column.OPTIONAL_TEXT,
    "student": Column.OPTIONAL_TEXT,
    "route": Column.OPTIONAL_TEXT,
    "model_asked": Column.OPTIONAL_TEXT,
    "model": Column.OPTIONAL_TEXT,
    "outcome": Column.TEXT,
    "status": Column.OPTIONAL_INTEGER,
    "is_whole": Column.FLAG,
    "request_seal": Column.TEXT,
    "answer_seal": Column.OPTIONAL_TEXT,
    "input_tokens": Column.OPTIONAL_INTEGER,
    "output_tokens": Column.OPTIONAL_INTEGER,
}
_DECISIONS = {
    "seq": Column.INTEGER,
    "exchange": Column.OPTIONAL_TEXT,
    "call": Column.OPTIONAL_TEXT,
    "gate": Column.TEXT,
    "verdict": Column.TEXT,
    "at": Column.TEXT,
    "actor": Column.TEXT,
    "bundle": Column.OPTIONAL_TEXT,
    "by": Column.LIST,
    "silent": Column.LIST,
    "missing": Column.LIST,
    "clauses": Column.LIST,
    "terms": Column.LIST,
    "grants": Column.LIST,
    "duties": Column.LIST,
    "reason": Column.OPTIONAL_TEXT,
}
_POLICIES = {
    "seq": Column.INTEGER,
    "at": Column.TEXT,
    "actor": Column.TEXT,
    "bundle": Column.TEXT,
    "meaning": Column.TEXT,
    "overrides": Column.LIST,
}
_TERMS = {
    "seq": Column.INTEGER,
    "at": Column.TEXT,
    "actor": Column.TEXT,
    "digest": Column.TEXT,
    "policy": Column.TEXT,
    "source": Column.TEXT,
}
_GRANTS = {
    "seq": Column.INTEGER,
    "at": Column.TEXT,
    "actor": Column.TEXT,
    "action": Column.TEXT,
    "subject": Column.TEXT,
    "name": Column.TEXT,
    "digest": Column.TEXT,
    "is_self_approved": Column.FLAG,
    "reason": Column.TEXT,
}


TABLES: dict[str, dict[str, Column]] = {
    "decisions": _DECISIONS,
    "exchanges": _EXCHANGES,
    "grants": _GRANTS,
    "policies": _POLICIES,
    "terms": _TERMS,
}
"""The tables that leaves give, and their columns."""

_RESTATED = {"policy": "policies", "terms": "terms", "grant": "grants"}
"""Kinds of entry whose table holds their own fields, and the table."""


class Tabulator:
    """Gives the rows of leaves one after the other.

    A call has one exchange, and is forgotten with it unless `keeps_calls`: a false log may have more.
    """

    def __init__(self, *, keeps_calls: bool = False) -> None:
        self._keeps_calls = keeps_calls
        self._calls: dict[Json, Leaf] = {}

    def rows(self, seq: int, leaf: Leaf) -> Iterator[tuple[str, dict[str, Json]]]:
        """The rows that the next leaf gives, each with the name of its table.

        Raises:
            BundleError: an exchange stands without its call before it.
        """
        kind = leaf["kind"]
        if kind == "call":
            self._calls[leaf["id"]] = leaf
        elif kind == "exchange":
            yield "exchanges", _exchange(seq, leaf, self._call_of(leaf))
        elif kind == "decision":
            yield "decisions", _later_decision(seq, leaf)
        elif isinstance(kind, str) and kind in _RESTATED:
            name = _RESTATED[kind]
            yield name, _pick(seq, leaf, TABLES[name])
        if kind in ("call", "exchange") and leaf["decision"] is not None:
            yield "decisions", _decision(seq, leaf)

    def _call_of(self, leaf: Leaf) -> Leaf:
        name = leaf["call"]
        call = self._calls.get(name) if self._keeps_calls else self._calls.pop(name, None)
        if call is None:
            raise BundleError(
                f"exchange `{leaf['id']}` stands without its call", help="include the call too"
            )
        return call


def tables_of(leaves: Iterable[tuple[int, Leaf]]) -> dict[str, Table]:
    """The tables that these leaves, with their places in the log, give; in the order of the log.

    Raises:
        BundleError: an exchange stands without its call before it.
    """
    rows: dict[str, list[dict[str, Json]]] = {name: [] for name in TABLES}
    tabulator = Tabulator(keeps_calls=True)
    for seq, leaf in leaves:
        for name, row in tabulator.rows(seq, leaf):
            rows[name].append(row)
    return {name: Table(columns=TABLES[name], rows=found) for name, found in rows.items()}


def _pick(seq: int, leaf: Leaf, columns: Mapping[str, Column]) -> dict[str, Json]:
    return {"seq": seq} | {name: leaf[name] for name in columns if name != "seq"}


def _exchange(seq: int, leaf: Leaf, call: Leaf) -> dict[str, Json]:
    facts = _part(call, "facts") | _part(leaf, "facts")
    usage = _part(leaf, "usage")
    return {
        "seq": seq,
        "exchange": leaf["id"],
        "call": leaf["call"],
        "called_at": call["at"],
        "ended_at": leaf["at"],
        "key": call["key"],
        "project": facts.get("project"),
        "student": call.get("student"),
        "route": facts.get("route"),
        "model_asked": facts.get("model.asked"),
        # The name asked for maps to an id too; only the answer tells who answered.
        "model": _part(leaf, "facts").get("model.id"),
        "outcome": leaf["outcome"],
        "status": leaf["status"],
        "is_whole": leaf["is_whole"],
        "request_seal": _part(call, "request")["seal"],
        "answer_seal": _part(leaf, "answer").get("seal"),
        "input_tokens": usage.get("input"),
        "output_tokens": usage.get("output"),
    }


def _decision(seq: int, leaf: Leaf) -> dict[str, Json]:
    record = _part(leaf, "decision")
    is_call = leaf["kind"] == "call"
    lists = ("by", "silent", "missing", "clauses", "terms", "grants", "duties")
    return {
        "seq": seq,
        "exchange": None if is_call else leaf["id"],
        "call": leaf["id"] if is_call else leaf["call"],
        "gate": record["gate"],
        "verdict": record["verdict"],
        "at": record["today_at"],
        "actor": leaf["actor"],
        "bundle": record["bundle"],
        **{name: record[name] for name in lists},
        "reason": None,
    }


def _later_decision(seq: int, leaf: Leaf) -> dict[str, Json]:
    said: dict[str, Json] = {
        "seq": seq,
        "exchange": leaf["exchange"],
        "gate": leaf["gate"],
        "verdict": leaf["action"],
        "at": leaf["at"],
        "actor": leaf["actor"],
        "by": leaf["clears"],
        "reason": leaf["reason"],
    }
    none: dict[Column, Json] = {Column.LIST: []}
    return {name: said.get(name, none.get(column)) for name, column in _DECISIONS.items()}


def _part(leaf: Leaf, name: str) -> dict[str, Json]:
    value = leaf[name]
    return value if isinstance(value, dict) else {}


def to_parquet(table: Table) -> bytes:
    """The table as a Parquet file, zstd-compressed. Its bytes change with pyarrow's version."""
    sink = io.BytesIO()
    with ParquetFile(sink, table.columns) as file:
        file.write(table.rows)
    return sink.getvalue()


class ParquetFile:
    """A Parquet file being written, zstd-compressed, in batches of rows."""

    def __init__(self, target: Path | io.BytesIO, columns: Mapping[str, Column]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - imports that cost happen when needed (style §3.12)
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same

        kinds = {
            Column.TEXT: pa.string(),
            Column.OPTIONAL_TEXT: pa.string(),
            Column.INTEGER: pa.int64(),
            Column.OPTIONAL_INTEGER: pa.int64(),
            Column.FLAG: pa.bool_(),
            Column.LIST: pa.list_(pa.string()),
        }
        schema = pa.schema([(name, kinds[column]) for name, column in columns.items()])
        self._schema: Any = schema
        self._table: Any = pa.Table
        self._writer: Any = pq.ParquetWriter(target, schema, compression="zstd")

    def __enter__(self) -> Self:
        """Write until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the end of the file."""
        self._writer.close()

    def write(self, rows: Sequence[Mapping[str, Json]]) -> None:
        """Add rows: one row group."""
        self._writer.write_table(self._table.from_pylist(list(rows), schema=self._schema))


def from_parquet(data: bytes) -> list[dict[str, object]]:
    """The rows of a Parquet file.

    Raises:
        BundleError: the bytes are no Parquet file.
        ImportError: pyarrow is not installed.
    """
    return list(parquet_rows(data))


def parquet_rows(data: bytes) -> Iterator[dict[str, object]]:
    """The rows of a Parquet file, one after the other.

    Raises:
        BundleError: the bytes are no Parquet file.
        ImportError: pyarrow is not installed.
    """
    import pyarrow as pa  # noqa: PLC0415 - imports that cost happen when needed (style §3.12)
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    try:
        # Without pyarrow's own threads: one that lives at the end of the process can abort it.
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(_BATCH, use_threads=False):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise BundleError(
            "the file is not a Parquet table", help="get the bundle again: it is damaged"
        ) from error
