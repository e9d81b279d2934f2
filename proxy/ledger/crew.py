"""Work on the parts of a long file, done in order by as many processes as may help."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Self

from proxy.errors import LedgerError

__all__ = ["Crew"]

_AHEAD = 2
"""Parts that wait for each process: enough to keep it busy, few enough to fit the memory."""


class Crew:
    """Gives the results of a function over parts, in their order.

    With one process all is done here. More are started when a file of many parts is met; a function
    and its parts then have to be importable by name.
    """

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Work until the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def each[A, R](self, work: Callable[[A], R], parts: Iterable[A], count: int) -> Iterator[R]:
        """What `work` gives of each of `count` parts.

        Raises:
            LedgerError: a process ended before it was done (`process-ended`).
        """
        if self._processes < 2 or count < 2 * self._processes:
            yield from map(work, parts)
            return
        try:
            yield from self._shared(work, parts)
        except BrokenExecutor as error:
            raise LedgerError(
                "a process that reads the bundle ended before it was done",
                help="check it with one process, or where there is more memory",
                code="process-ended",
            ) from error

    def _shared[A, R](self, work: Callable[[A], R], parts: Iterable[A]) -> Iterator[R]:
        if self._pool is None:
            # Forked, a process would have the threads' locks of this one and none of its threads.
            self._pool = ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"))
        waiting: deque[Future[R]] = deque()
        for part in parts:
            waiting.append(self._pool.submit(work, part))
            if len(waiting) > self._processes * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
