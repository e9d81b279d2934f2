"""How long a worker's event loop is held up while policies are taken up, in ms.

A ticker asks for its turn every millisecond, as calls under way do; what counts is by how much it
is late, at worst and at the 99th percentile. "idle" is the same without a reload: what the machine
itself costs. The bundles are the shipped library, and 500 rules like real ones.
"""

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from policies.bundle import LIBRARY, Bundle, bundle_of
from proxy.cli.init import make_workspace
from proxy.cli.openledger import open_ledger
from proxy.counting import Counting
from proxy.inforce import put_in_force
from proxy.reload import Follower
from proxy.store.session import Database
from tests.bench.bench_check import ORGANISATION, documents

ROUNDS = 5
TICK_S = 0.001
IDLE_S = 0.5


def library() -> dict[str, str]:
    """The shipped files."""
    paths = LIBRARY.glob("*/*.yaml")
    return {f"library/{path.parent.name}/{path.name}": path.read_text() for path in paths}


async def late_ms(wanted: Coroutine[Any, Any, object]) -> list[float]:
    """By how much each tick was late until something was done."""
    found: list[float] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(wanted)
        while not task.done():
            begun = time.perf_counter()
            await asyncio.sleep(TICK_S)
            found.append((time.perf_counter() - begun - TICK_S) * 1000)
    return found


def said(name: str, rounds: list[list[float]]) -> str:
    """The figures of some rounds: the median of their worst, and all of their ticks."""
    worst = statistics.median(max(each) for each in rounds)
    cut = statistics.quantiles([tick for each in rounds for tick in each], n=100)[98]
    return f"{name} p99 {cut:6.2f}  worst (median of {len(rounds)}) {worst:6.2f} ms"


async def measure(name: str, texts: Mapping[str, str], folder: Path) -> None:
    """Print how late ticks are while a bundle of these files is taken up."""
    first, second = (
        bundle_of(dict(texts), organisation=ORGANISATION, approvals=frozenset({digit * 64}))
        for digit in "12"
    )
    with open_ledger(make_workspace(folder / name, organisation=ORGANISATION)) as ledger:
        for bundle in (first, second):
            put_in_force(ledger.log, bundle, "user:1")
        await race(ledger.database, first, second, name)


async def race(database: Database, first: Bundle, second: Bundle, name: str) -> None:
    """Print how late ticks are while the second bundle replaces the first."""
    gc.collect()
    gc.freeze()

    def make(bundle: Bundle) -> tuple[Bundle, Counting]:
        return bundle, Counting(bundle, bytes(32))

    idle, busy, took = [], [], []
    for _ in range(ROUNDS):
        idle.append(await late_ms(asyncio.sleep(IDLE_S)))
        follower = Follower(database, first.digest, make)
        begun = time.perf_counter()
        busy.append(await late_ms(follower.look()))
        took.append(time.perf_counter() - begun)
        assert follower.digest == second.digest, follower.problem
    rules = f"{len(first.rules):5} rules, taken up in {statistics.median(took) * 1000:5.0f} ms"
    sys.stdout.write(f"{name:8} {rules}: {said('idle', idle)}   {said('reload', busy)}\n")


def main() -> None:
    """Print the figures of the library and of larger bundles."""
    with TemporaryDirectory() as folder:
        asyncio.run(measure("library", library(), Path(folder)))
        asyncio.run(measure("made", documents(500), Path(folder)))


if __name__ == "__main__":
    main()
