"""Bad input: a clear error with the fix, nothing lost, no traceback.

One proxy takes all input of clients.
"""

import asyncio
import contextlib
import json
import socket
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import time_machine

from proxy.clock import utc_now
from tests.e2e.caller import Caller
from tests.e2e.harness import Done, Workspace
from tests.e2e.inside import inside
from tests.e2e.site import Site, running_site
from tests.e2e.teacher import ask, teachers

pytestmark = pytest.mark.slow
_shared_loop = pytest.mark.asyncio(loop_scope="module")

_MIB = 2**20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running_site(template, tmp_path_factory.mktemp("input")) as site:
        yield site


@pytest.fixture
def site(_shared: Site) -> Site:
    """The shared proxy and its teachers, as if nothing had been."""
    return _shared.from_now()


def _is_clear(done: Done, code: str, *, status: int | None = None) -> None:
    """One error with its code and a fix on stderr, no traceback, nothing on stdout."""
    assert done.status in ({1, 2} if status is None else {status}), done
    assert "Traceback" not in done.err
    assert done.out == ""
    assert done.error["code"] == code, done.error
    assert done.error["help"]
    assert done.error["message"][:1] in {"`", done.error["message"][:1].lower()}


@pytest.mark.parametrize("noun", [("up",), ("status",), ("key", "list"), ("review", "list")])
def test_no_workspace(template: Path, tmp_path: Path, noun: tuple[str, ...]) -> None:
    """Outside of a workspace every command says so and how to make one."""
    workspace = Workspace.copy(template, tmp_path / "workspace")
    (workspace.directory / "inbond.yaml").unlink()
    done = workspace.inbond(*noun)
    _is_clear(done, "no-workspace", status=2)
    assert "inbond init" in done.error["help"]


_WRONG_SETTINGS = {
    "unknown": ("worker: 2\n", "unknown-key", "did you mean `workers`?"),
    "value": ("workers: many\n", "bad-value", "workers"),
    "syntax": ("limits: {queue: 1\n", "yaml", ""),
    "twice": ("workers: 1\nworkers: 2\n", "duplicate-key", ""),
    "host": ("unlisted_hosts: {tunnel: [https://a.example]}\n", "bad-value", "git.example.com:22"),
}


@pytest.mark.parametrize("case", _WRONG_SETTINGS)
def test_wrong_settings(template: Path, tmp_path: Path, case: str) -> None:
    """A mistake in `inbond.yaml` is shown with line and column, and with what was meant."""
    more, code, fix = _WRONG_SETTINGS[case]
    workspace = Workspace.copy(template, tmp_path / "workspace")
    path = workspace.directory / "inbond.yaml"
    line = path.read_text().count("\n") + more.count("\n")
    path.write_text(path.read_text() + more)
    done = workspace.inbond("proxy")
    assert done.status == 2
    assert done.error["code"].startswith(code), done.error
    assert fix in done.error["help"]
    name, at, column = done.error["where"].split(":")
    assert name == "inbond.yaml"
    assert abs(int(at) - line) <= 1
    assert int(column) >= 1
    assert "Traceback" not in done.err


def test_settings_that_are_not_utf8(template: Path, tmp_path: Path) -> None:
    """A settings file in another encoding is refused at the place of the first wrong byte."""
    workspace = Workspace.copy(template, tmp_path / "workspace")
    path = workspace.directory / "inbond.yaml"
    path.write_bytes(path.read_bytes() + "# Müller\n".encode("latin-1"))
    done = workspace.inbond("status")
    _is_clear(done, "encoding", status=2)
    assert "UTF-8" in done.error["message"]


@pytest.mark.parametrize(("noun", "setting"), [("proxy", "listen"), ("up", "console")])
def test_a_taken_port(template: Path, tmp_path: Path, noun: str, setting: str) -> None:
    """A port that somebody else listens on is named, with the setting that changes it."""
    workspace = Workspace.copy(template, tmp_path / "workspace")
    port = getattr(workspace.settings, setting).port
    with socket.create_server(("127.0.0.1", port)):
        done = workspace.inbond(noun)
    assert done.status == 1
    assert "Traceback" not in done.err
    first = json.loads(done.err.splitlines()[0])
    assert f"cannot listen on `127.0.0.1:{port}`" in first["message"]
    assert f"`{setting}`" in first["help"]


@_shared_loop
async def test_a_second_proxy(site: Site) -> None:
    """A workspace has one proxy at a time; the second says so and leaves the first alone."""
    workspace, running = site.workspace, site.running
    _is_clear(await workspace.said("up"), "runs-already", status=1)
    headers = {"x-inbond-key": workspace.key}
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        path = "/plain/v1/chat/completions"
        answer = await client.post(path, headers=headers, content=ask("on"))
    assert answer.status_code == 200


@_shared_loop
async def test_keys_that_open_nothing(site: Site) -> None:
    """An unknown, a revoked, a misshapen and a missing key are 401 with the way to a good one."""
    workspace, running, stage = site.workspace, site.running, site.stage
    answers: dict[str, httpx.Response] = {}
    made = (await workspace.said("key", "create", "--project", "short-lived")).record
    keys = {
        "unknown-key": "ib_" + "A" * 43,
        "revoked-key": made["secret"],
        "bad-key": "ib_short",
        "no-client-key": "",
    }
    assert (await _call_as(running.url, made["secret"])).status_code == 200
    revoked = await workspace.said("key", "revoke", made["key"])
    assert revoked.status == 0, revoked.err
    await asyncio.sleep(2.5)  # a running worker hears of it within a second or two
    for code, key in keys.items():
        answers[code] = await _call_as(running.url, key)
    for code, answer in answers.items():
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (401, code)
        assert "inbond key create" in error["message"]
    assert len(stage.visits) == 1
    assert len(await workspace.settled()) == 1


async def _call_as(url: str, key: str) -> httpx.Response:
    headers = {"x-inbond-key": key} if key else {}
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        return await client.post("/plain/v1/chat/completions", headers=headers, content=ask("who"))


_BODIES = {
    "empty": b"",
    "not-json": b"hello",
    "cut": ask("cut")[:-7],
    "not-utf8": b'{"model": "caf\xe9", "messages": []}',
    "an-array": b"[1, 2]",
    "no-model": b'{"messages": [{"role": "user", "content": "x"}]}',
    "no-messages": b'{"model": "m"}',
    "twice": b'{"model": "a", "model": "b", "messages": [{"role": "user", "content": "x"}]}',
    "deep": b'{"model": "m", "messages": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "nan": b'{"model": "m", "temperature": NaN, "messages": []}',
    "surrogate": b'{"model": "\\ud800", "messages": [{"role": "user", "content": "x"}]}',
}


@_shared_loop
@pytest.mark.parametrize("teacher", ["plain", "claude"])
async def test_bodies_that_cannot_be_read(
    site: Site, subtests: pytest.Subtests, teacher: str
) -> None:
    """A body nobody can judge is refused in the provider's shape, recorded, and not sent on."""
    workspace, running, stage = site.workspace, site.running, site.stage
    suffix = "chat/completions" if teacher == "plain" else "messages"
    answers: dict[str, httpx.Response] = {}
    headers = {"x-inbond-key": workspace.key}
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        for case, body in _BODIES.items():
            answers[case] = await client.post(
                f"/{teacher}/v1/{suffix}", headers=headers, content=body
            )
    still = await client_works(workspace)
    assert still
    records = {record.exchange.id: record for record in await workspace.settled()}
    for case, answer in answers.items():
        with subtests.test(case):
            assert answer.status_code in {400, 403}, answer.text
            message = answer.json()["error"]["message"]
            assert message.startswith("inbond ")
            assert "Traceback" not in message
            record = records[answer.headers["x-inbond-exchange"]]
            assert record.exchange.outcome == "refused"
            assert record.body == _BODIES[case]
    assert [visit.case for visit in stage.visits] == ["works"]


async def client_works(workspace: Workspace) -> bool:
    """Whether an ordinary call passes."""
    async with Caller(workspace, "plain", is_proxied=False).connected() as caller:
        await caller.send(ask("works"))
        return (await caller.answer()).status == 200


@_shared_loop
async def test_teachers_and_models_nobody_knows(site: Site) -> None:
    """A provider that is not registered, and a path it does not have, are named with what there is."""
    workspace, running = site.workspace, site.running
    headers = {"x-inbond-key": workspace.key}
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        nowhere = await client.post("/acme/v1/chat/completions", headers=headers)
        path = await client.post("/plain/v1/unheard-of", headers=headers, content=b"{}")
        model = await client.post(
            "/openai/v1/chat/completions",
            headers={"x-inbond-key": workspace.keys["rival"]},
            content=ask("x", model="gpt-unheard-of"),
        )
    assert nowhere.status_code == 404
    assert "`/plain/`" in nowhere.json()["detail"]
    assert path.status_code == 403
    assert "unheard-of" in path.json()["error"]["message"]
    assert model.status_code == 403
    assert len(await workspace.settled()) == 2


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@_shared_loop
@pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "chunked"])
async def test_a_large_upload(site: Site, *, is_announced: bool) -> None:
    """50 MB are refused with 413, recorded, and cost less than 10 MB of memory."""
    workspace, running = site.workspace, site.running
    block = b"x" * _MIB
    (pid,) = running.worker_pids()
    headers = {"x-inbond-key": workspace.key}
    if is_announced:
        headers["content-length"] = str(50 * _MIB)

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield block

    async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=60) as client:
        path = "/plain/v1/chat/completions"
        await client.post(path, headers={"x-inbond-key": workspace.key}, content=b"warm")
        before = _resident(pid)
        answer = await client.post(path, headers=headers, content=upload())
        grown = _resident(pid) - before
    assert answer.status_code == 413
    limits = workspace.settings.limits
    limit = limits.request_bytes if is_announced else limits.unannounced_bytes
    assert f"over {limit} bytes" in answer.json()["error"]["message"]
    (_, record) = await workspace.settled()
    assert record.exchange.status == 413
    assert answer.headers["x-inbond-exchange"] == record.exchange.id
    print(f"RSS grew by {grown / _MIB:.1f} MiB")  # noqa: T201 - the figure for who wants it
    assert grown < 10 * _MIB


def test_a_database_of_a_newer_version(template: Path, tmp_path: Path) -> None:
    """A ledger that a newer inbond wrote is left alone, and the way out is named."""
    workspace = Workspace.copy(template, tmp_path / "workspace")
    with contextlib.closing(sqlite3.connect(workspace.directory / "inbond.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for noun in (("up",), ("status",), ("ledger", "verify"), ("key", "list")):
        done = workspace.inbond(*noun)
        assert done.status == 1
        assert "`9999`" in done.error["message"]
        assert "upgrade inbond" in done.error["help"]
        assert "Traceback" not in done.err


def test_a_file_that_is_no_database(template: Path, tmp_path: Path) -> None:
    """What is not a ledger's database is refused and not touched."""
    workspace = Workspace.copy(template, tmp_path / "workspace")
    (workspace.directory / "inbond.db").write_bytes(b"not a database at all" * 100)
    done = workspace.inbond("proxy")
    assert done.status == 1
    assert "Traceback" not in done.err
    assert done.error["help"]
    assert (workspace.directory / "inbond.db").read_bytes() == b"not a database at all" * 100


def test_a_disk_that_cannot_be_written(template: Path, tmp_path: Path) -> None:
    """Where not even root may write, each command says which path and what to do."""
    workspace = Workspace.copy(template, tmp_path / "workspace", more="")
    path = workspace.directory / "inbond.yaml"
    path.write_text(path.read_text() + "database: sqlite:////proc/inbond.db\n")
    for noun in (("proxy",), ("key", "create", "--project", "p")):
        done = workspace.inbond(*noun)
        assert done.status == 1
        assert "Traceback" not in done.err
        assert "/proc/inbond.db" in done.err
        assert done.error["help"]
    made = workspace.inbond("audit", "export", "/proc/audit")
    assert made.status == 1
    assert "Traceback" not in made.err


async def test_a_clock_that_goes_back(template: Path, tmp_path: Path) -> None:
    """Calls made after the clock went back are recorded in order, each once, and the ledger verifies."""
    async with teachers() as stage:
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        async with inside(workspace):
            assert await client_works(workspace)
            with time_machine.travel(utc_now() - timedelta(hours=3), tick=True):
                stage.visits.clear()
                assert await client_works(workspace)
    first, second = workspace.records()
    assert second.seq > first.seq
    assert second.call.at < first.call.at
    assert (first.exchange.outcome, second.exchange.outcome) == ("complete", "complete")
    verified = await workspace.said("ledger", "verify")
    assert verified.status == 0, verified.err


def test_a_dataset_of_nobody(template: Path, tmp_path: Path) -> None:
    """A dataset for a student nobody declared, or with nothing to learn, is refused."""
    workspace = Workspace.copy(template, tmp_path / "workspace")
    for student in ("unheard-of", "shop-assistant"):
        done = workspace.inbond("dataset", "build", "--student", student)
        assert done.status in {1, 2}
        assert "Traceback" not in done.err
        assert done.error["help"]
