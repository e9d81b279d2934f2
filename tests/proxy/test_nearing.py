"""How near a call's groups are to a limit: what the ledger counted, and nothing else."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from policies.counters import Nearness
from policies.model import Fact
from proxy.cli.openledger import open_ledger
from proxy.clock import utc_now
from proxy.inforce import workspace_bundle
from proxy.nearing import Gauges, near_exchange, near_now
from proxy.status import status_of
from tests.proxy.workshop import NOW, Asked, Workshop

RULES = """
inbond: 1
policy: volume
layer: organisation
party: Example Org
owner: ml@example.org
reviewed: 2026-11-24
counters:
  project-day: {count: requests, per: [project], within: 24h}
rules:
  - id: a-few
    review: request
    when: {counter.project-day: {above: 3}}
    because: More than a few want a reason.
  - id: many
    forbid: request
    when: {counter.project-day: {at_least: 9}}
    because: As many look like extraction.
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with a counter that two rules test."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        (made.directory / "policies/organisation/volume.yaml").write_text(RULES)
        yield made


def near(value: int) -> list[Nearness]:
    """What both rules make of a number."""
    few = Nearness(
        counter="project-day", rule="volume/a-few", value=value, limit=3, left=max(0, 4 - value)
    )
    many = Nearness(
        counter="project-day", rule="volume/many", value=value, limit=9, left=max(0, 9 - value)
    )
    return [few, many]


def test_a_recorded_call_shows_its_groups_number_now(here: Workshop) -> None:
    """Calls of the same project count, those of others and those held do not."""
    ids = here.ask(*[Asked()] * 3, Asked(project="other"))
    held = here.ask(*[Asked()] * 2)
    with open_ledger(here.settings) as ledger:
        bundle = workspace_bundle(here.settings, ledger.database)
        assert list(near_exchange(ledger.database, bundle, ids[0], utc_now())) == near(3)
        assert list(near_exchange(ledger.database, bundle, held[-1], utc_now())) == near(3)
        assert list(near_exchange(ledger.database, bundle, ids[3], utc_now())) == near(1)
        assert near_exchange(ledger.database, bundle, "nobody", utc_now()) == ()


def test_a_number_that_is_given_stands(here: Workshop) -> None:
    """Facts with a number are shown with it; a group nobody can name has none."""
    here.ask(Asked())
    with open_ledger(here.settings) as ledger:
        bundle = workspace_bundle(here.settings, ledger.database)
        now = utc_now()
        assert list(near_now(ledger.database, bundle, {"project": "garden"}, now)) == near(1)
        given: dict[str, Fact] = {"project": "garden", "counter.project-day": 9}
        assert list(near_now(ledger.database, bundle, given, now)) == near(9)
        assert list(near_now(ledger.database, bundle, {"counter.project-day": 4}, now)) == near(4)
        assert near_now(ledger.database, bundle, {}, now) == ()


def test_gauges_show_the_group_that_is_nearest(here: Workshop) -> None:
    """Of all groups of the last calls the fullest counts; new policies are read when in force."""
    here.ask(Asked(), Asked(), Asked(project="other"))
    with open_ledger(here.settings) as ledger:
        gauges = Gauges(ledger.database)
        assert list(gauges.now(utc_now())) == near(2)
        counted = status_of(here.settings, ledger.database, gauges).counted
        assert [(one.rule, one.left) for one in counted] == [
            ("volume/a-few", 2),
            ("volume/many", 7),
        ]
        assert list(gauges.now(NOW + timedelta(days=3))) == near(0)
    rules = here.directory / "policies/organisation/volume.yaml"
    rules.write_text(RULES.replace("above: 3", "above: 7"))
    here.ask(Asked())
    with open_ledger(here.settings) as ledger:
        fresh = Gauges(ledger.database).now(utc_now())
    assert [(one.limit, one.left) for one in fresh] == [(7, 5), (9, 6)]


def test_without_policies_nothing_is_near(here: Workshop) -> None:
    """A ledger without policies in force, or with none that counts, has no gauge."""
    with open_ledger(here.settings) as ledger:
        assert Gauges(ledger.database).now(utc_now()) == ()
    (here.directory / "policies/organisation/volume.yaml").unlink()
    here.ask(Asked())
    with open_ledger(here.settings) as ledger:
        assert Gauges(ledger.database).now(utc_now()) == ()


def test_explain_says_how_far_was_counted(here: Workshop) -> None:
    """Text and JSON, of an exchange and of facts, name counter, rule, number, limit and what is left."""
    (exchange,) = here.ask(Asked())
    said = here.record("policy", "explain", exchange)["counted"]
    assert said == [
        {"counter": "project-day", "rule": "volume/a-few", "value": 1, "limit": 3, "left": 3},
        {"counter": "project-day", "rule": "volume/many", "value": 1, "limit": 9, "left": 8},
    ]
    shown = here.inbond("policy", "explain", exchange).stdout
    assert "counted: counter.project-day = 1, and `volume/a-few` tests 3 (3 more turn it)" in shown
    facts = here.directory / "facts.yaml"
    facts.write_text("project: garden\ncounter.project-day: 4\n")
    assert here.record("policy", "explain", facts)["counted"] != said
    shown = here.inbond("policy", "explain", facts).stdout
    assert "counter.project-day = 4, and `volume/a-few` tests 3 (turned)" in shown
