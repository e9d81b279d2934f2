"""Workers of several hosts on one database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from proxy.errors import LedgerError
from proxy.store.presence import SILENT_S, Presence, host_of
from proxy.store.queries import exchange_with_call
from proxy.store.recovery import Lease, recover, recover_silent
from proxy.store.tables import LeaseRow
from tests.postgres import Server
from tests.proxy.store.ledgers import Ledger, call, exchange, open_ledger


@pytest.fixture
def hosts(tmp_path: Path, postgres_url: str) -> Iterator[tuple[Ledger, Ledger]]:
    """Two hosts with a folder each, on one ledger."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = (open_ledger(folder, url=postgres_url) for folder in folders)
    yield one, two
    one.database.close()
    two.database.close()


def _age(ledger: Ledger, seconds: int) -> None:
    """Have every worker been heard of last so long ago."""
    with ledger.database.aside() as connection:
        connection.execute(update(LeaseRow).values(seen=LeaseRow.seen - seconds))


def _workers(ledger: Ledger) -> set[str]:
    with ledger.database.read() as connection:
        return set(connection.execute(select(LeaseRow.worker)).scalars())


def _outcome(ledger: Ledger, call_id: str) -> str | None:
    with ledger.database.read() as connection:
        found = exchange_with_call(connection, call_id)
    assert found is not None
    return found.exchange.entry.outcome if found.exchange else None


def test_a_living_worker_of_another_host_is_left_alone(hosts: tuple[Ledger, Ledger]) -> None:
    """What one host recovers are its own calls: those of a worker elsewhere go on, and end."""
    one, two = hosts
    with Lease(one.folder, "w1", one.database):
        under_way, lost = call(worker="w1"), call(worker="dead")
        one.log.append([under_way, lost])
        assert recover(two.log, two.folder) == 1
        assert _outcome(one, lost.entry.id) == "interrupted"
        assert _outcome(one, under_way.entry.id) is None
        one.log.append([exchange(under_way.entry.id)])
    assert _outcome(two, under_way.entry.id) == "complete"
    assert _workers(one) == set()


def test_a_host_ends_the_calls_of_its_own_dead_at_once(hosts: tuple[Ledger, Ledger]) -> None:
    """A worker whose lock is free is dead for its own host, however lately it was heard of."""
    one, _ = hosts
    Presence(one.database, "w1", host_of(one.folder))
    lost = call(worker="w1")
    one.log.append([lost])
    assert recover(one.log, one.folder) == 1
    assert _outcome(one, lost.entry.id) == "interrupted"
    assert _workers(one) == set()


def test_only_a_long_silence_is_a_death(
    hosts: tuple[Ledger, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent worker of another host is left alone for as long as its server may have been away."""
    one, two = hosts
    Presence(one.database, "w1", host_of(one.folder))
    lost = call(worker="w1")
    one.log.append([lost])
    _age(one, 10 * SILENT_S)
    # The server is younger than that: nobody could be heard of while it did not run.
    assert recover_silent(two.log, two.folder) == 0
    monkeypatch.setattr("proxy.store.presence.SILENT_S", -1)
    assert recover_silent(two.log, two.folder) == 1
    assert _outcome(one, lost.entry.id) == "interrupted"
    # It may have been cut off only: it is known until it is silent with nothing open.
    assert _workers(one) == {"w1"}
    assert recover_silent(two.log, two.folder) == 0
    assert _workers(one) == set()


def test_a_restarted_server_finds_its_workers_again(
    hosts: tuple[Ledger, Ledger], postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that crashes breaks every connection, and ends no call."""
    one, two = hosts
    monkeypatch.setattr("proxy.store.recovery.RENEW_S", 0)
    with Lease(one.folder, "w1", one.database) as lease:
        under_way = call(worker="w1")
        one.log.append([under_way])
        postgres.stop(is_sudden=True)
        with pytest.raises(LedgerError, match="cannot be reached"):
            lease.renew()
        postgres.start()
        assert recover(two.log, two.folder) == 0
        assert lease.renew()
        one.log.append([exchange(under_way.entry.id)])
    assert _outcome(two, under_way.entry.id) == "complete"


def test_a_host_keeps_its_name(tmp_path: Path) -> None:
    """The name is made once for each folder, and one that cannot be kept is told."""
    assert host_of(tmp_path) == host_of(tmp_path)
    with pytest.raises(LedgerError, match="cannot be kept"):
        host_of(tmp_path / "absent")
