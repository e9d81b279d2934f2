"""A ledger copied into another database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from proxy.errors import LedgerError
from proxy.store.bodies import read_body
from proxy.store.checkpoints import Signer
from proxy.store.copying import copy_ledger
from proxy.store.log import Log
from proxy.store.queries import checkpoints, entries
from proxy.store.session import Database, open_database
from proxy.store.tables import EntryRow
from proxy.store.verify import verify_store
from tests.proxy.store.ledgers import KEY, Ledger, admin, call, exchange, open_ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    is_sqlite = request.param == "sqlite"
    url = "sqlite:///copy.db" if is_sqlite else request.getfixturevalue("postgres_url")
    database = open_database(url, directory=tmp_path)
    yield database
    database.close()


def _fill(ledger: Ledger) -> str:
    """A few hundred entries and two checkpoints; gives the seal of a body."""
    first = call()
    ledger.log.append([first, exchange(first.entry.id)])
    ledger.signer.sign()
    ledger.log.append([admin() for _ in range(300)])
    ledger.signer.sign()
    return first.bodies[0].seal


def test_a_copy_holds_all_and_goes_on(ledger: Ledger, target: Database) -> None:
    """Leaves, places, checkpoints and bodies are the same; the copy extends what was signed before."""
    seal = _fill(ledger)
    root = ledger.log.root()
    copied = copy_ledger(ledger.log, target)
    assert (copied.entries, copied.root) == (302, root)
    with ledger.database.read() as old, target.read() as new:
        assert entries(new, limit=1_000) == entries(old, limit=1_000)
        assert checkpoints(new) == checkpoints(old)
        assert read_body(new, seal) == read_body(old, seal) == b"what is asked"
    assert verify_store(target, KEY.verifier).is_sound
    log = Log(target, ledger.folder / "ledger.lock")
    Signer(log, KEY, ledger.folder / "last.checkpoint").check()
    assert log.append([admin()]) == [302]


def test_the_old_ledger_takes_no_entry_any_more(ledger: Ledger, target: Database) -> None:
    """After the copy the old one can be read and verified, and neither appended to nor copied."""
    _fill(ledger)
    copy_ledger(ledger.log, target)
    for late in (lambda: ledger.log.append([admin()]), lambda: copy_ledger(ledger.log, target)):
        with pytest.raises(LedgerError, match="goes on there") as caught:
            late()
        assert caught.value.help == "name the other database in the setting `database`"
    assert verify_store(ledger.database, KEY.verifier).is_sound
    again = open_ledger(ledger.folder)
    with pytest.raises(LedgerError, match="goes on there"):
        again.log.append([admin()])
    again.database.close()


def test_nothing_is_copied_over_a_ledger(ledger: Ledger, target: Database) -> None:
    """A target that holds entries is refused, and both ledgers stay as they were."""
    _fill(ledger)
    other = Log(target, ledger.folder / "other.lock")
    other.trust()
    other.append([admin()])
    with pytest.raises(LedgerError, match="holds a ledger of 1 entries"):
        copy_ledger(ledger.log, target)
    assert ledger.log.append([admin()]) == [302]
    assert other.append([admin()]) == [1]


def test_a_ledger_that_does_not_add_up_is_not_copied(ledger: Ledger, target: Database) -> None:
    """A leaf that was changed shows in the copy, which is then undone; the old ledger goes on."""
    _fill(ledger)
    with ledger.database.write() as connection:
        connection.execute(update(EntryRow).where(EntryRow.seq == 9).values(leaf=b"{}"))
    with pytest.raises(LedgerError, match="do not add up"):
        copy_ledger(ledger.log, target)
    with target.read() as connection:
        assert connection.execute(select(EntryRow.seq)).first() is None
    assert ledger.log.append([admin()]) == [302]
