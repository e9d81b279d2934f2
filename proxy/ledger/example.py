"""What a dataset holds: rows for the trainer, a manifest of what was considered, and their digests."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from proxy.errors import BundleError, CanonicalError
from proxy.ledger.canonical import Json, canonical, parse_canonical
from proxy.ledger.merkle import leaf_hash, root_of
from proxy.ledger.tables import Column

__all__ = [
    "EXAMPLE_COLUMNS",
    "ExampleRow",
    "ExampleTexts",
    "ManifestLine",
    "manifest_bytes",
    "read_manifest",
    "rows_root",
    "texts_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleTexts:
    """What the student reads and learns, as JSON text; a part of one opened reading."""

    messages: str
    tools: str | None
    completion: str
    """An object of `text`, `reasoning` and `tool_calls`."""
    logprobs: str | None
    sampling: str
    """An object of what was asked about the choice of tokens: `wire_format`, `temperature`,
    `wants_logprobs`, `bent_by`; null where the reading does not say."""

    def normalised(self) -> tuple[str | None, ...]:
        """The texts in one spelling, so that two compare as the JSON they are.

        Raises:
            BundleError: a text is not JSON.
        """
        parts = (self.messages, self.tools, self.completion, self.logprobs, self.sampling)
        try:
            return tuple(None if part is None else _dump(json.loads(part)) for part in parts)
        except (ValueError, RecursionError) as error:
            raise BundleError("a text of the example is not JSON", help=_HELP) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRow:
    """One example: one choice of one admitted exchange. All times are ledger stamps."""

    example: str
    """`EXCHANGE#CHOICE`."""
    exchange: str
    call: str
    choice: int
    seq: int
    """Of the exchange's entry."""
    project: str
    student: str
    provider: str
    route: str
    model: str
    """The canonical id of the model that answered."""
    licence: str
    finish: str
    messages: str
    tools: str | None
    completion: str
    logprobs: str | None
    sampling: str
    clauses: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    duties: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    bundle: str
    """The policy bundle of the dataset gate's decision."""
    verdict: str = "permit"
    exchange_at: str
    decided_at: str
    answer_seal: str
    contributors: tuple[str, ...] = ()

    @property
    def texts(self) -> ExampleTexts:
        """What the opened reading must hold."""
        return ExampleTexts(
            messages=self.messages,
            tools=self.tools,
            completion=self.completion,
            logprobs=self.logprobs,
            sampling=self.sampling,
        )

    def to_row(self) -> dict[str, Json]:
        """The row as a flat dict: what is hashed, and a line of the Parquet file."""
        row: dict[str, Json] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            row[field.name] = list(value) if isinstance(value, tuple) else value
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, object]) -> "ExampleRow":
        """The example of a flat dict.

        Raises:
            BundleError: a column is absent, not known, or holds a value of another type.
        """
        odd = sorted(row.keys() ^ EXAMPLE_COLUMNS.keys())
        if odd:
            raise BundleError(f"column `{odd[0]}` is absent or not known", help=_HELP)
        for name, column in EXAMPLE_COLUMNS.items():
            if not column.holds(row[name]):
                raise BundleError(f"column `{name}` does not hold its type", help=_HELP)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
        }
        return cls(**values)


_SAMPLING = ("wire_format", "temperature", "wants_logprobs", "bent_by")
_HELP = "get the dataset again, or use the inbond that made it"

_COLUMN_OF: dict[object, Column] = {
    str: Column.TEXT,
    int: Column.INTEGER,
    str | None: Column.OPTIONAL_TEXT,
    tuple[str, ...]: Column.LIST,
}

EXAMPLE_COLUMNS: dict[str, Column] = {
    field.name: _COLUMN_OF[field.type] for field in fields(ExampleRow)
}
"""The columns of `dataset/examples.parquet`, in order."""


def texts_of(reading: bytes, choice: int) -> ExampleTexts:
    """The texts of one choice of an exchange, from its stored reading (what `answer` seals).

    Raises:
        BundleError: the bytes are no reading, or have no such choice.
    """
    try:
        document = json.loads(reading)
        request = document["request"]
        found = [part for part in document["answer"]["choices"] if part["index"] == choice]
        completion = {key: found[0][key] for key in ("text", "reasoning", "tool_calls")}
        tools, logprobs = request["tools"], found[0]["logprobs"]
        return ExampleTexts(
            messages=_dump(request["messages"]),
            tools=None if tools is None else _dump(tools),
            completion=_dump(completion),
            logprobs=None if logprobs is None else _dump(logprobs),
            sampling=_dump({name: request.get(name) for name in _SAMPLING}),
        )
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise BundleError(
            f"the sealed reading has no choice {choice}", help="leave this example out"
        ) from error


def rows_root(rows: Iterable[Mapping[str, object]]) -> str:
    """The root over rows in order: RFC 9162 over canonical JSON, in hex."""
    return root_of([leaf_hash(canonical(dict(row))) for row in rows]).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestLine:
    """What became of one exchange that a dataset considered."""

    exchange: str
    seq: int
    """Of the exchange's entry."""
    verdict: str
    by: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""
    """Why an exchange that was permitted gave no row, else empty."""
    contributors: tuple[str, ...] = ()
    """What it rests on: ids of exchanges and of `source` entries, sorted."""


def manifest_bytes(lines: Sequence[ManifestLine]) -> bytes:
    """The content of `dataset/manifest.jsonl`: one canonical line each."""
    return b"".join(canonical(asdict(line)) + b"\n" for line in lines)


def read_manifest(data: bytes) -> tuple[ManifestLine, ...]:
    """The lines of a manifest.

    Raises:
        BundleError: a line is not one of a manifest.
    """
    return tuple(_manifest_line(number, line) for number, line in enumerate(data.splitlines(), 1))


def _manifest_line(number: int, line: bytes) -> ManifestLine:
    try:
        fields = parse_canonical(line)
    except CanonicalError:
        fields = {}
    match fields:
        case {
            "exchange": str(exchange),
            "seq": int(seq),
            "verdict": str(verdict),
            "by": list(by),
            "missing": list(missing),
            "reason": str(reason),
            "contributors": list(contributors),
            **rest,
        } if not rest:
            return ManifestLine(
                exchange=exchange,
                seq=seq,
                verdict=verdict,
                by=tuple(map(str, by)),
                missing=tuple(map(str, missing)),
                reason=reason,
                contributors=tuple(map(str, contributors)),
            )
    raise BundleError(
        "this is no line of a manifest", help=_HELP, where=f"dataset/manifest.jsonl:{number}"
    )


def _dump(value: object) -> str:
    """JSON text that UTF-8 can carry: half a surrogate pair stays escaped."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return text
