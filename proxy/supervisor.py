"""Starts processes, waits until each is ready, restarts what dies, and ends them together.

A child holds the reading end of a pipe on its stdin. That pipe ends with the supervisor, even with
one that is killed, and a child then ends too: no process stays behind.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from proxy.errors import ProxyError

__all__ = ["Child", "Ready", "Supervisor", "when_orphaned"]

_LOG = structlog.get_logger("inbond.supervisor")
_READY_S = 60.0
_STEADY_S = 10.0
"""A child that lived this long was fine: the next pause is the shortest again."""
_MIN_PAUSE_S = 0.1
_MAX_PAUSE_S = 30.0
_KILL_S = 10.0
"""How long after its own deadline a child may take to end before it is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process to keep running; on its stdout it prints one JSON object when it is ready."""

    name: str
    command: Sequence[str]
    stop_s: float
    """How long it may take to end in order after SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a child said when it was ready."""

    child: str
    said: Mapping[str, object]


def when_orphaned(stop: Callable[[], None]) -> None:
    """Have `stop` called once when the supervisor of this process is gone; needs a running loop."""
    loop = asyncio.get_running_loop()
    lifeline = sys.stdin.fileno()

    def look() -> None:
        if not os.read(lifeline, 1):
            loop.remove_reader(lifeline)
            stop()

    loop.add_reader(lifeline, look)


class Supervisor:
    """Keeps children running until `stop`."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        on_ready: Callable[[Ready], None],
        on_death: Callable[[str], None],
    ) -> None:
        """`on_ready` runs each time a child is up, `on_death` each time one has died."""
        self._children = children
        self._on_ready = on_ready
        self._on_death = on_death
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End all children in order."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`, SIGTERM or SIGINT, or until a child cannot start at all.

        Raises:
            ProxyError: a child ended before it was ever ready; it said why on stderr.
            OSError: the system cannot start a process.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stop)
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children:
                    group.create_task(self._keep(child))
        except* (ProxyError, OSError) as errors:
            raise errors.exceptions[0] from None

    async def _keep(self, child: Child) -> None:
        """Run one child again and again, with longer and longer pauses while it does not live."""
        pause_s = _MIN_PAUSE_S
        was_ready = False
        while not self._stop.is_set():
            began = time.monotonic()
            was_ready = await self._live(child) or was_ready
            if self._stop.is_set():
                return
            if not was_ready:
                raise ProxyError(
                    f"`{child.name}` did not start",
                    help="its own message stands above; mend what it says and start again",
                    code="not-started",
                )
            self._on_death(child.name)
            is_steady = time.monotonic() - began > _STEADY_S
            pause_s = _MIN_PAUSE_S if is_steady else min(_MAX_PAUSE_S, pause_s * 2)
            await self._unless_stopped(asyncio.sleep(pause_s))

    async def _live(self, child: Child) -> bool:
        """One life of a child, from its start until it has ended; whether it was ever ready."""
        process = await asyncio.create_subprocess_exec(
            *child.command, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        try:
            said = await self._said(process)
            if said is not None:
                self._on_ready(Ready(child=child.name, said=said))
                await self._unless_stopped(process.wait())
        finally:
            await _end(process, child.stop_s)
        if not self._stop.is_set():
            _LOG.error("process died", child=child.name, status=process.returncode)
        return said is not None

    async def _said(self, process: Process) -> Mapping[str, object] | None:
        """What a child says when it is ready; None if it ends, or is silent too long, or is to end."""
        assert process.stdout is not None  # noqa: S101 - we asked for a pipe
        try:
            async with asyncio.timeout(_READY_S):
                line = await self._unless_stopped(process.stdout.readline())
            said = json.loads(line or b"")
        except (TimeoutError, ValueError):
            return None
        return said if isinstance(said, dict) else None

    async def _unless_stopped[T](self, wanted: Coroutine[Any, Any, T]) -> T | None:
        """What a coroutine gives, or None as soon as all is to end."""
        async with asyncio.TaskGroup() as group:
            wish = group.create_task(wanted)
            stop = group.create_task(self._stop.wait())
            await asyncio.wait({wish, stop}, return_when=asyncio.FIRST_COMPLETED)
            is_granted = wish.done()
            wish.cancel()
            stop.cancel()
        return wish.result() if is_granted else None


async def _end(process: Process, patience_s: float) -> None:
    """Ask a process to end, wait, and kill what does not."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), patience_s + _KILL_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
