"""`inbond hold` places, lists and lifts, each with a reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A new workspace."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop.at(tmp_path / "work")


def test_a_hold_is_listed_until_it_is_lifted(here: Workshop) -> None:
    """What was placed is listed with scope and reason; once lifted it is not."""
    here.ask(Asked())
    placed = here.record("hold", "place", "--project", "garden", "--reason", "lawsuit 4")
    listed = here.record("hold", "list")
    assert {name: listed[name] for name in ("hold", "scope", "subject", "reason")} == {
        **placed,
        "reason": "lawsuit 4",
    }
    here.record("hold", "lift", placed["hold"], "--reason", "settled")
    assert "no hold is in force" in here.inbond("hold", "list").stderr


def test_a_hold_has_one_scope(here: Workshop) -> None:
    """None and several are wrong use; everything needs no name."""
    none = here.inbond("hold", "place", "--reason", "r")
    both = here.inbond("hold", "place", "--project", "a", "--student", "b", "--reason", "r")
    assert (none.exit_code, both.exit_code) == (2, 2)
    assert "and 2 are given" in both.stderr
    everything = here.record("hold", "place", "--everything", "--reason", "audit")
    assert (everything["scope"], everything["subject"]) == ("everything", "")
