"""What loads and is still wrong: findings beyond the shapes and links of the files."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from policies.bundle import Bundle
from policies.diagnostics import Diagnostic, Severity, Span, quoted
from policies.model import Effect, Layer, Place, Rule
from policies.overlap import can_hold, meet
from policies.source import split_lines

__all__ = ["lint"]

_SOON = timedelta(days=30)
_ORGANISATION = frozenset({Layer.ORGANISATION})


def lint(bundle: Bundle, *, on: datetime, untested: Iterable[str] = ()) -> tuple[Diagnostic, ...]:
    """What a person should look at, as of an instant, in the order of the files.

    `untested` are ids of rules that no test case reaches.
    """
    pages = _Pages(bundle.documents)
    found = [
        *_rules(bundle, pages),
        *_grants(bundle, pages),
        *_dates(bundle, pages, on),
        *_untested(bundle, pages, frozenset(untested)),
    ]
    return tuple(sorted(found, key=lambda each: (str(each.place.file), each.place.line, each.code)))


class _Pages:
    """The lines of the documents, for excerpts."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._documents = documents
        self._lines: dict[str, list[str]] = {}

    def note(
        self, severity: Severity, code: str, where: Place, message: str, hint: str
    ) -> Diagnostic:
        if where.file not in self._lines:
            text = self._documents[where.file].removeprefix("\ufeff")
            self._lines[where.file] = split_lines(text)
        line = self._lines[where.file][where.line - 1]
        width = len(line[where.column - 1 :].split()[0])
        span = Span(where.file, where.line, where.column, width, line)
        return Diagnostic(code=code, severity=severity, message=message, span=span, help=hint)


def _rules(bundle: Bundle, pages: _Pages) -> Iterator[Diagnostic]:
    for rule in bundle.rules:
        if not any(can_hold(tests) for tests in rule.when.alternatives):
            yield pages.note(
                Severity.WARNING,
                "never-matches",
                rule.where,
                f"the rule {quoted(rule.id)} can never match: its tests contradict each other",
                "look at its `when` together with the `scope` of its file",
            )
        if rule.layers != _ORGANISATION and not rule.cites:
            yield pages.note(
                Severity.ERROR,
                "uncited",
                rule.where,
                f"the rule {quoted(rule.id)} cites nothing",
                "add `cite`: a rule must cite the clause it comes from",
            )
        if _is_idle_permit(rule):
            yield pages.note(
                Severity.WARNING,
                "no-duties",
                rule.where,
                f"the permit {quoted(rule.id)} of the organisation carries no duties",
                "remove it: the organisation restricts, and its permits only carry duties",
            )


def _is_idle_permit(rule: Rule) -> bool:
    return rule.layers == _ORGANISATION and rule.effect is Effect.PERMIT and not rule.duties


def _grants(bundle: Bundle, pages: _Pages) -> Iterator[Diagnostic]:
    rules = {rule.id: rule for rule in bundle.rules}
    for grant in bundle.grants:
        if not (grant.is_approved or grant.is_revoked):
            yield pages.note(
                Severity.WARNING,
                "not-approved",
                grant.where,
                f"the grant {quoted(grant.id)} is not approved, so it lifts nothing",
                "have somebody else approve this file: `inbond policy approve`",
            )
        for name in sorted(grant.lifts):
            if not meet(grant.scope, rules[name].when):
                yield pages.note(
                    Severity.WARNING,
                    "idle-grant",
                    grant.where,
                    f"the scope of this grant never meets the rule {quoted(name)}",
                    "compare its `scope` with the rule's conditions",
                )


def _dates(bundle: Bundle, pages: _Pages, on: datetime) -> Iterator[Diagnostic]:
    for source in bundle.sources.values():
        if source.review_by is not None and on >= source.review_by:
            yield pages.note(
                Severity.WARNING,
                "stale",
                source.where,
                f"the review of {quoted(source.id)} was due {(on - source.review_by).days} days ago; "
                "permits that rest on it alone count as review",
                "read the text again, then set `read` and `review_by`",
            )
    for grant in bundle.grants:
        until = grant.in_force.until
        if grant.is_approved and not grant.is_revoked and until is not None and until - on <= _SOON:
            days = (until - on).days
            yield pages.note(
                Severity.WARNING,
                "expires",
                grant.where,
                f"the grant {quoted(grant.id)} "
                + (f"ends in {days} days" if until > on else "has ended"),
                "renew it, or remove it once nothing depends on it",
            )


def _untested(bundle: Bundle, pages: _Pages, untested: frozenset[str]) -> Iterator[Diagnostic]:
    for rule in bundle.rules:
        if rule.id in untested:
            yield pages.note(
                Severity.WARNING,
                "untested",
                rule.where,
                f"no test case reaches the rule {quoted(rule.id)}",
                "add a case that it decides",
            )
