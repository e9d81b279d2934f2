"""How long an audit of many exchanges takes to export, to ask and to verify, and how much memory.

Run it from the repository's root: `python -m tests.bench.bench_audit [EXCHANGES]`. Each part runs in
a process of its own, so that its memory is its own. Figures are reported, never asserted.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import batched
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory

import time_machine

from proxy.cli.openledger import open_ledger
from proxy.clock import new_id
from proxy.ledger.entry import CallEntry, ExchangeEntry, exchange_of
from proxy.store.log import Pending
from tests.proxy.workshop import NOW, Asked, Workshop

_BATCH = 2_000


def _pairs(call: CallEntry, end: ExchangeEntry, count: int) -> Iterator[Pending]:
    for _ in range(count):
        name = new_id()
        yield Pending(call.model_copy(update={"id": name}))
        yield Pending(end.model_copy(update={"id": exchange_of(name), "call": name}))


def _fill(shop: Workshop, count: int) -> None:
    """Exchanges like one that went through the gate, without their bodies."""
    shop.ask(Asked())
    entries = shop.entries()
    (call,) = (entry for entry in entries if isinstance(entry, CallEntry))
    (end,) = (entry for entry in entries if isinstance(entry, ExchangeEntry))
    with open_ledger(shop.settings) as ledger:
        for batch in batched(_pairs(call, end, count), _BATCH):
            ledger.log.append(list(batch))


def _run(shop: Workshop, name: str, *words: str) -> None:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "proxy.cli", "-C", str(shop.directory), "audit", *words]
    subprocess.run(command, check=True, capture_output=True)
    # The largest child so far: parts run from the leanest to the fattest.
    memory = getrusage(RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{name:10} {time.perf_counter() - begun:7.1f} s   at most {memory:6.0f} MiB so far")  # noqa: T201


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with TemporaryDirectory() as folder:
        with time_machine.travel(NOW, tick=True):
            shop = Workshop.at(Path(folder) / "work")
            begun = time.perf_counter()
            _fill(shop, count)
        print(f"{count:,} exchanges appended in {time.perf_counter() - begun:.1f} s")  # noqa: T201
        target = str(Path(folder) / "audit")
        _run(shop, "ask", "ask", "refused", "--json")
        _run(shop, "export", "export", target)
        page = Path(target, "index.html").stat().st_size
        print(f"its page has {page / 1024:,.0f} KiB")  # noqa: T201
        _run(shop, "verify", "verify", target, "--key", shop.key)


if __name__ == "__main__":
    main()
