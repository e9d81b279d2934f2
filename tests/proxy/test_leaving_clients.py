"""Clients that leave at any moment while their call is decided and recorded (P1, P2)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.call import Call
from proxy.errors import LedgerError
from proxy.exchange import Outcome
from proxy.gate import Refused
from proxy.recorder import Recorder
from tests.proxy.calls import REQUEST, Disk, Site, site
from tests.proxy.store.ledgers import open_ledger


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """A site with an empty ledger."""
    with site(tmp_path) as opened:
        yield opened


async def test_a_client_that_left_before_the_decision_leaves_nothing(here: Site) -> None:
    """A call that ended before its request was whole was never made: no entry, nothing sent."""
    call = here.call()
    await call.end(Outcome.CLIENT_DISCONNECTED)
    assert here.entries() == []
    answer = await call.request(REQUEST)
    assert isinstance(answer, Refused)
    assert answer.status == 503
    assert here.entries() == []


async def test_a_client_that_leaves_while_the_call_is_written_gets_one_exchange(
    here: Site,
) -> None:
    """If `end` comes while the call is on its way to the disk, both follow, and nothing is sent."""
    call = here.call()
    with here.ledger.log.exclusive():
        asking = asyncio.ensure_future(call.request(REQUEST))
        await _queued(call)
        ending = asyncio.ensure_future(call.end(Outcome.CLIENT_DISCONNECTED))
        await asyncio.sleep(0)
    assert isinstance(await asking, Refused)
    await ending
    assert here.pair()[1].outcome == "client_disconnected"


async def test_a_cancelled_request_gets_one_exchange_if_its_call_became_durable(
    here: Site,
) -> None:
    """A hook cancelled between `append` and its return leaves a call, and `end` its exchange."""
    call = here.call()
    with here.ledger.log.exclusive():
        asking = asyncio.ensure_future(call.request(REQUEST))
        await _queued(call)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        ending = asyncio.ensure_future(call.end(Outcome.CLIENT_DISCONNECTED))
        await asyncio.sleep(0)
    await ending
    assert here.pair()[1].outcome == "client_disconnected"


async def test_no_exchange_without_its_call(tmp_path: Path) -> None:
    """If the call of a cancelled hook could not be written, neither is an exchange, now or later."""
    ledger = open_ledger(tmp_path)
    here = Site(ledger=ledger, recorder=Recorder(ledger.log, retry_s=0.01))
    disk = Disk(ledger)
    call = here.call()
    with ledger.log.exclusive():
        asking = asyncio.ensure_future(call.request(REQUEST))
        await _queued(call)
        disk.fails = True
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        ending = asyncio.ensure_future(call.end(Outcome.CLIENT_DISCONNECTED))
        await asyncio.sleep(0)
    with pytest.raises(LedgerError):
        await ending
    disk.fails = False
    await asyncio.to_thread(here.recorder.close)
    assert here.entries() == []
    assert here.recorder.waiting == 0
    ledger.database.close()


async def _queued(call: Call) -> None:
    """Wait until the call stands in the queue, which the test's lock keeps from moving."""
    async with asyncio.timeout(5):
        while call._state.name != "CALLED":  # noqa: ASYNC110 - it is told by nobody
            await asyncio.sleep(0.001)
