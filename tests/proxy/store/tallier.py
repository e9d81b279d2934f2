"""A process that counts calls of one group, and tells the number that each of them saw."""

from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from policies.counters import Group
from policies.model import Condition, Counter, Place
from proxy.store.counters import Step, Tallies
from tests.proxy.store.ledgers import open_ledger

COUNTER = Counter(
    name="calls",
    policy="house",
    count="requests",
    per=("route",),
    within=timedelta(hours=24),
    scope=Condition(),
    where=Place(file="organisation/house.yaml", line=1, column=1),
)
STEP = Step(
    groups=(Group(counter=COUNTER, key=bytes(16)),),
    at=datetime(2026, 11, 24, 5, tzinfo=UTC),
    requests=1,
)


def count_calls(folder: str, calls: int, told: Connection) -> None:
    """Count calls one by one, each in a transaction under the lock of the log."""
    ledger = open_ledger(Path(folder))
    tallies = Tallies()
    for _ in range(calls):
        with ledger.log.exclusive(), ledger.database.write() as connection:
            opened = tallies.open(connection)
            numbers = opened.numbers(STEP)
            opened.add(STEP)
            opened.write()
        told.send(numbers["counter.calls"])
    ledger.database.close()
    told.send(None)
