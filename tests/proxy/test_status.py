"""How an installation stands: figures of the ledger, workers alive, and what keeps it from working."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from proxy.clock import stamp, utc_now
from proxy.inforce import put_in_force
from proxy.settings import Settings
from proxy.status import status_of, workers_of
from tests.proxy.calls import bundle
from tests.proxy.store.ledgers import Ledger, call, exchange, open_ledger, refused


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


def _settings(ledger: Ledger) -> Settings:
    settings = Settings(inbond=1, organisation="Example Org", directory=ledger.folder)
    settings.run_directory.mkdir(exist_ok=True)
    return settings


def _say(settings: Settings, name: str, **said: object) -> None:
    record = {
        "worker": name,
        "pid": 1,
        "state": "ready",
        "policy": bundle().digest,
        "at": stamp(utc_now()),
        "waiting": 0,
        "turned_away": {"unknown-key": 1},
        "passed": {"some.example": 2},
    }
    (settings.run_directory / f"{name}.json").write_text(json.dumps(record | said))


def test_a_new_installation_says_what_it_lacks(ledger: Ledger) -> None:
    """Without policies and workers both are named as problems."""
    report = status_of(_settings(ledger), ledger.database)
    assert (report.ledger_size, report.workers, report.policy_bundle) == (0, 0, None)
    assert report.last_checkpoint is None
    assert report.problems == (
        "no policies are in force: start the proxy",
        "no worker is alive: no call can be made",
    )


def test_a_running_installation_is_well(ledger: Ledger) -> None:
    """With policies in force and a worker that decides by them nothing is wrong."""
    settings = _settings(ledger)
    put_in_force(ledger.log, bundle(), "user:one")
    note = ledger.signer.sign()
    _say(settings, "worker-1")
    report = status_of(settings, ledger.database)
    assert note
    assert report.last_checkpoint is not None
    assert report.last_checkpoint.size == report.ledger_size == ledger.log.size
    assert (report.workers, report.policy_bundle, report.problems) == (1, bundle().digest, ())
    assert report.origin == settings.origin


def test_figures_are_those_of_the_ledger(ledger: Ledger) -> None:
    """Calls, exchanges, outcomes, verdicts and what waits are counted as the ledger has them."""
    first, second = call(), call()
    ledger.log.append([first, second, exchange(first.entry.id), *refused(verdict="review")])
    assert status_of(_settings(ledger), ledger.database).counts == {
        "calls": 3,
        "exchanges": 2,
        "under_way": 1,
        "waiting_for_review": 1,
        "outcome_complete": 1,
        "outcome_refused": 1,
        "verdict_permit": 1,
    }


def test_a_worker_behind_is_a_problem(ledger: Ledger) -> None:
    """A worker that cannot take up what is in force is one; for the second that it takes, none is."""
    settings = _settings(ledger)
    put_in_force(ledger.log, bundle(), "user:one")
    _say(settings, "worker-1", policy="ab" * 32)
    assert status_of(settings, ledger.database).problems == ()
    _say(settings, "worker-1", policy="ab" * 32, policy_problem="it is not stored here")
    assert status_of(settings, ledger.database).problems == (
        "`worker-1` decides by an older policy bundle: it is not stored here",
    )


def test_policies_that_were_refused_are_a_problem(ledger: Ledger) -> None:
    """Why the workspace's own policies are not in force is said."""
    settings = _settings(ledger)
    put_in_force(ledger.log, bundle(), "user:one")
    _say(settings, "worker-1", policy=bundle().digest)
    said = json.dumps({"at": stamp(utc_now()), "problem": "policy tests fail: 1"})
    (settings.run_directory / "policies.json").write_text(said)
    assert status_of(settings, ledger.database).problems == (
        "the workspace's policies are not in force: policy tests fail: 1",
    )


def test_a_silent_worker_is_not_alive(ledger: Ledger) -> None:
    """A worker that said nothing for a while is known, and not counted as alive."""
    settings = _settings(ledger)
    _say(settings, "worker-1", at=stamp(utc_now() - timedelta(seconds=60)))
    _say(settings, "worker-2")
    assert [worker.worker for worker in workers_of(settings) if worker.is_fresh] == ["worker-2"]
    assert status_of(settings, ledger.database).workers == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"worker": 1}'])
def test_a_file_that_is_no_status_is_passed_over(ledger: Ledger, text: str) -> None:
    """A file half written, of another kind or with a wrong time stops nobody."""
    settings = _settings(ledger)
    (settings.run_directory / "worker-0.json").write_text(text)
    (settings.run_directory / "worker-3.json").mkdir()
    _say(settings, "worker-1", at="yesterday")
    _say(settings, "worker-2", at="2026-11-24T05:00:00")
    assert workers_of(settings) == []


def test_unlisted_gateways_are_found(ledger: Ledger) -> None:
    """Calls to hosts that nobody registered are told by host, the last first, with who made them."""
    hosts = ["one.example", "two.example", "one.example"]
    made = [
        replace(item, entry=item.entry.model_copy(update={"host": host, "facts": facts}))
        for n, host in enumerate(hosts)
        for item, facts in [(call(), {"route": "unlisted", "project": f"p{n}"})]
    ]
    ledger.log.append([call(), *made])
    findings = status_of(_settings(ledger), ledger.database).findings
    assert [(found.host, found.calls, found.projects) for found in findings] == [
        ("one.example", 2, ("p0", "p2")),
        ("two.example", 1, ("p1",)),
    ]


def test_what_passed_is_counted_over_all_workers(ledger: Ledger) -> None:
    """Requests to unlisted hosts are summed over the workers that are alive."""
    settings = _settings(ledger)
    _say(settings, "worker-1")
    _say(settings, "worker-2", passed={"some.example": 1, "other.example": 3})
    _say(settings, "worker-3", at=stamp(utc_now() - timedelta(seconds=60)))
    passed = status_of(settings, ledger.database).passed
    assert passed == {"some.example": 3, "other.example": 3}
