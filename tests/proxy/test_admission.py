"""The dataset gate decides on all that contributed: the strictest verdict, and all duties."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete

from policies.decision import Moment
from policies.engine import decide
from policies.model import Gate
from proxy.admission import judge_all
from proxy.cli.openledger import notary_of, open_ledger
from proxy.clock import new_id, parse_time, utc_now
from proxy.dataset import Chosen, choose, seal_dataset
from proxy.enforce import facts_at_response, facts_of_leaf
from proxy.exchange import Outcome
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.bundle import read_bundle
from proxy.ledger.entry import ExchangeEntry
from proxy.ledger.verify import verify
from proxy.registry import registry_of
from proxy.store.queries import candidates
from proxy.store.tables import SaltRow
from tests.proxy.workshop import NOW, Asked, Said, Workshop

CUT = Asked(said=(Said(text="It is gr", finish="length"),))
OPENAI = Asked(host="api.openai.com", model="gpt-5.1", student="rival", project="rival")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace on the day of the tests."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop.at(tmp_path / "work")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Asked):
    """One turn at a teacher that keeps what went before."""

    path: str = "/v1/responses"
    id: str
    before: str | None = None
    content: Sequence[Mapping[str, str]] = ({"type": "input_text", "text": "Go on."},)

    def request(self) -> bytes:
        """The body the client sends."""
        given = [{"role": "user", "content": list(self.content)}]
        asked = {"model": self.model, "input": given, "previous_response_id": self.before}
        return json.dumps(asked).encode()

    def answer(self) -> bytes:
        """The body the teacher answers with."""
        said = {"type": "output_text", "text": "Green.", "annotations": []}
        message = {"type": "message", "id": "m", "role": "assistant", "content": [said]}
        given = {"id": self.id, "object": "response", "status": "completed", "model": self.model}
        return json.dumps({**given, "output": [message]}).encode()


def child(*parents: str, of: Asked | None = None, source: str = "") -> Asked:
    """A call that says what it was made from."""
    headers = tuple(("X-Inbond-Parent", parent) for parent in parents)
    headers += (("x-inbond-source", source),) if source else ()
    return replace(of or Asked(), headers=headers)


def chosen(here: Workshop, student: str = "gardener") -> Chosen:
    """What a build chooses now."""
    with open_ledger(here.settings) as ledger:
        bundle = workspace_bundle(here.settings, ledger.database)
        put_in_force(ledger.log, bundle, "user:1")
        return choose(
            ledger.database,
            bundle,
            registry_of(here.settings),
            bundle.students[student],
            project=None,
            at=utc_now(),
        )


def reasons(here: Workshop, student: str = "gardener") -> dict[str, str]:
    """Why each exchange is left out, by its id."""
    return {line.exchange: line.reason for line in chosen(here, student).manifest}


def erase(here: Workshop, exchange: str) -> None:
    """Destroy the salt of an answer."""
    (entry,) = (e for e in here.entries() if isinstance(e, ExchangeEntry) and e.id == exchange)
    assert entry.answer is not None
    with open_ledger(here.settings) as ledger, ledger.database.write() as connection:
        connection.execute(delete(SaltRow).where(SaltRow.seal == entry.answer.seal))


def test_a_child_names_all_that_contributed_and_verifies(here: Workshop) -> None:
    """Rows and manifest name parents and grandparents, and the bundle holds them all."""
    (one,) = here.ask(Asked(project="elsewhere"))
    (two,) = here.ask(child(one))
    (three,) = here.ask(child(two))
    with open_ledger(here.settings) as ledger:
        bundle = workspace_bundle(here.settings, ledger.database)
        put_in_force(ledger.log, bundle, "user:1")
        found = choose(
            ledger.database,
            bundle,
            registry_of(here.settings),
            bundle.students["gardener"],
            project="garden",
            at=utc_now(),
        )
        folder = here.settings.datasets_directory
        made = seal_dataset(found, notary_of(ledger), folder, actor="user:1", recipient="t")
    report = verify(made.path, here.key)
    assert (report.exit_code, report.findings) == (0, [])
    with read_bundle(made.path) as opened:
        rows = {row.exchange: row.contributors for row in opened.examples()}
    assert rows == {two: (one,), three: tuple(sorted((one, two)))}
    assert {line.exchange: line.contributors for line in found.manifest} == rows


def test_whatever_keeps_a_parent_out_keeps_the_child_out(here: Workshop) -> None:
    """Held back, cut off, under no licence or erased: the child says that its parent was."""
    held, cut, gone = here.ask(CUT, Asked(outcome=Outcome.CUT), Asked())
    kids = here.ask(child(held), child(cut), child(gone), child(held, gone))
    (grandchild,) = here.ask(child(kids[0]))
    erase(here, gone)
    found = reasons(here)
    assert [found[kid] for kid in kids] == [
        "contributor-not-admitted",
        "contributor-unknown",
        "contributor-unknown",
        "contributor-unknown",
    ]
    assert found[grandchild] == "contributor-not-admitted"


def test_a_parent_that_goes_on_from_a_known_answer_is_known_as_far_as_it_was_sent(
    here: Workshop,
) -> None:
    """What went before is in the ledger; a file that the teacher holds is not."""
    seen = ({"type": "input_file", "file_id": "file-1"},)
    _, on, with_file = here.ask(
        Turn(id="resp_1"),
        Turn(id="resp_2", before="resp_1"),
        Turn(id="resp_3", before="resp_1", content=seen),
    )
    good, bad = here.ask(child(on), child(with_file))
    found = reasons(here)
    assert (found[good], found[bad]) == ("", "contributor-unknown")


def test_a_parent_that_was_never_answered_is_unknown(here: Workshop) -> None:
    """An exchange refused at the request gate taught nothing, and nobody can tell what it would."""
    (refused,) = here.ask(Asked(headers=(("x-inbond-parent", new_id()),)))
    (kid,) = here.ask(child(refused))
    assert reasons(here)[kid] == "contributor-unknown"


def test_a_provider_forbids_through_a_clean_child(here: Workshop) -> None:
    """A student that may not learn from a provider may not learn from what was made of its answers."""
    here.approve(here.declare("rival", competes="[]"))
    (parent,) = here.ask(OPENAI)
    (kid,) = here.ask(child(parent))
    assert reasons(here, "rival")[kid] == ""
    here.approve(here.declare("later", competes="[OpenAI]"))
    lines = {line.exchange: line for line in chosen(here, "later").manifest}
    assert lines[kid].reason == "contributor-excluded"
    assert lines[kid].verdict == "forbid"
    assert any(rule.startswith("openai-api/") for rule in lines[kid].by)


def test_clearing_a_child_does_not_clear_its_parent(here: Workshop) -> None:
    """A person's word on one exchange lifts nothing that keeps another out."""
    (parent,) = here.ask(CUT)
    (kid,) = here.ask(child(parent, of=CUT))
    here.record("review", "clear", kid, "--reason", "the end is not needed")
    assert reasons(here)[kid] == "contributor-not-admitted"
    here.record("review", "clear", parent, "--reason", "nor is it here")
    assert reasons(here)[kid] == ""
    assert len(chosen(here).rows) == 2


def test_a_source_permits_then_and_now(here: Workshop) -> None:
    """Its duties come with the row; once withdrawn, what was asked with it stays out."""
    words = ("--licence", "CC-BY-4.0", "--reason", "published")
    here.record("source", "add", "docs", "--may-train", "--duty", "attribution=Docs", *words)
    here.record("source", "add", "mail", "--may-not-train", *words)
    one, two = here.ask(child(source="docs"), child(source="mail"))
    (three,) = here.ask(child(one))
    found = chosen(here)
    assert {line.exchange: line.reason for line in found.manifest} == {
        one: "",
        two: "source-excluded",
        three: "",
    }
    assert all("attribution: Docs" in row.duties for row in found.rows)
    here.record("source", "withdraw", "docs", "--reason", "its author objected")
    assert set(reasons(here).values()) == {"source-excluded"}


def test_duties_and_terms_of_parents_come_along(here: Workshop) -> None:
    """A row rests on the terms of all that contributed, and names their rules."""
    here.approve(here.declare("rival", competes="[]"))
    (parent,) = here.ask(OPENAI)
    (kid,) = here.ask(child(parent))
    rows = {row.exchange: row for row in chosen(here, "rival").rows}
    assert set(rows[parent].terms) <= set(rows[kid].terms)
    assert set(rows[parent].by) <= set(rows[kid].by)
    assert any(clause.startswith("openai-api/") for clause in rows[kid].clauses)


def test_many_are_judged_as_each_alone(here: Workshop) -> None:
    """One pass over all candidates gives the decisions that one at a time give."""
    here.approve(here.declare("rival", competes="[]"))
    here.ask(Asked(), CUT, OPENAI, replace(CUT, project="rival", student="rival"))
    with open_ledger(here.settings) as ledger, ledger.database.read() as connection:
        bundle = workspace_bundle(here.settings, ledger.database)
        student, at = bundle.students["gardener"], utc_now()
        found = list(judge_all(bundle, candidates(connection), student, at))
    assert [each.reason for each in found] == ["", "not-admitted", "held-back", "not-admitted"]
    for each in found:
        call, exchange = each.candidate.call.entry, each.candidate.exchange.entry
        facts = facts_at_response(facts_of_leaf(call.facts), facts_of_leaf(exchange.facts))
        kept = {name: fact for name, fact in facts.items() if not name.startswith("student.")}
        then = Moment(at=parse_time(call.at), facts=facts)
        now = Moment(at=at, facts=kept | dict(student.facts))
        assert each.decision == decide(bundle, Gate.DATASET, then, now)
