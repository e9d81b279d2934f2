"""Runs of several processes, as `torchrun` starts them, from one process that imports torch once.

Run as a module with one JSON object on standard input: scenarios by name, in the order to be
carried out. Each forks its processes before anything of torch has run. Prints what became of each.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

__all__ = ["Outcome", "Scenario", "run_teams"]

_GRACE_S = 60
_CHANGES = frozenset({"os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run: its order and knobs as plain values."""

    out: str
    dataset: str
    vkey: str
    base: str
    cache: str
    config: dict[str, Any] = field(default_factory=dict)
    processes: int = 2
    is_resumed: bool | None = False
    """None goes on with a run that is there, and starts one where none is."""
    kill_at: int | None = None
    """The leader kills itself, and so the run, after this step."""
    kill_at_change: int | None = None
    """The leader kills itself before this one of the changes it makes in the run directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the processes of a scenario ended, by rank, and what each said on standard error."""

    statuses: list[int]
    said: list[str]


def run_teams(scenarios: dict[str, Scenario], folder: Path) -> dict[str, Outcome]:
    """What became of scenarios, each carried out after the one before; logs go to a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.student.teams", str(folder)],
        input=json.dumps({name: asdict(each) for name, each in scenarios.items()}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return {name: Outcome(**found) for name, found in json.loads(done.stdout).items()}


def _carry_out(scenario: Scenario) -> None:
    from student.config import Config, Order, Source
    from student.errors import StudentError
    from student.trainer import Progress, carry_out

    def tell(progress: Progress) -> None:
        if progress.step == scenario.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    is_there = Path(scenario.out, "run.json").exists()
    if scenario.kill_at_change is not None and os.environ["RANK"] == "0":
        _kill_at(scenario.kill_at_change, scenario.out)
    order = Order(
        sources=(Source(path=Path(scenario.dataset), vkey=scenario.vkey),),
        base=scenario.base,
        out=Path(scenario.out),
        cache=Path(scenario.cache),
        now=datetime(2026, 11, 24, 12, tzinfo=UTC),
        seed=bytes(32),
        is_resumed=is_there if scenario.is_resumed is None else scenario.is_resumed,
    )
    try:
        carry_out(order, Config(**scenario.config), tell)
    except StudentError as error:
        sys.stderr.write(f"error[{error.code}]: {error.message}\n")
        raise SystemExit(error.exit_status) from error


def _kill_at(change: int, folder: str) -> None:
    """Let this process be killed right before it makes a change in a folder, counted from 1."""
    left = change

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        is_change = event in _CHANGES or (event == "open" and args[2] & _WRITES)
        if is_change and str(args[0]).startswith(folder):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _start(scenario: Scenario, rank: int, port: int, log: Path) -> int:
    child = os.fork()
    if child == 0:
        _be(scenario, rank, port, log)
    return child


def _be(scenario: Scenario, rank: int, port: int, log: Path) -> Never:
    """Be one process of a team; the fork of the launcher never comes back from this."""
    status = 70
    try:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(scenario.processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        _carry_out(scenario)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - a rim: whatever it is, the test shall see it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _outcome(scenario: Scenario, folder: Path) -> Outcome:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    logs = [folder / f"{rank}.log" for rank in range(scenario.processes)]
    children = [_start(scenario, rank, port, log) for rank, log in enumerate(logs)]
    statuses: dict[int, int] = {}
    deadline = time.monotonic() + _GRACE_S
    while len(statuses) < len(children):
        for child in [each for each in children if each not in statuses]:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                statuses[child] = os.waitstatus_to_exitcode(status)
        # as torchrun does: who is left of a team that lost one is ended
        if any(statuses.values()) or time.monotonic() > deadline:
            for child in [each for each in children if each not in statuses]:
                time.sleep(0.2)
                os.kill(child, signal.SIGTERM)
        time.sleep(0.02)
    return Outcome(
        statuses=[statuses[child] for child in children],
        said=[log.read_text() for log in logs],
    )


def _main() -> None:
    import student.trainer  # noqa: F401 - imported once, for all that are forked

    folder = Path(sys.argv[1])
    outcomes = {}
    for name, values in json.load(sys.stdin).items():
        (folder / name).mkdir(parents=True)
        outcomes[name] = asdict(_outcome(Scenario(**values), folder / name))
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    _main()
