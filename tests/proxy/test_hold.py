"""A hold covers what it says, until it is lifted."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete

from proxy.cli.openledger import Ledger, open_ledger
from proxy.errors import LedgerError
from proxy.hold import Holds, Scope, lift, place, routes_of
from proxy.ledger.entry import HoldEntry
from proxy.registry import registry_of
from proxy.store.recalls import recorded
from proxy.store.tables import DocumentRow
from tests.proxy.workshop import NOW, Asked, Said, Workshop

CUT = Said(finish="length")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with a dataset of the first of three answers; the third is of another project."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("prepared") / "work")
        made.declare("other")
        made.calls = made.ask(
            Asked(), Asked(said=(CUT,)), Asked(said=(CUT,), project="shed", student="other")
        )
        made.record("dataset", "build", "--student", "gardener")
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


def put(here: Workshop, ledger: Ledger, scope: Scope, subject: str, reason: str = "r") -> HoldEntry:
    """Place a hold."""
    registry = registry_of(here.settings)
    return place(ledger.log, scope, subject, registry=registry, actor="user:1", reason=reason)


def covered(here: Workshop, ledger: Ledger) -> list[int]:
    """Which of the three exchanges are under a hold, by number."""
    with ledger.database.read() as connection:
        found = Holds.read(connection, registry_of(here.settings), here.settings.datasets_directory)
        return [
            at
            for at, call in enumerate(here.calls)
            for each in recorded(connection, [call])
            if found.on(each) is not None
        ]


@pytest.mark.parametrize(
    ("scope", "subject", "numbers"),
    [
        ("exchange", "", [1]),
        ("project", "shed", [2]),
        ("student", "gardener", [0, 1]),
        ("provider", "self-hosted", [0, 1, 2]),
        ("provider", "openai-api", []),
        ("dataset", "", [0]),
        ("everything", "", [0, 1, 2]),
    ],
)
def test_each_scope_covers_what_it_names(
    here: Workshop, ledger: Ledger, scope: Scope, subject: str, numbers: list[int]
) -> None:
    """What is in the scope is held; lifting it lets all go."""
    if scope == "exchange":
        subject = here.calls[1]
    if scope == "dataset":
        subject = str(here.record("dataset", "list")["dataset"])
    assert covered(here, ledger) == []
    hold = put(here, ledger, scope, subject)
    assert covered(here, ledger) == numbers
    lift(ledger.log, hold.hold, actor="user:2", reason="over")
    assert covered(here, ledger) == []


def test_what_nobody_can_tell_is_kept(here: Workshop, ledger: Ledger) -> None:
    """Where nothing says any more what a held dataset holds, everything is kept."""
    dataset = str(here.record("dataset", "list")["dataset"])
    put(here, ledger, "dataset", dataset)
    with ledger.database.write() as connection:
        connection.execute(delete(DocumentRow).where(DocumentRow.kind == "seals"))
    assert covered(here, ledger) == [0]  # its bundle says so
    shutil.rmtree(here.settings.datasets_directory / dataset)
    assert covered(here, ledger) == [0, 1, 2]


@pytest.mark.parametrize(
    ("scope", "subject", "message"),
    [
        ("exchange", "nobody", "no exchange `nobody` is on record"),
        ("dataset", "none", "no dataset `none` is on record"),
        ("provider", "OpenAl", "no provider or route `OpenAl` is registered"),
        ("project", "", "the project is not named"),
        ("project", "gardne", "no project `gardne` is on record"),
        ("student", "gardner", "no student `gardner` is on record"),
    ],
)
def test_a_hold_is_of_something_on_record(
    here: Workshop, ledger: Ledger, scope: Scope, subject: str, message: str
) -> None:
    """A name that nothing has is a mistake, and nothing is put on record."""
    size = ledger.log.size
    with pytest.raises(LedgerError, match=message) as caught:
        put(here, ledger, scope, subject)
    assert caught.value.help
    with pytest.raises(LedgerError, match="the reason is empty"):
        put(here, ledger, "everything", "", reason=" ")
    assert ledger.log.size == size


def test_only_a_hold_in_force_is_lifted(here: Workshop, ledger: Ledger) -> None:
    """An unknown hold, and one that was lifted, cannot be; the nearest id is offered."""
    hold = put(here, ledger, "everything", "").hold
    with pytest.raises(LedgerError, match="no hold") as caught:
        lift(ledger.log, hold[:-1] + "~", actor="u", reason="r")
    assert hold in caught.value.help
    lift(ledger.log, hold, actor="u", reason="r")
    with pytest.raises(LedgerError, match="in force"):
        lift(ledger.log, hold, actor="u", reason="r")


def test_a_provider_is_known_by_name_and_by_route(here: Workshop) -> None:
    """Either gives its routes."""
    registry = registry_of(here.settings)
    assert "openai-api" in routes_of(registry, "openai-api")
    assert routes_of(registry, "self-hosted") == {"self-hosted"}
