"""What commands print: tables for people, one JSON object a line for programs, errors for both.

Data goes to stdout, all else to stderr.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

import click

from proxy.redaction import redact_text

__all__ = ["error_json", "error_text", "json_option", "note", "print_record", "print_rows"]

type Cell = object
type Record = Mapping[str, Cell]

_UNBOUNDED = 10_000
"""Columns where stdout is no terminal: a program's `grep` must not meet a cut line."""


def json_option[F: Callable[..., object]](command: F) -> F:
    """The option `--json` that every command has; it arrives as `is_json`."""
    text = "Print one JSON object a line, for programs."
    return click.option("--json", "is_json", is_flag=True, help=text)(command)


def print_rows(rows: Iterable[Record], *, is_json: bool, empty: str = "nothing here") -> None:
    """Print rows of the same keys: a table, or one object a line. `empty` goes to stderr."""
    shown = list(rows)
    if is_json:
        for row in shown:
            _print_json(row)
    elif shown:
        _print_table(shown)
    else:
        note(empty)


def print_record(record: Record, *, is_json: bool) -> None:
    """Print one record: a name and a value on each line, or one object."""
    if is_json:
        _print_json(record)
        return
    width = max(map(len, record), default=0)
    for name, value in record.items():
        click.echo(f"{name.ljust(width)}  {_cell(value)}")


def note(text: str) -> None:
    """Tell people something that is not data."""
    click.echo(_printable(text), err=True)


def error_text(error: Exception) -> str:
    """An error as people read it: what happened, where, what to do (style §6)."""
    if hasattr(error, "diagnostics"):
        return redact_text(str(error).rstrip("\n"))
    lines = [f"error[{_code(error)}]: {_message(error)}"]
    if where := getattr(error, "where", ""):
        lines.append(f" --> {where}")
    if excerpt := getattr(error, "excerpt", ""):
        lines.append(excerpt)
    if fix := getattr(error, "help", ""):
        lines.append(f"  = help: {fix}")
    texts = ["\n".join(map(_printable_lines, lines))]
    texts += [error_text(other) for other in getattr(error, "also", ())]
    return redact_text("\n".join(texts))


def error_json(error: Exception) -> str:
    """An error as programs read it: one object a line for each finding."""
    if findings := getattr(error, "diagnostics", ()):
        records = [finding.as_json() for finding in findings]
    else:
        records = [_error_record(each) for each in (error, *getattr(error, "also", ()))]
    return redact_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records))


def _error_record(error: Exception) -> dict[str, str]:
    record = {"code": _code(error), "severity": "error", "message": _message(error)}
    return record | {name: str(getattr(error, name, "")) for name in ("where", "help")}


def _code(error: Exception) -> str:
    return str(getattr(error, "code", "internal"))


def _message(error: Exception) -> str:
    return str(getattr(error, "message", error))


def _print_json(record: Record) -> None:
    click.echo(json.dumps(dict(record), ensure_ascii=False, default=_as_json))


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return _cell(value)


def _print_table(rows: list[Record]) -> None:
    # Imported here: rich costs more than all of click, and JSON needs none of it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    is_terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout, width=None if is_terminal else _UNBOUNDED, soft_wrap=False, highlight=False
    )
    console.print(table)


def _cell(value: Cell) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(timespec="milliseconds")
        case Path():
            return str(value)
        case Mapping():
            return ", ".join(f"{name}={_cell(item)}" for name, item in value.items())
        case list() | tuple() | set() | frozenset():
            return ", ".join(_cell(item) for item in value)
        case _:
            return _printable(str(value))


def _printable(text: str) -> str:
    """A text on one line that cannot steer a terminal: teachers and clients wrote parts of it."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "�" for char in text)


def _printable_lines(text: str) -> str:
    return "\n".join(map(_printable, text.split("\n")))
