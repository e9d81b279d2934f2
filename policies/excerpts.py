"""Findings about what was loaded long before: a place becomes its line of the document again."""

from collections.abc import Mapping

from policies.diagnostics import Diagnostic, Severity, Span
from policies.model import Place
from policies.source import split_lines

__all__ = ["Excerpts"]


class Excerpts:
    """The lines of documents, split when a finding first needs them."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._documents = documents
        self._lines: dict[str, list[str]] = {}

    def warning(self, code: str, where: Place, message: str, hint: str) -> Diagnostic:
        """What a person should look at, with the line it stands on."""
        return self._note(Severity.WARNING, code, where, message, hint)

    def error(self, code: str, where: Place, message: str, hint: str) -> Diagnostic:
        """What must change, with the line it stands on."""
        return self._note(Severity.ERROR, code, where, message, hint)

    def _note(
        self, severity: Severity, code: str, where: Place, message: str, hint: str
    ) -> Diagnostic:
        span = self._span(where)
        return Diagnostic(code=code, severity=severity, message=message, span=span, help=hint)

    def _span(self, where: Place) -> Span:
        """The word at a place."""
        if where.file not in self._lines:
            text = self._documents[where.file].removeprefix("\ufeff")
            self._lines[where.file] = split_lines(text)
        line = self._lines[where.file][where.line - 1]
        width = len(line[where.column - 1 :].split()[0])
        return Span(where.file, where.line, where.column, width, line)
