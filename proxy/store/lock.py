"""A lock between processes on one machine: a plain `flock` with a time-out and a fair queue."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.errors import LedgerBusy, LedgerError

__all__ = ["FileLock", "try_lock"]

_MODE = 0o600


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock of this file until it is closed, or None if another has it.

    Raises:
        LedgerError: the file cannot be made or opened.
    """
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


class FileLock:
    """One lock file, shared by the threads of a process and by any number of processes.

    The file is opened anew for each turn, so a forked child never shares its parent's hold.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()

    @contextmanager
    def hold(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock for the length of the block.

        Raises:
            LedgerBusy: somebody else held it for all of `timeout_s`.
            LedgerError: the lock file cannot be made or opened.
        """
        deadline = time.monotonic() + timeout_s
        if not self._turn.acquire(timeout=timeout_s):
            raise self._busy(timeout_s)
        try:
            descriptor = try_lock(self.path)
            if descriptor is None:
                descriptor = self._wait(deadline, timeout_s)
            try:
                yield
            finally:
                os.close(descriptor)
        finally:
            self._turn.release()

    def _wait(self, deadline: float, timeout_s: float) -> int:
        # flock has no time-out of its own, and polling starves behind a writer that never rests:
        # so a thread stands in the kernel's queue, and is told if we have left meanwhile.
        waiter = _Waiter(self.path)
        waiter.start()
        descriptor = waiter.collect(max(0.0, deadline - time.monotonic()))
        if descriptor is None:
            raise self._busy(timeout_s)
        return descriptor

    def _busy(self, timeout_s: float) -> LedgerBusy:
        return LedgerBusy(
            f"another process has held the ledger's lock for {timeout_s:g} s",
            where=str(self.path),
            help="try again; if it lasts, look for a stopped or hanging inbond process",
        )


class _Waiter(threading.Thread):
    def __init__(self, path: Path) -> None:
        super().__init__(name="ledger-lock", daemon=True)
        self._path = path
        self._descriptor = _open(path)
        self._has_lock = threading.Event()
        self._handover = threading.Lock()
        self._is_abandoned = False

    def run(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._handover:
            if self._is_abandoned:
                os.close(self._descriptor)
            self._has_lock.set()

    def collect(self, timeout_s: float) -> int | None:
        """The descriptor that holds the lock, or None: then it is let go as soon as it is had."""
        self._has_lock.wait(timeout_s)
        with self._handover:
            if self._has_lock.is_set():
                return self._descriptor
            self._is_abandoned = True
            return None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise LedgerError(
            f"the lock file cannot be opened: {(error.strerror or 'unknown error').lower()}",
            where=str(path),
            help="make its folder writable for the user who runs inbond",
        ) from error
