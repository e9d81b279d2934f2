"""What the ledger takes: latency at steady rates, the most of eight writers, and bytes by body size.

Run it from the repository's root: `python -m tests.bench.bench_ledger`. It starts a PostgreSQL of its
own, durable as an installation's, and uses SQLite in a temporary folder. Figures are reported with the
machine, never asserted; those of a machine that does other things at the same time say little.
"""

import asyncio
import os
import platform
import time
from collections.abc import Callable, Iterable
from itertools import batched
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from secrets import token_bytes
from statistics import quantiles
from tempfile import TemporaryDirectory

from sqlalchemy import text

from proxy.recorder import Recorder
from proxy.store.bodies import prepare_body
from proxy.store.log import Pending
from proxy.store.session import Database
from tests.postgres import serving
from tests.proxy.store.ledgers import Ledger, call, exchange, open_ledger

_SECONDS = 4.0
_RATES = (50, 500, 2_000)
_WRITERS = 8
_PAIRS = 4_000
_BATCH = 200
_SIZES = (0, 1_000, 10_000, 100_000)
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def _say(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |")  # noqa: T201 - a benchmark prints


def _title(*cells: object) -> None:
    print()  # noqa: T201 - a benchmark prints
    _say(*cells)
    _say(*("---" for _ in cells))


def _cuts(seconds: Iterable[float]) -> tuple[float, float]:
    """The median and the 99th of a hundred, in milliseconds."""
    found = quantiles(seconds, n=100)
    return found[49] * 1e3, found[98] * 1e3


async def _pair(recorder: Recorder, waits: list[float]) -> None:
    first = call()
    end = exchange(first.entry.id)
    begun = time.perf_counter()
    await recorder.append(first)
    between = time.perf_counter()
    await recorder.append(end)
    waits += [between - begun, time.perf_counter() - between]


async def _steady(recorder: Recorder, pairs_per_s: float) -> list[float]:
    waits: list[float] = []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(pairs_per_s * _SECONDS)):
            await asyncio.sleep(max(0.0, begun + number / pairs_per_s - time.perf_counter()))
            tasks.create_task(_pair(recorder, waits))
    return waits


def _bare(database: Database, count: int) -> list[float]:
    """How long it takes to make the bytes of a pair durable in a table that has nothing else."""
    waits, size = [], len(_leaf())
    kind = "BLOB" if database.engine.dialect.name == "sqlite" else "BYTEA"
    with database.write() as connection:
        connection.execute(text(f"CREATE TABLE bare (id INTEGER PRIMARY KEY, leaf {kind})"))
    for number in range(count):
        begun = time.perf_counter()
        with database.write() as connection:
            row = {"id": number, "leaf": token_bytes(size)}
            connection.execute(text("INSERT INTO bare VALUES (:id, :leaf)"), row)
        waits.append(time.perf_counter() - begun)
    return waits


def _leaf() -> bytes:
    return call().entry.model_dump_json().encode()


def _latency(name: str, ledger: Ledger) -> None:
    recorder = Recorder(ledger.log, limit=100_000)
    for rate in _RATES:
        middle, slow = _cuts(asyncio.run(_steady(recorder, rate / 2)))
        _say(name, f"{rate:,}", f"{middle:.2f}", f"{slow:.2f}")
    recorder.close()
    middle, slow = _cuts(_bare(ledger.database, 400))
    _say(name, "a bare insert", f"{middle:.2f}", f"{slow:.2f}")


def _write(folder: str, url: str | None, pairs: int, begin: Barrier) -> None:
    """Append pairs in batches, as one of several processes, once all are ready."""
    ledger = open_ledger(Path(folder), url=url)
    begin.wait()
    for some in batched(range(pairs), _BATCH):
        calls = [call() for _ in some]
        ledger.log.append([one for first in calls for one in (first, exchange(first.entry.id))])
    ledger.database.close()


def _together(name: str, folder: Path, url: str | None) -> None:
    context = get_context("spawn")
    begin = context.Barrier(_WRITERS + 1)
    work = [
        context.Process(target=_write, args=(str(folder), url, _PAIRS // _WRITERS, begin))
        for _ in range(_WRITERS)
    ]
    for process in work:
        process.start()
    begin.wait()
    begun = time.perf_counter()
    for process in work:
        process.join()
    _say(name, _WRITERS, f"{_PAIRS / (time.perf_counter() - begun):,.0f}")


def _size_of(ledger: Ledger, folder: Path) -> int:
    if ledger.database.engine.dialect.name == "sqlite":
        return sum(path.stat().st_size for path in folder.glob("inbond.db*"))
    with ledger.database.engine.connect() as connection:
        query = text("SELECT pg_database_size(current_database())")
        return int(connection.execute(query).scalar_one())


def _sizes(name: str, ledger: Ledger, folder: Path) -> None:
    for size in _SIZES:
        count = 400
        before = _size_of(ledger, folder)
        for some in batched(range(count), _BATCH):
            ledger.log.append([one for _ in some for one in _with_body(size)])
        grown = (_size_of(ledger, folder) - before) / count
        _say(name, f"{size:,}", f"{grown:,.0f}")


def _with_body(size: int) -> list[Pending]:
    """A call and its exchange, and a body of bytes that do not shrink."""
    body = prepare_body(token_bytes(size), token_bytes(32)).body
    first = call()
    return [Pending(first.entry, (*first.bodies, body)), exchange(first.entry.id)]


def _each(work: Callable[[str, Path, str | None], None], url: Callable[[], str]) -> None:
    with TemporaryDirectory() as folder:
        work("SQLite", Path(folder), None)
    with TemporaryDirectory() as folder:
        work("PostgreSQL", Path(folder), url())


def _opened(work: Callable[[str, Ledger, Path], None]) -> Callable[[str, Path, str | None], None]:
    def run(name: str, folder: Path, url: str | None) -> None:
        ledger = open_ledger(folder, url=url)
        try:
            work(name, ledger, folder)
        finally:
            ledger.database.close()

    return run


def _ready(name: str, folder: Path, url: str | None) -> None:
    open_ledger(folder, url=url).database.close()
    _together(name, folder, url)


def main() -> None:
    """Print the figures."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.platform()}")  # noqa: T201
    with serving() as server:
        server.stop()
        server.start(_DURABLE)

        def fresh() -> str:
            return server.url(server.make_database())

        _title("database", "appends/s", "p50 ms", "p99 ms")
        _each(_opened(lambda name, ledger, _: _latency(name, ledger)), fresh)
        _title("database", "writers", "exchanges/s")
        _each(_ready, fresh)
        _title("database", "bytes of the body", "bytes an exchange")
        _each(_opened(_sizes), fresh)


if __name__ == "__main__":
    main()
