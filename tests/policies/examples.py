"""What to avoid and what to prefer, for each code: read from `examples.yaml` and put into its frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from policies.bundle import bundle_of
from policies.checking import check
from policies.diagnostics import Diagnostic, PolicyError
from policies.lint import lint
from tests.policies.acme import digest

__all__ = ["ON", "ORGANISATION", "Example", "examples", "findings_of"]

ON = datetime(2026, 11, 24, tzinfo=UTC)
ORGANISATION = "Example Org"

_HEAD = """\
inbond: 1
policy: acme-api
layer: [host, model]
party: Acme
owner: legal@example.org
reviewed: 2026-11-24
scope: {route: acme-api}
"""
_SOURCES = """\
sources:
  terms:
    title: Terms of Acme
    url: https://acme.example/terms
    confidence: read-primary
    read: 2026-11-24
    review_by: 2027-02-22
    in_force: {from: 2026-01-01}
"""
_RULES = """\
rules:
  - id: no-competitors
    forbid: training
    when: {student.competes_with: {has: Acme}}
    because: Output may not be used to develop models that compete with Acme.
    cite: terms 4.2
"""
_HOUSE = """\
inbond: 1
policy: house-rules
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-11-24
"""
_HOUSE_RULES = """\
rules:
  - id: third-party-text
    review: training
    when: {response.third_party: true}
    because: Text of others carries the rights of others.
"""
_CASES = """\
inbond: 1
test: acme-api
given:
  route: acme-api
  at: {exchange: 2026-07-01, today: 2026-11-24}
"""
_OTHER_CONTRACT = """\
  - name: another contract is none of Acme's business
    gate: dataset
    given: {route: zenith-api, student.competes_with: [Acme]}
    expect: forbid
    by: []
    silent: [host, model]
"""
_HOST_PATH = "hosts/acme-api.yaml"
_HOUSE_PATH = "organisation/house-rules.yaml"
_AROUND: Mapping[str, str] = MappingProxyType(
    {_HOST_PATH: _HEAD + _SOURCES + _RULES, _HOUSE_PATH: _HOUSE + _HOUSE_RULES}
)
_PATHS: Mapping[str, str] = MappingProxyType(
    {
        "cases": "tests/acme-api.test.yaml",
        "grant": "grants/a.yaml",
        "head": _HOST_PATH,
        "house": _HOUSE_PATH,
        "rules": _HOST_PATH,
        "sources": _HOST_PATH,
        "student": "students/a.yaml",
    }
)
_STANDS_FOR: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "encoding": ("␇", "\a"),
        "too-deep": ("…", "[" * 30 + "]" * 30),
        "too-large": ("…", "others " * 150_000),
        "too-many": ("  …", "\n".join(f"  - id: r{n}" for n in range(600))),
    }
)
"""What a sign in an example stands for, where the real thing cannot be shown."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One code's pair: what to avoid, and what to write instead."""

    code: str
    frame: str
    avoid: str
    prefer: str
    note: str = ""
    path: str = ""
    better: str = ""
    """The path of what to prefer, where it is another."""

    def bad(self) -> dict[str, str]:
        """The documents that hold what to avoid."""
        sign, meaning = _STANDS_FOR.get(self.code, ("", ""))
        return self._framed(self.avoid.replace(sign, meaning) if sign else self.avoid, self.path)

    def good(self) -> dict[str, str]:
        """The documents that hold what to prefer."""
        return self._framed(self.prefer, self.better or self.path)

    def _framed(self, text: str, path: str) -> dict[str, str]:
        match self.frame:
            case "rules":
                whole = _HEAD + _SOURCES + text
            case "sources":
                whole = _HEAD + text + _RULES
            case "head":
                whole = text + _SOURCES + _RULES
            case "house":
                whole = _HOUSE + text
            case "cases":
                whole = _CASES + text + _OTHER_CONTRACT
            case _:
                whole = text
        around = {_HOST_PATH: _AROUND[_HOST_PATH]} if self.frame == "cases" else _AROUND
        return {**around, _PATHS.get(self.frame, path): whole}


@cache
def examples() -> Mapping[str, Example]:
    """Every example by its code."""
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    found = (Example(**each) for each in yaml.safe_load(text))
    return MappingProxyType({each.code: each for each in found})


def findings_of(
    documents: Mapping[str, str], *, is_approved: bool = True
) -> tuple[Diagnostic, ...]:
    """All that loading and linting say about documents; with cases of its own, tests too."""
    approvals = frozenset(map(digest, documents.values())) if is_approved else frozenset()
    try:
        bundle = bundle_of(documents, organisation=ORGANISATION, approvals=approvals)
    except PolicyError as error:
        return error.diagnostics
    if _PATHS["cases"] in documents:
        return check(bundle, on=ON).findings
    return (*bundle.warnings, *lint(bundle, on=ON))
