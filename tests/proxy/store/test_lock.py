"""The lock between processes."""

import os
import threading
import time
from pathlib import Path

import pytest

from proxy.errors import LedgerBusy, LedgerError
from proxy.store.lock import FileLock, try_lock


def test_a_held_lock_is_not_had_twice(tmp_path: Path) -> None:
    """While one holds the lock, another descriptor of the same file does not get it."""
    path = tmp_path / "lock"
    first = try_lock(path)
    assert first is not None
    assert try_lock(path) is None
    os.close(first)
    second = try_lock(path)
    assert second is not None
    os.close(second)


def test_waiting_ends_in_busy_and_leaves_no_hold(tmp_path: Path) -> None:
    """Who waits too long gets `LedgerBusy`; his place in the queue does not keep the lock later."""
    path = tmp_path / "lock"
    other = try_lock(path)
    assert other is not None
    lock = FileLock(path)
    with pytest.raises(LedgerBusy, match=r"for 0\.05 s"), lock.hold(0.05):
        pass
    os.close(other)
    with lock.hold(10):
        assert try_lock(path) is None
    last = try_lock(path)
    assert last is not None
    os.close(last)


def test_a_waiter_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    """Who waits in time gets the lock as soon as the holder lets it go."""
    path = tmp_path / "lock"
    other = try_lock(path)
    assert other is not None
    threading.Timer(0.05, os.close, (other,)).start()
    with FileLock(path).hold(30):
        assert try_lock(path) is None


def test_threads_take_turns(tmp_path: Path) -> None:
    """Threads that share one lock are never inside together."""
    lock = FileLock(tmp_path / "lock")
    inside: list[int] = []
    together: list[int] = []

    def enter(number: int) -> None:
        for _ in range(5):
            with lock.hold(30):
                inside.append(number)
                together.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1] * 15


def test_a_thread_that_waits_too_long_is_told(tmp_path: Path) -> None:
    """The time-out counts between threads of one process too."""
    lock = FileLock(tmp_path / "lock")
    caught: list[LedgerBusy] = []

    def wait() -> None:
        try:
            with lock.hold(0.01):
                pass
        except LedgerBusy as error:
            caught.append(error)

    with lock.hold(1):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert len(caught) == 1


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A lock file that cannot be made gives an error with advice."""
    with pytest.raises(LedgerError, match="lock file cannot be opened: no such file") as caught:
        try_lock(tmp_path / "nowhere" / "lock")
    assert "writable" in caught.value.help
