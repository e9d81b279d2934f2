"""kill -9 under load, fifty times in a row: the teacher's log and the ledger agree call by call."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.entry import exchange_of
from proxy.store.recovery import recover
from tests.e2e.caller import Caller
from tests.e2e.harness import CUSTODY, Workspace, until
from tests.e2e.teacher import Teachers, answer, ask, case_of, teachers
from tests.proxy.upstream import Script, Seen

pytestmark = pytest.mark.slow

KILLS = 50
CLIENTS = 4
_PAUSE_S = 0.01


@dataclass(slots=True)
class Nursery:
    """Workers of one workspace, one after the other."""

    process: asyncio.subprocess.Process

    async def start(self) -> int:
        """Start a worker; gives its id once it listens."""
        assert self.process.stdin
        self.process.stdin.write(b"start\n")
        await self.process.stdin.drain()
        return int((await self._said())["pid"])

    async def kill(self, pid: int) -> None:
        """Kill it, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        while await self._said() != {"ended": pid}:
            pass

    async def _said(self) -> dict[str, Any]:
        assert self.process.stdout
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        found: dict[str, Any] = json.loads(line)
        return found


@contextlib.asynccontextmanager
async def nursery(workspace: Workspace) -> AsyncIterator[Nursery]:
    """A nursery for the time of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.nursery", str(workspace.directory)),
        env={**os.environ, **CUSTODY},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    try:
        yield Nursery(process)
    finally:
        process.stdin.close()
        await process.wait()


@dataclass(slots=True)
class Load:
    """Clients that never rest, and what they were told."""

    workspace: Workspace
    asked: int = 0
    told: dict[str, str] = field(default_factory=dict)
    """By case: the exchange of an answer that the client saw to its end."""
    is_over: bool = False

    async def run(self) -> None:
        """Call and call again, whatever happens to each call."""
        while not self.is_over:
            self.asked += 1
            case = f"kill.{self.asked}"
            try:
                await self._call(case)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(_PAUSE_S)  # no worker listens just now

    async def _call(self, case: str) -> None:
        is_streamed = self.asked % 3 > 0
        caller = Caller(self.workspace, "plain", is_proxied=False)
        async with caller.connected():
            await caller.send(ask(case, is_streamed=is_streamed))
            got = await caller.answer()
            if got.is_whole and got.status == 200:
                self.told[case] = got.headers["x-inbond-exchange"]


def _speak(seen: Seen) -> Script:
    """A whole answer; every fifth stream rests in the middle until its caller is gone."""
    case = case_of(seen.body)
    parts = answer(case, is_streamed=b'"stream": true' in seen.body)
    rests = int(case.removeprefix("kill.")) % 5 == 0
    return (*parts[0], asyncio.Event()) if rests else parts[0] + parts[1] + parts[2]


async def test_fifty_kills_lose_and_double_nothing(template: Path, tmp_path: Path) -> None:
    """Every request a teacher saw has a durable call, every call exactly one exchange."""
    async with teachers() as stage:
        stage.otherwise = _speak
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        with workspace.size() as size:
            stage.ledger_size = size
            load = await _kill_again_and_again(workspace, stage)
    records = workspace.records()
    by_case = {case_of(record.body): record for record in records}
    assert len(by_case) == len(records)
    for visit in stage.visits:
        assert by_case[visit.case].seq < visit.ledger_size
    outcomes = {case: record.exchange.outcome for case, record in by_case.items()}
    for case, exchange in load.told.items():
        assert by_case[case].exchange.id == exchange
        assert outcomes[case] == "complete"
    interrupted = [record for record in records if record.exchange.outcome == "interrupted"]
    assert len(interrupted) >= KILLS
    for record in interrupted:
        assert record.exchange.id == exchange_of(record.call.id)
        assert not record.is_admitted
    assert {record.call.worker for record in records} != set()
    verified = await asyncio.to_thread(workspace.inbond, "ledger", "verify")
    assert verified.status == 0, verified.err


async def _kill_again_and_again(workspace: Workspace, stage: Teachers) -> Load:
    load, chance = Load(workspace), random.Random(2026)
    with workspace.ledger() as ledger:
        put_in_force(ledger.log, workspace_bundle(workspace.settings, ledger.database), "user:1")
        async with nursery(workspace) as workers, asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(load.run())
            for _ in range(KILLS):
                pid = await workers.start()
                seen = len(stage.visits) + chance.randrange(1, 12)
                await _visited(stage, seen)
                await asyncio.sleep(chance.random() * 0.03)
                await workers.kill(pid)
                await asyncio.to_thread(recover, ledger.log, workspace.settings.run_directory)
            load.is_over = True
    return load


async def _visited(stage: Teachers, count: int) -> None:
    await until(lambda: len(stage.visits) >= count)
