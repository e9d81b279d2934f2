"""`inbond recall` shows whom it concerns, asks, and withdraws."""

import json
from collections.abc import Iterator

import pytest
import time_machine

from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workspace with a dataset."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("recall") / "work")
        made.calls = made.ask(Asked())
        made.record("dataset", "build", "--student", "gardener", "--recipient", "lab")
        yield made


def test_it_shows_asks_and_withdraws(here: Workshop) -> None:
    """The recipient and the examples stand in what is shown; only with consent is it done."""
    words = ("recall", "--exchange", here.calls[0], "--reason", "wrong prompt")
    result = here.inbond(*words, "--dry-run", "--json")
    dataset, rest = (json.loads(line) for line in result.stdout.splitlines())
    assert (dataset["recipient"], dataset["affected"]) == ("lab", [f"{here.calls[0]} (recalled)"])
    assert rest["to_reject"] == here.calls
    size = here.size()
    assert here.inbond(*words).exit_code == 2
    assert here.size() == size
    done = here.record(*words, "--yes")
    assert done == {"withdrawn": [dataset["dataset"]], "rejected": here.calls}
    status = here.inbond("dataset", "status", dataset["dataset"], "--json")
    assert (status.exit_code, json.loads(status.stdout)["state"]) == (1, "withdrawn")


def test_where_nothing_is_concerned_nothing_is_asked(here: Workshop) -> None:
    """A recall that finds no dataset says so and ends well."""
    result = here.inbond("recall", "--policies", "--reason", "new year")
    assert result.exit_code == 0
    assert "nothing was withdrawn" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a recall has one ground"),
        (("--policies", "--grant", "x"), "a recall has one ground"),
        (("--terms", "openai"), "`openai` names no source of a policy"),
    ],
)
def test_wrong_use_is_said(here: Workshop, words: tuple[str, ...], message: str) -> None:
    """One ground, and a source with its policy."""
    result = here.inbond("recall", *words, "--reason", "r")
    assert result.exit_code == 2
    assert message in result.stderr
