"""After a crash: calls whose process died get their exchange, with outcome `interrupted`.

Lines of a batch stay open: their answers come when somebody fetches them, through any process.

A process that makes calls holds a lease, a locked file that the kernel lets go however the process
ends. The lease is taken before its first call and released after its last exchange is durable.
"""

import os
import re
from datetime import timedelta
from itertools import batched
from pathlib import Path
from typing import Self

from proxy.clock import new_nonce, stamp, utc_now
from proxy.errors import LedgerError
from proxy.ledger.entry import ExchangeEntry, exchange_of
from proxy.store.lock import FileLock, try_lock
from proxy.store.log import Log, Pending
from proxy.store.queries import open_calls
from proxy.store.records import OpenCall

__all__ = ["Lease", "recover"]

_BATCH = 500
_RESULTS_KEPT = timedelta(days=45)
"""Longer than any provider takes for a batch and keeps its results: 7 days and 30."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class Lease:
    """Shows that a worker is alive, for as long as it is held."""

    def __init__(self, directory: Path, worker: str) -> None:
        """Take the lease of a worker; a worker's id is never used again.

        Raises:
            LedgerError: the id is no plain name, is in use, or the folder cannot be written.
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

    def release(self) -> None:
        """Give the lease back; later calls do nothing."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def recover(log: Log, directory: Path) -> int:
    """End the calls of dead workers as `interrupted`; gives how many there were.

    Calls of workers that hold their lease in `directory` are left alone. Any number of processes
    may do this at once.

    Raises:
        LedgerBusy: another process recovers, or holds the ledger.
        LedgerError: the ledger cannot be read or written.
    """
    with FileLock(directory / "recovery.lock").hold(log.timeout_s):
        dead = {worker for worker in _workers(log) if not _is_alive(directory, worker)}
        # INVARIANT: read again after the leases, since a worker may have ended its calls and gone
        # meanwhile; a dead one appends nothing more.
        lost = _lost(_open_calls(log), dead)
        for calls in batched(lost, _BATCH):
            log.append([Pending(_interrupted(call)) for call in calls])
        for worker in dead:
            if _NAME.fullmatch(worker):
                _path(directory, worker).unlink(missing_ok=True)
    return len(lost)


def _lost(calls: tuple[OpenCall, ...], dead: set[str]) -> list[OpenCall]:
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


def _interrupted(call: OpenCall) -> ExchangeEntry:
    return ExchangeEntry(
        id=exchange_of(call.id),
        at=stamp(utc_now()),
        actor="inbond",
        call=call.id,
        outcome="interrupted",
        problem="interrupted",
        nonce=new_nonce(),
    )
