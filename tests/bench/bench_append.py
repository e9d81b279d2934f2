"""How long a durable `call` and its `exchange` take at a steady rate, and the most that fit a second.

Run it from the repository's root: `python -m tests.bench.bench_append [FOLDER]`. A call is appended
by one task, as the gate does before it forwards; its exchange follows at once. Figures are reported,
never asserted.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from proxy.recorder import Recorder
from tests.proxy.store.ledgers import call, exchange, open_ledger

_SECONDS = 4.0
_RATES = (50, 500)


@dataclass(frozen=True, slots=True)
class Figures:
    """Latencies in milliseconds."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Figures":
        """The figures of some durations, given in seconds."""
        cuts = quantiles(seconds, n=100)
        return cls(cuts[49] * 1e3, cuts[98] * 1e3, max(seconds) * 1e3)

    def __str__(self) -> str:
        return f"p50 {self.p50:6.2f} ms   p99 {self.p99:6.2f} ms   worst {self.worst:6.2f} ms"


async def _pair(recorder: Recorder, waits: list[float]) -> None:
    first = call()
    end = exchange(first.entry.id)
    begun = time.perf_counter()
    await recorder.append(first)
    between = time.perf_counter()
    await recorder.append(end)
    waits += [between - begun, time.perf_counter() - between]


async def _steady(recorder: Recorder, pairs_per_s: float) -> Figures:
    waits: list[float] = []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(pairs_per_s * _SECONDS)):
            await asyncio.sleep(max(0.0, begun + number / pairs_per_s - time.perf_counter()))
            tasks.create_task(_pair(recorder, waits))
    return Figures.of(waits)


async def _flood(recorder: Recorder, pairs: int) -> float:
    waits: list[float] = []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(pairs):
            tasks.create_task(_pair(recorder, waits))
    return 2 * pairs / (time.perf_counter() - begun)


def main(folder: Path) -> None:
    """Print latency at each rate, and the rate when everything comes at once."""
    ledger = open_ledger(folder)
    recorder = Recorder(ledger.log, limit=100_000)
    for rate in _RATES:
        print(f"{rate:4d} appends/s: {asyncio.run(_steady(recorder, rate / 2))}")  # noqa: T201 - a benchmark prints
    print(f"all at once: {asyncio.run(_flood(recorder, 2_000)):.0f} appends/s")  # noqa: T201 - a benchmark prints
    recorder.close()
    ledger.database.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as scratch:
            main(Path(scratch))
