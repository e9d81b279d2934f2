"""xAI's genuine SDK through the running proxy, to grpcio's own server (P1–P5 over gRPC).

One proxy and one teacher serve all whose calls end neither of them.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from xai_sdk.proto import chat_pb2, chat_pb2_grpc

from tests.e2e.grpc_teacher import WORDS, GrpcTeacher, grpc_teacher
from tests.e2e.harness import MODEL, Record, Workspace, until
from tests.e2e.teacher import authority, case_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

HOST = "every.teacher.test"
TEXT = "".join(WORDS)


def _workspace(template: Path, folder: Path, port: int) -> Workspace:
    ca = authority().cert_pem.bytes()
    where = folder / "workspace"
    return Workspace.copy(template, where, sealed=port, authority=ca, more="drain_s: 0.5\n")


type Site = tuple[Workspace, GrpcTeacher]
"""Where a proxy runs, and the teacher behind it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with grpc_teacher() as teacher:
        workspace = _workspace(template, tmp_path_factory.mktemp("grpc"), teacher.port)
        async with workspace.running():
            yield workspace, teacher


@pytest.fixture
def site(_shared: Site) -> Site:
    """The shared proxy and its teacher, as if nothing had been."""
    workspace, teacher = _shared
    teacher.seen.clear()
    teacher.gone.clear()
    teacher.ledger_size = lambda: 0
    return workspace.from_now(), teacher


async def _run(
    workspace: Workspace, host: str, model: str, *kinds: str, student: str = "shop-assistant"
) -> dict[str, dict[str, Any]]:
    """What a child says that runs the genuine SDK through `inbond run`, by kind of call."""
    script = Path(__file__).with_name("grpc_calls.py")
    done = await workspace.said(
        *("run", "--via", "proxy", "--key", workspace.keys[student], "--"),
        *(sys.executable, str(script), host, model, *kinds),
        is_child=True,
    )
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    return {line["kind"]: line for line in lines}


async def _by_case(workspace: Workspace) -> dict[str, Record]:
    return {case_of(record.body): record for record in await workspace.settled()}


async def test_the_sdk_works_through_the_proxy(site: Site) -> None:
    """Unary and streamed, by both clients: the same words, recorded and fit to train."""
    workspace, teacher = site
    kinds = ("sync.unary", "sync.stream", "async.unary", "async.stream")
    with workspace.size() as teacher.ledger_size:
        said = await _run(workspace, HOST, MODEL, *kinds)
    assert {kind: line.get("text") for kind, line in said.items()} == dict.fromkeys(kinds, TEXT)
    assert said["sync.stream"]["pieces"] == said["async.stream"]["pieces"] == len(WORDS)
    records = await _by_case(workspace)
    assert set(records) == set(kinds)
    for case, record in records.items():
        assert (record.exchange.outcome, record.is_admitted) == ("complete", True)
        assert record.exchange.response_id == f"answer-{case}"
        assert record.exchange.usage is not None
        assert record.exchange.usage.total == 9
        assert record.reading["answer"]["choices"][0]["text"] == TEXT
        metadata, size = teacher.seen[case]
        assert metadata["authorization"] == "Bearer custody-canary-teacher"
        assert record.seq < size


async def test_a_teachers_error_is_the_sdks_own(site: Site) -> None:
    """A status of the teacher raises what it always raises, before an answer and in the middle."""
    workspace, _ = site
    kinds = ("sync.unary.busy", "sync.stream.busy", "async.stream.busy", "sync.stream.breaks")
    said = await _run(workspace, HOST, MODEL, *kinds)
    for kind in kinds[:3]:
        assert "RpcError" in said[kind]["raised"]
        told = (said[kind]["status"], said[kind]["message"])
        assert told == ("RESOURCE_EXHAUSTED", "slow down, 100 % busy: später")
    broken = said["sync.stream.breaks"]
    assert (broken["status"], broken["message"]) == ("INTERNAL", "the model broke")
    records = await _by_case(workspace)
    for kind in kinds:
        assert (records[kind].exchange.outcome, records[kind].is_admitted) == ("complete", False)
    error = records["sync.unary.busy"].reading["answer"]["error"]
    assert (error["type"], error["code"]) == ("RESOURCE_EXHAUSTED", "8")
    (choice,) = records["sync.stream.breaks"].reading["answer"]["choices"]
    assert choice["text"] == WORDS[0]


async def test_a_refusal_is_an_error_of_grpc(site: Site) -> None:
    """The SDK raises its usual exception with rule, clause and exchange; nothing left the house."""
    workspace, _ = site
    said = await _run(workspace, "api.x.ai", "grok-4", "sync.unary", student="rival")
    streamed = await _run(workspace, "api.x.ai", "grok-4", "async.stream", student="rival")
    records = await _by_case(workspace)
    for kind, line in (said | streamed).items():
        assert "RpcError" in line["raised"]
        assert line["status"] == "PERMISSION_DENIED"
        assert records[kind].exchange.outcome == "refused"
        assert records[kind].exchange.id in line["message"]
        assert "xai/" in line["message"]


async def test_a_deferred_answer_is_read_when_it_is_fetched(site: Site) -> None:
    """The call that starts it brings no words; the one that fetches it does, without its prompt."""
    workspace, _ = site
    said = await _run(workspace, HOST, MODEL, "sync.deferred")
    assert said["sync.deferred"]["text"] == TEXT
    started, fetched = await workspace.settled()
    assert (started.exchange.choices, started.is_admitted) == (0, False)
    assert fetched.reading["answer"]["choices"][0]["text"] == TEXT
    assert fetched.reading["request"]["is_whole"] is False


@contextlib.asynccontextmanager
async def _stub(workspace: Workspace, key: str | None = None) -> AsyncIterator[Any]:
    """The service as a client of ours sees it through the proxy; nothing is tried again."""
    roots = (workspace.settings.keys_directory / "ca.pem").read_bytes()
    proxy = f"http://{key or workspace.key}:@{workspace.settings.listen}"
    options = [("grpc.http_proxy", proxy), ("grpc.enable_retries", 0)]
    proof = grpc.ssl_channel_credentials(roots)
    async with grpc.aio.secure_channel(f"{HOST}:443", proof, options) as channel:
        yield chat_pb2_grpc.ChatStub(channel)


def _ask(case: str) -> Any:
    content = chat_pb2.Content(text=f"case:{case}")
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, content=[content])
    return chat_pb2.GetCompletionsRequest(model=MODEL, messages=[message])


async def test_calls_of_one_connection_end_by_themselves(site: Site) -> None:
    """Twenty calls share the client's connection; one that is given up takes no other with it."""
    workspace, teacher = site
    async with _stub(workspace) as stub:
        left = stub.GetCompletionChunk(_ask("left.held"))
        assert (await left.read()).outputs[0].delta.content == WORDS[0]
        whole = await asyncio.gather(*(stub.GetCompletion(_ask(f"n.{n}")) for n in range(20)))
        left.cancel()
        await until(lambda: "left.held" in teacher.gone)
    assert {answer.outputs[0].message.content for answer in whole} == {TEXT}
    outcomes = {
        case: record.exchange.outcome for case, record in (await _by_case(workspace)).items()
    }
    assert outcomes.pop("left.held") == "client_disconnected"
    assert outcomes == {f"n.{n}": "complete" for n in range(20)}


async def test_a_teacher_that_breaks_off(template: Path, tmp_path: Path) -> None:
    """A connection that breaks in mid-stream is told as a status of gRPC with our words."""
    async with grpc_teacher() as teacher:
        workspace = _workspace(template, tmp_path, teacher.port)
        async with workspace.running(), _stub(workspace) as stub:
            call = stub.GetCompletionChunk(_ask("broken.held"))
            await call.read()
            await teacher.stop()
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call.read()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetCompletion(_ask("nobody"))
    records = await _by_case(workspace)
    for error, case in ((raised.value, "broken.held"), (refused.value, "nobody")):
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert records[case].exchange.id in str(error.details())
        assert records[case].exchange.outcome == "upstream_failed"


async def test_a_deadline_cuts_what_is_left(template: Path, tmp_path: Path) -> None:
    """Past the deadline of a drain a call under way is cut, and recorded so."""
    async with grpc_teacher() as teacher:
        workspace = _workspace(template, tmp_path, teacher.port)
        async with workspace.running() as running, _stub(workspace) as stub:
            call = stub.GetCompletionChunk(_ask("cut.held"))
            await call.read()
            running.terminate()
            with pytest.raises(grpc.aio.AioRpcError):
                await call.read()
            await until(lambda: "cut.held" in teacher.gone)
            assert await running.end() == 0
    assert (await _by_case(workspace))["cut.held"].exchange.outcome == "cut"


async def test_a_killed_worker(template: Path, tmp_path: Path) -> None:
    """What a killed worker had under way is marked as interrupted, and calls go on after it."""
    async with grpc_teacher() as teacher:
        workspace = _workspace(template, tmp_path, teacher.port)
        async with workspace.running() as running:
            async with _stub(workspace) as stub:
                call = stub.GetCompletionChunk(_ask("killed.held"))
                await call.read()
                (pid,) = running.worker_pids()
                os.kill(pid, signal.SIGKILL)
                with pytest.raises(grpc.aio.AioRpcError):
                    await call.read()
            await running.until_ready(2)
            async with _stub(workspace) as stub:
                await stub.GetCompletion(_ask("after"))
    outcomes = {
        case: record.exchange.outcome for case, record in (await _by_case(workspace)).items()
    }
    assert outcomes == {"killed.held": "interrupted", "after": "complete"}


async def test_what_is_not_known_is_refused_in_grpc(site: Site) -> None:
    """An unknown key, an unread method and a message that is none: each is a status of gRPC."""
    workspace, teacher = site
    async with _stub(workspace) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as unread:
            await stub.CompactContext(chat_pb2.CompactContextRequest(model=MODEL))
        with pytest.raises(grpc.aio.AioRpcError) as nameless:
            await stub.GetCompletion(chat_pb2.GetCompletionsRequest())
    assert unread.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "cannot read" in str(unread.value.details())
    assert nameless.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "names no `model`" in str(nameless.value.details())
    records = await workspace.settled()
    assert {record.exchange.outcome for record in records} == {"refused"}
    assert teacher.seen == {}
