"""The recorder: from async hooks to the log, in groups, bounded, and never dropping an end.

One thread commits whatever gathered during its previous commit. A full queue refuses new calls at
once; what ends a call under way always has room, and if the disk fails it is owed: kept and written
as soon as writing works again, so that every call gets its one exchange (promise P2). Its client was
cut meanwhile, so what is written late says so, and can never be admitted (promise P9).
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from proxy.errors import ForkError, LedgerBusy, LedgerError
from proxy.exchange import Outcome
from proxy.ledger.entry import CallEntry, ExchangeEntry
from proxy.ledger.seal import SALT_BYTES
from proxy.store.bodies import Prepared, prepare_body
from proxy.store.log import Log, Pending
from proxy.store.session import STORAGE

__all__ = ["Recorder", "may_pass"]

_LARGE_BYTES = 2**20
"""Bodies above this are sealed off the event loop."""


def may_pass(error: LedgerError) -> bool:
    """Whether the same append may succeed later; the recorder then keeps what ends a call."""
    return isinstance(error, LedgerBusy) or error.code == STORAGE


@dataclass(frozen=True, slots=True)
class _Group:
    """What one caller wants to be durable together, and where he waits for it."""

    items: tuple[Pending, ...]
    done: "Future[list[int]]" = field(default_factory=Future)

    @property
    def starts_call(self) -> bool:
        return any(isinstance(item.entry, CallEntry) for item in self.items)

    @property
    def ends_call(self) -> bool:
        """Whether it ends a call that is under way, and so must not be lost."""
        ends = any(isinstance(item.entry, ExchangeEntry) for item in self.items)
        return ends and not self.starts_call

    def late(self) -> "_Group":
        """The same, as it is written once its caller was told that it is not."""
        return replace(self, items=tuple(_late(item) for item in self.items))

    @property
    def size_bytes(self) -> int:
        return sum(len(body.blob or b"") for item in self.items for body in item.bodies)


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
        retry_s: float = 1.0,
    ) -> None:
        """Start the writer.

        `limit` counts groups of entries and `limit_bytes` their stored bodies, both waiting to be
        durable; `batch` bounds the groups in one transaction; `retry_s` is the pause before what is
        owed is tried again.
        """
        self._log = log
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._batch = batch
        self._retry_s = retry_s
        self._queue: deque[_Group] = deque()
        self._owed: list[_Group] = []
        self._waiting_bytes = 0
        self._is_closing = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many groups are not durable yet, those owed included."""
        with self._change:
            return len(self._queue) + len(self._owed)

    async def append(self, *items: Pending) -> list[int]:
        """Make entries durable in one transaction; gives their places.

        A task cancelled while it waits does not take its entries back.

        Raises:
            LedgerBusy: there is no room for another call, or the ledger is locked.
            LedgerError: the entries cannot be written.
        """
        return await asyncio.wrap_future(self._submit(items).done)

    def post(self, *items: Pending) -> None:
        """Queue entries without waiting for them: for an end that nobody can wait for any more.

        Raises:
            LedgerBusy: there is no room for another call.
            LedgerError: the recorder is closed.
        """
        self._submit(items)

    def append_now(self, *items: Pending) -> list[int]:
        """Make entries durable in one transaction, without an event loop; gives their places.

        Raises:
            LedgerBusy: there is no room for another call, or the ledger is locked.
            LedgerError: the entries cannot be written.
        """
        return self._submit(items).done.result()

    async def seal(self, data: bytes, *, is_kept: bool = True) -> Prepared:
        """Seal bytes under a fresh salt, and encrypt them for the store if they are to be kept."""
        salt = os.urandom(SALT_BYTES)
        if len(data) <= _LARGE_BYTES:
            return prepare_body(data, salt, is_kept=is_kept)
        return await asyncio.to_thread(prepare_body, data, salt, is_kept=is_kept)

    def close(self) -> None:
        """Write what waits, once more what is owed, and stop; later calls do nothing."""
        with self._change:
            self._is_closing = True
            self._change.notify()
        self._thread.join()

    def _submit(self, items: Sequence[Pending]) -> _Group:
        group = _Group(tuple(items))
        # From here on nobody can cancel it: a caller who goes away leaves his entries behind.
        group.done.set_running_or_notify_cancel()
        with self._change:
            if self._is_closing:
                raise LedgerError(
                    "the recorder is closed", help="this process is stopping: send the call again"
                )
            if group.starts_call and self._is_full(group):
                raise LedgerBusy(
                    f"{len(self._queue) + len(self._owed)} records wait to be written already",
                    help="try again in a moment; if it lasts, the disk of the ledger is too slow",
                )
            self._queue.append(group)
            self._waiting_bytes += group.size_bytes
            self._change.notify()
        return group

    def _is_full(self, group: _Group) -> bool:
        count = len(self._queue) + len(self._owed)
        return count >= self._limit or self._waiting_bytes + group.size_bytes > self._limit_bytes

    def _run(self) -> None:
        in_hand: list[_Group] = []
        is_last = False
        try:
            while not is_last:
                in_hand, is_last = self._gather(), self._is_closing
                self._write(in_hand)
                is_last = is_last and not self._queue
        finally:
            # With groups in hand only if the code above is wrong: nobody may wait for ever.
            self._abandon(in_hand)

    def _gather(self) -> list[_Group]:
        """What is owed and what has come since, as soon as there is something to do."""
        with self._change:
            pause_s = self._retry_s if self._owed else None
            self._change.wait_for(lambda: self._queue or self._is_closing, pause_s)
            groups = self._owed + [
                self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))
            ]
            self._owed = []
            return groups

    def _write(self, groups: list[_Group]) -> None:
        """Commit groups together; if that fails, each alone, so that one bad one fails alone."""
        if not groups:
            return
        try:
            seqs = iter(self._log.append([item for group in groups for item in group.items]))
        except LedgerError as error:
            if len(groups) == 1 or isinstance(error, ForkError | LedgerBusy):
                for group in groups:
                    self._fail(group, error)
            else:
                for group in groups:
                    self._write([group])
            return
        for group in groups:
            self._settle(group, [next(seqs) for _ in group.items])

    def _settle(self, group: _Group, seqs: list[int]) -> None:
        self._forget(group)
        if not group.done.done():
            group.done.set_result(seqs)

    def _fail(self, group: _Group, error: LedgerError) -> None:
        """Tell the caller; keep what ends a call if writing it may succeed later."""
        if group.ends_call and may_pass(error):
            with self._change:
                self._owed.append(group.late())
        else:
            self._forget(group)
        if not group.done.done():
            group.done.set_exception(error)

    def _forget(self, group: _Group) -> None:
        with self._change:
            self._waiting_bytes -= group.size_bytes

    def _abandon(self, in_hand: list[_Group]) -> None:
        with self._change:
            self._is_closing = True
            left = [*in_hand, *self._queue]
            self._queue.clear()
        for group in left:
            if not group.done.done():
                group.done.set_exception(
                    LedgerError("the recorder has stopped", help="restart inbond, and report this")
                )
