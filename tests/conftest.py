"""What holds for every test."""

import os

import pytest
import pytest_randomly

# A library of the extra `detectors` asks to seed torch before every test: nothing here draws from it.
pytest_randomly.entrypoint_reseeds = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the journeys, in every process: the many small tests then let all end together.

    pytest-xdist deals out the order in pieces of one length, and its idle processes steal from the
    ends of others. Within journeys and small tests the order stays the random one.
    """
    journeys = [item for item in items if item.get_closest_marker("slow")]
    small = [item for item in items if not item.get_closest_marker("slow")]
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    dealt: list[pytest.Item] = []
    for left in range(processes, 0, -1):
        length = (len(items) - len(dealt)) // left
        first = _taken(journeys, len(journeys) // left)
        dealt += first + _taken(small, length - len(first))
    items[:] = dealt


def _taken(items: list[pytest.Item], count: int) -> list[pytest.Item]:
    """The first items, which leave the list."""
    taken, items[:] = items[:count], items[count:]
    return taken
