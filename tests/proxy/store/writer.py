"""A process that records calls, and tells of each entry only once it is durable."""

from multiprocessing.connection import Connection
from pathlib import Path

from proxy.store.recovery import Lease, recover
from tests.proxy.store.ledgers import admin, call, exchange, open_ledger


def record_calls(folder: str, worker: str, told: Connection, url: str | None = None) -> None:
    """Record calls and their exchanges until the process is killed."""
    ledger = open_ledger(Path(folder), url=url)
    with Lease(ledger.folder, worker, ledger.database):
        recover(ledger.log, ledger.folder)
        while True:
            first = call(worker=worker)
            ledger.log.append([first])
            told.send(("call", first.entry.id))
            end = exchange(first.entry.id)
            ledger.log.append([end])
            told.send(("exchange", first.entry.id))


def record_batches(folder: str, batches: int, told: Connection, url: str | None = None) -> None:
    """Append batches of one to seven entries, and sign now and then."""
    ledger = open_ledger(Path(folder), url=url)
    for number in range(batches):
        batch = [admin() for _ in range(1 + number % 7)]
        places = ledger.log.append(batch)
        told.send([(place, one.entry.id) for place, one in zip(places, batch, strict=True)])
        if number % 5 == 0:
            ledger.signer.sign()
    ledger.database.close()
    told.send(None)
