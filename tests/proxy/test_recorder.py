"""The recorder: groups of entries from async callers, durable, bounded and never lost."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from proxy.errors import LedgerBusy, LedgerError
from proxy.ledger.entry import ExchangeEntry
from proxy.ledger.seal import seal
from proxy.recorder import Recorder
from proxy.store.bodies import read_body
from proxy.store.log import Pending
from proxy.store.queries import counts, entry_by_id, open_calls
from proxy.store.session import STORAGE
from tests.proxy.calls import Disk
from tests.proxy.store.ledgers import Ledger, admin, call, exchange, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger in a folder of its own."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


@pytest.fixture
def recorder(ledger: Ledger) -> Iterator[Recorder]:
    """A recorder on that ledger, closed after the test."""
    opened = Recorder(ledger.log, retry_s=0.01)
    yield opened
    opened.close()


def _has(ledger: Ledger, pending: Pending) -> bool:
    with ledger.database.read() as connection:
        return entry_by_id(connection, pending.entry.id) is not None


async def _until(ledger: Ledger, pending: Pending) -> None:
    while not _has(ledger, pending):  # noqa: ASYNC110 - the database has no event to wait for
        await asyncio.sleep(0.005)


async def test_what_is_awaited_is_durable(ledger: Ledger, recorder: Recorder) -> None:
    """When `append` returns, another connection finds the entries at the places it gave."""
    first = call()
    end = exchange(first.entry.id)
    assert await recorder.append(first, end) == [0, 1]
    assert _has(ledger, first)
    assert _has(ledger, end)
    assert recorder.waiting == 0


async def test_many_callers_share_commits(ledger: Ledger, recorder: Recorder) -> None:
    """Two hundred calls at once take far fewer transactions, and each caller gets its own places."""
    commits: list[None] = []  # the writer takes a connection for each
    event.listen(ledger.database.engine, "checkout", lambda *_: commits.append(None))
    calls = [call() for _ in range(200)]
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(recorder.append(one)) for one in calls]
    places = [task.result()[0] for task in waiting]
    assert sorted(places) == list(range(200))
    assert 0 < len(commits) < 100
    with ledger.database.read() as connection:
        for place, one in zip(places, calls, strict=True):
            found = entry_by_id(connection, one.entry.id)
            assert found is not None
            assert found.seq == place


async def test_what_comes_close_together_shares_a_commit(ledger: Ledger) -> None:
    """After a commit the writer rests for the pace, and then writes all that has come meanwhile."""
    recorder = Recorder(ledger.log, pace_s=0.3)
    commits: list[None] = []
    event.listen(ledger.database.engine, "checkout", lambda *_: commits.append(None))
    await recorder.append(admin())
    assert len(commits) == 1
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(recorder.append(admin()))
            await asyncio.sleep(0.01)
    assert len(commits) == 2
    await asyncio.to_thread(recorder.close)
    assert ledger.log.size == 6


async def test_a_commit_wakes_a_loop_once(ledger: Ledger, recorder: Recorder) -> None:
    """However many callers of a loop wait for a commit, the writer's thread wakes the loop once."""
    loop, wakes = asyncio.get_running_loop(), list[object]()
    wake = loop.call_soon_threadsafe

    def counted(callback: Callable[..., object], *given: object) -> asyncio.Handle:
        wakes.append(callback)
        return wake(callback, *given)

    with ledger.log.exclusive():
        # The writer takes the first and waits for the lock; the others gather behind it.
        waiting = [asyncio.ensure_future(recorder.append(admin())) for _ in range(20)]
        await asyncio.sleep(0.05)
        loop.call_soon_threadsafe = counted  # type: ignore[assignment,method-assign] # how it is counted
    await asyncio.gather(*waiting)
    del loop.call_soon_threadsafe
    assert len(wakes) <= 2


def test_a_caller_without_a_loop_may_append(ledger: Ledger, recorder: Recorder) -> None:
    """`append_now` needs no event loop."""
    assert recorder.append_now(admin(), admin()) == [0, 1]
    assert ledger.log.size == 2


async def test_a_bad_group_fails_alone(ledger: Ledger, recorder: Recorder) -> None:
    """A group the log refuses fails for its caller; groups that came with it are written."""
    with ledger.log.exclusive():
        # While we hold the lock the writer takes one group; the rest gather behind it.
        groups = [(admin(),), (admin(),), (admin(), exchange("nothing")), (admin(),)]
        waiting = [asyncio.ensure_future(recorder.append(*group)) for group in groups]
        await asyncio.sleep(0.05)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(result, LedgerError) for result in results] == [False, False, True, False]
    assert ledger.log.size == 3


async def test_a_full_queue_refuses_calls_at_once(ledger: Ledger) -> None:
    """With no room left a call is refused without waiting; what ends a call still has room."""
    recorder = Recorder(ledger.log, limit=2)
    first = call()
    await recorder.append(first)
    with ledger.log.exclusive():
        waiting = [asyncio.ensure_future(recorder.append(call())) for _ in range(2)]
        await asyncio.sleep(0.05)
        fillers = [asyncio.ensure_future(recorder.append(admin())) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(LedgerBusy, match="records wait to be written already"):
            await recorder.append(call())
        end = exchange(first.entry.id)
        ended = asyncio.ensure_future(recorder.append(end))
        await asyncio.sleep(0)
        assert not ended.done()
    await asyncio.gather(*waiting, *fillers, ended)
    await asyncio.to_thread(recorder.close)
    assert _has(ledger, end)


async def test_bodies_count_against_the_limit(ledger: Ledger) -> None:
    """The stored bytes that wait are bounded too, and their room is free again once durable."""
    recorder = Recorder(ledger.log, limit_bytes=300)
    for place in range(10):
        assert await recorder.append(call()) == [place]
    large = await recorder.seal(os.urandom(301))
    with pytest.raises(LedgerBusy):
        await recorder.append(call(body=large.body))
    first = call()
    await recorder.append(first)
    end = exchange(first.entry.id)
    await recorder.append(Pending(end.entry, (large.body,)))
    recorder.close()


async def test_a_cancelled_caller_leaves_its_entry(ledger: Ledger, recorder: Recorder) -> None:
    """A task cancelled while it waits does not take its entry back."""
    one = admin()
    with ledger.log.exclusive():
        task = asyncio.ensure_future(recorder.append(one))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await _until(ledger, one)


async def test_a_failing_disk_refuses_calls_and_recovers(
    ledger: Ledger, recorder: Recorder
) -> None:
    """While the disk fails calls are refused; when it works again they go on by themselves."""
    disk = Disk(ledger)
    disk.fails = True
    refused = call()
    with pytest.raises(LedgerError, match="read-only") as caught:
        await recorder.append(refused)
    assert caught.value.code == STORAGE
    disk.fails = False
    assert await recorder.append(call()) == [0]
    assert not _has(ledger, refused)


async def test_the_end_of_a_call_is_owed(ledger: Ledger, recorder: Recorder) -> None:
    """An exchange the disk refused fails for its caller; written later, it is never admitted (P9)."""
    disk = Disk(ledger)
    first = call()
    await recorder.append(first)
    disk.fails = True
    end = exchange(first.entry.id)
    with pytest.raises(LedgerError, match="read-only"):
        await recorder.append(end)
    assert recorder.waiting == 1
    disk.fails = False
    await _until(ledger, end)
    with ledger.database.read() as connection:
        assert open_calls(connection) == ()
        late = entry_by_id(connection, end.entry.id)
        assert counts(connection).exchanges == {"cut": 1}
    assert isinstance(end.entry, ExchangeEntry)
    said = {"outcome": "cut", "is_whole": False, "problem": "late", "decision": None}
    assert late is not None
    assert late.entry == end.entry.model_copy(update=said)


async def test_what_came_with_a_late_end_stays_as_it_was(
    ledger: Ledger, recorder: Recorder
) -> None:
    """Of what is owed only the exchange says that it is late."""
    disk = Disk(ledger)
    first, note = call(), admin("note")
    await recorder.append(first)
    disk.fails = True
    with pytest.raises(LedgerError):
        await recorder.append(note, exchange(first.entry.id))
    disk.fails = False
    await _until(ledger, note)
    with ledger.database.read() as connection:
        found = entry_by_id(connection, note.entry.id)
    assert found is not None
    assert found.entry == note.entry


async def test_a_busy_ledger_owes_an_end_too(ledger: Ledger, tmp_path: Path) -> None:
    """An exchange that finds the ledger locked for too long is written late as well, bodies kept."""
    hasty = open_ledger(tmp_path, timeout_s=0.01)
    recorder = Recorder(hasty.log, retry_s=0.01)
    first = call()
    end = exchange(first.entry.id)
    await recorder.append(first)
    with ledger.log.exclusive(), pytest.raises(LedgerBusy):
        await recorder.append(end)
    await _until(hasty, end)
    with hasty.database.read() as connection:
        assert counts(connection).exchanges == {"cut": 1}
        assert read_body(connection, end.bodies[0].seal) == b"what is answered"
    await asyncio.to_thread(recorder.close)
    hasty.database.close()


async def test_posted_entries_are_written_without_waiting(
    ledger: Ledger, recorder: Recorder
) -> None:
    """What is posted is in the log after what was queued before it, though nobody waited."""
    first = call()
    end = exchange(first.entry.id)
    recorder.post(first)
    recorder.post(end)
    await _until(ledger, end)
    assert _has(ledger, first)


async def test_closing_writes_what_waits(ledger: Ledger) -> None:
    """Closing drains the queue; afterwards nothing more is taken, and closing again does nothing."""
    recorder = Recorder(ledger.log, batch=2)
    waiting = [asyncio.ensure_future(recorder.append(admin())) for _ in range(7)]
    await asyncio.sleep(0)
    await asyncio.to_thread(recorder.close)
    await asyncio.gather(*waiting)
    assert ledger.log.size == 7
    with pytest.raises(LedgerError, match="the recorder is closed"):
        await recorder.append(admin())
    recorder.close()


async def test_closing_tries_what_is_owed_once_more(ledger: Ledger) -> None:
    """What the disk refused before is written at closing if the disk works, and never hangs it."""
    disk = Disk(ledger)
    recorder = Recorder(ledger.log, retry_s=600)
    first, second = call(), call()
    await recorder.append(first, second)
    disk.fails = True
    for one in (first, second):
        with pytest.raises(LedgerError):
            await recorder.append(exchange(one.entry.id))
    disk.fails = False
    await asyncio.to_thread(recorder.close)
    with ledger.database.read() as connection:
        assert open_calls(connection) == ()


@pytest.mark.parametrize("size_bytes", [0, 10, 2**20 + 1])
async def test_sealed_bytes_come_back(ledger: Ledger, recorder: Recorder, size_bytes: int) -> None:
    """Bytes of any size are sealed under a fresh salt and read back by their seal."""
    data = b"x" * size_bytes
    prepared = await recorder.seal(data)
    again = await recorder.seal(data)
    assert prepared.record.seal == seal(prepared.body.salt, data) != again.record.seal
    await recorder.append(Pending(admin().entry, (prepared.body,)))
    with ledger.database.read() as connection:
        assert read_body(connection, prepared.record.seal) == data


async def test_a_writer_that_breaks_leaves_nobody_waiting(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the writer's thread dies of a mistake of ours, callers get an error, now and later."""
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    recorder = Recorder(ledger.log)
    broken = Pending(None)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(LedgerError, match="the recorder has stopped"):
        await recorder.append(broken)
    with pytest.raises(LedgerError, match="the recorder is closed"):
        await recorder.append(admin())
    recorder.close()
