"""The keyed digest of a customer's ids, and what a loop may ask of the ledger."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from proxy.batches import Batches
from tests.proxy.store.ledgers import Ledger, call, exchange, open_ledger


@given(st.text(max_size=30), st.text(max_size=30))
def test_ids_are_told_apart_by_a_key(one: str, other: str) -> None:
    """Equal ids have equal digests, others others; without the key they say nothing."""
    ledger: Ledger | None = None
    mine, theirs = [
        Batches(database=ledger, secret=bytes([n]) * 32, directory=Path())  # type: ignore[arg-type] # no question is put
        for n in (1, 2)
    ]
    assert (mine.digest(one) == mine.digest(other)) == (one == other)
    assert mine.digest(one) != theirs.digest(one)
    assert len(mine.digest(one)) == 64


async def test_nothing_is_known_of_what_nobody_sent(tmp_path: Path) -> None:
    """Every question has an answer in an empty ledger."""
    ledger = open_ledger(tmp_path)
    batches = Batches(database=ledger.database, secret=bytes(32), directory=tmp_path)
    first = call()
    ledger.log.append([first])
    assert await batches.upload("acme-api", "f") is None
    assert await batches.batch_of("acme-api", "f") is None
    assert await batches.creates("acme-api", "b") == ()
    assert await batches.lines((), ["00" * 32]) == {}
    assert await batches.left((first.entry.id,), limit=9) == ()
    files = await batches.files("acme-api", "b")
    assert (files.named, files.read, files.is_ended) == (frozenset(), frozenset(), False)
    assert not await batches.has_ended([first.entry.id])
    ledger.log.append([exchange(first.entry.id)])
    assert await batches.has_ended([first.entry.id])
    assert list(batches.kept(first.entry.id)) == []
    ledger.database.close()
