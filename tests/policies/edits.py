"""Edits of the sound documents, each wrong in one way: with the examples they bring out every message."""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["EDITS"]

_HOST = "library/hosts/acme-api.yaml"
_SUITE = "library/hosts/acme-api.test.yaml"
_HOUSE = "organisation/house-rules.yaml"
_GRANT = "grants/acme-letter.yaml"
_STUDENT = "students/support-router.yaml"

_MANY = ", ".join(f"{{route: r{n}}}" for n in range(501))

_OF_HOST = (
    ("policy: acme-api", "policy: Acme API"),
    ("policy: acme-api", "policy:"),
    ("layer: [host, model]", "layer: []"),
    ("layer: [host, model]", "layer: [host, modle]"),
    ("layer: [host, model]", "layer: [host, organisation]"),
    ("party: Acme", "party: 7"),
    ("party: Acme", "party: [Acme]"),
    ("party: Acme", "party: 'Acme"),
    ("reviewed: 2026-11-24", "reviewed: 2026-11-24T10:00"),
    ("reviewed: 2026-11-24", "reviewed: 90071992547409921"),
    ("scope:\n  route: acme-api", "scope: acme-api"),
    ("scope:\n  route: acme-api", "scope: {}"),
    ("  route: acme-api", "  zone: acme-api"),
    ("  route: acme-api", "  route: {}"),
    ("  route: acme-api", "  route: [[acme-api]]"),
    ("  route: acme-api", "  route: []"),
    ("  route: acme-api", "  route: 7"),
    ("  route: acme-api", "  any: [{region: eu}]"),
    ("sources:\n", "sources: []\nothers:\n"),
    ("  terms:\n", "  Terms:\n"),
    ("https://acme.example/terms", "acme.example/terms"),
    ("read-primary", "read-it"),
    ("{from: 2026-01-01}", "{until: 2026-01-01}"),
    ("{from: 2026-01-01}", "2026-01-01"),
    ("    read: 2026-11-24\n", "    read: 2026-11-24\n    sha256: abc\n"),
    ("id: not-competing", "id: [not-competing]"),
    ("id: no-competing-models", "id: not-competing"),
    ("permit: training", "permit: trainng"),
    ("permit: training", "permit: everything"),
    ("    permit: training\n", ""),
    ("{lacks: Acme}", "{lacks: 'Ac*'}"),
    ("{lacks: Acme}", "{lacks: [[Acme]]}"),
    ("{lacks: Acme}", "{lacks: {a: b}}"),
    ("{lacks: Acme}", "{above: 3}"),
    ("{lacks: Acme}", "{}"),
    ("student.release: {not: internal}", "student.release: {not: intern}"),
    ("student.release: {not: internal}", "student.release: {not: 7}"),
    ("student.release: {not: internal}", "student.release: {above: 7}"),
    ("student.release: {not: internal}", "student.commercial: {not: 2026-01-01}"),
    ("student.release: {not: internal}", "student.monthly_users: {above: [7]}"),
    ("student.release: {not: internal}", "student.monthly_users: {above: true}"),
    ("student.release: {not: internal}", "student.monthly_users: many"),
    ("student.release: {not: internal}", "student.host: ''"),
    ("student.release: {not: internal}", "student.host:"),
    ("student.release: {not: internal}", "any: [{region: eu}]"),
    ("        - student.release: {not: internal}", "        - internal"),
    ("any:\n        - student.task: {not: [classify, embed]}\n        -", "any:\n       "),
    ("because: The", "because: ''\n    fix: The"),
    ("cite: terms 4.2", "cite: 'terms '"),
    ("{display: Built with Acme}", "{display: false}"),
    ("{display: Built with Acme}", "{display: {a: b}}"),
    ("{display: Built with Acme}", "{dispaly: Built with Acme}"),
    ("    fix: ", "    in_force: {from: 2026-02-01, until: 2026-01-01}\n    fix: "),
    ("    fix: ", "    in_force: {until: 2025-06-01}\n    fix: "),
    ("scope:\n  route: acme-api", f"scope: {{any: [{_MANY}]}}"),
    ("    fix: ", "    mode: shade\n    fix: "),
    ("    fix: ", "    ? [a]\n    : b\n    fix: "),
    ("    fix: ", "    ? *a\n    : b\n    fix: "),
    ("    fix: ", "    fix: &a "),
    ("inbond: 1\n", "%YAML 1.1\n---\ninbond: 1\n"),
    ("inbond: 1\n", "inbond: two\n"),
)
_OF_SUITE = (
    ("given: {student.task: generate, at: 2026-08-01}", "given: generate"),
    ("  at: {exchange: 2026-07-01, today: 2026-11-24}\n", ""),
    ("at: 2026-08-01", "at: [2026-08-01]"),
    ("at: 2026-08-01", "at: {then: 2026-08-01}"),
    ("route: acme-api", "route: 'acme-*'"),
    ("student.task: generate", "student.task: {not: generate}"),
    ("student.competes_with: []", "student.competes_with: {has: Acme}"),
    ("by: acme-api/not-competing", "by: not-competing"),
    ("by: acme-api/not-competing", "by: acme-api/competing"),
    ("missing: [student.competes_with", "missing: [student.competes"),
)
_OF_HOUSE = (
    ("party: Example Org", "party: Acme"),
    ("counter.per-day: {above", "counter.per-dya: {above"),
    ("per: [route, account.id]", "per: [rout]"),
    ("per: [route, account.id]", "per: [response.tokens]"),
    ("reviewed: 2026-11-10", "reviewed: 2026-01-10"),
    ("within: 24h", "within: 1 day"),
    ("within: 24h", "within: 9999d"),
    ("policy: house-rules", "policy: acme-api"),
)
_OF_GRANT = (
    ("party: Acme", "party: Acme Inc"),
    ("lifts: acme-api/no-competing-models", "lifts: acme-api"),
    ("lifts: acme-api/no-competing-models", "lifts: acme-api/no-competing-model"),
    ("lifts: acme-api/no-competing-models", "lifts: acme-api/not-competing"),
    ("permits: training", "permits: request"),
    ("lifts: acme-api/no-competing-models\npermits: training", "permits: request"),
    (
        "lifts: acme-api/no-competing-models\npermits: training\nscope:\n  route: acme-api",
        "permits: training\nscope:\n  route: zenith-api",
    ),
    ("until: 2027-03-01", "until: 2026-11-25"),
    ("until: 2027-03-01", "until: 2026-03-02"),
    ("grant: acme-letter", "grant: 2026-02-20"),
)
_OF_STUDENT = (
    ("purpose: distil-narrow", "purpose: distil"),
    ("competes_with: [Acme]", "competes_with: [ACME]"),
    ("competes_with: [Acme]", "competes_with: [Zenith]"),
    ("monthly_users: 12_000", "monthly_users: [12_000]"),
)

EDITS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        _HOST: _OF_HOST,
        _SUITE: _OF_SUITE,
        _HOUSE: _OF_HOUSE,
        _GRANT: _OF_GRANT,
        _STUDENT: _OF_STUDENT,
    }
)
"""By path: what is written there, and what stands in its place."""
