"""Findings as a SARIF 2.1.0 log, for what annotates changes in CI.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from collections.abc import Iterable
from urllib.parse import quote

from policies.codes import CODES
from policies.diagnostics import Diagnostic

__all__ = ["sarif"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def sarif(
    findings: Iterable[Diagnostic], *, version: str, pages: str | None = None
) -> dict[str, object]:
    """A log of one run: each code that occurs is a rule with its help, each finding a result.

    Columns count characters and files are relative to where the policies lie (`%SRCROOT%`).
    The help of a code stands in the log itself, for the pages ship with inbond and a viewer can open
    none of them; where they are published, `pages` is the address before `CODE.md`.
    """
    found = list(findings)
    codes = sorted({finding.code for finding in found})
    number = {code: at for at, code in enumerate(codes)}
    driver = {
        "name": "inbond",
        "version": version,
        "rules": [_rule(code, pages) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "where the policies lie"}}},
        "results": [_result(finding, number[finding.code]) for finding in found],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(slug: str, pages: str | None) -> dict[str, object]:
    """A reportingDescriptor (§3.49)."""
    code = CODES[slug]
    meaning = " ".join(code.sentences)
    rule: dict[str, object] = {
        "id": slug,
        "shortDescription": {"text": f"This is about {code.title}."},
        "fullDescription": {"text": meaning},
        "help": {"text": meaning, "markdown": meaning},
        "defaultConfiguration": {"level": code.severity.value},
    }
    if pages is not None:
        rule["helpUri"] = f"{pages.rstrip('/')}/{slug}.md"
    return rule


def _result(finding: Diagnostic, rule: int) -> dict[str, object]:
    """A result (§3.27) at its one place."""
    span = finding.span
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.line,
        "endColumn": span.column + span.width,
        "snippet": {"text": span.text},
    }
    location = {
        "artifactLocation": {"uri": quote(span.file), "uriBaseId": "%SRCROOT%"},
        "region": region,
    }
    text = f"{finding.message}\n{finding.help}" if finding.help else finding.message
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity.value,
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }
