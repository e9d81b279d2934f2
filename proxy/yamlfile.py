"""YAML text to plain values that remember where they stand, for the settings file.

YAML 1.2 core scalars (`yes` and `on` are text); no anchors, aliases, tags or duplicate keys.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from proxy.errors import SettingsError

__all__ = [
    "Document",
    "FileError",
    "Loc",
    "Place",
    "Value",
    "read_document",
    "read_scalar",
    "read_value",
]

type Value = bool | int | float | str | list[Value] | dict[str, Value] | None
type Loc = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]{1,18}|[-+]?[0-9]{1,3}(_[0-9]{3}){1,5}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_MAX_DEPTH = 64


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
        return _error(self.file, self.lines, place, message, fix=fix, code=code)


def _error(
    file: str, lines: tuple[str, ...], place: Place, message: str, *, fix: str, code: str = "yaml"
) -> FileError:
    where = f"{file}:{place.line}:{place.column}"
    excerpt = ""
    if place.line <= len(lines):
        number, gutter = str(place.line), " " * len(str(place.line))
        mark = " " * (place.column - 1) + "^" * max(1, place.width)
        excerpt = f"{gutter} |\n{number} | {lines[place.line - 1]}\n{gutter} | {mark}"
    return FileError(message, fix=fix, where=where, code=code, excerpt=excerpt)


def read_scalar(text: str) -> bool | int | float | str | None:
    """The value of a plain scalar (YAML 1.2 core schema, §10.3; `1_000` is a number)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Reader:
    """Builds one document from libyaml's events.

    Events and not `compose`: that one recurses in C and a deep file ends the process.
    """

    def __init__(self, file: str, lines: tuple[str, ...], text: str) -> None:
        self.file = file
        self.lines = lines
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self.keys: dict[Loc, Place] = {}
        self.values: dict[Loc, Place] = {}

    def document(self) -> Value:
        """The value of the only document; an empty file is an empty mapping."""
        next(self.events)
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return {}
        value = self.read(next(self.events), ())
        next(self.events)
        if not isinstance(last := next(self.events), yaml.StreamEndEvent):
            raise self.refuse(last, "a second document starts here", "keep one document to a file")
        return value

    def refuse(self, event: yaml.Event, message: str, fix: str) -> FileError:
        return _error(self.file, self.lines, _place(event), message, fix=fix)

    def read(self, event: yaml.Event, loc: Loc) -> Value:
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) or event.anchor:
            raise self.refuse(event, "an anchor or alias stands here", "write the value out")
        if event.tag is not None:
            raise self.refuse(event, f"the tag `{event.tag}` stands here", "leave the tag out")
        if len(loc) > _MAX_DEPTH:
            raise self.refuse(event, "the file is nested too deep", "settings are two levels deep")
        self.values[loc] = _place(event)
        if isinstance(event, yaml.ScalarEvent):
            return read_scalar(event.value) if event.implicit[0] else str(event.value)
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(loc)
        return self.sequence(loc)

    def sequence(self, loc: Loc) -> list[Value]:
        result: list[Value] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            result.append(self.read(event, (*loc, len(result))))
        return result

    def mapping(self, loc: Loc) -> dict[str, Value]:
        result: dict[str, Value] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.refuse(event, "a key must be a word", "write `key: value`")
            name = str(event.value)
            if name in result:
                first = self.keys[*loc, name].line
                message = f"`{name}` is given twice; the first is on line {first}"
                raise self.refuse(event, message, "remove one of them")
            self.keys[*loc, name] = _place(event)
            result[name] = self.read(next(self.events), (*loc, name))
        return result


def _place(event: yaml.Event) -> Place:
    start, end = event.start_mark, event.end_mark
    assert start is not None and end is not None  # noqa: S101, PT018 - libyaml always says where
    width = end.column - start.column if end.line == start.line else 1
    return Place(line=start.line + 1, column=start.column + 1, width=width)


def _read(text: str, file: str) -> tuple[_Reader, Value]:
    reader = _Reader(file, tuple(text.splitlines()), text)
    try:
        return reader, reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(line=mark.line + 1, column=mark.column + 1) if mark else _TOP
        message = f"this is not YAML: {error.problem}"
        fix = "mend the line, or quote the text on it"
        raise _error(file, reader.lines, place, message, fix=fix) from error
    except yaml.YAMLError as error:
        message = "this is not YAML: a control character stands in the file"
        fix = "remove it, or write it escaped between double quotes"
        raise _error(file, reader.lines, _TOP, message, fix=fix) from error


def read_value(text: str, name: str) -> Value:
    """The value of a YAML text of any shape, such as an environment variable's.

    Raises:
        FileError: the text is no YAML, or uses what inbond leaves out of YAML.
    """
    return _read(text, name)[1]


def read_document(text: str, file: str) -> Document:
    """The mapping that a YAML text holds; `file` is how messages name it.

    Raises:
        FileError: the text is no YAML, no mapping, or uses what inbond leaves out of YAML.
    """
    reader, value = _read(text, file)
    if not isinstance(value, dict):
        message, fix = "the file is not a mapping", "write one `key: value` on each line"
        raise _error(file, reader.lines, _TOP, message, fix=fix)
    return Document(
        file=file, lines=reader.lines, value=value, keys=reader.keys, values=reader.values
    )
