"""After a crash: calls whose process died get their exchange, with outcome `interrupted`.

Lines of a batch stay open: their answers come when somebody fetches them, through any process.

A process that makes calls holds a lease, a locked file that the kernel lets go however the process
ends. The lease is taken before its first call and released after its last exchange is durable. Where
several hosts share a database, it says so there too (`proxy.store.presence`).
"""

import contextlib
import os
import re
import time
from collections.abc import Collection
from datetime import timedelta
from itertools import batched
from pathlib import Path
from typing import Self

from proxy.clock import stamp, utc_now
from proxy.errors import LedgerError
from proxy.store.leaves import interruption
from proxy.store.lock import FileLock, try_lock
from proxy.store.log import Log
from proxy.store.presence import (
    RENEW_S,
    Presence,
    alive_elsewhere,
    host_of,
    settle,
    silent_elsewhere,
)
from proxy.store.queries import open_calls
from proxy.store.records import OpenCall
from proxy.store.session import Database

__all__ = ["Lease", "recover", "recover_silent"]

_BATCH = 500
_RESULTS_KEPT = timedelta(days=45)
"""Longer than any provider takes for a batch and keeps its results: 7 days and 30."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class Lease:
    """Shows that a worker is alive, for as long as it is held."""

    def __init__(self, directory: Path, worker: str, database: Database | None = None) -> None:
        """Take the lease of a worker; a worker's id is never used again.

        A `database` that several hosts may share is told too.

        Raises:
            LedgerError: the id is no plain name, is in use, or folder or database cannot be written.
        """
        if not _NAME.fullmatch(worker):
            raise LedgerError(
                f"`{worker}` is not the id of a worker",
                help="use letters, digits, `-` and `_`, at most 63",
            )
        self.worker = worker
        self._path = _path(directory, worker)
        descriptor = try_lock(self._path)
        if descriptor is None:
            raise LedgerError(
                f"worker `{worker}` runs already",
                where=str(self._path),
                help="give every process an id of its own",
            )
        self._descriptor: int | None = descriptor
        self._presence: Presence | None = None
        self._renewed_s = time.monotonic()
        try:
            if database is not None and not database.is_sqlite:
                self._presence = Presence(database, worker, host_of(directory))
        except LedgerError:
            self.release()
            raise

    def renew(self) -> bool:
        """Tell other hosts that the worker is alive; a moment after the last time, nothing.

        Gives whether they were told.

        Raises:
            LedgerError: the database cannot be written; the lease is held all the same.
        """
        now_s = time.monotonic()
        if self._presence is None or now_s - self._renewed_s < RENEW_S:
            return False
        self._presence.renew()
        self._renewed_s = now_s
        return True

    def release(self) -> None:
        """Give the lease back; later calls do nothing."""
        if self._descriptor is not None:
            if self._presence is not None:
                with contextlib.suppress(LedgerError):  # others find it silent, and wait a while
                    self._presence.end()
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def recover(log: Log, directory: Path) -> int:
    """End the calls of dead workers as `interrupted`; gives how many there were.

    Calls of workers that hold their lease in `directory` are left alone, and those of workers of
    other hosts that were heard of lately. Any number of processes may do this at once.

    Raises:
        LedgerBusy: another process recovers, or holds the ledger.
        LedgerError: the ledger cannot be read or written.
    """
    database = log.database
    with contextlib.ExitStack() as stack:
        stack.enter_context(FileLock(directory / "recovery.lock").hold(log.timeout_s))
        silent: frozenset[str] = frozenset()
        workers = _workers(log)
        if not database.is_sqlite:
            stack.enter_context(database.aside("recovery"))
            host = host_of(directory)
            with database.read() as connection:
                workers -= alive_elsewhere(connection, host)
                silent = silent_elsewhere(connection, host)
        dead = {worker for worker in workers if not _is_alive(directory, worker)}
        # INVARIANT: read again after the leases, since a worker may have ended its calls and gone
        # meanwhile; a dead one appends nothing more.
        lost = _lost(_open_calls(log), dead)
        for calls in batched(lost, _BATCH):
            log.append([interruption(call.id) for call in calls])
        for worker in dead:
            if _NAME.fullmatch(worker):
                _path(directory, worker).unlink(missing_ok=True)
        if not database.is_sqlite:
            settle(database, host_of(directory), dead, silent)
    return len(lost)


def recover_silent(log: Log, directory: Path) -> int:
    """As `recover`, if a worker of another host is silent too long; else nothing is read but that.

    Raises:
        LedgerBusy: another process recovers, or holds the ledger.
        LedgerError: the ledger cannot be read or written.
    """
    if log.database.is_sqlite:
        return 0
    with log.database.read() as connection:
        silent = silent_elsewhere(connection, host_of(directory))
    return recover(log, directory) if silent else 0


def _lost(calls: tuple[OpenCall, ...], dead: Collection[str]) -> list[OpenCall]:
    """The calls that nothing can end any more.

    A line of a batch outlives the worker that sent it: it is lost if no answer named its batch, or
    once no provider keeps results that old.
    """
    still_open = {call.id for call in calls if call.worker not in dead}
    too_old = stamp(utc_now() - _RESULTS_KEPT)
    return [
        call
        for call in calls
        if call.worker in dead
        and call.create not in still_open
        and (call.create is None or not call.has_batch or call.at < too_old)
    ]


def _workers(log: Log) -> set[str]:
    return {call.worker for call in _open_calls(log)}


def _open_calls(log: Log) -> tuple[OpenCall, ...]:
    with log.database.read() as connection:
        return open_calls(connection)


def _is_alive(directory: Path, worker: str) -> bool:
    if not _NAME.fullmatch(worker) or not _path(directory, worker).exists():
        return False
    descriptor = try_lock(_path(directory, worker))
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _path(directory: Path, worker: str) -> Path:
    return directory / f"{worker}.lease"
