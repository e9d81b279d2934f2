"""Policy text to values that remember file, line and column.

YAML 1.2 core without what hides meaning: no anchors, aliases, merge keys, tags, directives,
duplicate keys or second documents. libyaml finds the tokens; plain scalars are read here, so that
`no` is a word, `1_000` a number and `2026-11-24` a date.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time

from yaml import YAMLError, events
from yaml._yaml import CParser

from policies.diagnostics import Findings, Span, quoted
from policies.nodes import TO_THE_END, At, Fields, Items, Keys, Leaf, Node, Page, Scalar, packed

__all__ = ["MAX_BYTES", "MAX_DEPTH", "decode", "parse", "parse_node", "split_lines"]

MAX_BYTES = 1 << 20
"""The largest policy file, in bytes."""

MAX_DEPTH = 32
"""How deep lists and mappings may nest."""

_BOM = "\ufeff"
_START: At = 1
"""The first character of a file."""

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
_SPLIT = "split it: files of one party and scope may be several"
_MAX_NUMBER = 2**53
_MAX_DIGITS = 24


def decode(file: str, data: bytes, findings: Findings) -> str | None:
    """The text of a policy file; None, and a finding, where it has none."""
    if len(data) > MAX_BYTES:
        findings.error(
            "too-large",
            f"the file has {len(data):,} bytes; {MAX_BYTES:,} are the most",
            Span(file, 1, 1, 1, ""),
            _SPLIT,
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
    before = findings.count
    root = parse_node(file, text, findings)
    if isinstance(root, Fields):
        return root
    if findings.count == before:
        found = "the file is empty" if root is None else "a policy file is a mapping"
        first = split_lines(text.removeprefix(_BOM))[0]
        findings.error("kind", found, Span(file, 1, 1, 1, first), "start it with `inbond: 1`")
    return None


def parse_node(
    file: str, text: str, findings: Findings, *, has_fractions: bool = False
) -> Node | None:
    """What a YAML text holds; None where that is nothing, and, with findings, where it is not sound.

    With `has_fractions` a number such as `1.5` is one, and else it is a finding.
    """
    text = text.removeprefix(_BOM)
    page = Page(file, split_lines(text))
    if not _is_readable(page, text, findings):
        return None
    builder = _Builder(page, findings, has_fractions=has_fractions)
    before = findings.count
    try:
        builder.run(CParser(text))
    except YAMLError as error:
        builder.syntax(error)
    return builder.root if findings.count == before else None


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends, as positions count them; at least one."""
    return _LINE_END.split(text)


def _is_readable(page: Page, text: str, findings: Findings) -> bool:
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        before = split_lines(text[: bad.start()])
        start = len(before[-1])
        findings.error(
            "encoding",
            f"character U+{ord(bad[0]):04X} cannot stand in YAML",
            page.span(packed(len(before) - 1, start, start + 1)),
            "remove it",
        )
        return False
    size = len(text.encode())
    if size > MAX_BYTES:
        findings.error(
            "too-large",
            f"the file has {size:,} bytes; {MAX_BYTES:,} are the most",
            page.span(_START),
            _SPLIT,
        )
        return False
    return True


class _Open:
    """A list or mapping under construction; `items` is None for a mapping."""

    __slots__ = ("at", "items", "key", "places", "values")

    def __init__(self, at: At, *, is_list: bool) -> None:
        self.at = at
        self.items: list[Node] | None = [] if is_list else None
        self.key: str | None = None
        self.places: dict[str, At] = {}
        self.values: dict[str, Node] = {}

    def done(self, page: Page) -> Node:
        if self.items is not None:
            return Items(self.items, page, self.at)
        return Fields(self.values, Keys(page, self.places), page, self.at)


class _StopReading(Exception):  # noqa: N818 - control flow inside this module
    """What follows cannot be read in a useful way; the finding is noted."""


class _Builder:
    """Builds nodes from libyaml's events, without recursion."""

    def __init__(self, page: Page, findings: Findings, *, has_fractions: bool) -> None:
        self._page = page
        self._findings = findings
        self._has_fractions = has_fractions
        self._open: list[_Open] = []
        self._documents = 0
        self.root: Node | None = None

    def run(self, parser: CParser) -> None:
        """Read every event."""
        handlers: Mapping[type, Callable[..., None]] = {
            events.ScalarEvent: self._scalar,
            events.MappingStartEvent: self._start,
            events.SequenceStartEvent: self._start,
            events.MappingEndEvent: self._end,
            events.SequenceEndEvent: self._end,
            events.AliasEvent: self._alias,
            events.DocumentStartEvent: self._document,
        }
        try:
            while (event := parser.get_event()) is not None:
                handler = handlers.get(type(event))
                if handler is not None:
                    handler(event)
        except _StopReading:
            return

    def syntax(self, error: YAMLError) -> None:
        """Note what libyaml says about text that is no YAML."""
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line, mark.column) if mark else (0, 0)
        context = getattr(error, "context", None)
        message = f"{getattr(error, 'problem', error)}" + (f" ({context})" if context else "")
        self._findings.error(
            "yaml",
            message.replace("'", "`"),
            self._page.span(packed(line, column, column + 1)),
            "check quotes and indentation",
        )

    @staticmethod
    def _at(event: events.Event) -> At:
        start, end = event.start_mark, event.end_mark
        assert start is not None  # noqa: S101 - the parser marks every event
        assert end is not None  # noqa: S101 - as above
        line = start.line
        last = end.column if end.line == line else TO_THE_END
        return packed(line, start.column, last)

    def _refuse(self, code: str, message: str, at: At, hint: str) -> None:
        self._findings.error(code, message, self._page.span(at), hint)

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
            self._findings.error(
                "yaml", "directives are not allowed", self._page.span(_START), "remove it"
            )

    def _alias(self, event: events.AliasEvent) -> None:
        at = self._at(event)
        self._refuse(
            "alias",
            f"{quoted(f'*{event.anchor}')} is an alias, and aliases are not allowed",
            at,
            "write the value out; put a pattern such as `*-mini` in quotes",
        )
        self._place(Leaf(None, "", self._page, at))

    def _check(self, event: events.ScalarEvent | events.CollectionStartEvent) -> None:
        if event.anchor is not None:
            self._refuse(
                "alias",
                f"{quoted(f'&{event.anchor}')} is an anchor, and anchors are not allowed",
                self._at(event),
                "write the value out where it is needed; put text that starts with `&` in quotes",
            )
        if event.tag is not None:
            name = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._refuse(
                "tag",
                f"{quoted(name)} is a tag, and tags are not allowed",
                self._at(event),
                "remove it; put text that starts with `!` in quotes",
            )

    def _start(self, event: events.CollectionStartEvent) -> None:
        self._check(event)
        if len(self._open) >= MAX_DEPTH:
            self._refuse(
                "too-deep",
                f"lists and mappings nest deeper than {MAX_DEPTH}",
                self._at(event),
                "write it flat",
            )
            raise _StopReading
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.items is None and parent.key is None:
            self._refuse("yaml", "a key must be text", self._at(event), "put the key in quotes")
            raise _StopReading
        is_list = type(event) is events.SequenceStartEvent
        self._open.append(_Open(self._at(event), is_list=is_list))

    def _end(self, _: events.CollectionEndEvent) -> None:
        self._place(self._open.pop().done(self._page))

    def _scalar(self, event: events.ScalarEvent) -> None:
        if event.anchor is not None or event.tag is not None:
            self._check(event)
        raw = event.value
        at = self._at(event)
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.items is None and parent.key is None:
            self._key(parent, raw, at, is_plain=event.implicit[0])
        else:
            value = self._plain(raw, at) if event.implicit[0] else raw
            self._place(Leaf(value, raw, self._page, at))

    def _key(self, parent: _Open, name: str, at: At, *, is_plain: bool) -> None:
        places = parent.places
        if not places:
            parent.at = at
        if name == "<<" and is_plain:
            self._refuse(
                "merge-key",
                "merge keys are not allowed",
                at,
                "write the keys out where they apply",
            )
        elif name in places:
            self._refuse(
                "duplicate-key",
                f"{quoted(name)} is given twice; "
                f"the first is on line {self._page.span(places[name]).line}",
                at,
                "remove one of them",
            )
        parent.key = name
        places.setdefault(name, at)

    def _place(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if parent.items is not None:
            parent.items.append(node)
        elif parent.key is None:
            self._findings.error("yaml", "a key must be text", node.span, "put the key in quotes")
            raise _StopReading
        else:
            parent.values[parent.key] = node
            parent.key = None

    def _plain(self, raw: str, at: At) -> Scalar:
        """The value of a plain scalar (YAML 1.2.2 §10.3.2, with dates and `1_000`, without floats)."""
        if raw in _WORDS:
            return _WORDS[raw]
        if raw[0] not in "+-.0123456789":
            return raw
        if _INTEGER.fullmatch(raw):
            return self._integer(raw, at)
        if _DATE.fullmatch(raw) or _INSTANT.fullmatch(raw):
            return self._instant(raw, at)
        return self._fraction(raw, at) if _FLOAT.fullmatch(raw) else raw

    def _fraction(self, raw: str, at: At) -> float | str:
        """A number that is not whole; text where nothing counts with it, as with `.inf`."""
        if self._has_fractions:
            return float(raw) if raw[-1].isdigit() or raw[-1] == "." else raw
        self._refuse(
            "number",
            f"{quoted(raw)} is not a whole number",
            at,
            "put it in quotes if it is text",
        )
        return raw

    def _integer(self, raw: str, at: At) -> int:
        base = {"0x": 16, "0o": 8}.get(raw[:2], 10)
        value = int(raw, base) if len(raw) <= _MAX_DIGITS else _MAX_NUMBER
        if abs(value) >= _MAX_NUMBER:
            self._refuse(
                "number",
                f"{quoted(raw)} is too large",
                at,
                "numbers stay below 2^53; put text in quotes",
            )
        return value

    def _instant(self, raw: str, at: At) -> datetime:
        try:
            if _DATE.fullmatch(raw):
                return datetime.combine(date.fromisoformat(raw), time(), UTC)
            found = datetime.fromisoformat(raw)
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            self._refuse("date", f"{quoted(raw)} is not a date", at, "write it as `2026-11-24`")
            return datetime.min.replace(tzinfo=UTC)
        self._refuse(
            "date", f"{quoted(raw)} names no time zone", at, "end it with `Z` or with an offset"
        )
        return found
