"""The blast radius names every copy that holds an exchange, and every run that learned from one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete

from proxy.cli.openledger import Ledger, open_ledger
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.ledger.entry import ExportEntry, RunEntry
from proxy.radius import Radius, members_of, radius_of
from proxy.store.log import Pending
from proxy.store.queries import datasets
from proxy.store.recalls import recorded
from proxy.store.tables import DocumentRow
from tests.proxy.workshop import NOW, Asked, Said, Workshop


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace whose first answer is in a dataset; the second was held back, the third came later."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("prepared") / "work")
        made.calls = made.ask(Asked(), Asked(said=(Said(finish="length"),)))
        made.record("dataset", "build", "--student", "gardener", "--recipient", "lab")
        made.calls += made.ask(Asked(headers=(("x-inbond-parent", made.calls[0]),)))
        return made


@pytest.fixture
def here(prepared: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of it for one test."""
    shutil.copytree(prepared.directory, tmp_path / "work")
    with time_machine.travel(NOW, tick=True):
        yield Workshop(directory=tmp_path / "work", calls=prepared.calls)


@pytest.fixture
def ledger(here: Workshop) -> Iterator[Ledger]:
    """Its ledger."""
    with open_ledger(here.settings) as opened:
        yield opened


def radius(here: Workshop, ledger: Ledger, number: int) -> Radius:
    """What an exchange went into."""
    with ledger.database.read() as connection:
        found = recorded(connection, [here.calls[number]])
        return radius_of(connection, found, here.settings.datasets_directory)


def forget_lists(ledger: Ledger) -> None:
    """As in a ledger that an older inbond wrote: what bundles opened is not listed beside the log."""
    with ledger.database.write() as connection:
        connection.execute(delete(DocumentRow).where(DocumentRow.kind == "seals"))


def run_of(root: str) -> Pending:
    """A run that learned from a dataset."""
    entry = RunEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:1",
        run="run-1",
        student="gardener",
        datasets=[root],
        record="ab" * 32,
        weights={},
        base="base",
        steps=1,
        nonce=new_nonce(),
    )
    return Pending(entry)


def export_of(openings: str) -> Pending:
    """An audit whose list was not kept."""
    entry = ExportEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:1",
        export="x1",
        query={},
        entries="ab" * 32,
        openings=openings,
        tables={},
        policies=[],
        terms=[],
        grants=[],
        recipient="auditor",
        nonce=new_nonce(),
    )
    return Pending(entry)


def test_the_dataset_that_holds_it_is_named(here: Workshop, ledger: Ledger) -> None:
    """With its recipient, its runs and what was made from it; the others went nowhere."""
    (copy,) = radius(here, ledger, 0).copies
    assert (copy.entry.recipient, copy.exchanges, copy.is_sure) == ("lab", (here.calls[0],), True)
    assert copy.root is not None
    ledger.log.append([run_of(copy.root)])
    found = radius(here, ledger, 0)
    assert ([run.run for run in found.runs], found.descendants) == (["run-1"], (here.calls[2],))
    assert found.datasets == found.copies
    for number in (1, 2):
        assert radius(here, ledger, number) == Radius(copies=(), runs=(), descendants=())


def test_without_a_list_the_bundle_says_it(here: Workshop, ledger: Ledger) -> None:
    """An older dataset is known by its bundle in the workspace, as long as it is the one on record."""
    forget_lists(ledger)
    assert [copy.is_sure for copy in radius(here, ledger, 0).copies] == [True]
    assert radius(here, ledger, 1).copies == ()


def test_without_either_whoever_got_one_later_may_hold_it(here: Workshop, ledger: Ledger) -> None:
    """Datasets and audits that are younger than the exchange are named as unsure, older ones are not."""
    forget_lists(ledger)
    ledger.log.append([export_of("cd" * 32)])
    (bundle,) = here.settings.datasets_directory.iterdir()
    (bundle / "dataset/manifest.jsonl").write_text("")
    assert [(c.entry.kind, c.is_sure) for c in radius(here, ledger, 0).copies] == [
        ("dataset", False),
        ("export", False),
    ]
    (bundle / "export.json").unlink()
    assert len(radius(here, ledger, 1).copies) == 2
    assert [copy.entry.kind for copy in radius(here, ledger, 2).copies] == ["export"]


def test_an_audit_without_bodies_holds_nothing(here: Workshop, ledger: Ledger) -> None:
    """Its entry commits to no seal at all: it is no copy of anything."""
    from proxy.ledger.bundle import openings_digest

    ledger.log.append([export_of(openings_digest(()))])
    assert len(radius(here, ledger, 0).copies) == 1


def test_members_are_the_exchanges_of_its_rows(here: Workshop, ledger: Ledger) -> None:
    """A dataset's exchanges are those that gave a row; None where nobody can tell."""
    folder = here.settings.datasets_directory
    with ledger.database.read() as connection:
        (item,) = datasets(connection)
        assert members_of(connection, item.entry, folder) == frozenset({here.calls[0]})
    forget_lists(ledger)
    with ledger.database.read() as connection:
        assert members_of(connection, item.entry, folder) == frozenset({here.calls[0]})
        assert members_of(connection, item.entry, folder / "elsewhere") is None
