"""A small valid set of policy documents about a made-up provider, for tests to build on and break."""

import hashlib
from collections.abc import Mapping

from policies.bundle import Bundle, bundle_of

ORGANISATION = "Example Org"

HOST = """\
inbond: 1
policy: acme-api
layer: [host, model]
party: Acme
owner: legal@example.org
reviewed: 2026-11-24
scope:
  route: acme-api
sources:
  terms:
    title: Terms of Acme
    url: https://acme.example/terms
    confidence: read-primary
    read: 2026-11-24
    review_by: 2027-02-22
    in_force: {from: 2026-01-01}
rules:
  - id: not-competing
    permit: training
    when: {student.competes_with: {lacks: Acme}}
    because: The restriction reaches models that compete with Acme.
    cite: terms 4.2
    duties: {display: Built with Acme}
  - id: no-competing-models
    forbid: [request, training]
    when:
      student.competes_with: {has: Acme}
      any:
        - student.task: {not: [classify, embed]}
        - student.release: {not: internal}
    because: Output may not be used to develop models that compete with Acme.
    cite: terms 4.2
    fix: Choose another teacher or ask Acme for a grant.
"""

HOUSE = """\
inbond: 1
policy: house-rules
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-11-10
counters:
  per-day: {count: requests, per: [route, account.id], within: 24h}
rules:
  - id: mass-querying
    forbid: request
    when:
      counter.per-day: {above: 50_000}
      student.purpose: {not: eval}
    because: Above 50,000 calls a day, querying looks like extraction.
  - id: substituted-model
    review: training
    when: {model.substituted: true}
    because: The model that answered is not the one asked for.
    mode: shadow
"""

GRANT = """\
inbond: 1
grant: acme-letter
party: Acme
lifts: acme-api/no-competing-models
permits: training
scope:
  route: acme-api
  project: support
in_force: {from: 2026-03-01, until: 2027-03-01}
document: {title: "Letter of 2026-02-20"}
owner: legal@example.org
because: Acme permits one router model for internal use.
"""

STUDENT = """\
inbond: 1
student: support-router
owner: ml@example.org
purpose: distil-narrow
task: generate
competes_with: [Acme]
release: internal
commercial: true
monthly_users: 12_000
"""

SUITE = """\
inbond: 1
test: acme-api
given:
  route: acme-api
  at: {exchange: 2026-07-01, today: 2026-11-24}
cases:
  - name: a student that does not compete may train
    gate: dataset
    given: {student.competes_with: [], student.task: generate}
    expect: permit
    by: acme-api/not-competing
    duties: display
  - name: a competing student may not
    gate: dataset
    given: {student.competes_with: [Acme], student.task: generate}
    expect: forbid
    by: [acme-api/no-competing-models]
    silent: [host, model]
    lifted: []
  - name: a student that does not say waits
    gate: dataset
    given: {student.task: generate, at: 2026-08-01}
    expect: review
    missing: [student.competes_with, student.release]
"""

DOCUMENTS: Mapping[str, str] = {
    "library/hosts/acme-api.yaml": HOST,
    "library/hosts/acme-api.test.yaml": SUITE,
    "organisation/house-rules.yaml": HOUSE,
    "grants/acme-letter.yaml": GRANT,
    "students/support-router.yaml": STUDENT,
}


def digest(text: str) -> str:
    """What an approval of a file names."""
    return hashlib.sha256(text.encode()).hexdigest()


def approved(documents: Mapping[str, str]) -> Bundle:
    """The bundle of documents that are all approved."""
    approvals = frozenset(digest(text) for text in documents.values())
    return bundle_of(documents, organisation=ORGANISATION, approvals=approvals)
