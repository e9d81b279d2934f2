"""`inbond review`: what waits, and what a person may say about it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine

from proxy.ledger.entry import DecisionEntry, JudgementEntry
from tests.proxy.workshop import NOW, Asked, Said, Workshop

PII = """
  - id: no-personal-data
    review: training
    when: {response.pii: true}
    because: A person decides whether an answer about a person may be learned from.
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A fresh workspace on the day of the tests."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop.at(tmp_path / "work")


def held(here: Workshop) -> str:
    """An exchange that is held back because it was cut short."""
    return here.ask(Asked(said=(Said(finish="length"),)))[0]


def waiting(here: Workshop) -> list[dict[str, object]]:
    """What the list shows."""
    return [json.loads(x) for x in here.inbond("review", "list", "--json").stdout.splitlines()]


def test_what_waits_is_listed_with_its_rule(here: Workshop) -> None:
    """Exchange, gate, project, model and rule of each held exchange, in pages."""
    first, second = held(here), held(here)
    rows = waiting(here)
    assert [row["exchange"] for row in rows] == [first, second]
    assert (rows[0]["gate"], rows[0]["rules"]) == ("response", ["house-rules/cut-short"])
    page = here.inbond("review", "list", "--json", "--limit", 1, "--after", rows[0]["seq"])
    assert json.loads(page.stdout)["exchange"] == second


def test_nothing_waits(here: Workshop) -> None:
    """An empty queue is said on stderr."""
    result = here.inbond("review", "list")
    assert (result.exit_code, result.stdout, "nothing waits" in result.stderr) == (0, "", True)


def test_what_holds_an_exchange_is_shown(here: Workshop) -> None:
    """Rule, reason, clause and all that is known, with what a clearance would come to."""
    exchange = held(here)
    found: dict[str, Any] = dict(here.record("review", "show", exchange))
    assert (found["gate"], found["verdict"], found["cleared"]) == ("response", "review", "permit")
    (rule,) = found["rules"]
    assert (rule["rule"], rule["liftable"]) == ("house-rules/cut-short", True)
    assert (
        rule["because"]
        == "An answer that stops in the middle teaches a student to stop in the middle."
    )
    assert (found["missing"], found["facts"]["response.finish"]) == ([], "length")
    people = here.inbond("review", "show", exchange).stdout
    assert all(word in people for word in ("house-rules/cut-short", "response.finish", "permit"))
    assert here.inbond("review", "show", "nobody").exit_code == 1


def test_a_missing_fact_is_shown_with_who_supplies_it(here: Workshop) -> None:
    """Whoever looks sees that he may say it himself."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    head, mark, tail = rules.read_text().partition("\n# Switch on")
    rules.write_text(f"{head}{PII}{mark}{tail}")
    (exchange,) = here.ask(Asked())
    assert here.record("review", "show", exchange)["missing"] == [
        {
            "fact": "response.pii",
            "supplied_by": "a detector, or a person's judgement",
            "suppliable": True,
        }
    ]


def test_a_clearance_is_on_record_with_its_reason(here: Workshop) -> None:
    """Who cleared, why, and which rule it lifts; it waits no more."""
    exchange = held(here)
    found = here.record("review", "clear", exchange, "--reason", "short is fine here")
    entry = here.entries()[-1]
    assert found["verdict"] == "permit"
    assert isinstance(entry, DecisionEntry)
    assert (entry.reason, entry.clears) == ("short is fine here", ["house-rules/cut-short"])
    assert entry.actor.startswith("user:")
    assert waiting(here) == []


def test_a_rejection_is_on_record(here: Workshop) -> None:
    """What is rejected waits no more, and cannot be cleared after that."""
    exchange = held(here)
    here.record("review", "reject", exchange, "--reason", "no")
    assert waiting(here) == []
    result = here.inbond("review", "clear", exchange, "--reason", "yes")
    assert (result.exit_code, "error[not-in-review]" in result.stderr) == (1, True)


def test_a_missing_fact_is_supplied(here: Workshop) -> None:
    """A detector's fact that a person supplies is a judgement on record, and lets the answer pass."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    head, mark, tail = rules.read_text().partition("\n# Switch on")
    rules.write_text(f"{head}{PII}{mark}{tail}")
    (exchange,) = here.ask(Asked())
    assert waiting(here)[0]["missing"] == ["response.pii"]
    here.record("review", "clear", exchange, "--reason", "read it", "--fact", "response.pii=false")
    (judged,) = (entry for entry in here.entries() if isinstance(entry, JudgementEntry))
    assert judged.facts == {"response.pii": False}
    assert here.record("dataset", "build", "--student", "gardener")["rows"] == 1


@pytest.mark.parametrize(
    ("fact", "status", "message"),
    [
        ("response.pii", 2, "`response.pii` is not a fact"),
        ("response.pi=true", 2, "did you mean `response.pii`?"),
        ("response.pii=maybe", 2, "`maybe` is not a value of `response.pii`"),
        ("student.purpose=fun", 2, "`fun` is not a value of `student.purpose`"),
        ("response.tokens=many", 2, "`many` is not a value of `response.tokens`"),
        ("response.tokens=7", 1, "`response.tokens` is not a fact that a person may supply"),
        ("model.served=other", 1, "`model.served` is not a fact that a person may supply"),
    ],
)
def test_facts_that_cannot_be_supplied(
    here: Workshop, fact: str, status: int, message: str
) -> None:
    """A misspelt fact or value is wrong use; a fact of the wire is denied; nothing is on record."""
    exchange = held(here)
    before = here.size()
    result = here.inbond("review", "clear", exchange, "--reason", "x", "--fact", fact)
    assert (result.exit_code, message in result.stderr) == (status, True)
    assert here.size() == before


def test_an_unknown_exchange_is_denied(here: Workshop) -> None:
    """What does not wait can be neither cleared nor rejected."""
    held(here)
    for verb in ("clear", "reject"):
        result = here.inbond("review", verb, "nothing", "--reason", "x")
        assert (result.exit_code, "error[not-in-review]" in result.stderr) == (1, True)
