"""A recall withdraws what today's policies refuse, and names everybody it concerns."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from proxy.cli.openledger import Ledger, open_ledger
from proxy.clock import utc_now
from proxy.errors import LedgerError
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.entry import DecisionEntry, StatusEntry
from proxy.ledger.status import Affected
from proxy.recall import Found, Ground, Recall
from tests.proxy.workshop import NOW, Asked, Said, Workshop

GRANT = """\
inbond: 1
grant: letter
party: OpenAI
lifts: [openai-api/no-competing-models, openai-api/unclear-whether-competing]
permits: [training]
scope: {project: rival}
in_force: {from: 2026-03-01, until: 2027-12-01}
document: {title: Letter of permission}
owner: legal@example.org
because: OpenAI permits one student of ours.
"""
NO_BLUE = """
  - id: nobody-learns
    forbid: training
    when: {project: garden}
    because: The garden teaches nobody any more.
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with a dataset of the garden, and one that rests on OpenAI's letter."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("prepared") / "work")
        made.approve(made.declare("rival", competes="[OpenAI]"))
        letter = made.directory / "policies/grants/letter.yaml"
        letter.write_text(GRANT)
        made.approve(letter)
        made.calls = made.ask(
            Asked(),
            Asked(said=(Said(text="blue"),)),
            Asked(host="api.openai.com", model="gpt-5.1", student="rival", project="rival"),
        )
        for student in ("gardener", "rival"):
            made.record("dataset", "build", "--student", student, "--from-project",
                        "garden" if student == "gardener" else "rival")  # fmt: skip
        return made


@pytest.fixture
def here(prepared: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of it for one test, a day later."""
    shutil.copytree(prepared.directory, tmp_path / "work")
    with time_machine.travel(NOW + timedelta(days=1), tick=True):
        yield Workshop(directory=tmp_path / "work", calls=prepared.calls)


@pytest.fixture
def ledger(here: Workshop) -> Iterator[Ledger]:
    """Its ledger."""
    with open_ledger(here.settings) as opened:
        yield opened


def recall(here: Workshop, ledger: Ledger, ground: Ground, reason: str = "found out") -> Recall:
    """A recall under the policies of the workspace as they are now."""
    bundle = workspace_bundle(here.settings, ledger.database)
    put_in_force(ledger.log, bundle, "user:1")
    return Recall(
        log=ledger.log,
        bundle=bundle,
        datasets=here.settings.datasets_directory,
        at=utc_now(),
        ground=ground,
        reason=reason,
    )


def students(found: Found) -> tuple[list[str], list[str]]:
    """Whose datasets would be withdrawn, and whose rest on the same and stay."""
    return (
        [each.dataset.student for each in found.withdrawals],
        [entry.student for entry in found.resting],
    )


def test_a_grant_that_stands_withdraws_nothing(here: Workshop, ledger: Ledger) -> None:
    """The dataset that rests on it is named, and every row is permitted still."""
    found = recall(here, ledger, Ground(grant="letter")).look()
    assert students(found) == ([], ["rival"])


def test_a_revoked_grant_takes_its_rows_back(here: Workshop, ledger: Ledger) -> None:
    """Once revoked, the rows it carried are refused: their dataset is withdrawn, and no other."""
    path = here.directory / "policies/grants/letter.yaml"
    here.record("policy", "revoke", path, "--reason", "OpenAI took it back")
    made = recall(here, ledger, Ground(grant="letter"))
    found = made.look()
    assert students(found) == (["rival"], [])
    (withdrawal,) = found.withdrawals
    assert [each.exchange for each in withdrawal.affected] == [here.calls[2]]
    made.carry_out(found, "user:1")
    marked = here.entries()[-1]
    assert isinstance(marked, StatusEntry)
    assert (marked.state, marked.cause, marked.reason) == ("withdrawn", "grant", "found out")
    assert students(made.look()) == ([], [])
    again = here.inbond("dataset", "build", "--student", "rival", "--from-project", "rival")
    assert again.exit_code == 1


def test_stricter_terms_take_rows_back(here: Workshop, ledger: Ledger) -> None:
    """Terms name the datasets that cite them; only those of which a row is refused are withdrawn."""
    weights = ("smollm2", "weights-file")
    resting = students(recall(here, ledger, Ground(source=weights)).look())
    assert resting == ([], ["gardener"])
    terms = Ground(source=("openai-api", "services-agreement"))
    assert students(recall(here, ledger, terms).look()) == ([], [])
    path = here.directory / "policies/grants/letter.yaml"
    here.record("policy", "revoke", path, "--reason", "the terms allow no letter any more")
    assert students(recall(here, ledger, terms).look()) == (["rival"], [])
    with pytest.raises(LedgerError, match="no terms `openai-api/nothing` is on record"):
        recall(here, ledger, Ground(source=("openai-api", "nothing"))).look()


def test_stricter_policies_are_asked_of_every_dataset(here: Workshop, ledger: Ledger) -> None:
    """Without a ground of its own, whatever today refuses is withdrawn, each row with its reason."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    head, mark, tail = rules.read_text().partition("\n# Switch on")
    rules.write_text(f"{head}{NO_BLUE}{mark}{tail}")
    found = recall(here, ledger, Ground()).look()
    assert students(found) == (["gardener"], ["rival"])
    assert found.withdrawals[0].affected == tuple(
        sorted(Affected(call, "excluded") for call in here.calls[:2])
    )


def test_an_exchange_is_recalled_by_name(here: Workshop, ledger: Ledger) -> None:
    """It is rejected on record: the next build leaves it out, and what was made from it as well."""
    (child,) = here.ask(Asked(headers=(("x-inbond-parent", here.calls[0]),)))
    made = recall(here, ledger, Ground(exchanges=[here.calls[0]]))
    found = made.look()
    assert (students(found), found.rejected) == ((["gardener"], []), (here.calls[0],))
    made.carry_out(found, "user:1")
    kinds = [entry for entry in here.entries()[-2:] if isinstance(entry, DecisionEntry)]
    assert [(entry.action, entry.exchange) for entry in kinds] == [("reject", here.calls[0])]
    built = here.record("dataset", "build", "--student", "gardener", "--from-project", "garden")
    assert (built["rows"], built["left_out"]) == (1, {"rejected": 1, "contributor-rejected": 1})
    assert child not in here.calls


def test_a_dataset_sealed_meanwhile_makes_it_void(here: Workshop, ledger: Ledger) -> None:
    """What was looked at is no longer all that there is: nothing is said until it was looked at again."""
    asked = recall(here, ledger, Ground(exchanges=[here.calls[0]]))
    found = asked.look()
    here.record("dataset", "build", "--student", "gardener")
    size = ledger.log.size
    with pytest.raises(LedgerError, match="somebody put a `dataset` on record while"):
        asked.carry_out(found, "user:1")
    assert ledger.log.size == size


def test_what_names_nothing_is_a_mistake(here: Workshop, ledger: Ledger) -> None:
    """An unknown grant or exchange, and an empty reason, change nothing."""
    with pytest.raises(LedgerError, match="no grant `lettre` is on record") as caught:
        recall(here, ledger, Ground(grant="lettre")).look()
    assert "letter" in caught.value.help
    with pytest.raises(LedgerError, match="no exchange `nobody`"):
        recall(here, ledger, Ground(exchanges=["nobody"])).look()
    with pytest.raises(LedgerError, match="the reason is empty"):
        recall(here, ledger, Ground(), reason=" ").look()
