"""`inbond policy explain`: exchanges on record and facts in files, for people and programs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner

from proxy.cli import main
from tests.proxy.workshop import NOW, Asked, Said, Workshop

FACTS = """\
route: openai-api
model.id: gpt-5.1
student.purpose: distil-narrow
student.task: generate
student.release: internal
student.competes_with: [OpenAI]
at: 2026-11-24
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace on the day of the tests."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        made.approve(made.declare("gardener", competes="[]"))
        yield made


def facts(here: Workshop, text: str = FACTS, name: str = "facts.yaml") -> Path:
    """A file of facts."""
    path = here.directory / name
    path.write_text(text)
    return path


def test_an_exchange_is_explained(here: Workshop) -> None:
    """Gate, verdict, rule, value, what would change it, and what today's policies say."""
    (exchange,) = here.ask(Asked(said=(Said(finish="length"),)))
    result = here.inbond("policy", "explain", exchange)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"exchange {exchange}", "response gate: hold back (review)"]
    assert "          response.finish = length: is length" in lines
    assert "    to permit: a reviewer's clearance of `house-rules/cut-short`" in lines
    assert lines[-2:] == [
        "on record: review, as decided here again",
        "today: the policies in force decide the same: review",
    ]


def test_facts_are_explained_with_the_policies_as_they_lie_there(here: Workshop) -> None:
    """The dataset gate is meant where none is named; declarations read as conditions."""
    result = here.inbond("policy", "explain", facts(here))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("dataset gate: exclude (forbid)\n")
    assert "openai-api/no-competing-models" in result.stdout
    assert "student.competes_with = [OpenAI]: has OpenAI" in result.stdout
    assert "if it were true that `student.competes_with` lacks `OpenAI`" in result.stdout
    asked = here.inbond("policy", "explain", facts(here), "--gate", "request")
    assert asked.stdout.startswith("request gate: refuse (forbid)\n")


def test_facts_come_from_standard_input_and_from_json(here: Workshop) -> None:
    """`-` reads what is piped in; JSON reads as YAML does."""
    text = json.dumps({"route": "openai-api", "at": {"exchange": "2026-07-01"}})
    words = ["-C", str(here.directory), "policy", "explain", "-", "--json"]
    result = CliRunner().invoke(main, words, input=text)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["facts"] == {"route": "openai-api"}
    assert found["exchange_at"] == "2026-07-01T00:00:00.000Z"
    assert found["today_at"].startswith("2026-11-24T12:00")


def test_programs_get_one_object(here: Workshop) -> None:
    """All parts of an explanation, the ledger's word and today's beside them."""
    (exchange,) = here.ask(Asked(said=(Said(finish="length"),)))
    found = here.record("policy", "explain", exchange)
    assert (found["exchange"], found["verdict"], found["recorded"]) == (
        exchange,
        "review",
        "review",
    )
    assert found["is_as_recorded"] is True
    assert isinstance(found["today"], dict)
    assert found["today"]["is_same"] is True
    dataset = here.record("policy", "explain", exchange, "--gate", "dataset")
    assert (dataset["gate"], dataset["recorded"]) == ("dataset", None)


def test_counters_may_be_given(here: Workshop) -> None:
    """A counter that a policy of the workspace declares is a fact; another is none."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    head, mark, tail = rules.read_text().partition("rules:\n")
    counters = "counters:\n  calls-a-day: {count: requests, per: [project], within: 24h}\n"
    if "calls-a-day" not in head:
        rules.write_text(f"{head}{counters}{mark}{tail}")
    asked = facts(here, "counter.calls-a-day: 7\nroute: openai-api\n")
    assert here.inbond("policy", "explain", asked).exit_code == 0
    other = facts(here, "counter.calls-a-year: 7\n")
    result = here.inbond("policy", "explain", other)
    assert (result.exit_code, "error[unknown-fact]" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("route: openai-api\nstudent.purpse: eval\n", "error[unknown-fact]", "facts.yaml:2:1"),
        ("student.purpose: fun\n", "error[bad-value]", "facts.yaml:1:18"),
        ("at: soon\n", "error[bad-value]", "facts.yaml:1:5"),
        ("route: [\n", "error[", "facts.yaml:2:1"),
    ],
)
def test_a_bad_fact_is_shown_at_its_place(
    here: Workshop, text: str, message: str, place: str
) -> None:
    """Each fault has code and position, and no traceback."""
    result = here.inbond("policy", "explain", facts(here, text))
    assert (result.exit_code, message in result.stderr) == (1, True)
    assert place in result.stderr


@pytest.mark.parametrize(
    ("subject", "status", "message"),
    [
        ("01a20d6d-5d40-7f48-8189-321c24ba395e", 1, "error[unknown-exchange]"),
        ("nothing", 2, "is neither the id of an exchange nor a file"),
        (".", 2, "error[unreadable]"),
    ],
)
def test_what_is_not_there_is_said(here: Workshop, subject: str, status: int, message: str) -> None:
    """An unknown id is denied; a name that is no file, and a folder, are wrong use."""
    result = here.inbond("policy", "explain", subject)
    assert (result.exit_code, message in result.stderr) == (status, True)


def test_a_gate_that_was_not_reached_is_said(here: Workshop) -> None:
    """A refused call has no answer to be judged."""
    (exchange,) = here.ask(Asked(host="api.openai.com", model="gpt-5.1", has_picture=True))
    reached = here.record("policy", "explain", exchange)["gate"]
    result = here.inbond("policy", "explain", exchange, "--gate", "release")
    assert reached in {"request", "response"}
    assert (result.exit_code, "error[not-judged]" in result.stderr) == (1, True)
