"""What a policy file holds: scalars, lists and mappings that remember where they stand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from policies.diagnostics import Span

__all__ = [
    "TO_THE_END",
    "At",
    "Fields",
    "Items",
    "Keys",
    "Leaf",
    "Node",
    "Page",
    "Scalar",
    "packed",
]

type Scalar = bool | int | float | str | datetime | None
"""Fractions where the reader was asked for them: no policy has one."""
type Node = Leaf | Items | Fields
type At = int

_BITS = 21
"""Bits of a column in a place: more than a file has characters."""

TO_THE_END = (1 << _BITS) - 1
"""The column where a stretch ends that runs over its line."""


class Page:
    """The lines of a file, for places in it."""

    __slots__ = ("file", "lines")

    def __init__(self, file: str, lines: list[str]) -> None:
        self.file = file
        self.lines = lines

    def span(self, at: At) -> Span:
        """The stretch of a line that a place packs."""
        line, start, end = at >> 2 * _BITS, at >> _BITS & TO_THE_END, at & TO_THE_END
        if line >= len(self.lines):
            # libyaml puts the end of a text without a final line end one line too far.
            line, start = len(self.lines) - 1, len(self.lines[-1])
        text = self.lines[line]
        start = min(start, len(text))
        return Span(self.file, line + 1, start + 1, max(1, min(end, len(text)) - start), text)


def packed(line: int, start: int, end: int) -> At:
    """A place as one number; all count from 0."""
    return line << 2 * _BITS | start << _BITS | end


# Nodes are made by the ten thousand, and the places of most are never asked for. A place is one
# number, for the collector of garbage walks over everything else again and again, and nodes are not
# frozen, for that makes their making three times as dear.
@dataclass(slots=True, eq=False)
class Leaf:
    """One scalar: its value, its characters as written, and where it stands."""

    value: Scalar
    raw: str
    _page: Page
    _at: At

    @property
    def span(self) -> Span:
        """Where it stands."""
        return self._page.span(self._at)


@dataclass(slots=True, eq=False)
class Items:
    """A list."""

    items: list[Node]
    _page: Page
    _at: At

    @property
    def span(self) -> Span:
        """Where it starts."""
        return self._page.span(self._at)


@dataclass(slots=True, eq=False)
class Fields:
    """A mapping, in the order of the file; `keys` says where each key stands."""

    values: dict[str, Node]
    keys: Mapping[str, Span]
    _page: Page
    _at: At

    @property
    def span(self) -> Span:
        """Where its first key stands, or where it starts."""
        return self._page.span(self._at)


class Keys(Mapping[str, Span]):
    """Where each key of a mapping stands."""

    __slots__ = ("_page", "_places")

    def __init__(self, page: Page, places: dict[str, At]) -> None:
        self._page = page
        self._places = places

    def __getitem__(self, name: str) -> Span:
        return self._page.span(self._places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
