"""The recorder: from async hooks to the log, in groups, bounded, and never dropping an end.

One thread commits whatever gathered during its previous commit. A full queue refuses new calls at
once; what ends a call under way always has room, and if the disk fails it is owed: kept and written
as soon as writing works again, so that every call gets its one exchange (promise P2). Its client was
cut meanwhile, so what is written late says so, and can never be admitted (promise P9).
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from proxy.errors import ForkError, LedgerBusy, LedgerError
from proxy.exchange import Outcome
from proxy.ledger.entry import CallEntry, ExchangeEntry
from proxy.ledger.seal import SALT_BYTES
from proxy.store.bodies import Prepared, prepare_body
from proxy.store.log import Log, Pending, Settle
from proxy.store.session import STORAGE

__all__ = ["Recorder", "may_pass"]

_LARGE_BYTES = 2**20
"""Bodies above this are sealed off the event loop."""


def may_pass(error: LedgerError) -> bool:
    """Whether the same append may succeed later; the recorder then keeps what ends a call."""
    return isinstance(error, LedgerBusy) or error.code == STORAGE


type _Result = list[int] | LedgerError
"""The places of a group's entries, or why they are not durable."""


class _Waiter:
    """Where a caller in an event loop waits for his group."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[list[int]] = self.loop.create_future()

    def tell(self, result: _Result) -> None:
        """Wake the caller, unless he went away; in his loop."""
        if self.done.done():
            return
        if isinstance(result, LedgerError):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


@dataclass(frozen=True, slots=True)
class _Group:
    """What one caller wants to be durable together, and where he waits for it, if he does."""

    items: tuple[Pending, ...] | Settle
    waiter: "_Waiter | Future[list[int]] | None"
    starts_call: bool
    ends_call: bool
    """Whether it ends a call that is under way, and so must not be lost."""
    size_bytes: int

    @classmethod
    def of(
        cls, items: tuple[Pending, ...], waiter: "_Waiter | Future[list[int]] | None" = None
    ) -> "_Group":
        """The group of these entries."""
        starts_call = any(isinstance(item.entry, CallEntry) for item in items)
        ends = any(isinstance(item.entry, ExchangeEntry) for item in items)
        size_bytes = sum(len(body.blob or b"") for item in items for body in item.bodies)
        return cls(items, waiter, starts_call, ends and not starts_call, size_bytes)

    def late(self) -> "_Group":
        """The same, as it is written once its caller was told that it is not."""
        assert not callable(self.items)  # noqa: S101 - what is settled starts calls and ends none
        return replace(self, items=tuple(_late(item) for item in self.items), waiter=None)


class _Results:
    """What is told to callers: at once without a loop, else once for all callers of a loop.

    Waking an event loop costs it a system call, so a commit wakes each loop once.
    """

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}

    def add(self, group: _Group, result: _Result) -> None:
        """Tell one caller, now or at `send`."""
        waiter = group.waiter
        if isinstance(waiter, _Waiter):
            self._by_loop.setdefault(waiter.loop, []).append(lambda: waiter.tell(result))
        elif waiter is None or waiter.done():
            return
        elif isinstance(result, LedgerError):
            waiter.set_exception(result)
        else:
            waiter.set_result(result)

    def send(self) -> None:
        """Tell all who wait in a loop."""
        for loop, tells in self._by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits in it
                loop.call_soon_threadsafe(_call_all, tells)
        self._by_loop = {}


def _call_all(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _late(item: Pending) -> Pending:
    if not isinstance(item.entry, ExchangeEntry):
        return item
    said = {"outcome": Outcome.CUT.value, "is_whole": False, "problem": "late", "decision": None}
    return replace(item, entry=item.entry.model_copy(update=said))


class Recorder:
    """Appends to the log from any thread or event loop of this process.

    Close it before the log's database; a worker releases its lease after that.
    """

    def __init__(
        self,
        log: Log,
        *,
        limit: int = 2_000,
        limit_bytes: int = 256 * 2**20,
        batch: int = 500,
        pace_s: float = 0.002,
        retry_s: float = 1.0,
    ) -> None:
        """Start the writer.

        `limit` counts groups of entries and `limit_bytes` their stored bodies, both waiting to be
        durable; `batch` bounds the groups in one transaction; `retry_s` is the pause before what is
        owed is tried again. `pace_s` is the least time from one commit to the next: what comes alone
        is written at once, and what comes close together shares a commit.
        """
        self._log = log
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._batch = batch
        self._retry_s = retry_s
        self._pace_s = pace_s
        self._inbox: SimpleQueue[_Group | None] = SimpleQueue()
        """What is to be written; None, once, says that nothing more comes."""
        self._owed: list[_Group] = []
        self._results = _Results()
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiting_bytes = 0
        self._is_closing = False
        self._is_last = False
        self._paced_until = 0.0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many groups are not durable yet, those owed included."""
        return self._waiting

    async def append(self, *items: Pending) -> list[int]:
        """Make entries durable in one transaction; gives their places.

        A task cancelled while it waits does not take its entries back.

        Raises:
            LedgerBusy: there is no room for another call, or the ledger is locked.
            LedgerError: the entries cannot be written.
        """
        waiter = _Waiter()
        self._submit(_Group.of(items, waiter))
        return await waiter.done

    async def settle(self, settle: Settle, *, size_bytes: int) -> list[int]:
        """Make durable what a call comes to once its tallies can be read, as `append` does.

        `size_bytes` is that of the bodies it may store.

        Raises:
            LedgerBusy: there is no room for another call, or the ledger is locked.
            LedgerError: the entries cannot be written.
        """
        waiter = _Waiter()
        self._submit(_Group(settle, waiter, True, False, size_bytes))
        return await waiter.done

    def post(self, *items: Pending) -> None:
        """Queue entries without waiting for them: for an end that nobody can wait for any more.

        Raises:
            LedgerBusy: there is no room for another call.
            LedgerError: the recorder is closed.
        """
        self._submit(_Group.of(items))

    def append_now(self, *items: Pending) -> list[int]:
        """Make entries durable in one transaction, without an event loop; gives their places.

        Raises:
            LedgerBusy: there is no room for another call, or the ledger is locked.
            LedgerError: the entries cannot be written.
        """
        waiter: Future[list[int]] = Future()
        self._submit(_Group.of(items, waiter))
        return waiter.result()

    async def seal(self, data: bytes, *, is_kept: bool = True) -> Prepared:
        """Seal bytes under a fresh salt, and encrypt them for the store if they are to be kept."""
        salt = os.urandom(SALT_BYTES)
        if len(data) <= _LARGE_BYTES:
            return prepare_body(data, salt, is_kept=is_kept)
        return await asyncio.to_thread(prepare_body, data, salt, is_kept=is_kept)

    def close(self) -> None:
        """Write what waits, once more what is owed, and stop; later calls do nothing."""
        self._refuse_more()
        self._thread.join()

    def _refuse_more(self) -> None:
        with self._lock:
            if not self._is_closing:
                self._is_closing = True
                self._inbox.put(None)

    def _submit(self, group: _Group) -> None:
        with self._lock:
            if self._is_closing:
                raise LedgerError(
                    "the recorder is closed", help="this process is stopping: send the call again"
                )
            if group.starts_call and self._is_full(group):
                raise LedgerBusy(
                    f"{self._waiting} records wait to be written already",
                    help="try again in a moment; if it lasts, the disk of the ledger is too slow",
                )
            self._waiting += 1
            self._waiting_bytes += group.size_bytes
            self._inbox.put(group)

    def _is_full(self, group: _Group) -> bool:
        is_over = self._waiting_bytes + group.size_bytes > self._limit_bytes
        return self._waiting >= self._limit or is_over

    def _run(self) -> None:
        in_hand: list[_Group] = []
        try:
            while not self._is_last:
                in_hand = self._gather()
                self._write(in_hand)
                in_hand = []
                self._results.send()
                self._paced_until = time.monotonic() + self._pace_s
        finally:
            # With groups in hand only if the code above is wrong: nobody may wait for ever.
            self._abandon(in_hand)

    def _gather(self) -> list[_Group]:
        """What is owed and what has come since, as soon as there is something to do."""
        groups, self._owed = self._owed, []
        if not self._take(groups, self._retry_s if groups else None):
            return groups
        pause_s = self._paced_until - time.monotonic()
        if pause_s > 0 and not self._is_last:
            time.sleep(pause_s)
        room = self._batch
        while room > 1 and not self._is_last and self._take(groups, 0):
            room -= 1
        return groups

    def _take(self, groups: list[_Group], timeout_s: float | None) -> bool:
        """Take the next group, if one comes in time; tells whether something came."""
        try:
            group = (
                self._inbox.get(timeout=timeout_s) if timeout_s != 0 else self._inbox.get_nowait()
            )
        except Empty:
            return False
        if group is None:
            self._is_last = True
        else:
            groups.append(group)
        return True

    def _write(self, groups: list[_Group]) -> None:
        """Commit groups together; if that fails, each alone, so that one bad one fails alone."""
        if not groups:
            return
        try:
            places = self._log.append_groups([group.items for group in groups])
        except LedgerError as error:
            if len(groups) == 1 or isinstance(error, ForkError | LedgerBusy):
                for group in groups:
                    self._fail(group, error)
            else:
                for group in groups:
                    self._write([group])
            return
        self._forget(groups)
        for group, seqs in zip(groups, places, strict=True):
            self._results.add(group, seqs)

    def _fail(self, group: _Group, error: LedgerError) -> None:
        """Tell the caller; keep what ends a call if writing it may succeed later."""
        if group.ends_call and may_pass(error):
            self._owed.append(group.late())
        else:
            self._forget([group])
        self._results.add(group, error)

    def _forget(self, groups: Sequence[_Group]) -> None:
        with self._lock:
            self._waiting -= len(groups)
            self._waiting_bytes -= sum(group.size_bytes for group in groups)

    def _abandon(self, in_hand: list[_Group]) -> None:
        self._refuse_more()
        while self._take(in_hand, 0):
            pass
        gone = LedgerError("the recorder has stopped", help="restart inbond, and report this")
        for group in in_hand:
            self._results.add(group, gone)
        self._results.send()
