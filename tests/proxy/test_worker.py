"""Tests of proxy.worker: one worker in this process, with a real ledger and a real port."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from proxy import worker as module
from proxy.anchors import anchors_of
from proxy.cli.init import make_workspace
from proxy.cli.openledger import open_ledger
from proxy.clock import utc_now
from proxy.errors import ForkError, IdentityError, ProxyError
from proxy.identity import digest_of, make_client_key
from proxy.inforce import put_in_force, workspace_bundle
from proxy.route import TeacherSettings
from proxy.settings import Settings, load_settings
from proxy.status import workers_of
from proxy.worker import Worker, run_worker
from tests.e2e.harness import free_ports, until
from tests.proxy.store.ledgers import key_entry

_TEACHER = """
teachers:
  - id: house
    host: house.teacher.test
    prefix: house
    formats: [openai.chat]
    scheme: {scheme}
    connect: "{connect}"
    model: {{id: m, names: ["*"], repository: r, revision: "1", licence: Apache-2.0}}
custody:
  house: {{account: main, env: HOUSE_KEY}}
"""
ENVIRON = {"HOUSE_KEY": "canary-of-the-house"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with its policies in force, to copy."""
    folder = tmp_path_factory.mktemp("worker") / "work"
    settings = make_workspace(folder, organisation="Acme Test")
    with open_ledger(settings) as ledger:
        put_in_force(ledger.log, workspace_bundle(settings, ledger.database), "user:1")
        ledger.signer.sign()
    return folder


@pytest.fixture
def settings(template: Path, tmp_path: Path) -> Settings:
    """Of a workspace with a teacher on this machine, and a port of its own."""
    return written(template, tmp_path / "work")


def written(template: Path, folder: Path, more: str = "") -> Settings:
    """The settings of a copy of the template, with a teacher unless there are others."""
    shutil.copytree(template, folder)
    (folder / "run").mkdir(exist_ok=True)
    (listen,) = free_ports(1)
    with (folder / "inbond.yaml").open("a") as file:
        file.write(f"\nlisten: 127.0.0.1:{listen}\n")
        file.write(more or _TEACHER.format(scheme="http", connect="127.0.0.1:9"))
    return load_settings(folder, {}, TeacherSettings)


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Worker]:
    """A worker that is closed after the block."""
    worker = Worker(settings, ENVIRON)
    try:
        yield worker
    finally:
        worker.close()


@contextlib.asynccontextmanager
async def serving(worker: Worker) -> AsyncIterator[None]:
    """The worker listens for the time of the block."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.serve(stop, is_shared_port=False))
        try:
            await until(lambda: bool(workers_of(worker.settings)))
            yield
        finally:
            stop.set()


def open_files(folder: Path) -> list[str]:
    """The files under a folder that this process holds open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()))
    return [name for name in found if name.startswith(str(folder))]


def _with_old_tally(settings: Settings) -> None:
    with sqlite3.connect(settings.directory / "inbond.db") as connection:
        connection.execute("INSERT INTO tally VALUES (x'01', 60, 5, 120), (x'02', 60, 5, 2e10)")
    connection.close()


def _tallies(settings: Settings) -> list[bytes]:
    with contextlib.closing(sqlite3.connect(settings.directory / "inbond.db")) as connection:
        return [row[0] for row in connection.execute("SELECT key FROM tally ORDER BY key")]


def test_old_tallies_go_when_a_worker_starts(settings: Settings) -> None:
    """What no counter looks at any more is deleted; what one does stays."""
    _with_old_tally(settings)
    with opened(settings):
        assert _tallies(settings) == [b"\x02"]


def test_tallies_that_cannot_be_deleted_stop_nobody(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the database refuses, as a full disk does, the worker says so and starts."""
    _with_old_tally(settings)
    with contextlib.closing(sqlite3.connect(settings.directory / "inbond.db")) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE DELETE ON tally BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
        connection.commit()
    with opened(settings) as worker:
        assert worker.recorder.waiting == 0
        assert _tallies(settings) == [b"\x01", b"\x02"]
    said = capsys.readouterr()
    assert "old tallies not deleted" in said.out + said.err


async def test_it_says_how_it_is_and_takes_that_back(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it serves its status stands in one private file, with the bundle that decides."""
    with opened(settings) as worker:
        async with serving(worker):
            (said,) = workers_of(settings)
            assert (said.worker, said.pid, said.state) == (worker.id, os.getpid(), "ready")
            assert (said.policy, said.is_fresh) == (worker.bundle.digest, True)
            path = settings.run_directory / f"{worker.id}.json"
            assert path.stat().st_mode & 0o777 == 0o600
    assert list(settings.run_directory.glob("*worker-*")) == []
    (line,) = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["port"], json.loads(line)["worker"]) == (
        settings.listen.port,
        worker.id,
    )


async def test_its_status_stays_fresh(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is written again and again, and a drain is not covered by `ready`."""
    monkeypatch.setattr(module, "_REFRESH_S", 0.01)
    with opened(settings) as worker:
        async with serving(worker):
            first = workers_of(settings)[0].at
            await until(lambda: workers_of(settings)[0].at != first)
            worker._state = "draining"
            await until(lambda: workers_of(settings)[0].state == "draining")


async def test_what_cannot_be_refreshed_is_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that cannot be read, or a disk that cannot be written, does not end the worker."""
    monkeypatch.setattr(module, "_REFRESH_S", 0.01)
    with opened(settings) as worker:
        async with serving(worker):
            database = settings.directory / "inbond.db"
            aside = database.rename(database.with_suffix(".aside"))
            database.mkdir()
            run = settings.run_directory.rename(settings.directory / "run.aside")
            worker.database.close()
            await asyncio.sleep(0.1)
            database.rmdir()
            aside.rename(database)
            run.rename(settings.run_directory)
            first = workers_of(settings)[0].at
            await until(lambda: workers_of(settings)[0].at != first)


async def test_late_anchors_hold_calls_where_they_are_required(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that confirms nothing in time holds every call, and lets them go once it did."""
    monkeypatch.setattr(module, "_REFRESH_S", 0.05)
    anchored = "\nanchors: {files: [worm], required_within_s: 0.001}\n"
    more = _TEACHER.format(scheme="http", connect="127.0.0.1:9") + anchored
    settings = written(template, tmp_path / "work", more)
    host, port = settings.listen.host, settings.listen.port
    url = f"http://{host}:{port}/house/v1/chat/completions"
    (settings.directory / "worm").mkdir()
    with open_ledger(settings) as ledger:
        secret = make_client_key(bytes(32))
        ledger.log.append([key_entry("create", "k1", digest=digest_of(secret))])
        headers = {"x-inbond-key": secret.reveal()}
        with opened(settings) as worker:
            async with serving(worker), httpx.AsyncClient(trust_env=False) as client:
                held = await client.post(url, headers=headers, json={})
                assert (held.status_code, "not anchored in time" in held.text) == (503, True)
                ledger.signer.sign()
                anchors_of(settings, ledger.database, ledger.signer.verifier).take(utc_now())
                await until(lambda: worker.gatehouse.is_open)
                assert "not anchored" not in (await client.post(url, headers=headers, json={})).text


def test_it_closes_in_order(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorder writes what is owed, then the lease is released, then the database is closed."""
    order: list[str] = []
    for what, method in (("Recorder", "close"), ("Lease", "release")):
        _noting(getattr(module, what), method, order, monkeypatch)
    with opened(settings) as worker:
        _noting(type(worker.database), "close", order, monkeypatch)
        worker._opened.callback(lambda: order.append("last opened"))
    assert order == ["last opened", "Recorder.close", "Lease.release"]
    assert open_files(settings.directory) == []
    worker.close()


def _noting(owner: type, method: str, order: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(owner, method)

    def noted(self: object) -> None:
        order.append(f"{owner.__name__}.{method}")
        real(self)

    monkeypatch.setattr(owner, method, noted)


@pytest.mark.parametrize("broken", ["key", "database", "policies", "fork", "lease", "custody"])
def test_a_worker_that_cannot_open_leaves_nothing_behind(settings: Settings, broken: str) -> None:
    """Whatever is missing: one error with a fix, no open file, no lease, no status."""
    environ = ENVIRON
    match broken:
        case "key":
            (settings.keys_directory / "log.key").unlink()
        case "database":
            (settings.directory / "inbond.db").write_bytes(b"no database at all" * 100)
        case "policies" | "fork":
            _without_ledger(settings, is_signed=broken == "fork")
        case "lease":
            shutil.rmtree(settings.run_directory)
        case _:
            environ = {}
    with pytest.raises(ProxyError) as raised:
        Worker(settings, environ)
    assert raised.value.help
    assert isinstance(raised.value, ForkError) == (broken == "fork")
    assert isinstance(raised.value, IdentityError) == (broken == "custody")
    assert open_files(settings.directory) == []
    assert list(settings.directory.glob("run/*worker-*")) == []


def _without_ledger(settings: Settings, *, is_signed: bool) -> None:
    for path in settings.directory.glob("inbond.db*"):
        path.unlink()
    if not is_signed:
        settings.last_checkpoint_path.unlink()


def test_a_full_start_leaves_the_lease_held(settings: Settings) -> None:
    """While a worker is open its lease shows that it is alive."""
    with opened(settings) as worker:
        assert (settings.run_directory / f"{worker.id}.lease").exists()


async def test_a_taken_port_is_named(settings: Settings) -> None:
    """A port of somebody else ends the start with the fix, and the worker can be closed."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", settings.listen.port)
    with opened(settings) as worker, pytest.raises(ProxyError, match="cannot listen") as raised:
        await worker.serve(asyncio.Event(), is_shared_port=False)
    server.close()
    await server.wait_closed()
    assert raised.value.code == "port-taken"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, None], ids=str)
async def test_it_runs_until_it_is_told(
    settings: Settings, how: signal.Signals | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM, SIGINT and the caller's own stop end a worker in order."""
    stop = asyncio.Event() if how is None else None
    async with asyncio.TaskGroup() as group:
        group.create_task(run_worker(settings, ENVIRON, is_shared_port=True, stop=stop))
        await until(lambda: bool(workers_of(settings)))
        if stop is not None:
            stop.set()
        if how is not None:
            os.kill(os.getpid(), how)
    assert workers_of(settings) == []
    assert open_files(settings.directory) == []
    assert len(capsys.readouterr().out.splitlines()) == 1
