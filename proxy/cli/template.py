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
# unlisted: tunnel            # hosts nobody registered: tunnel (unopened, counted) or refuse
# upstream:
#   ca: null                  # a PEM file of certificates trusted for teachers beside the public roots
#   timeout_s: 600
# limits:
#   request_bytes: 33554432
#   answer_bytes: 67108864
#   queue: 4096
# drain_s: 30
# keep_wire: false
# checkpoint_every_s: 600

# Where providers' real keys are, by route. Without an entry clients send their own key, and their
# client key of inbond in `x-inbond-key` or as credentials of the proxy.
# custody:
#   openai-api:
#     account: main
#     env: OPENAI_API_KEY

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

rules:
  - id: images-unseen
    review: training
    when: {{request.images: true}}
    because: An answer about an image teaches a text student nothing it can see.
    fix: A reviewer clears the example, or drops it.

# Switch on what fits: take the `#` away and run `inbond policy check`.
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
  at: {{exchange: {today.isoformat()}, today: {today.isoformat()}}}
cases:
  - name: an answer about an image waits for a person
    gate: response
    given: {{request.images: true}}
    expect: review
    by: [house-rules/images-unseen]

  - name: an answer about text does not
    gate: response
    given: {{request.images: false}}
    expect: permit
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
