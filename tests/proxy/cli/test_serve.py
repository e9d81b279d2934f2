"""`inbond up`, `proxy`, `console` and `status` as processes: what starts, what refuses, what is left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import time_machine

from proxy.ledger.entry import EraseEntry
from tests.e2e.harness import Workspace, found_template, free_ports, until
from tests.proxy.workshop import NOW, Asked, Workshop

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace of this test's own."""
    return Workspace.copy(found_template(tmp_path / "template"), tmp_path / "w")


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_up_runs_proxy_and_console_and_leaves_nothing(place: Workspace) -> None:
    """Both answer, `status` is well, and SIGTERM ends all of it in order with a checkpoint."""
    async with place.running("up") as running:
        console = f"http://{place.settings.console}"
        async with httpx.AsyncClient(trust_env=False) as client:
            await _until_well(client, console)
            report = (await client.get(f"{console}/status")).json()
        said = await place.said("status")
        assert said.status == 0
        (worker,) = said.record["workers"]
        assert worker["policy"] == report["policy_bundle"] == said.record["policy_bundle"]
        pids = running.worker_pids()
        assert await running.end() == 0
    assert not any(map(is_alive, pids))
    after = await place.said("status")
    assert after.status == 1
    assert after.record["workers"] == []
    assert after.record["last_checkpoint"]["size"] == after.record["ledger_size"]


@pytest.fixture
def aged(tmp_path: Path) -> Workshop:
    """A workspace with an answer that is three days old."""
    with time_machine.travel(NOW - timedelta(days=3), tick=True):
        made = Workshop.at(tmp_path / "w")
        made.ask(Asked())
    return made


async def test_what_is_due_is_erased_while_it_runs(aged: Workshop) -> None:
    """A running proxy applies the retention classes by itself: on record, and with a receipt."""
    file = aged.directory / "inbond.yaml"
    more = f"listen: 127.0.0.1:{free_ports(1)[0]}\nretention: {{classes: [{{name: old, keep_days: 1}}]}}\n"
    file.write_text(f"{file.read_text()}\n{more}")
    command = (sys.executable, "-m", "proxy.cli", "-C", str(aged.directory), "proxy")
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        await until(lambda: any((aged.directory / "receipts").glob("*")))
    finally:
        process.terminate()
        assert await process.wait() == 0
    (erased,) = (entry for entry in aged.entries() if isinstance(entry, EraseEntry))
    assert (erased.ground, erased.reason) == ("retention", "retention class old")


async def test_a_killed_supervisor_leaves_no_worker(place: Workspace) -> None:
    """Workers end by themselves when whoever started them is gone, and the next start works."""
    async with place.running() as running:
        (pid,) = running.worker_pids()
        running.process.send_signal(signal.SIGKILL)
        await running.process.wait()
        await until(lambda: not is_alive(pid))
    async with place.running() as again:
        assert again.worker_pids()


async def test_a_killed_worker_is_replaced(place: Workspace) -> None:
    """A worker killed with -9 comes back under another id."""
    async with place.running() as running:
        (pid,) = running.worker_pids()
        os.kill(pid, signal.SIGKILL)
        await running.until_ready(2)
        first, second = running.ready()
    assert first["worker"] != second["worker"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("workers: 2\nlisten: 127.0.0.1:0\n", "bad-value"),
        ("custody: {plan: {account: a, env: TEACHER_KEY}}\n", "unknown-teacher"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    place: Workspace, more: str, code: str
) -> None:
    """Shared ports without a number and keys for nobody are found before a process starts."""
    path = place.directory / "inbond.yaml"
    kept = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith(
            (
                more.split(":", maxsplit=1)[0],
                "listen",
                "  plain:",
                "  sealed:",
                "  claude:",
                "  every:",
            )
        )
        and not line.startswith(("custody", "  openai-api: {acc", "  anthropic-api: {acc"))
    ]
    path.write_text("\n".join([*kept, more]))
    done = place.inbond("proxy")
    assert done.status != 0
    assert done.error["code"] == code


def test_the_console_alone(place: Workspace) -> None:
    """It tells in people's words where it is, and ends with SIGINT."""
    command = [*_inbond(place), "console"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"http://{place.settings.console}" in line
        answer = httpx.get(f"http://{place.settings.console}/health", trust_env=False)
        assert answer.status_code == 503
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_people_read_the_status(place: Workspace) -> None:
    """Without `--json` there is a table, and the problems are named."""
    done = place.inbond("status", is_child=True)
    assert done.status == 1
    assert "no policies are in force" in done.out
    assert json.loads(place.inbond("status").out)["problems"]


def _inbond(place: Workspace) -> list[str]:
    return [sys.executable, "-m", "proxy.cli", "-C", str(place.directory)]


async def _until_well(client: httpx.AsyncClient, console: str) -> None:
    async with asyncio.timeout(60):
        while (await client.get(f"{console}/health")).status_code != 200:  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.05)
