"""The supervisor, with real child processes: ready, restarted, ended together, never left behind."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from proxy.errors import ProxyError
from proxy.supervisor import Child, Ready, Supervisor

READY = "import json, os, sys, time; print(json.dumps({'pid': os.getpid()}), flush=True); "
LIVES = READY + "sys.stdin.read()"
STUBBORN = READY + "import signal; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
ORPHAN = """
import asyncio, json, os
from proxy.supervisor import when_orphaned

async def main():
    stop = asyncio.Event()
    when_orphaned(stop.set)
    print(json.dumps({"pid": os.getpid()}), flush=True)
    await stop.wait()

asyncio.run(main())
"""
PARENT = """
import asyncio, sys
from proxy.supervisor import Child, Supervisor

def said(ready):
    print(ready.said["pid"], flush=True)

child = Child(name="child", command=[sys.executable, "-c", sys.argv[1]], stop_s=1)
asyncio.run(Supervisor([child], on_ready=said, on_death=lambda name: None).run())
"""


def child(code: str, name: str = "child", stop_s: float = 5) -> Child:
    """A child that runs some Python."""
    return Child(name=name, command=[sys.executable, "-c", code], stop_s=stop_s)


class Seen:
    """What a supervisor told."""

    def __init__(self) -> None:
        self.ready: list[int] = []
        self.died: list[str] = []

    def on_ready(self, ready: Ready) -> None:
        """Note the process id that a child said."""
        pid = ready.said["pid"]
        assert isinstance(pid, int)
        self.ready.append(pid)

    async def until_ready(self, count: int) -> None:
        """Wait for the nth child to be ready."""
        async with asyncio.timeout(30):
            while len(self.ready) < count:  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def until_gone(pid: int) -> None:
    """Wait for the end of a process that is no child of ours."""
    async with asyncio.timeout(30):
        while is_alive(pid):  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.01)


async def test_children_run_until_all_are_stopped() -> None:
    """Every child is told to end, and none is left when `run` returns."""
    seen = Seen()
    supervisor = Supervisor(
        [child(LIVES, "one"), child(LIVES, "two")],
        on_ready=seen.on_ready,
        on_death=seen.died.append,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await seen.until_ready(2)
        assert all(map(is_alive, seen.ready))
        supervisor.stop()
    assert not any(map(is_alive, seen.ready))
    assert seen.died == []


async def test_a_dead_child_is_started_again() -> None:
    """A child that is killed is reported and replaced."""
    seen = Seen()
    supervisor = Supervisor([child(LIVES)], on_ready=seen.on_ready, on_death=seen.died.append)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await seen.until_ready(1)
        os.kill(seen.ready[0], signal.SIGKILL)
        await seen.until_ready(2)
        supervisor.stop()
    assert seen.died == ["child"]
    assert len(set(seen.ready)) == 2


@pytest.mark.parametrize(
    "code", ["raise SystemExit(1)", "print('no json', flush=True)", "print('[]', flush=True)"]
)
async def test_a_child_that_never_starts_ends_everything(code: str) -> None:
    """If a child ends before it is ready the others end too, and the error names it."""
    seen = Seen()
    supervisor = Supervisor(
        [child(LIVES, "good"), child(code, "bad")],
        on_ready=seen.on_ready,
        on_death=seen.died.append,
    )
    with pytest.raises(ProxyError) as raised:
        await supervisor.run()
    assert raised.value.code == "not-started"
    assert "`bad`" in raised.value.message
    assert not any(map(is_alive, seen.ready))


async def test_a_program_that_is_not_there() -> None:
    """What the system cannot start is an error of the system, not a group of them."""
    missing = Child(name="child", command=["/nowhere/inbond"], stop_s=1)
    supervisor = Supervisor([missing], on_ready=lambda _: None, on_death=lambda _: None)
    with pytest.raises(FileNotFoundError):
        await supervisor.run()


async def test_a_stubborn_child_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that ignores SIGTERM past its time is killed."""
    monkeypatch.setattr("proxy.supervisor._KILL_S", 0.2)
    seen = Seen()
    supervisor = Supervisor(
        [child(STUBBORN, stop_s=0.1)], on_ready=seen.on_ready, on_death=seen.died.append
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await seen.until_ready(1)
        await asyncio.sleep(0.2)  # it ignores the signal only after it said that it is ready
        supervisor.stop()
    assert not is_alive(seen.ready[0])


async def test_a_stop_before_anything_is_ready() -> None:
    """A stop while children still start ends them without an error."""
    silent = child("import sys; sys.stdin.read()")
    supervisor = Supervisor([silent], on_ready=lambda _: None, on_death=lambda _: None)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await asyncio.sleep(0.2)
        supervisor.stop()


async def test_no_child_outlives_a_killed_supervisor() -> None:
    """A supervisor killed with -9 takes its children with it: their stdin ends."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, ORPHAN, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    assert is_alive(pid)
    parent.kill()
    await parent.wait()
    await until_gone(pid)


async def test_signals_end_it() -> None:
    """SIGTERM to the supervisor's own process is a stop."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, LIVES, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    parent.terminate()
    assert await asyncio.wait_for(parent.wait(), 30) == 0
    with contextlib.suppress(ProcessLookupError):
        assert not is_alive(pid)
