"""Replaying the ledger: each gate with the facts on record, clearances, and the datasets that hold it."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import update

from policies.diff import Snapshot, diff
from policies.model import Gate
from proxy.cli.openledger import open_ledger
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError
from proxy.exchange import Outcome
from proxy.inforce import bundle_in_force
from proxy.ledger.bundle import MANIFEST
from proxy.ledger.entry import DatasetEntry, RunEntry
from proxy.replay import Replay, held_datasets, runs_on
from proxy.store.log import Pending
from proxy.store.tables import EntryRow
from tests.proxy.store import ledgers
from tests.proxy.store.ledgers import call, exchange, later, refused
from tests.proxy.workshop import NOW, Asked, Said, Workshop

TODAY = NOW + timedelta(days=1)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace on the day of the tests; nobody of its students competes with anybody."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        for name in ("gardener", "other"):
            made.approve(made.declare(name, competes="[]"))
        yield made


def replayed(here: Workshop, since: datetime | None = None) -> list[Snapshot]:
    """Everything that is replayed."""
    settings = here.settings
    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        held = held_datasets(connection, settings.datasets_directory)
        return list(Replay(connection, held, today=TODAY, since=since))


def at(found: list[Snapshot], gate: Gate) -> list[Snapshot]:
    """Those before a gate."""
    return [each for each in found if each.gate is gate]


def test_an_exchange_is_put_before_each_gate_it_reached(here: Workshop) -> None:
    """A whole answer three times, one cut off at the request gate alone; facts are those on record."""
    whole, cut = here.ask(Asked(), Asked(outcome=Outcome.UPSTREAM_FAILED))
    found = replayed(here)
    assert [(each.exchange, each.gate) for each in found] == [
        (whole, Gate.REQUEST),
        (whole, Gate.RESPONSE),
        (whole, Gate.DATASET),
        (cut, Gate.REQUEST),
    ]
    request, response, dataset, _ = found
    assert request.facts["model.asked"] == "smollm2"
    assert "response.finish" not in request.facts
    assert response.facts["response.finish"] == "stop"
    assert response.today_at is not None
    assert request.at <= response.today_at
    assert (request.today_at, dataset.today_at) == (None, TODAY)
    assert (dataset.student, dataset.datasets) == ("gardener", ())


def test_replaying_gives_the_verdicts_on_record(here: Workshop) -> None:
    """The bundle that was in force decides every snapshot as the ledger says: no verdict flips."""
    here.ask(Asked(), Asked(said=(Said(finish="length"),)), Asked(host="api.openai.com"))
    with open_ledger(here.settings) as ledger, ledger.database.read() as connection:
        bundle = bundle_in_force(ledger.database)
        found = diff(bundle, bundle, Replay(connection, (), today=TODAY, since=None))
    assert found.exchanges == 3
    assert found.flips == ()


def test_only_what_was_called_since(here: Workshop) -> None:
    """An earlier call is left out."""
    here.ask(Asked())
    assert replayed(here, since=NOW - timedelta(days=1))
    assert replayed(here, since=NOW + timedelta(hours=1)) == []


def test_a_clearance_counts_and_a_rejection_ends_it(here: Workshop) -> None:
    """What a reviewer lifted is lifted again; what was rejected is put into no dataset."""
    held = Asked(said=(Said(finish="length"),))
    cleared, rejected = here.ask(held, held)
    here.record("review", "clear", cleared, "--reason", "short is fine")
    here.record("review", "reject", rejected, "--reason", "no")
    found = replayed(here)
    rules = frozenset({"house-rules/cut-short"})
    assert [each.cleared for each in at(found, Gate.RESPONSE)] == [rules, frozenset()]
    assert [(each.exchange, each.cleared) for each in at(found, Gate.DATASET)] == [(cleared, rules)]


def test_a_judgement_fills_a_gap(here: Workshop) -> None:
    """A fact that a person supplied is there at the gates of the answer, and not at the request's."""
    rules = here.directory / "policies/organisation/house-rules.yaml"
    rules.write_text(
        rules.read_text()
        + "\n  - id: nobody-is-named\n    review: training\n    when: {response.pii: true}\n"
        "    because: A person decides about persons.\n"
    )
    (exchange,) = here.ask(Asked())
    here.record("review", "clear", exchange, "--reason", "read", "--fact", "response.pii=false")
    request, response, dataset = replayed(here)
    assert "response.pii" not in request.facts
    assert response.facts["response.pii"] is False
    assert dataset.facts["response.pii"] is False


def test_a_dataset_names_the_exchanges_it_holds(here: Workshop) -> None:
    """Each exchange of a dataset is decided for its student too, and counts for that dataset."""
    kept, _ = here.ask(Asked(), Asked(said=(Said(finish="length"),)))
    own = here.record("dataset", "build", "--student", "gardener")["dataset"]
    other = here.record("dataset", "build", "--student", "other")["dataset"]
    (late,) = here.ask(Asked(prompt="And snow?"))
    found = {
        (each.exchange, each.student): each.datasets for each in at(replayed(here), Gate.DATASET)
    }
    assert found[kept, "gardener"] == (own,)
    assert found[kept, "other"] == (other,)
    assert found[late, "gardener"] == ()
    assert (late, "other") not in found
    assert len(found) == 4


def test_a_manifest_counts_only_as_it_was_committed_to(here: Workshop) -> None:
    """A changed one, and one that is not here, are told and say nothing."""
    here.ask(Asked())
    changed, gone = (
        Path(str(here.record("dataset", "build", "--student", "gardener")["path"]))
        for _ in range(2)
    )
    with (changed / MANIFEST).open("ab") as file:
        file.write(b"\n")
    shutil.rmtree(gone)
    with open_ledger(here.settings) as ledger, ledger.database.read() as connection:
        held = held_datasets(connection, here.settings.datasets_directory)
    assert [each.problem for each in held] == [
        "its manifest is not the one on record",
        "its files are not here",
    ]
    assert [each.datasets for each in at(replayed(here), Gate.DATASET)] == [()]


def test_a_manifest_that_cannot_be_read_is_told(here: Workshop) -> None:
    """Lines that are none of a manifest end the replay with the file's name."""
    here.ask(Asked())
    path = Path(str(here.record("dataset", "build", "--student", "gardener")["path"]))
    with open_ledger(here.settings) as ledger, ledger.database.read() as connection:
        (held,) = held_datasets(connection, here.settings.datasets_directory)
        (path / MANIFEST).write_text("nonsense\n")
        with pytest.raises(LedgerError, match="cannot be read") as caught:
            list(Replay(connection, (held,), today=TODAY, since=None))
    assert caught.value.where.endswith("manifest.jsonl")


def test_a_leaf_that_cannot_be_read_is_told(here: Workshop) -> None:
    """Damage to the log is an error, never a gap."""
    here.ask(Asked())
    with open_ledger(here.settings) as ledger:
        with ledger.database.write() as connection:
            connection.execute(update(EntryRow).where(EntryRow.kind == "call").values(leaf=b"{"))
        with (
            ledger.database.read() as connection,
            pytest.raises(LedgerError, match="cannot be read"),
        ):
            list(Replay(connection, (), today=TODAY, since=None))


def test_runs_name_the_datasets_they_learned_from(here: Workshop) -> None:
    """A run on a dataset is found by the root it read; others are left out."""
    here.ask(Asked())
    name = here.record("dataset", "build", "--student", "gardener")["dataset"]
    root = next(e.root for e in here.entries() if isinstance(e, DatasetEntry))
    with open_ledger(here.settings) as ledger:
        ledger.log.append([_run("r1", root), _run("r2", "ab" * 32)])
        with ledger.database.read() as connection:
            held = held_datasets(connection, here.settings.datasets_directory)
            (found,) = runs_on(connection, held)
    assert (found.run, found.student, found.datasets) == ("r1", "gardener", (name,))


def _run(name: str, root: str) -> Pending:
    return Pending(
        RunEntry(
            id=new_id(),
            at=stamp(utc_now()),
            actor="user:one",
            run=name,
            student="gardener",
            datasets=[root],
            record="cd" * 32,
            weights={},
            base="smollm2-135m",
            steps=1,
            nonce=new_nonce(),
        )
    )


def test_a_held_call_that_was_cleared_is_replayed_as_cleared(tmp_path: Path) -> None:
    """The rules that an earlier clearance lifted for the repeated call are lifted again."""
    held, end = refused(verdict="review")
    clearance = later(end.entry.id, "clear", "request")
    clears = clearance.entry.model_copy(update={"clears": ["house/tools"]})
    begun, by_judgement = (
        Pending(each.entry.model_copy(update={"cleared_by": by}), each.bodies)
        for each, by in ((call(), clears.id), (call(), "a judgement's id"))
    )
    ledger = ledgers.open_ledger(tmp_path)
    ledger.log.append([held, end, Pending(clears), begun, by_judgement])
    ends = [exchange(each.entry.id, outcome="cut", verdict=None) for each in (begun, by_judgement)]
    ledger.log.append(ends)
    with ledger.database.read() as connection:
        found = list(Replay(connection, (), today=TODAY, since=None))
    ledger.database.close()
    nothing = frozenset[str]()
    assert [each.cleared for each in found] == [nothing, frozenset({"house/tools"}), nothing]
