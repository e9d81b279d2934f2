"""What a student may learn today: who admitted it, what stays out and why, and until when."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete

from proxy.cli.openledger import Ledger, notary_of, open_ledger
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.dataset import Chosen, Sealed, choose, seal_dataset
from proxy.errors import DatasetError, LedgerError
from proxy.exchange import Outcome
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.bundle import read_bundle
from proxy.ledger.entry import DatasetEntry, DecisionEntry, ExchangeEntry, JudgementEntry
from proxy.ledger.verify import verify
from proxy.registry import registry_of
from proxy.store.log import Pending
from proxy.store.tables import SaltRow
from tests.proxy.workshop import NOW, Asked, Said, Workshop, entries_of

CUT = Asked(said=(Said(text="It is gr", finish="length"),))
OPENAI = Asked(host="api.openai.com", model="gpt-5.1", student="rival", project="rival")
GRANT = """\
inbond: 1
grant: letter
party: OpenAI
lifts: [openai-api/no-competing-models, openai-api/unclear-whether-competing]
permits: [training]
scope: {project: rival}
in_force: {from: 2026-03-01, until: 2026-12-01}
document: {title: Letter of permission}
owner: legal@example.org
because: OpenAI permits one student of ours.
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace on the day of the tests."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop.at(tmp_path / "work")


def chosen(here: Workshop, ledger: Ledger, student: str = "gardener", **more: str) -> Chosen:
    """What a build chooses now, with the policies of the workspace in force."""
    bundle = workspace_bundle(here.settings, ledger.database)
    put_in_force(ledger.log, bundle, "user:1")
    return choose(
        ledger.database,
        bundle,
        registry_of(here.settings),
        bundle.students[student],
        project=more.get("project"),
        at=utc_now(),
    )


def sealed(here: Workshop, ledger: Ledger, of: Chosen) -> Sealed:
    """The dataset of what was chosen."""
    folder = here.settings.datasets_directory
    return seal_dataset(of, notary_of(ledger), folder, actor="user:1", recipient="trainer")


def build(here: Workshop, student: str = "gardener") -> Sealed:
    """Choose and seal."""
    with open_ledger(here.settings) as ledger:
        return sealed(here, ledger, chosen(here, ledger, student))


def reasons(here: Workshop, student: str = "gardener") -> list[str]:
    """Why each exchange considered is left out, in the order of the log."""
    with open_ledger(here.settings) as ledger:
        return [line.reason for line in chosen(here, ledger, student).manifest]


def say(here: Workshop, exchange: str, action: str) -> None:
    """Put a person's later word on record."""
    with open_ledger(here.settings) as ledger:
        ledger.log.append([word(exchange, action)])


def word(exchange: str, action: str) -> Pending:
    """A person's later word on an answer."""
    entry = DecisionEntry.model_validate(
        {
            "id": new_id(),
            "at": stamp(utc_now()),
            "actor": "user:2",
            "action": action,
            "exchange": exchange,
            "gate": "response",
            "clears": ["house-rules/cut-short"] if action == "clear" else [],
            "reason": "looked at it",
            "nonce": new_nonce(),
        }
    )
    return Pending(entry)


def test_each_usable_choice_is_a_row(here: Workshop) -> None:
    """Of three choices the refusal is left out, and the others keep their index and their text."""
    here.ask(Asked(said=(Said(text="a"), Said(text=None, refusal="no"), Said(text="c"))))
    made = build(here)
    assert verify(made.path, here.key).exit_code == 0
    with read_bundle(made.path) as bundle:
        rows = bundle.examples()
    assert [(row.choice, json.loads(row.completion)["text"]) for row in rows] == [
        (0, "a"),
        (2, "c"),
    ]
    assert {row.example for row in rows} == {f"{rows[0].exchange}#0", f"{rows[0].exchange}#2"}


def test_rows_carry_what_they_rest_on(here: Workshop) -> None:
    """Licence, provider, clauses, terms and the policy bundle stand in each row."""
    here.ask(Asked())
    made = build(here)
    with read_bundle(made.path) as bundle:
        (row,) = bundle.examples()
    assert (row.provider, row.licence, row.model) == (
        "self-hosted",
        "Apache-2.0",
        "smollm2-135m-instruct",
    )
    assert any(clause.startswith("smollm2/outputs-unrestricted ") for clause in row.clauses)
    assert len(row.terms) == 3
    entry = next(e for e in here.entries() if isinstance(e, DatasetEntry))
    assert (entry.terms, entry.decision_bundle) == (sorted(row.terms), row.bundle)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (CUT, "not-admitted"),
        (Asked(said=(Said(text=None, refusal="no"),)), "refusal"),
        (Asked(said=(Said(text="…", finish="content_filter"),)), "not-models-own"),
        (Asked(said=(Said(text=""),)), "no-content"),
        (Asked(said=(Said(text=""), Said(text=None, refusal="no"))), "no-usable-choice"),
    ],
)
def test_what_nobody_should_learn_is_counted(here: Workshop, asked: Asked, reason: str) -> None:
    """Held answers, refusals, guardrails' words and nothing at all stay out, with a reason."""
    here.ask(asked)
    assert reasons(here) == [reason]


def test_an_answer_that_was_cut_off_is_not_even_considered(here: Workshop) -> None:
    """Only complete exchanges are considered: the rest can never be in a dataset (P5)."""
    here.ask(*(Asked(outcome=each) for each in Outcome if each is not Outcome.COMPLETE))
    assert all(not e.is_whole for e in here.entries() if isinstance(e, ExchangeEntry))
    assert reasons(here) == []


def test_a_prompt_with_a_picture_stays_out_even_if_cleared(here: Workshop) -> None:
    """A person may clear the rule; a student of text still cannot learn from what it cannot see."""
    (exchange,) = here.ask(Asked(has_picture=True))
    here.record("review", "clear", exchange, "--reason", "harmless")
    assert reasons(here) == ["prompt-not-text"]


def test_a_cleared_answer_is_learned_until_somebody_takes_it_back(here: Workshop) -> None:
    """The last word of a person counts: cleared is in, reversed and rejected are out."""
    (exchange,) = here.ask(CUT)
    found = []
    for action in ("clear", "reverse", "clear", "reject"):
        say(here, exchange, action)
        found += reasons(here)
    assert found == ["", "rejected", "", "rejected"]


def test_a_clearance_proves_itself(here: Workshop) -> None:
    """A dataset with a cleared answer verifies: the clearance goes with it."""
    (exchange,) = here.ask(CUT)
    say(here, exchange, "clear")
    assert verify(build(here).path, here.key).exit_code == 0


def test_an_erased_answer_stays_out(here: Workshop) -> None:
    """Where the salt is gone nothing shows the text, so it is not learned."""
    here.ask(Asked())
    (exchange,) = (e for e in here.entries() if isinstance(e, ExchangeEntry))
    assert exchange.answer is not None
    with open_ledger(here.settings) as ledger, ledger.database.write() as connection:
        connection.execute(delete(SaltRow).where(SaltRow.seal == exchange.answer.seal))
    assert reasons(here) == ["erased"]


def test_a_teacher_that_the_registry_lost_teaches_nothing(here: Workshop) -> None:
    """Whose licence nobody can tell any more is left out: unknown is never permitted."""
    here.ask(Asked())
    settings = here.directory / "inbond.yaml"
    settings.write_text(settings.read_text().partition("\nteachers:")[0] + "\n")
    assert reasons(here) == ["teacher-unknown"]


def test_other_projects_are_left_alone(here: Workshop) -> None:
    """With a project, exchanges of others are not considered."""
    here.ask(Asked(project="a"), Asked(project="b"))
    with open_ledger(here.settings) as ledger:
        assert len(chosen(here, ledger, project="b").manifest) == 1


def test_the_students_of_both_clocks_count(here: Workshop) -> None:
    """What was asked for a harmless student is not learned by one that competes today."""
    here.approve(here.declare("rival", competes="[]"))
    here.ask(OPENAI)
    assert reasons(here, "rival") == [""]
    here.approve(here.declare("later", competes="[OpenAI]"))
    assert reasons(here, "later") == ["excluded"]


def test_an_unapproved_declaration_builds_nothing_and_says_how_to_go_on(here: Workshop) -> None:
    """The error names the missing fact and the command that approves it; nothing is on record."""
    path = here.declare("rival", competes="[]", purpose="classifier")
    here.ask(OPENAI)
    before = here.size()
    result = here.inbond("dataset", "build", "--student", "rival")
    assert result.exit_code == 1
    assert "not known: `student.competes_with`" in result.stderr
    assert "`inbond policy approve policies/students/rival.yaml --reason …`" in result.stderr
    assert not list(here.settings.datasets_directory.iterdir())
    assert here.size() == before
    here.approve(path)
    with pytest.raises(DatasetError, match="1 not-admitted"):
        build(here, "rival")  # the answer was held back at the time: a person must clear it
    here.ask(OPENAI)
    assert build(here, "rival").rows == 1


def test_an_undeclared_judgement_is_asked_for(here: Workshop) -> None:
    """A student that says nothing about competing is told to declare it."""
    here.declare("rival", purpose="classifier")
    here.ask(OPENAI)
    with pytest.raises(DatasetError) as caught:
        build(here, "rival")
    assert caught.value.help.startswith("declare `competes_with` in `policies/students/rival.yaml`")


def test_a_judgement_replaces_no_fact_of_the_wire(here: Workshop) -> None:
    """What a person supplied fills gaps: an answer that the wire says was cut short stays so."""
    (exchange,) = here.ask(CUT)
    entry = JudgementEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:2",
        exchange=exchange,
        facts={"response.finish": "stop"},
        reason="it reads as if it were whole",
        nonce=new_nonce(),
    )
    with open_ledger(here.settings) as ledger:
        ledger.log.append([Pending(entry)])
        (line,) = chosen(here, ledger).manifest
    assert (line.verdict, line.by) == ("review", ("house-rules/cut-short",))


def test_a_grant_lifts_until_it_ends_or_is_revoked(here: Workshop) -> None:
    """Rows name the grant, the dataset ends with it, and a revoked grant lifts nothing."""
    letter = here.directory / "policies/grants/letter.yaml"
    letter.write_text(GRANT)
    here.approve(here.declare("rival", competes="[OpenAI]", purpose="classifier"))
    here.approve(letter)
    here.ask(OPENAI)
    made = build(here, "rival")
    with read_bundle(made.path) as bundle:
        (row,) = bundle.examples()
    assert len(row.grants) == 1
    assert made.valid_until == "2026-12-01T00:00:00.000Z"
    assert verify(made.path, here.key).exit_code == 0
    here.record("policy", "revoke", letter, "--reason", "OpenAI withdrew it")
    assert reasons(here, "rival") != [""]


def test_a_dataset_ends_with_its_terms_review(here: Workshop) -> None:
    """A dataset is valid for 30 days, or until a source that it cites must be read again."""
    here.ask(Asked())
    assert build(here).valid_until[:10] == (NOW + timedelta(days=30)).date().isoformat()
    with time_machine.travel(datetime(2027, 2, 10, tzinfo=UTC), tick=True):
        assert build(here).valid_until == "2027-02-22T00:00:00.000Z"


def test_nothing_to_learn_leaves_nothing_behind(here: Workshop) -> None:
    """An empty dataset is an error with the counts, and neither entry nor folder."""
    here.ask(CUT, Asked(said=(Said(text=None, refusal="no"),)))
    with open_ledger(here.settings) as ledger:
        nothing = chosen(here, ledger)
        before = ledger.log.size
        with pytest.raises(
            DatasetError, match="of 2 considered, 1 not-admitted, 1 refusal"
        ) as caught:
            sealed(here, ledger, nothing)
        assert ledger.log.size == before
    assert "inbond review list" in caught.value.help
    assert not list(here.settings.datasets_directory.iterdir())


def test_what_is_said_during_a_build_makes_it_void(here: Workshop) -> None:
    """A rejection between choosing and sealing is not passed over: nothing is put on record."""
    (exchange,) = here.ask(Asked())
    with open_ledger(here.settings) as ledger:
        ready = chosen(here, ledger)
        ledger.log.append([word(exchange, "reject")])
        with pytest.raises(LedgerError, match="somebody put a `decision` on record") as caught:
            sealed(here, ledger, ready)
        assert caught.value.code == "moved"
        assert not any(isinstance(entry, DatasetEntry) for entry in entries_of(ledger))


def test_what_must_be_masked_and_was_stored_as_it_came_stays_out(here: Workshop) -> None:
    """A duty to redact that came after the answer: no stored copy is altered later."""
    here.ask(Asked())
    assert reasons(here) == [""]
    rules = here.directory / "policies/organisation/house-rules.yaml"
    rule = """
  - id: learned-masked
    permit: training
    because: A student learns no personal data.
    duties: {redact: [pii]}
"""
    head, mark, tail = rules.read_text().partition("\n# Switch on")
    rules.write_text(f"{head}{rule}{mark}{tail}")
    assert reasons(here) == ["not-redacted"]
