"""YAML text to plain values that remember where they stand, for the settings file.

The text is read as policies are (`policies.source`), with the same refusals; here numbers may have
fractions, and a date is the text that it is written as.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from policies.diagnostics import Diagnostic, Findings, PolicyError, Span
from policies.nodes import Fields, Items, Leaf, Node
from policies.source import decode, parse_node, split_lines
from proxy.errors import SettingsError

__all__ = [
    "Document",
    "FileError",
    "Loc",
    "Place",
    "Value",
    "read_document",
    "read_value",
    "text_of",
]

type Value = bool | int | float | str | list[Value] | dict[str, Value] | None
type Loc = tuple[str | int, ...]

_FIXES: Mapping[str, str] = {
    "too-large": "settings are a page or two: take out what is none",
    "too-deep": "settings are two levels deep",
}
"""What to do about settings, where that is not what one does about a policy file."""


class FileError(SettingsError):
    """A file of settings is wrong at one place: `excerpt` shows the line and marks it.

    `also` holds the further errors of the same file, in file order.
    """

    def __init__(self, message: str, *, fix: str, where: str, code: str, excerpt: str = "") -> None:
        super().__init__(message, help=fix, where=where, code=code)
        self.excerpt = excerpt
        self.also: tuple[FileError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands: line and column count from 1, `width` in characters on that line."""

    line: int
    column: int
    width: int = 1


_TOP = Place(line=1, column=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file as read: its value, and where each key and each value in it stands."""

    file: str
    lines: tuple[str, ...]
    value: dict[str, Value]
    keys: Mapping[Loc, Place] = field(default_factory=dict)
    values: Mapping[Loc, Place] = field(default_factory=dict)

    def error(self, place: Place, message: str, *, fix: str, code: str) -> FileError:
        """An error at a place of this file, with the line it is on."""
        line = self.lines[place.line - 1] if place.line <= len(self.lines) else None
        return _error(self.file, line, place, message, fix=fix, code=code)


def _error(
    file: str, line: str | None, place: Place, message: str, *, fix: str, code: str
) -> FileError:
    where = f"{file}:{place.line}:{place.column}"
    excerpt = ""
    if line is not None:
        number, gutter = str(place.line), " " * len(str(place.line))
        mark = " " * (place.column - 1) + "^" * max(1, place.width)
        excerpt = f"{gutter} |\n{number} | {line}\n{gutter} | {mark}"
    return FileError(message, fix=fix, where=where, code=code, excerpt=excerpt)


def text_of(data: bytes, file: str) -> str:
    """The text of a file of settings.

    Raises:
        FileError: it is too large for one, or is not UTF-8.
    """
    findings = Findings()
    text = decode(file, data, findings)
    _stop(findings)
    assert text is not None  # noqa: S101 - or there was a finding
    return text


def read_value(text: str, name: str) -> Value:
    """The value of a YAML text of any shape, such as an environment variable's.

    Raises:
        FileError: the text is no YAML, or uses what inbond leaves out of YAML.
    """
    return _Values().read(_node(text, name), ())


def read_document(text: str, file: str) -> Document:
    """The mapping that a YAML text holds; `file` is how messages name it.

    Raises:
        FileError: the text is no YAML, no mapping, or uses what inbond leaves out of YAML.
    """
    values = _Values()
    value = values.read(_node(text, file), ())
    lines = tuple(split_lines(text.removeprefix("\ufeff")))
    if not isinstance(value, dict):
        message, fix = "the file is not a mapping", "write one `key: value` on each line"
        raise _error(file, lines[0], _TOP, message, fix=fix, code="kind")
    return Document(file=file, lines=lines, value=value, keys=values.keys, values=values.places)


def _node(text: str, file: str) -> Node | None:
    findings = Findings()
    node = parse_node(file, text, findings, has_fractions=True)
    _stop(findings)
    return node


def _stop(findings: Findings) -> None:
    """Raise the first error that was found, with the others in `also`."""
    try:
        findings.stop()
    except PolicyError as error:
        first, *more = map(_file_error, error.diagnostics)
        first.also = tuple(more)
        raise first from error


def _file_error(found: Diagnostic) -> FileError:
    fix = _FIXES.get(found.code, found.help)
    span = found.span
    return _error(span.file, span.text, _place(span), found.message, fix=fix, code=found.code)


def _place(span: Span) -> Place:
    return Place(line=span.line, column=span.column, width=span.width)


class _Values:
    """Plain values of nodes, with the places of what was read."""

    def __init__(self) -> None:
        self.keys: dict[Loc, Place] = {}
        self.places: dict[Loc, Place] = {}

    def read(self, node: Node | None, loc: Loc) -> Value:
        """The value of a node; nothing at all is an empty mapping."""
        if node is None:
            return {}
        self.places[loc] = _place(node.span)
        match node:
            case Leaf():
                # No setting is a date: what looks like one is a name.
                return node.raw if isinstance(node.value, datetime) else node.value
            case Items():
                return [self.read(item, (*loc, at)) for at, item in enumerate(node.items)]
            case Fields():
                self.keys |= {(*loc, name): _place(span) for name, span in node.keys.items()}
                return {name: self.read(item, (*loc, name)) for name, item in node.values.items()}
