"""How long a dataset of many exchanges takes to choose, to seal and to verify.

Run it from the repository's root: `python -m tests.bench.bench_dataset [EXCHANGES]`. Figures are
reported, never asserted; memory is the most that the process has had so far.
"""

import sys
import time
from collections.abc import Iterator
from itertools import batched
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from secrets import token_bytes
from tempfile import TemporaryDirectory

import time_machine

from proxy.cli.openledger import notary_of, open_ledger
from proxy.clock import new_id, utc_now
from proxy.dataset import choose, seal_dataset
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.entry import CallEntry, ExchangeEntry, exchange_of
from proxy.ledger.verify import verify
from proxy.registry import registry_of
from proxy.store.bodies import prepare_body, read_body
from proxy.store.log import Pending
from tests.proxy.workshop import NOW, Asked, Workshop

_BATCH = 2_000


def _pairs(call: CallEntry, end: ExchangeEntry, reading: bytes, count: int) -> Iterator[Pending]:
    for _ in range(count):
        name, body = new_id(), prepare_body(reading, token_bytes(32))
        yield Pending(call.model_copy(update={"id": name}))
        update = {"id": exchange_of(name), "call": name, "answer": body.record}
        yield Pending(end.model_copy(update=update), bodies=(body.body,))


def fill(shop: Workshop, count: int) -> None:
    """Exchanges like one that went through the gate, each with a body of its own."""
    shop.declare("gardener")
    shop.ask(Asked())
    entries = shop.entries()
    (call,) = (entry for entry in entries if isinstance(entry, CallEntry))
    (end,) = (entry for entry in entries if isinstance(entry, ExchangeEntry))
    assert end.answer is not None
    with open_ledger(shop.settings) as ledger:
        with ledger.database.read() as connection:
            reading = read_body(connection, end.answer.seal)
        assert isinstance(reading, bytes)
        for batch in batched(_pairs(call, end, reading, count), _BATCH):
            ledger.log.append(list(batch))


class _Clock:
    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._cpu = time.process_time()

    def say(self, name: str) -> None:
        wall, cpu = time.perf_counter() - self._begun, time.process_time() - self._cpu
        memory = getrusage(RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:8} {wall:7.1f} s   {cpu:7.1f} s of CPU   at most {memory:6.0f} MiB")  # noqa: T201 - a benchmark prints
        self._begun, self._cpu = time.perf_counter(), time.process_time()


def main(folder: Path, count: int) -> None:
    """Print the figures."""
    with time_machine.travel(NOW, tick=True):
        shop = Workshop.at(folder / "work")
        clock = _Clock()
        fill(shop, count)
        clock.say("append")
        with open_ledger(shop.settings) as ledger:
            bundle = workspace_bundle(shop.settings, ledger.database)
            registry, student = registry_of(shop.settings), bundle.students["gardener"]
            put_in_force(ledger.log, bundle, "bench")
            chosen = choose(ledger.database, bundle, registry, student, project=None, at=utc_now())
            clock.say("choose")
            sealed = seal_dataset(
                chosen, notary_of(ledger), folder / "sets", actor="bench", recipient="bench"
            )
            clock.say("seal")
        report = verify(sealed.path, shop.key)
        clock.say("verify")
        print(f"{sealed.rows:,} rows, {len(report.findings)} findings")  # noqa: T201 - a benchmark prints


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        main(Path(scratch), int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
