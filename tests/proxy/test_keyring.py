"""The key ring: what the ledger knew at the last refresh, read by one caller at a time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from proxy.errors import LedgerError
from proxy.identity import ClientKey
from proxy.keyring import LedgerKeyRing
from tests.proxy.store.ledgers import DIGEST, Ledger, key_entry, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


async def test_it_knows_what_the_ledger_knew(ledger: Ledger) -> None:
    """A key is known from the refresh after it was made, and revoked from the one after that."""
    ring = LedgerKeyRing(ledger.database)
    ledger.log.append([key_entry("create", "k1")])
    assert ring.find(DIGEST) is None
    await ring.refresh()
    assert ring.find(DIGEST) == ClientKey(key="k1", project="p1", student="s1")
    ledger.log.append([key_entry("revoke", "k1")])
    await ring.refresh()
    found = ring.find(DIGEST)
    assert found is not None
    assert found.is_revoked


async def test_many_callers_share_a_reading(ledger: Ledger) -> None:
    """A flood of unknown keys costs two readings: the one under way, and one for all who wait."""
    readings: list[None] = []
    event.listen(ledger.database.engine, "begin", lambda _: readings.append(None))
    ring = LedgerKeyRing(ledger.database)
    first = asyncio.ensure_future(ring.refresh())
    await asyncio.sleep(0)
    await asyncio.gather(first, *(ring.refresh() for _ in range(50)))
    assert len(readings) <= 2


async def test_a_failed_reading_is_nobodys(ledger: Ledger) -> None:
    """If the ledger cannot be read every caller hears so, and what was known stays."""
    ring = LedgerKeyRing(ledger.database)
    ledger.log.append([key_entry("create", "k1")])
    await ring.refresh()
    ledger.database.close()
    for path in ledger.folder.glob("inbond.db*"):
        path.write_bytes(b"no database at all, not even close to one")
    results = await asyncio.gather(*(ring.refresh() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, LedgerError) for result in results)
    assert ring.find(DIGEST) is not None
