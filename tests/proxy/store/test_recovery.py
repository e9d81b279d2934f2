"""Leases and the end of calls whose process died."""

import threading
from pathlib import Path

import pytest

from proxy.errors import LedgerError
from proxy.store.queries import exchange_with_call, open_calls
from proxy.store.recovery import Lease, recover
from tests.proxy.store.ledgers import Ledger, call, exchange, open_ledger


def _outcome(ledger: Ledger, call_id: str) -> str | None:
    with ledger.database.read() as connection:
        found = exchange_with_call(connection, call_id)
    assert found is not None
    return found.exchange.entry.outcome if found.exchange else None


def test_calls_of_a_dead_worker_are_interrupted(ledger: Ledger) -> None:
    """A call without an exchange and without a living worker ends as `interrupted`, not whole."""
    lost, ended = call(worker="dead"), call(worker="dead")
    ledger.log.append([lost, ended, exchange(ended.entry.id)])
    assert recover(ledger.log, ledger.folder) == 1
    with ledger.database.read() as connection:
        found = exchange_with_call(connection, lost.entry.id)
        assert open_calls(connection) == ()
    assert found is not None
    assert found.exchange is not None
    entry = found.exchange.entry
    assert (entry.outcome, entry.is_whole, entry.decision) == ("interrupted", False, None)
    assert _outcome(ledger, ended.entry.id) == "complete"


def test_calls_of_a_living_worker_are_left_alone(ledger: Ledger) -> None:
    """While a worker holds its lease its calls stay open; once it lets go they end."""
    with Lease(ledger.folder, "alive"):
        under_way, lost = call(worker="alive"), call(worker="dead")
        ledger.log.append([under_way, lost])
        assert recover(ledger.log, ledger.folder) == 1
        assert _outcome(ledger, under_way.entry.id) is None
    assert recover(ledger.log, ledger.folder) == 1
    assert _outcome(ledger, under_way.entry.id) == "interrupted"


def test_recovery_is_done_once(ledger: Ledger) -> None:
    """Recovering again finds nothing and adds nothing."""
    ledger.log.append([call(worker="dead") for _ in range(3)])
    assert recover(ledger.log, ledger.folder) == 3
    size = ledger.log.size
    assert recover(ledger.log, ledger.folder) == 0
    assert ledger.log.size == size


def test_two_may_recover_at_once(tmp_path: Path) -> None:
    """Two recoveries at once end each call exactly once, between them."""
    ledgers = [open_ledger(tmp_path) for _ in range(2)]
    ledgers[0].log.append([call(worker=f"dead{number % 3}") for number in range(40)])
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(recover(one.log, tmp_path)))
        for one in ledgers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 40]
    assert ledgers[0].log.size == 80
    for one in ledgers:
        one.database.close()


def test_a_worker_is_there_once(tmp_path: Path) -> None:
    """Nobody takes a lease that is held; a released one leaves no file."""
    lease = Lease(tmp_path, "w1")
    with pytest.raises(LedgerError, match="worker `w1` runs already"):
        Lease(tmp_path, "w1")
    lease.release()
    lease.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../w", "a/b", ".hidden", "x" * 64])
def test_a_worker_has_a_plain_name(tmp_path: Path, name: str) -> None:
    """An id that would not be a plain file name is refused."""
    with pytest.raises(LedgerError, match="is not the id of a worker"):
        Lease(tmp_path, name)


def test_a_worker_without_a_plain_name_is_dead(ledger: Ledger) -> None:
    """A call of a worker that no lease can have is ended without touching other files."""
    other = ledger.folder.parent / "w.lease"
    other.touch()
    ledger.log.append([call(worker="../w")])
    assert recover(ledger.log, ledger.folder) == 1
    assert other.exists()
    other.unlink()


def test_a_lease_left_by_a_crash_is_cleared(ledger: Ledger) -> None:
    """The file of a dead worker is removed once its calls are ended."""
    left = ledger.folder / "dead.lease"
    left.touch()
    ledger.log.append([call(worker="dead")])
    assert recover(ledger.log, ledger.folder) == 1
    assert not left.exists()
