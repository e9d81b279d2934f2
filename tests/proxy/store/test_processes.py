"""Several processes on one ledger, and processes that die."""

import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import select

from proxy.ledger.checkpoint import open_checkpoint
from proxy.ledger.merkle import consistency_proof, leaf_hash, root_of, verify_consistency
from proxy.store.queries import checkpoints, entries, node_reader, open_calls
from proxy.store.recovery import recover
from proxy.store.tables import CallRow, EntryRow, ExchangeRow
from proxy.store.verify import verify_store
from tests.proxy.store.ledgers import KEY, Ledger, open_ledger
from tests.proxy.store.writer import record_batches, record_calls

KILLS = 10


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """A way to start processes quickly: forks of a clean process that has imported the writer."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.proxy.store.writer"])
    return context


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Where the ledger is: in its folder, or in a database of the server."""
    if request.param == "sqlite":
        return None
    address: str = request.getfixturevalue("postgres_url")
    return address


def _start(
    processes: ForkServerContext, folder: Path, worker: str, url: str | None
) -> tuple[ForkServerProcess, Connection]:
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=record_calls, args=(str(folder), worker, theirs, url))
    process.start()
    theirs.close()
    return process, ours


def _drain(pipe: Connection) -> Iterator[tuple[str, str]]:
    try:
        while True:
            yield pipe.recv()
    except (EOFError, ConnectionResetError):
        pipe.close()


def test_a_killed_writer_loses_and_doubles_nothing(
    tmp_path: Path, processes: ForkServerContext, url: str | None
) -> None:
    """Killed again and again while it writes, a worker has every entry it told of exactly once."""
    open_ledger(tmp_path, url=url).database.close()
    luck = random.Random(7)
    told: set[tuple[str, str]] = set()
    for life in range(KILLS):
        process, pipe = _start(processes, tmp_path, f"w{life}", url)
        told.update(pipe.recv() for _ in range(luck.randrange(1, 12)))
        process.kill()
        told.update(_drain(pipe))
        process.join()
        process.close()
    ledger = open_ledger(tmp_path, url=url)
    recover(ledger.log, tmp_path)
    with ledger.database.read() as connection:
        calls = Counter(connection.execute(select(CallRow.id)).scalars())
        ends = Counter(connection.execute(select(ExchangeRow.call)).scalars())
        outcomes = dict(connection.execute(select(ExchangeRow.call, ExchangeRow.outcome)).all())
        assert open_calls(connection) == ()
    assert calls == ends
    assert set(calls.values()) == {1}
    assert {id_ for kind, id_ in told if kind == "call"} <= calls.keys()
    assert all(outcomes[id_] == "complete" for kind, id_ in told if kind == "exchange")
    assert verify_store(ledger.database, KEY.verifier).is_sound
    ledger.database.close()


def test_a_living_worker_is_not_interrupted(tmp_path: Path, processes: ForkServerContext) -> None:
    """While a worker runs, others that recover leave its calls alone; killed, they end them."""
    ledger = open_ledger(tmp_path)
    process, pipe = _start(processes, tmp_path, "alive", None)
    for _ in range(5):
        pipe.recv()
        assert recover(ledger.log, tmp_path) == 0
    process.kill()
    process.join()
    process.close()
    for _ in _drain(pipe):
        pass
    with ledger.database.read() as connection:
        left = len(open_calls(connection))
    assert recover(ledger.log, tmp_path) == left
    ledger.database.close()


def test_processes_share_one_log(
    tmp_path: Path, processes: ForkServerContext, url: str | None
) -> None:
    """Two writing processes make one log: places unique, root that of the leaves, all checkpoints kept."""
    open_ledger(tmp_path, url=url).database.close()
    pipes: list[Connection] = []
    running: list[ForkServerProcess] = []
    for _ in range(2):
        ours, theirs = processes.Pipe(duplex=False)
        process = processes.Process(target=record_batches, args=(str(tmp_path), 60, theirs, url))
        process.start()
        theirs.close()
        running.append(process)
        pipes.append(ours)
    told: dict[int, str] = {}
    for pipe in pipes:
        while (places := pipe.recv()) is not None:
            told.update(places)
        pipe.close()
    for process in running:
        process.join()
        process.close()
    ledger = open_ledger(tmp_path, url=url)
    _check_shared(ledger, told)
    ledger.database.close()


def _check_shared(ledger: Ledger, told: dict[int, str]) -> None:
    with ledger.database.read() as connection:
        stored = entries(connection, limit=10_000)
        hashes = [leaf_hash(one.leaf) for one in stored]
        assert {one.seq: one.entry.id for one in stored} == told
        stored_hashes = select(EntryRow.hash).order_by(EntryRow.seq)
        assert list(connection.execute(stored_hashes).scalars()) == hashes
        assert root_of(hashes) == ledger.log.root()
        read = node_reader(connection)
        notes = [open_checkpoint(one.note, KEY.verifier) for one in checkpoints(connection)]
        assert len(notes) > 1
        for old in notes:
            proof = consistency_proof(old.size, len(hashes), read)
            verify_consistency(old.size, old.root, len(hashes), root_of(hashes), proof)
