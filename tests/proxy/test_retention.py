"""Retention erases what is older than its class keeps, and nothing that must stay."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete

from proxy.cli.erase import eraser_of
from proxy.cli.openledger import Ledger, open_ledger
from proxy.hold import place
from proxy.ledger.entry import EraseEntry
from proxy.registry import registry_of
from proxy.retention import Due, Retention
from proxy.settings import RetentionClass
from proxy.store.tables import DocumentRow
from tests.proxy.workshop import NOW, Asked, Said, Workshop

YEAR = RetentionClass(name="year", keep_days=365)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with an answer in a dataset, one held back, and one of another project."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("prepared") / "work")
        cut = (Said(finish="length"),)
        made.calls = made.ask(Asked(), Asked(said=cut), Asked(said=cut, project="shed"))
        made.record("dataset", "build", "--student", "gardener")
        return made


@pytest.fixture
def here(prepared: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of it, a hundred days later."""
    shutil.copytree(prepared.directory, tmp_path / "work")
    with time_machine.travel(NOW + timedelta(days=100), tick=True):
        yield Workshop(directory=tmp_path / "work", calls=prepared.calls)


@pytest.fixture
def ledger(here: Workshop) -> Iterator[Ledger]:
    """Its ledger."""
    with open_ledger(here.settings) as opened:
        yield opened


def retention(here: Workshop, ledger: Ledger, *classes: RetentionClass) -> Retention:
    """The classes, applied now."""
    return Retention(eraser=eraser_of(here.settings, ledger), classes=classes)


def kind(**said: object) -> RetentionClass:
    """A class of 90 days."""
    return RetentionClass.model_validate({"name": "short", "keep_days": 90} | said)


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ({}, [1, 2]),
        ({"keep_days": 101}, []),
        ({"projects": ["shed"]}, [2]),
        ({"students": ["other"]}, []),
        ({"routes": ["self-hosted"], "projects": ["garden"]}, [1]),
        ({"verdicts": ["review"]}, [1, 2]),
        ({"verdicts": ["forbid", "none"]}, []),
        ({"learned": "erase"}, [0, 1, 2]),
    ],
)
def test_a_class_is_of_what_it_says(
    here: Workshop, ledger: Ledger, said: dict[str, object], numbers: list[int]
) -> None:
    """All that is given must hold; what a dataset holds stays unless the class says otherwise."""
    (due,) = retention(here, ledger, kind(**said)).due()
    assert due.exchanges == tuple(here.calls[number] for number in numbers)


def test_the_first_class_that_fits_counts(here: Workshop, ledger: Ledger) -> None:
    """An exception before the rule keeps longer."""
    found = retention(
        here, ledger, kind(name="shed", projects=["shed"], keep_days=365), kind()
    ).due()
    assert [(due.name, due.exchanges) for due in found] == [
        ("shed", ()),
        ("short", (here.calls[1],)),
    ]


def test_holds_and_datasets_are_counted(here: Workshop, ledger: Ledger) -> None:
    """What stays though it is as old is said, by the reason why."""
    registry = registry_of(here.settings)
    place(ledger.log, "project", "shed", registry=registry, actor="user:1", reason="court")
    assert retention(here, ledger, kind()).due() == (
        Due(name="short", exchanges=(here.calls[1],), held=1, learned=1),
    )
    assert retention(here, ledger).due() == ()


def test_what_is_due_is_erased_once(here: Workshop, ledger: Ledger) -> None:
    """The entry states the class; nothing is due afterwards, and the dataset is as it was."""
    made = retention(here, ledger, kind(), YEAR)
    (done,) = made.apply(made.due())
    assert (done.exchanges, done.withdrawn) == (2, ())
    entry = here.entries()[-1]
    assert isinstance(entry, EraseEntry)
    assert (entry.ground, entry.reason) == ("retention", "retention class short")
    assert made.due() == (
        Due(name="short", exchanges=(), held=0, learned=1),
        Due(name="year", exchanges=(), held=0, learned=0),
    )
    assert list(made.apply(made.due())) == []


def test_what_a_dataset_may_hold_stays(here: Workshop, ledger: Ledger) -> None:
    """Where nobody can tell what a dataset holds, all that is older than it stays."""
    with ledger.database.write() as connection:
        connection.execute(delete(DocumentRow).where(DocumentRow.kind == "seals"))
    shutil.rmtree(here.settings.datasets_directory)
    (due,) = retention(here, ledger, kind()).due()
    assert (due.exchanges, due.learned) == ((), 3)


def test_a_withdrawn_dataset_keeps_nothing(here: Workshop, ledger: Ledger) -> None:
    """Once its dataset is withdrawn a row may go like any other."""
    here.record("recall", "--exchange", here.calls[0], "--reason", "mistake", "--yes")
    (due,) = retention(here, ledger, kind()).due()
    assert here.calls[0] in due.exchanges


def test_the_command_says_what_is_due_and_erases_it(here: Workshop) -> None:
    """`inbond retain` reads the classes of the settings; `--dry-run` changes nothing."""
    with (here.directory / "inbond.yaml").open("a") as settings:
        settings.write("\nretention:\n  classes:\n    - {name: short, keep_days: 90}\n")
    size = here.size()
    shown = here.record("retain", "--dry-run")
    assert shown == {"class": "short", "due": 2, "held": 0, "in_datasets": 1}
    assert here.size() == size
    done = here.record("retain")
    assert done["exchanges"] == 2
    assert Path(str(done["receipt"])).exists()
