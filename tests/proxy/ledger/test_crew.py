"""Work that is shared among processes comes back in order."""

import os

import pytest

from proxy.errors import LedgerError
from proxy.ledger.crew import Crew


def test_one_process_works_here() -> None:
    """Nothing is started where one process is asked for: a function needs no name."""
    with Crew() as crew:
        assert list(crew.each(lambda part: part + 1, [1, 2, 3], 3)) == [2, 3, 4]


def test_more_processes_keep_the_order() -> None:
    """Whoever is done first waits for those before."""
    with Crew(2) as crew:
        assert list(crew.each(int, map(str, range(9)), 9)) == list(range(9))
        with pytest.raises(ValueError, match="invalid literal"):
            list(crew.each(int, ["x"] * 9, 9))


def test_a_process_that_dies_is_told() -> None:
    """Whatever ends one, such as a file made to crash its reader, is an error like others."""
    with Crew(2) as crew, pytest.raises(LedgerError) as caught:
        list(crew.each(os._exit, [3] * 9, 9))
    assert caught.value.code == "process-ended"
