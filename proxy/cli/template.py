"""The files a fresh workspace begins with, as text."""

import json
from datetime import date

__all__ = ["gitignore", "house_rules", "house_rules_test", "readme", "settings_file"]


def settings_file(*, organisation: str, origin: str) -> str:
    """`inbond.yaml`: what must be said, and the rest as comments with its defaults."""
    return f"""\
# Settings of inbond. Every key may also come from the environment: INBOND_WORKERS=4,
# INBOND_UPSTREAM__CA=ca.pem, INBOND_CUSTODY='{{openai-api: {{account: main, env: OPENAI_API_KEY}}}}'.
inbond: 1
organisation: {json.dumps(organisation, ensure_ascii=False)}
# The ledger's name. It stands in every checkpoint and in the ledger's key: never change it.
origin: {json.dumps(origin, ensure_ascii=False)}

# listen: 127.0.0.1:8484
# console: 127.0.0.1:8485
# workers: 1
# database: sqlite:///inbond.db
# unlisted: inspect           # hosts nobody registered: inspect (model calls are refused, the rest
#                             # passes and is counted), tunnel (unopened, counted) or refuse
# unlisted_hosts:
#   tunnel: []                # unopened under inspect: clients that trust one certificate alone
#   private: []               # may be reached although they are of this machine or network
# upstream:
#   ca: null                  # a PEM file of certificates trusted for teachers beside the public roots
#   timeout_s: 600
#   proxy: null               # http://HOST:PORT of the proxy that leads out of your network
# limits:
#   request_bytes: 33554432
#   unannounced_bytes: 4194304   # for bodies that come without a length
#   answer_bytes: 67108864
#   queue: 4096
# delivery: stream            # when clients get answers: as they come, or held (buffer) until decided on
# deliveries: {{}}              # the same for some teachers, as in {{openai-api: buffer}}
# detectors:                  # what looks into requests and answers; without one their facts are unknown
#   secrets: null             # detect-secrets, of the extra `detectors`
#   pii: null                 # presidio, of the same
#   timeout_s: 1
# drain_s: 30
# keep_wire: false
# retention:
#   classes: []               # what is erased each day: {{name: old, keep_days: 365, verdicts: [forbid, none]}}
#   backup_days: null         # how long the last backup of the database is kept
# checkpoint_every_s: 600
# anchors:                    # who else is told of checkpoints: see docs/guides/anchor-the-log.md
#   files: []                 # folders, best of another machine
#   timestamps: []            # RFC 3161: {{url: https://tsa.example.org/, ca: tsa.pem}}
#   witnesses: []             # C2SP: {{url: https://witness.example.org/, key: name+id+key}}
# witness:                    # whose logs `inbond witness serve` cosigns
#   logs: []
# signer:                     # a program that signs in place of `keys/log.key`, as with a KMS
#   command: []
#   key: null

# Where providers' real keys are, by route. Without an entry clients send their own key, and their
# client key of inbond in `x-inbond-key` or as credentials of the proxy.
# custody:
#   openai-api:
#     account: main
#     env: OPENAI_API_KEY

# What you declare of yourselves and of your accounts, where a rule asks for it: it must be true.
# org:
#   country: DE
#   revenue_usd: 5_000_000
# accounts:
#   main:
#     tier: enterprise

# Contracts with many hosts: yours, for clients in base-URL mode.
# endpoints:
#   azure-openai: mine.openai.azure.com

# Teachers you run yourselves.
# teachers:
#   - id: house-teacher
#     host: teacher.example.internal
#     prefix: house-teacher
#     connect: 10.0.0.7:8000
#     ...
"""


def house_rules(*, organisation: str, today: date) -> str:
    """`policies/organisation/house-rules.yaml`: one rule in force, others to switch on."""
    name = json.dumps(organisation, ensure_ascii=False)
    return f"""\
# What {organisation} asks beyond providers' terms and licences. These rules only restrict.
inbond: 1
policy: house-rules
layer: organisation
party: {name}
owner: {name}
reviewed: {today.isoformat()}

# What the rules on volume below count, over all keys and accounts: a limit per key or account sees
# nothing of many thin ones. Each counter costs a little on every call, so they are off with the rules.
#counters:
#  organisation-month: {{count: requests, per: [route], within: 30d}}
#  project-month: {{count: tokens_out, per: [project, route], within: 30d}}
#  student-month: {{count: distinct_prompts, per: [student.name, route], within: 30d}}

rules:
  - id: images-unseen
    review: training
    when: {{request.images: true}}
    because: An answer about an image teaches a text student nothing it can see.
    fix: A reviewer clears the example, or drops it.

# Switch on what fits: take the `#` away, here and in its test cases, and run `inbond policy check`.
# With `mode: shadow` a rule is matched and recorded first, and stops nothing.
#
#  - id: substituted-model
#    forbid: training
#    when: {{model.substituted: true}}
#    because: The model that answered is not the one asked for, so its licence was not the one checked.
#
#  - id: third-party-text
#    review: training
#    when:
#      any:
#        - response.third_party: true
#        - response.verbatim: true
#    because: Cited or verbatim third-party text carries someone else's rights.
#    fix: A reviewer clears the example, or drops it.
#
# What providers watch for in those who copy a model: volume, and breadth. Each limit asks a person
# before a provider does. They need `counters` above, and the last a `name` in each student's file.
#
#  - id: volume-of-the-organisation
#    review: request
#    when: {{counter.organisation-month: {{above: 100_000}}}}
#    because: Published cases of extraction began at about 150,000 exchanges with one teacher, over many accounts.
#    fix: Ask the owner of these rules for a grant with a reason and an end.
#
#  - id: volume-of-a-project
#    review: request
#    when: {{counter.project-month: {{above: 20_000_000}}}}
#    because: A project that draws this much text from one teacher needs somebody who answers for it.
#    fix: Ask the owner of these rules for a grant with a reason and an end.
#
#  - id: breadth-of-a-student
#    review: request
#    when:
#      counter.student-month: {{above: 50_000}}
#      student.purpose: [distil-narrow, distil-general]
#    because: This many different prompts draw on all that a teacher can do, not on one task.
#    fix: Ask the owner of these rules for a grant with a reason and an end.
#
# These need a detector: without one the facts are unknown, and what they test waits for a person.
#
#  - id: personal-data-stays
#    forbid: request
#    when: {{request.pii: true}}
#    because: Personal data does not leave the house.
#
#  - id: no-personal-data-in-training
#    review: training
#    when: {{response.pii: true}}
#    because: A person decides whether an answer about a person may be learned from.
"""


def house_rules_test(*, today: date) -> str:
    """`policies/tests/house-rules.test.yaml`: what the house rules must decide."""
    return f"""\
# Tests of the house rules: `inbond policy check` runs them. Each rule you switch on wants a case.
inbond: 1
test: house-rules
given:
  route: openai-api
  model.id: gpt-5.1
  model.substituted: false
  project: any
  student.purpose: eval
  student.task: generate
  student.competes_with: []
  student.release: internal
  student.host: in-house
  request.images: false
  request.pii: false
  response.pii: false
  response.third_party: false
  response.verbatim: false
  at: {{exchange: {today.isoformat()}, today: {today.isoformat()}}}
cases:
  - name: an answer about an image waits for a person
    gate: response
    given: {{request.images: true}}
    expect: review
    by: [house-rules/images-unseen]

  - name: an answer about text does not
    gate: response
    expect: permit

# Cases of the rules that are off: take the `#` away with theirs.
#
#  - name: an answer of another model teaches nothing
#    gate: response
#    given: {{model.substituted: true}}
#    expect: forbid
#    by: [house-rules/substituted-model]
#
#  - name: an answer from other people's text waits for a person
#    gate: response
#    given: {{response.third_party: true}}
#    expect: review
#    by: [house-rules/third-party-text]
#
#  - name: an answer that quotes waits for a person
#    gate: response
#    given: {{response.verbatim: true}}
#    expect: review
#    by: [house-rules/third-party-text]
#
#  - name: the organisation may ask one teacher this often
#    gate: request
#    given: {{route: a-teacher, counter.organisation-month: 100_000, counter.project-month: 0, counter.student-month: 0}}
#    expect: permit
#
#  - name: the organisation may not ask it more often
#    gate: request
#    given: {{route: a-teacher, counter.organisation-month: 100_001, counter.project-month: 0, counter.student-month: 0}}
#    expect: review
#    by: [house-rules/volume-of-the-organisation]
#
#  - name: a project may draw this much from one teacher
#    gate: request
#    given: {{route: a-teacher, counter.organisation-month: 0, counter.project-month: 20_000_000, counter.student-month: 0}}
#    expect: permit
#
#  - name: a project may not draw more
#    gate: request
#    given: {{route: a-teacher, counter.organisation-month: 0, counter.project-month: 20_000_001, counter.student-month: 0}}
#    expect: review
#    by: [house-rules/volume-of-a-project]
#
#  - name: a student that learns a task may be given this many prompts
#    gate: request
#    given: {{route: a-teacher, student.purpose: distil-narrow, counter.organisation-month: 0, counter.project-month: 0, counter.student-month: 50_000}}
#    expect: permit
#
#  - name: a student that learns a task may not be given more
#    gate: request
#    given: {{route: a-teacher, student.purpose: distil-narrow, counter.organisation-month: 0, counter.project-month: 0, counter.student-month: 50_001}}
#    expect: review
#    by: [house-rules/breadth-of-a-student]
#
#  - name: nor may one that learns everything
#    gate: request
#    given: {{route: a-teacher, student.purpose: distil-general, counter.organisation-month: 0, counter.project-month: 0, counter.student-month: 50_001}}
#    expect: review
#    by: [house-rules/breadth-of-a-student]
#
#  - name: prompts of an evaluation are not limited
#    gate: request
#    given: {{route: a-teacher, counter.organisation-month: 0, counter.project-month: 0, counter.student-month: 50_001}}
#    expect: permit
#
#  - name: personal data does not leave
#    gate: request
#    given: {{route: a-teacher, request.pii: true, counter.organisation-month: 0, counter.project-month: 0, counter.student-month: 0}}
#    expect: forbid
#    by: [house-rules/personal-data-stays]
#
#  - name: an answer about a person waits for a person
#    gate: response
#    given: {{response.pii: true}}
#    expect: review
#    by: [house-rules/no-personal-data-in-training]
"""


def readme(*, organisation: str, log_key: str) -> str:
    """`README.md`: what lies where, and what to do first."""
    return f"""\
# The inbond workspace of {organisation}

| here | is |
|---|---|
| `inbond.yaml` | settings |
| `policies/organisation/` | your own rules |
| `policies/grants/` | exceptions that a provider or licensor gave you |
| `policies/students/` | what each student is for: declare one before its first call |
| `policies/tests/` | tests of your rules, run by `inbond policy check` |
| `keys/` | the keys of ledger and exports, the interception CA: back them up, show them to nobody |
| `inbond.db` | the ledger |
| `datasets/`, `students/` | what was sealed, and what was trained |

The ledger's public key, for everyone who checks your datasets and audits:

    {log_key}

First steps: declare a student, `inbond key create --project PROJECT --student STUDENT`, `inbond up`,
then `INBOND_KEY=ib_… inbond run --via proxy -- python your_script.py`.
"""


def gitignore() -> str:
    """`.gitignore`: what must never be committed, and what is too large."""
    return "keys/\nrun/\ndatasets/\nstudents/\ninbond.db*\n*.lock\n"
