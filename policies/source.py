"""Policy text to values that remember file, line and column.

YAML 1.2 core without what hides meaning: no anchors, aliases, merge keys, tags, directives,
duplicate keys or second documents. libyaml finds the tokens; plain scalars are read here, so that
`no` is a word, `1_000` a number and `2026-11-24` a date.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from yaml import YAMLError, events
from yaml._yaml import CParser

from policies.diagnostics import Findings, Span, quoted

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "Fields",
    "Items",
    "Leaf",
    "Node",
    "Scalar",
    "decode",
    "parse",
    "split_lines",
]

MAX_BYTES = 1 << 20
"""The largest policy file, in bytes."""

MAX_DEPTH = 32
"""How deep lists and mappings may nest."""

type Scalar = bool | int | str | datetime | None
type Node = Leaf | Items | Fields


@dataclass(frozen=True, slots=True)
class Leaf:
    """One scalar: its value, its characters as written, and where it stands."""

    value: Scalar
    raw: str
    span: Span


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping, in the order of the file; `keys` says where each key stands."""

    values: Mapping[str, Node]
    keys: Mapping[str, Span]
    span: Span


# YAML 1.2.2 §5.1, without the byte order mark, which may only come first.
_UNPRINTABLE = re.compile(
    r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# What libyaml counts as the end of a line; `str.splitlines` knows more.
_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}.*")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAX_NUMBER = 2**53
_MAX_DIGITS = 24


def decode(file: str, data: bytes, findings: Findings) -> str | None:
    """The text of a policy file; None, and a finding, where it has none."""
    if len(data) > MAX_BYTES:
        findings.error(
            "too-large",
            f"the file has {len(data):,} bytes; {MAX_BYTES:,} are the most",
            Span(file, 1, 1, 1, ""),
            "split it: files of one party and scope may be several",
        )
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = split_lines(data[: error.start].decode())
        findings.error(
            "encoding",
            f"byte {error.start} is not UTF-8",
            Span(file, len(before), len(before[-1]) + 1, 1, before[-1]),
            "save the file as UTF-8",
        )
        return None


def parse(file: str, text: str, findings: Findings) -> Fields | None:
    """The mapping that a policy file holds; None, and findings, where its text is not sound.

    Positions count characters, and a byte order mark counts for nothing.
    """
    text = text.removeprefix("\ufeff")
    lines = split_lines(text)
    if not _is_readable(file, text, lines, findings):
        return None
    builder = _Builder(file, lines, findings)
    before = findings.count
    try:
        builder.run(CParser(text))
    except YAMLError as error:
        builder.syntax(error)
    if findings.count > before:
        return None
    root = builder.root
    if isinstance(root, Fields):
        return root
    found = "the file is empty" if root is None else "a policy file is a mapping"
    findings.error("kind", found, _start(file, lines), "start it with `inbond: 1`")
    return None


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends, as positions count them; at least one."""
    return _LINE_END.split(text)


def _start(file: str, lines: list[str]) -> Span:
    return Span(file, 1, 1, 1, lines[0])


def _is_readable(file: str, text: str, lines: list[str], findings: Findings) -> bool:
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        before = split_lines(text[: bad.start()])
        line, column = len(before), len(before[-1]) + 1
        findings.error(
            "encoding",
            f"character U+{ord(bad[0]):04X} cannot stand in a policy file",
            Span(file, line, column, 1, lines[line - 1]),
            "remove it",
        )
        return False
    size = len(text.encode())
    if size > MAX_BYTES:
        findings.error(
            "too-large",
            f"the file has {size:,} bytes; {MAX_BYTES:,} are the most",
            _start(file, lines),
        )
        return False
    return True


class _Open:
    """A list or mapping under construction."""

    __slots__ = ("is_list", "items", "key", "keys", "span", "values")

    def __init__(self, span: Span, *, is_list: bool) -> None:
        self.span = span
        self.is_list = is_list
        self.items: list[Node] = []
        self.key: str | None = None
        self.keys: dict[str, Span] = {}
        self.values: dict[str, Node] = {}

    def done(self) -> Node:
        if self.is_list:
            return Items(tuple(self.items), self.span)
        return Fields(self.values, self.keys, self.span)


class _StopReading(Exception):  # noqa: N818 - control flow inside this module
    """What follows cannot be read in a useful way; the finding is noted."""


class _Builder:
    """Builds nodes from libyaml's events, without recursion."""

    def __init__(self, file: str, lines: list[str], findings: Findings) -> None:
        self._file = file
        self._lines = lines
        self._findings = findings
        self._open: list[_Open] = []
        self._documents = 0
        self.root: Node | None = None

    def run(self, parser: CParser) -> None:
        """Read every event."""
        try:
            while parser.check_event():
                self._handle(parser.get_event())
        except _StopReading:
            return

    def _handle(self, event: events.Event | None) -> None:
        match event:
            case events.ScalarEvent():
                self._scalar(event)
            case events.CollectionStartEvent():
                self._start(event)
            case events.CollectionEndEvent():
                self._place(self._open.pop().done())
            case events.AliasEvent():
                self._alias(event)
            case events.DocumentStartEvent():
                self._document(event)
            case _:
                pass

    def syntax(self, error: YAMLError) -> None:
        """Note what libyaml says about text that is no YAML."""
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        start = _start(self._file, self._lines)
        span = self._span(mark.line, mark.column, mark.column + 1) if mark else start
        context = getattr(error, "context", None)
        message = f"{getattr(error, 'problem', error)}" + (f" ({context})" if context else "")
        self._findings.error(
            "yaml", message.replace("'", "`"), span, "check quotes and indentation"
        )

    def _span(self, line: int, start: int, end: int) -> Span:
        if line >= len(self._lines):
            # libyaml puts the end of a text without a final line end one line too far.
            line, start = len(self._lines) - 1, len(self._lines[-1])
        text = self._lines[line]
        start = min(start, len(text))
        return Span(self._file, line + 1, start + 1, max(1, min(end, len(text)) - start), text)

    def _at(self, event: events.Event) -> Span:
        start, end = event.start_mark, event.end_mark
        assert start is not None  # noqa: S101 - the parser marks every event
        assert end is not None  # noqa: S101 - as above
        last = end.column if end.line == start.line else len(self._lines[start.line])
        return self._span(start.line, start.column, last)

    def _refuse(self, code: str, message: str, span: Span, hint: str) -> None:
        self._findings.error(code, message, span, hint)

    def _document(self, event: events.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse(
                "documents",
                "a second document starts here",
                self._at(event),
                "write one document per file",
            )
            raise _StopReading
        if event.version or event.tags:
            self._refuse(
                "yaml", "directives are not allowed", _start(self._file, self._lines), "remove it"
            )

    def _alias(self, event: events.AliasEvent) -> None:
        self._refuse(
            "alias",
            f"{quoted(f'*{event.anchor}')} is an alias, and aliases are not allowed",
            self._at(event),
            "write the value out; put a pattern such as `*-mini` in quotes",
        )
        self._place(Leaf(None, "", self._at(event)))

    def _check(self, event: events.NodeEvent, tag: str | None) -> None:
        if event.anchor is not None:
            self._refuse(
                "alias",
                f"{quoted(f'&{event.anchor}')} is an anchor, and anchors are not allowed",
                self._at(event),
                "write the value out where it is needed; put text that starts with `&` in quotes",
            )
        if tag is not None:
            self._refuse(
                "tag",
                f"{quoted(tag.replace('tag:yaml.org,2002:', '!!'))} is a tag, and tags are not allowed",
                self._at(event),
                "remove it; put text that starts with `!` in quotes",
            )

    def _start(self, event: events.CollectionStartEvent) -> None:
        self._check(event, event.tag)
        if len(self._open) >= MAX_DEPTH:
            self._refuse(
                "too-deep",
                f"lists and mappings nest deeper than {MAX_DEPTH}",
                self._at(event),
                "write it flat",
            )
            raise _StopReading
        is_list = isinstance(event, events.SequenceStartEvent)
        parent = self._open[-1] if self._open else None
        if parent is not None and not parent.is_list and parent.key is None:
            self._refuse("yaml", "a key must be text", self._at(event), "put the key in quotes")
            raise _StopReading
        self._open.append(_Open(self._at(event), is_list=is_list))

    def _scalar(self, event: events.ScalarEvent) -> None:
        self._check(event, event.tag)
        parent = self._open[-1] if self._open else None
        if parent is not None and not parent.is_list and parent.key is None:
            self._key(parent, event)
            return
        span = self._at(event)
        value: Scalar = event.value
        if event.implicit[0]:
            value = self._plain(event.value, span)
        self._place(Leaf(value, event.value, span))

    def _key(self, parent: _Open, event: events.ScalarEvent) -> None:
        name, span = event.value, self._at(event)
        if name == "<<" and event.implicit[0]:
            self._refuse(
                "merge-key",
                "merge keys are not allowed",
                span,
                "write the keys out where they apply",
            )
        elif name in parent.keys:
            self._refuse(
                "duplicate-key",
                f"{quoted(name)} is given twice; the first is on line {parent.keys[name].line}",
                span,
                "remove one of them",
            )
        elif not parent.keys:
            parent.span = span if parent.span.width == 1 else parent.span
        parent.key = name
        parent.keys.setdefault(name, span)

    def _place(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if parent.is_list:
            parent.items.append(node)
        elif parent.key is None:
            self._refuse("yaml", "a key must be text", node.span, "put the key in quotes")
            raise _StopReading
        else:
            parent.values[parent.key] = node
            parent.key = None

    def _plain(self, raw: str, span: Span) -> Scalar:
        """The value of a plain scalar (YAML 1.2.2 §10.3.2, with dates and `1_000`, without floats)."""
        if raw in _WORDS:
            return _WORDS[raw]
        if raw[0] not in "+-.0123456789":
            return raw
        if _INTEGER.fullmatch(raw):
            return self._integer(raw, span)
        if _DATE.fullmatch(raw) or _INSTANT.fullmatch(raw):
            return self._instant(raw, span)
        if _FLOAT.fullmatch(raw):
            self._refuse(
                "number",
                f"{quoted(raw)} is not a whole number",
                span,
                "put it in quotes if it is text",
            )
        return raw

    def _integer(self, raw: str, span: Span) -> int:
        base = {"0x": 16, "0o": 8}.get(raw[:2], 10)
        value = int(raw, base) if len(raw) <= _MAX_DIGITS else _MAX_NUMBER
        if abs(value) >= _MAX_NUMBER:
            self._refuse(
                "number",
                f"{quoted(raw)} is too large",
                span,
                "numbers stay below 2^53; put text in quotes",
            )
        return value

    def _instant(self, raw: str, span: Span) -> datetime:
        try:
            if _DATE.fullmatch(raw):
                return datetime.combine(date.fromisoformat(raw), time(), UTC)
            at = datetime.fromisoformat(raw)
            if at.tzinfo is not None:
                return at.astimezone(UTC)
        except (ValueError, OverflowError):
            self._refuse("date", f"{quoted(raw)} is not a date", span, "write it as `2026-11-24`")
            return datetime.min.replace(tzinfo=UTC)
        self._refuse(
            "date", f"{quoted(raw)} names no time zone", span, "end it with `Z` or with an offset"
        )
        return at
