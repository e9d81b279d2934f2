"""One exchange decided again: as it was then by the bundle that decided, and as it would be today."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from policies.model import Effect, Gate
from proxy.cli.openledger import open_ledger
from proxy.clock import utc_now
from proxy.errors import LedgerError
from proxy.exchange import Outcome
from proxy.inforce import put_in_force, workspace_bundle
from proxy.retrace import Retraced, retrace
from proxy.store.log import Pending
from tests.proxy.store import ledgers
from tests.proxy.workshop import NOW, Asked, Said, Workshop

CUT = Asked(said=(Said(finish="length"),))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace on the day of the tests, whose student competes with nobody."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        made.approve(made.declare("gardener", competes="[]"))
        yield made


def retraced(here: Workshop, exchange: str, gate: Gate | None = None) -> Retraced:
    """The exchange, decided again."""
    with open_ledger(here.settings) as ledger:
        return retrace(ledger.database, exchange, gate, utc_now())


def change(here: Workshop, old: str, new: str) -> None:
    """Replace something in the house rules and put the workspace's policies in force."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    assert old in rules.read_text()
    rules.write_text(rules.read_text().replace(old, new))
    with open_ledger(here.settings) as ledger:
        put_in_force(ledger.log, workspace_bundle(here.settings, ledger.database), "user:1")


@pytest.mark.parametrize("gate", [None, Gate.REQUEST, Gate.RESPONSE])
def test_deciding_again_gives_what_is_on_record(here: Workshop, gate: Gate | None) -> None:
    """At the gate asked for, or at the last that was reached: the response gate."""
    (exchange,) = here.ask(CUT)
    found = retraced(here, exchange, gate)
    assert found.exchange == exchange
    assert found.recorded is not None
    assert found.recorded.gate == (gate or Gate.RESPONSE)
    assert found.is_as_recorded
    assert found.is_same_today
    assert found.explanation.decision.verdict == found.recorded.verdict


def test_an_exchange_is_found_by_its_call_too(here: Workshop) -> None:
    """Either id will do."""
    (exchange,) = here.ask(CUT)
    call = next(entry.id for entry in here.entries() if entry.kind == "call")
    assert retraced(here, call).exchange == exchange


def test_a_call_that_was_cut_was_decided_on_at_the_request_gate(here: Workshop) -> None:
    """Its answer was never judged, and asking for that says so."""
    (exchange,) = here.ask(Asked(outcome=Outcome.UPSTREAM_FAILED))
    assert retraced(here, exchange).explanation.decision.gate is Gate.REQUEST
    for gate in (Gate.RESPONSE, Gate.DATASET, Gate.RELEASE):
        with pytest.raises(LedgerError, match=f"did not reach the {gate} gate") as caught:
            retraced(here, exchange, gate)
        assert caught.value.code == "not-judged"


def test_todays_policies_may_decide_otherwise(here: Workshop) -> None:
    """The old bundle explains what was, the one in force says what would be."""
    (exchange,) = here.ask(CUT)
    before = retraced(here, exchange)
    change(here, "when: {response.finish: length}", "when: {response.finish: other}")
    after = retraced(here, exchange)
    assert after.explanation.decision == before.explanation.decision
    assert (after.is_as_recorded, after.is_same_today) == (True, False)
    assert (after.today.verdict, after.today.bundle) != (
        before.today.verdict,
        before.today.bundle,
    )
    assert after.today.verdict is Effect.PERMIT


def test_a_clearance_counts_today_and_not_then(here: Workshop) -> None:
    """The record stays review; today what a reviewer lifted is lifted."""
    (exchange,) = here.ask(CUT)
    here.record("review", "clear", exchange, "--reason", "short is fine")
    found = retraced(here, exchange)
    assert found.explanation.decision.verdict is Effect.REVIEW
    assert found.today.verdict is Effect.PERMIT
    dataset = retraced(here, exchange, Gate.DATASET)
    assert dataset.explanation.decision.verdict is Effect.PERMIT


def test_a_supplied_fact_counts_today(here: Workshop) -> None:
    """What a person judged fills the gap on which the exchange waited."""
    change(here, "when: {response.finish: length}", "when: {response.pii: true}")
    (exchange,) = here.ask(Asked())
    here.record("review", "clear", exchange, "--reason", "read", "--fact", "response.pii=false")
    found = retraced(here, exchange)
    assert [each.fact for each in found.explanation.decision.missing] == ["response.pii"]
    assert (found.today.verdict, found.today.missing) == (Effect.PERMIT, ())


def test_the_dataset_gate_reads_what_the_student_declares_today(here: Workshop) -> None:
    """No record stands in the ledger; both clocks are those of a build today."""
    (exchange,) = here.ask(Asked())
    path = here.declare("gardener", competes="[]", purpose="eval")
    here.approve(path)
    change(here, "when: {response.finish: length}", "when: {student.purpose: eval}")
    found = retraced(here, exchange, Gate.DATASET)
    assert found.recorded is None
    assert found.is_as_recorded
    assert found.explanation.exchange.facts["student.purpose"] == "distil-narrow"
    assert found.explanation.today.facts["student.purpose"] == "eval"
    assert found.explanation.decision.verdict is Effect.REVIEW


def test_a_student_that_is_declared_no_more_is_read_as_stamped(here: Workshop) -> None:
    """Where nobody of that name is declared the stamped facts are today's too."""
    (exchange,) = here.ask(Asked())
    (here.directory / "policies/students/gardener.yaml").unlink()
    change(here, "when: {response.finish: length}", "when: {response.finish: other}")
    found = retraced(here, exchange, Gate.DATASET)
    assert found.explanation.today.facts == found.explanation.exchange.facts


def test_a_call_under_way_has_its_own_id(here: Workshop) -> None:
    """A call without an exchange is explained by its request."""
    here.ask(Asked())
    known = next(entry for entry in here.entries() if entry.kind == "call")
    begun = known.model_copy(update={"id": ledgers.call().entry.id})
    with open_ledger(here.settings) as ledger:
        ledger.log.append([Pending(begun, ledgers.call().bodies)])
    found = retraced(here, begun.id)
    assert (found.exchange, found.explanation.decision.gate) == (begun.id, Gate.REQUEST)


def test_a_cleared_call_is_decided_as_it_was(here: Workshop) -> None:
    """What an earlier clearance lifted for the repeated call is lifted again; a judgement lifts none."""
    (exchange,) = here.ask(CUT)
    here.record("review", "clear", exchange, "--reason", "fine")
    clearance = here.entries()[-1]
    known = next(entry for entry in here.entries() if entry.kind == "call")
    for by in (clearance.id, exchange):
        begun = known.model_copy(update={"id": ledgers.call().entry.id, "cleared_by": by})
        with open_ledger(here.settings) as ledger:
            ledger.log.append([Pending(begun, ledgers.call().bodies)])
        assert retraced(here, begun.id).is_as_recorded


def test_an_unknown_id_is_told(here: Workshop) -> None:
    """What is not on record cannot be explained."""
    with pytest.raises(LedgerError, match="no exchange `nothing`") as caught:
        retraced(here, "nothing")
    assert caught.value.code == "unknown-exchange"
