"""`inbond erase` shows what it would do, asks, does it, and says where the receipt lies."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from proxy.cli.erase import instant
from proxy.errors import SettingsError
from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with two answers, the first in a dataset."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("prepared") / "work")
        made.calls = made.ask(Asked(prompt="I am Anna Müller"))
        made.record("dataset", "build", "--student", "gardener", "--recipient", "lab")
        made.calls += made.ask(Asked(project="shed"))
        return made


@pytest.fixture
def here(prepared: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of it for one test, a day later."""
    shutil.copytree(prepared.directory, tmp_path / "work")
    with time_machine.travel(NOW + timedelta(days=1), tick=True):
        yield Workshop(directory=tmp_path / "work", calls=prepared.calls)


def test_it_shows_and_asks_first(here: Workshop) -> None:
    """A dry run and a run without consent name the same copies, and put nothing on record."""
    size = here.size()
    words = ("erase", here.calls[0], "--reason", "ticket 7")
    shown = here.record(*words, "--dry-run")
    assert shown["exchanges"] == [here.calls[0]]
    assert list(dict(shown["datasets"]).values()) == ["lab"]  # type: ignore[call-overload] # an object
    refused = here.inbond(*words)
    assert (refused.exit_code, "nothing was done" in refused.stderr) == (2, True)
    assert here.size() == size


def test_it_finds_a_person_by_their_text(here: Workshop) -> None:
    """The text comes from a file, so that it stands in no history of commands."""
    file = here.directory.parent / "text"
    file.write_text("Anna Müller\n")
    done = here.record("erase", "--matching", file, "--reason", "ticket 7", "--yes")
    assert (done["exchanges"], done["bodies"]) == (1, 3)
    assert Path(str(done["receipt"])).read_bytes()
    assert here.inbond("erase", "--matching", file, "--reason", "r", "--yes").exit_code == 1
    file.write_bytes(b"\xff")
    assert "not UTF-8" in here.inbond("erase", "--matching", file, "--reason", "r").stderr


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (("--project", "shed"), [1]),
        (("--provider", "self-hosted", "--project", "garden"), [0]),
        (("--key", "key:one"), [0, 1]),
        (("--before", "2026-11-24"), []),
        (("--before", "2026-11-25", "--ground", "provider"), [0, 1]),
    ],
)
def test_options_say_whose(here: Workshop, words: tuple[str, ...], numbers: list[int]) -> None:
    """All that is given holds together."""
    shown = here.record("erase", *words, "--reason", "r", "--dry-run")
    assert shown["exchanges"] == [here.calls[number] for number in numbers]


def test_nothing_said_erases_nothing(here: Workshop) -> None:
    """Without any exchange or option it is wrong use, not everything."""
    result = here.inbond("erase", "--reason", "r", "--yes", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stderr)["message"] == "nothing says what to erase"


def test_finishing_what_is_finished_is_fine(here: Workshop) -> None:
    """`--finish` completes what is on record; where all is complete it says so."""
    assert here.record("erase", "--finish") == {"erased": 0, "finished": True}


def test_a_date_is_the_ledgers_instant() -> None:
    """Dates and instants, with a zone or in UTC; anything else is wrong use."""
    assert instant("2026-11-24") == "2026-11-24T00:00:00.000Z"
    assert instant("2026-11-24T02:00:00+02:00") == "2026-11-24T00:00:00.000Z"
    with pytest.raises(SettingsError, match="is no date"):
        instant("yesterday")
