"""`inbond ledger`: verify, checkpoint, migrate, rebuild."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete, update

from proxy.cli.openledger import open_ledger
from proxy.ledger.checkpoint import open_checkpoint
from proxy.store.tables import EntryRow, ExchangeRow
from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with one exchange."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        made.ask(Asked())
        yield made


def test_a_sound_ledger_verifies(here: Workshop) -> None:
    """What was computed again is counted, with the root."""
    found = here.record("ledger", "verify")
    assert (found["entries"], found["bodies"], found["erased"]) == (here.size(), 2, 0)
    assert len(str(found["root"])) == 64


def test_a_view_that_lies_is_found_and_rebuilt(here: Workshop) -> None:
    """A view that is not what the leaves say is a finding with its fix, and `rebuild` is that fix."""
    with open_ledger(here.settings) as ledger, ledger.database.write() as connection:
        connection.execute(update(ExchangeRow).values(verdict="forbid"))
    result = here.inbond("ledger", "verify", "--json")
    finding = json.loads(result.stdout)
    assert (result.exit_code, finding["code"]) == (1, "view")
    assert "inbond ledger rebuild" in finding["help"]
    assert here.record("ledger", "rebuild")["entries"] == here.size()
    assert here.inbond("ledger", "verify").exit_code == 0


def test_a_changed_leaf_is_found(here: Workshop) -> None:
    """A leaf that was edited ends with 1, in a table for people too."""
    with open_ledger(here.settings) as ledger, ledger.database.write() as connection:
        connection.execute(update(EntryRow).where(EntryRow.seq == 1).values(leaf=b"{}"))
    result = here.inbond("ledger", "verify")
    assert (result.exit_code, "leaf" in result.stdout) == (1, True)


def test_a_shortened_log_is_found_by_the_checkpoint_beside_the_key(here: Workshop) -> None:
    """A database from before the last checkpoint is not this log any more."""
    older = (here.directory / "inbond.db").read_bytes()
    here.ask(Asked())
    here.inbond("ledger", "checkpoint")
    for path in here.directory.glob("inbond.db*"):
        path.unlink()
    (here.directory / "inbond.db").write_bytes(older)
    result = here.inbond("ledger", "verify", "--json")
    codes = [json.loads(line)["code"] for line in result.stdout.splitlines()]
    assert (result.exit_code, "fork" in codes) == (1, True)
    appending = here.inbond("ledger", "checkpoint")
    assert (appending.exit_code, "error[fork]" in appending.stderr) == (1, True)


def test_a_checkpoint_is_printed_as_it_is_signed(here: Workshop) -> None:
    """The note alone is on stdout, of the whole log, and a second one is the same."""
    note = here.inbond("ledger", "checkpoint").stdout
    from proxy.ledger.checkpoint import Verifier

    assert open_checkpoint(note, Verifier.from_text(here.key)).size == here.size()
    assert here.record("ledger", "checkpoint")["checkpoint"] == note


def test_a_database_that_is_up_to_date_stays_so(here: Workshop) -> None:
    """Migrating twice is nothing."""
    assert here.record("ledger", "migrate") == {"database": "up to date"}


def test_a_missing_entry_is_found(here: Workshop) -> None:
    """A leaf taken out of the middle leaves a gap that is named."""
    with open_ledger(here.settings) as ledger, ledger.database.write() as connection:
        connection.execute(delete(EntryRow).where(EntryRow.seq == 2))
    result = here.inbond("ledger", "verify", "--json")
    assert result.exit_code == 1
    assert any(json.loads(line)["seq"] == 2 for line in result.stdout.splitlines())


def test_a_ledger_is_copied_and_goes_on_elsewhere(here: Workshop) -> None:
    """The copy verifies under the same key once settings name it; the old one refuses to go on."""
    size = here.size()
    copied = here.record("ledger", "copy", "--to", "sqlite:///other.db")
    assert copied["entries"] == size
    again = here.inbond("ledger", "copy", "--to", "sqlite:///third.db")
    assert again.exit_code == 1
    assert "goes on there" in again.stderr
    settings = here.settings.directory / "inbond.yaml"
    settings.write_text(settings.read_text() + "database: sqlite:///other.db\n")
    found = here.record("ledger", "verify")
    assert (found["entries"], found["root"]) == (size, copied["root"])
