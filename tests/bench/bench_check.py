"""How long a check takes: load, lint and tests at 500 and at 5,000 rules, in ms of CPU.

The policies are like real ones: contracts of hosts with five rules, licences of models with four,
ten cases beside each, and the organisation's own rules. What is timed is what `inbond policy check`
does after Python has started, the collector of cycles at rest as there, with the mutation score
apart.
"""

import gc
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from policies.bundle import Bundle, bundle_of
from policies.lint import lint
from policies.mutants import mutate
from policies.testing import run_suites

ON = datetime(2026, 11, 24, tzinfo=UTC)
ORGANISATION = "Example Org"
RULES_OF_A_HOST, RULES_OF_A_MODEL = 5, 4
ROUNDS = 5

SOURCE = """\
sources:
  terms:
    title: Terms of service
    url: https://example.org/terms
    confidence: read-primary
    read: 2026-11-24
    review_by: 2027-02-22
    in_force: {from: 2026-01-01}
    archive: {repository: Example/archive, path: Terms.md, commit: b0f901f}
"""
HOST = """\
# yaml-language-server: $schema=../../schema.json
inbond: 1
policy: host-NNN
layer: [host, model]   # it hosts its own models
party: Host NNN
owner: legal@example.org
reviewed: 2026-11-24
scope:
  route: route-NNN

SOURCE
rules:
  - id: permitted-exception
    permit: training
    when: {student.task: [classify, embed], student.release: internal}
    because: Models that classify or embed may learn from output while they are not distributed.
    cite: terms 17 (Permitted Exception)

  - id: not-competing
    permit: training
    when: {student.competes_with: {lacks: Host NNN}}
    because: The restriction reaches models that compete; a person judged that this one does not.
    cite: terms 3.3(e)

  - id: no-competing-models
    forbid: [request, training]   # what the call is for decides, so it does not even leave
    when:
      student.purpose: [distil-narrow, distil-general]
      student.competes_with: {has: Host NNN}
      any:
        - student.task: {not: [classify, embed]}
        - student.release: {not: internal}
    because: Output may not be used to develop models that compete with the host.
    cite: terms 3.3(e)
    fix: Use the output for evaluation only, or attach a grant.

  - id: third-party
    review: training
    when: {response.third_party: true}
    because: Cited text carries someone else's rights.
    cite: terms 5.1
    fix: A reviewer clears the example, or drops it.

  - id: large-platform
    forbid: training
    when: {student.monthly_users: {above: 700_000_000}}
    because: Above this a separate licence is needed.
    cite: terms 2
    fix: Ask for a licence and record it as a grant.
"""
MODEL = """\
# yaml-language-server: $schema=../../schema.json
inbond: 1
policy: model-NNN
layer: model
party: Maker NNN
owner: legal@example.org
reviewed: 2026-11-24
scope:
  model.id: ["model-NNN-*", "model-NNN.1-*"]

SOURCE
rules:
  - id: improve-other-models
    permit: training
    when: {student.release: internal}
    because: Output may be used to improve another model.
    cite: terms 1.b.i

  - id: released
    permit: training
    when: {student.release: [service, open-weights]}
    because: Output may be used to improve another model, if the naming duties are met.
    cite: terms 1.b.i
    duties:
      name_prefix: Model-NNN
      display: Built with Model-NNN
      licence_copy: LicenseRef-Model-NNN

  - id: large-platform
    forbid: [training, release]
    when: {student.monthly_users: {above: 700_000_000}}
    because: Above this a separate licence is needed.
    cite: terms 2
    fix: Ask for a licence and record it as a grant.

  - id: not-in-the-union
    forbid: training
    when: {student.jurisdiction: [EU, EEA]}
    because: The rights are not granted there.
    cite: terms 4
"""
SUITE = """\
inbond: 1
test: KIND-NNN
given:
  route: route-NNN
  model.id: model-NNN-70b
  model.substituted: false
  response.third_party: false
  student.purpose: serve
  student.task: generate
  student.release: internal
  student.jurisdiction: US
  student.monthly_users: 1000
  student.competes_with: []
  at: {exchange: 2026-07-01, today: 2026-11-24}
cases:
"""
NOT_COMPETING = "host-NNN/not-competing, model-NNN/improve-other-models"
CASES = (
    ("student.purpose: eval", "permit", NOT_COMPETING),
    (
        "student.purpose: eval, student.release: service",
        "permit",
        "host-NNN/not-competing, model-NNN/released",
    ),
    ("student.purpose: eval, response.third_party: true", "review", "host-NNN/third-party"),
    ("student.purpose: eval, student.jurisdiction: EU", "forbid", "model-NNN/not-in-the-union"),
    ("student.purpose: eval, student.monthly_users: 700_000_000", "permit", NOT_COMPETING),
    (
        "student.purpose: eval, student.monthly_users: 700_000_001",
        "forbid",
        "host-NNN/large-platform, model-NNN/large-platform",
    ),
    (
        "student.task: classify, student.competes_with: [Host NNN]",
        "permit",
        "host-NNN/permitted-exception, model-NNN/improve-other-models",
    ),
    (
        "student.purpose: distil-general, student.task: rank, student.competes_with: [Host NNN]",
        "forbid",
        "host-NNN/no-competing-models",
    ),
    (
        "student.purpose: distil-narrow, student.competes_with: [Host NNN]",
        "forbid",
        "host-NNN/no-competing-models",
    ),
    ("student.purpose: distil-narrow, student.competes_with: [Else]", "permit", NOT_COMPETING),
)
HOUSE = """\
inbond: 1
policy: house-NNN
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-11-10
rules:
  - id: images
    review: training
    when: {request.images: true, project: project-NNN}
    because: An answer about an image teaches a text student nothing it can see.
  - id: substituted
    forbid: training
    when: {model.substituted: true, route: route-NNN}
    because: The model that answered is not the one asked for.
"""


def documents(rules: int) -> dict[str, str]:
    """Files with so many rules: half hosts, four in ten models, the rest the organisation's."""
    found = {}
    for at in range(rules // 2 // RULES_OF_A_HOST):
        found[f"library/hosts/host-{at}.yaml"] = filled(HOST, at)
        found[f"library/hosts/host-{at}.test.yaml"] = suite("host", at)
    for at in range(rules * 2 // 5 // RULES_OF_A_MODEL):
        found[f"library/models/model-{at}.yaml"] = filled(MODEL, at)
        found[f"library/models/model-{at}.test.yaml"] = suite("model", at)
    for at in range(rules // 10 // 2):
        found[f"organisation/house-{at}.yaml"] = filled(HOUSE, at)
    return found


def filled(text: str, at: int) -> str:
    """A file of this number."""
    return text.replace("SOURCE", SOURCE).replace("NNN", str(at))


def suite(kind: str, at: int) -> str:
    """Ten cases of this number."""
    cases = (
        f"  - name: case number {number}\n    gate: dataset\n"
        f"    given: {{{given}}}\n    expect: {expect}\n    by: [{by}]\n\n"
        for number, (given, expect, by) in enumerate(CASES)
    )
    return (SUITE.replace("KIND", kind) + "".join(cases)).replace("NNN", str(at))


def timed[T](what: Callable[[], T], rounds: int = ROUNDS) -> tuple[float, T]:
    """The least of some rounds in ms of CPU, and the result."""
    times = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        start = time.process_time()
        result = what()
        times.append((time.process_time() - start) * 1000)
        gc.enable()
    return min(times), result


def loaded(texts: dict[str, str]) -> Bundle:
    """The bundle of the texts."""
    return bundle_of(texts, organisation=ORGANISATION)


def measure(count: int) -> str:
    """Load, lint and tests of so many rules."""
    texts = documents(count)
    load, bundle = timed(lambda: loaded(texts))
    test, report = timed(lambda: run_suites(bundle))
    look, found = timed(lambda: lint(bundle, on=ON, untested=report.unhit_rules, idle=report.idle))
    return (
        f"{len(bundle.rules):5} rules, {len(report.results)} cases, {len(texts)} files: "
        f"{load + test + look:.0f} ms = load {load:.0f} + tests {test:.0f} + lint {look:.0f} "
        f"({len(found)} findings)"
    )


def main() -> None:
    """Print the figures at 500 and at 5,000 rules, and the mutation score's at 500."""
    for count in (500, 5000):
        sys.stdout.write(f"{measure(count)}\n")
    bundle = loaded(documents(500))
    took, mutation = timed(lambda: mutate(bundle), rounds=1)
    sys.stdout.write(f"mutation score of {mutation.total} changes at 500 rules: {took:.0f} ms\n")


if __name__ == "__main__":
    main()
