"""The clauses of a published text: found by the labels that citations use, compared as plain words.

Providers' pages are no structured data: headings, numbers and letters are written in many ways, and
layout changes without a word changing. So a text is cut where a label stands, and its words alone
count: markup, links, kinds of quotation marks and white space do not.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Clause", "Text"]

type Label = tuple[str, ...]
"""The parts of a label: `3.3(e)` is `("3", "3", "e")`, and so is `3.3.e`."""

_DECORATION = re.compile(r"^[\s>#*_|•–-]+|[*_|\s]+$")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ESCAPE = re.compile(r"\\([^\w\s])")
_EMPHASIS = re.compile(r"\*{1,3}|(?<![\w])_{1,3}|_{1,3}(?![\w])|`")
_SAME = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": "-"})
_NUMBER = re.compile(
    r"(?:(?:section|article|clause|§)\s*)?(\d{1,3}(?:\.\d{1,3})*)(?:[.):]|(?=\s))\s*", re.IGNORECASE
)
_LETTER = re.compile(r"\(?([a-z]|[ivx]{1,4})[.)]\s+", re.IGNORECASE)
_INLINE = re.compile(r"(?<![\w)])\(([a-z])\)\s")
_CITED = re.compile(r"\d{1,3}(?:\.(?:\d{1,3}|[a-z]{1,4}))*(?:\s?\((?:[a-z]{1,4}|\d{1,3})\))*")
_PART = re.compile(r"[a-z]+|\d+")
_WORD = re.compile(r"[a-z]{3,}")


@dataclass(frozen=True, slots=True)
class Clause:
    """A labelled stretch of a text, with the clauses inside it."""

    label: Label
    words: str

    @property
    def digest(self) -> str:
        """sha256 (hex) of the words."""
        return hashlib.sha256(self.words.encode()).hexdigest()


@dataclass(frozen=True)
class Text:
    """One published text."""

    content: str

    @cached_property
    def words(self) -> str:
        """All of it, as plain words."""
        return " ".join(words for _, words in self._pieces)

    def clause(self, locator: str) -> Clause | None:
        """The clause that a citation names, such as `3.3(e)`, `1.b.v` or `17 (Permitted Exception)`.

        Where the text has no such label the nearest enclosing one is meant; where a locator has no
        number, the first piece that holds all its words. None where neither is found.
        """
        cited = _CITED.search(locator.lower())
        label = _label(cited[0]) if cited else ()
        while label:
            words = self._under(label)
            if words:
                return Clause(label, words)
            label = label[:-1]
        return self._named(frozenset(_WORD.findall(locator.lower())))

    def _under(self, label: Label) -> str:
        return " ".join(words for at, words in self._pieces if at[: len(label)] == label)

    def _named(self, wanted: frozenset[str]) -> Clause | None:
        for label, words in self._pieces:
            if wanted and wanted <= frozenset(_WORD.findall(words.lower())):
                return Clause(label, words)
        return None

    @cached_property
    def clauses(self) -> Mapping[Label, str]:
        """The words of each label without those of the clauses inside it, in the text's order."""
        found: dict[Label, str] = {}
        for label, words in self._pieces:
            found[label] = f"{found[label]} {words}" if label in found else words
        return found

    @cached_property
    def _pieces(self) -> tuple[tuple[Label, str], ...]:
        """The lines cut at their labels; what stands before the first label has an empty one."""
        return tuple(_cut(self.content))


def _cut(content: str) -> Iterator[tuple[Label, str]]:
    section: Label = ()
    inner: Label = ()
    for raw in content.splitlines():
        line = _plain(raw)
        if not line:
            continue
        number = _NUMBER.match(line)
        if number is not None:
            section, inner = tuple(number[1].split(".")), ()
            line = line[number.end() :]
        letter = _LETTER.match(line)
        if letter is not None and section:
            inner = _beneath(inner, letter[1].lower())
            line = line[letter.end() :]
        yield from _inline((*section, *inner), line)


def _beneath(inner: Label, letter: str) -> Label:
    """Where a lettered line belongs: `i` after `b` opens a list inside it, after `h` it goes on."""
    is_roman = len(letter) > 1 or (letter in "ivx" and bool(inner) and not _follows(inner, letter))
    if not is_roman:
        return (letter,)
    return (inner[0], letter) if inner else (letter,)


def _follows(inner: Label, letter: str) -> bool:
    return len(inner) == 1 and len(inner[0]) == 1 and ord(letter) == ord(inner[0]) + 1


def _inline(label: Label, line: str) -> Iterator[tuple[Label, str]]:
    """A line cut at `(a) … (b) …` where the letters come in order from `a`."""
    places: list[re.Match[str]] = []
    for found in _INLINE.finditer(line):
        if found[1] == chr(ord("a") + len(places)):
            places.append(found)
    if len(places) < 2:  # one letter in brackets is a reference, two are a list
        places = []
    edges = [0, *(place.start() for place in places), len(line)]
    names = ("", *(place[1] for place in places))
    starts = (0, *(place.end() for place in places))
    for name, start, end in zip(names, starts, edges[1:], strict=True):
        words = line[start:end].strip()
        if words:
            yield (*label, name) if name else label, words


def _plain(line: str) -> str:
    """The words of a line of Markdown."""
    text = unicodedata.normalize("NFKC", _LINK.sub(r"\1", line)).translate(_SAME)
    text = _EMPHASIS.sub("", _ESCAPE.sub(r"\1", text))
    return " ".join(_DECORATION.sub("", text).split())


def _label(cited: str) -> Label:
    return tuple(_PART.findall(cited))
