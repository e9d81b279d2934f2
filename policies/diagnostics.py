"""What is wrong with a policy file, where, and what to do.

PolicyError    the one exception of this package; it carries every diagnostic found
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from policies.model import Place

__all__ = [
    "MAX_ERRORS",
    "Diagnostic",
    "Findings",
    "PolicyError",
    "Severity",
    "Span",
    "nearest",
    "quoted",
    "render",
]

MAX_ERRORS = 500
"""The most errors that are collected: a file of nothing but mistakes is not read to its end."""

_MAX_QUOTED = 80
_MAX_EXCERPT = 120


class Severity(StrEnum):
    """Whether a finding stops the bundle."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one line of a file; `text` is that whole line, for the excerpt."""

    file: str
    line: int
    column: int
    width: int
    text: str

    @property
    def place(self) -> Place:
        """Where it starts."""
        return Place(file=self.file, line=self.line, column=self.column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding. `code` is a stable slug."""

    code: str
    severity: Severity
    message: str
    span: Span
    help: str = ""

    @property
    def place(self) -> Place:
        """Where the finding starts."""
        return self.span.place

    def as_json(self) -> dict[str, str | int]:
        """The finding for programs."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "width": self.span.width,
            "help": self.help,
        }


class PolicyError(Exception):
    """Policies cannot be used; `diagnostics` says why, in the order of the files."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=_order))
        super().__init__(self.diagnostics)

    @property
    def help(self) -> str:
        """What to do about the first finding."""
        return self.diagnostics[0].help if self.diagnostics else ""

    def __str__(self) -> str:
        return "\n".join(render(finding) for finding in self.diagnostics)


class Findings:
    """Collects what is wrong, so that one run reports all of it."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []
        self._errors = 0

    def error(self, code: str, message: str, span: Span, help: str = "") -> None:  # noqa: A002 - the word users see
        """Note what stops the bundle.

        Raises:
            PolicyError: it is one error too many; it carries those before.
        """
        if self._errors >= MAX_ERRORS:
            self._add(
                "too-many",
                Severity.ERROR,
                f"{MAX_ERRORS} errors were found, and here is one more",
                span,
                "mend those first; what comes after them was not checked",
            )
            self.stop()
        self._errors += 1
        self._add(code, Severity.ERROR, message, span, help)

    def warning(self, code: str, message: str, span: Span, help: str = "") -> None:  # noqa: A002 - the word users see
        """Note what a person should look at."""
        self._add(code, Severity.WARNING, message, span, help)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Take over what another check found."""
        self._found.extend(diagnostics)

    def _add(self, code: str, severity: Severity, message: str, span: Span, hint: str) -> None:
        self._found.append(
            Diagnostic(code=code, severity=severity, message=message, span=span, help=hint)
        )

    @property
    def count(self) -> int:
        """How many findings there are, of both severities."""
        return len(self._found)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The warnings, in the order of the files."""
        found = (each for each in self._found if each.severity is Severity.WARNING)
        return tuple(sorted(found, key=_order))

    def stop(self) -> None:
        """Go no further where an error was found.

        Raises:
            PolicyError: there is at least one error; it carries the errors alone.
        """
        errors = [each for each in self._found if each.severity is Severity.ERROR]
        if errors:
            raise PolicyError(errors)


def _order(finding: Diagnostic) -> tuple[str, int, int, str, str]:
    place = finding.place
    return place.file, place.line, place.column, finding.code, finding.message


def quoted(text: object) -> str:
    """What the user wrote, in backticks: on one line, printable and of bounded length."""
    shown = _printable(str(text)).replace("`", "'")
    return f"`{shown[:_MAX_QUOTED]}…`" if len(shown) > _MAX_QUOTED else f"`{shown}`"


def nearest(name: str, valid: Iterable[str]) -> str:
    """The help that offers the nearest valid name; empty where none is near."""
    found = difflib.get_close_matches(name[:_MAX_QUOTED], list(valid), n=1, cutoff=0.6)
    return f"did you mean {quoted(found[0])}?" if found else ""


def render(finding: Diagnostic) -> str:
    """A finding as text for people: what, where, the line itself, what to do; ends with a newline."""
    place = finding.place
    number = str(place.line)
    gutter = " " * len(number)
    excerpt, offset = _cut(finding.span)
    carets = "^" * max(1, min(finding.span.width, len(excerpt) - offset))
    lines = [
        f"{finding.severity.value}[{finding.code}]: {finding.message}",
        f"{gutter}--> {place}",
        f"{gutter} |",
        f"{number} | {excerpt}".rstrip(),
        f"{gutter} | {' ' * offset}{carets}",
    ]
    if finding.help:
        lines.append(f"{gutter} = help: {finding.help}")
    return "\n".join(lines) + "\n"


def _cut(span: Span) -> tuple[str, int]:
    """The part of a long line around the span, and the offset of the span in it."""
    start = span.column - 1
    left = max(0, start - _MAX_EXCERPT // 2) if len(span.text) > _MAX_EXCERPT else 0
    return _printable(span.text[left : left + _MAX_EXCERPT]), start - left


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)
