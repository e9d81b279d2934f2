"""Sockets through the running proxy: genuine clients, a real server, one record for each response.

One proxy and one teacher serve all whose sessions end neither of them.
"""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.harness import MODEL, Record, Running, Workspace, until
from tests.e2e.realtime_teacher import WORDS, RealtimeTeacher, live_teacher, realtime_teacher
from tests.e2e.teacher import authority

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

TEXT = "".join(WORDS)
PATH = f"/v1/realtime?model={MODEL}"
_RULE = """\
inbond: 1
policy: no-pictures
layer: organisation
party: Acme Test
owner: legal@example.org
reviewed: 2026-11-24
rules:
  - id: no-pictures
    forbid: request
    when: {request.images: true}
    because: Pictures are not sent to teachers.
    fix: Describe it in words.
"""


def _workspace(template: Path, folder: Path, port: int) -> Workspace:
    ca = authority().cert_pem.bytes()
    where = folder / "workspace"
    return Workspace.copy(template, where, sealed=port, authority=ca, more="drain_s: 0.5\n")


@dataclass(frozen=True, slots=True)
class Site:
    """A running proxy, and a teacher behind it."""

    workspace: Workspace
    running: Running
    teacher: RealtimeTeacher


@contextlib.asynccontextmanager
async def _site(template: Path, folder: Path) -> AsyncIterator[Site]:
    async with realtime_teacher() as teacher:
        workspace = _workspace(template, folder, teacher.port)
        rules = workspace.settings.policies_directory / "organisation" / "no-pictures.yaml"
        rules.write_text(_RULE)
        async with workspace.running() as running:
            yield Site(workspace, running, teacher)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with _site(template, tmp_path_factory.mktemp("realtime")) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def site(_shared: Site) -> Site:
    """The shared proxy and its teacher, as if nothing had been."""
    await until(lambda: _shared.teacher.is_idle)
    await _shared.workspace.settled()
    _shared.teacher.forget()
    return replace(_shared, workspace=_shared.workspace.from_now())


@contextlib.asynccontextmanager
async def _socket(
    workspace: Workspace, *, is_proxied: bool, **more: Any
) -> AsyncIterator[ClientConnection]:
    """A session by one mode; a bound keeps what hangs from hanging for ever."""
    if is_proxied:
        trust = ssl.create_default_context(cafile=str(workspace.settings.keys_directory / "ca.pem"))
        proxy = f"http://{workspace.key}:@{workspace.settings.listen}"
        where: dict[str, Any] = {"proxy": proxy, "ssl": trust}
        url = f"wss://every.teacher.test{PATH}"
    else:
        where = {"proxy": None, "additional_headers": {"x-inbond-key": workspace.key}}
        url = f"ws://{workspace.settings.listen}/every{PATH}"
    async with asyncio.timeout(60), connect(url, **(where | more)) as socket:
        yield socket


async def _ask(socket: ClientConnection, case: str) -> None:
    content = [{"type": "input_text", "text": f"case:{case}"}]
    item = {"type": "message", "role": "user", "content": content}
    await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await socket.send(json.dumps({"type": "response.create"}))


async def _until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async for message in socket:
        said: dict[str, Any] = json.loads(message)
        if said["type"] == kind:
            return said
    raise AssertionError(kind)


async def _split(workspace: Workspace) -> tuple[Record, list[Record]]:
    """The record of the only socket, and those of its responses, once it is over."""
    socket, *responses = await workspace.settled()
    assert socket.body == b""
    for response in responses:
        named = dict(response.reading["request"]["headers"]) if response.answer else {}
        assert named.get("x-inbond-socket") in {None, socket.exchange.id}
    return socket, responses


@pytest.mark.parametrize("via", ["proxy", "base-url"])
async def test_the_openai_sdk_works_through_the_proxy(site: Site, via: str) -> None:
    """A session of the genuine SDK: each response has its own record, and none may train."""
    workspace, teacher = site.workspace, site.teacher
    script = Path(__file__).with_name("realtime_calls.py")
    url = "https://every.teacher.test/v1"
    if via == "base-url":
        url = f"http://{workspace.settings.listen}/every/v1"
    with workspace.size() as teacher.ledger_size:
        done = await workspace.said(
            *("run", "--via", via, "--key", workspace.key, "--"),
            *(sys.executable, str(script), url, MODEL, "one", "two"),
            is_child=True,
            OPENAI_API_KEY="the-user-has-some-key",
        )
    assert done.status == 0, done.err
    said = [json.loads(line) for line in done.out.splitlines()]
    assert [line["text"] for line in said] == [TEXT, TEXT]
    socket, responses = await _split(workspace)
    assert (socket.exchange.outcome, socket.exchange.status) == ("complete", 101)
    assert [record.exchange.response_id for record in responses] == ["resp-1", "resp-2"]
    for case, record in zip(("one", "two"), responses, strict=True):
        assert record.call.facts["operation"] == "realtime"
        assert record.call.facts["model.asked"] == MODEL
        assert record.exchange.outcome == "complete"
        assert (record.is_admitted, record.exchange.problem) == (False, "realtime")
        assert record.reading["answer"]["choices"][0]["text"] == TEXT
        assert record.exchange.usage is not None
        assert record.exchange.usage.total == 9
        assert record.seq < teacher.sizes[case]
    (head,) = teacher.heads
    assert head["authorization"] == "Bearer custody-canary-teacher"


async def test_googles_sdk_works_through_the_proxy(template: Path, tmp_path: Path) -> None:
    """A session of the Live API: each turn has its own record, and none may train."""
    script = Path(__file__).with_name("live_calls.py")
    async with live_teacher() as port:
        workspace = _workspace(template, tmp_path, port)
        async with workspace.running():
            done = await workspace.said(
                *("run", "--via", "proxy", "--key", workspace.key, "--"),
                *(sys.executable, str(script), "https://every.teacher.test", MODEL, "one", "two"),
                is_child=True,
            )
    assert done.status == 0, done.err
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == [TEXT, TEXT]
    socket, turns = await _split(workspace)
    assert socket.exchange.outcome == "complete"
    for case, record in zip(("one", "two"), turns, strict=True):
        assert record.call.facts["model.asked"] == MODEL
        assert (record.exchange.outcome, record.exchange.problem) == ("complete", "realtime")
        assert record.reading["answer"]["choices"][0]["text"] == TEXT
        assert record.reading["request"]["messages"][-1]["text"] == f"case:{case}"
        assert record.exchange.usage is not None
        assert record.exchange.usage.total == 9


MODES = pytest.mark.parametrize("is_proxied", [False, True], ids=["base-url", "tunnel"])


@MODES
async def test_a_refusal_in_mid_session_closes_it(site: Site, *, is_proxied: bool) -> None:
    """The client reads why in an error event and the code 1008; the teacher never sees the message."""
    workspace, teacher = site.workspace, site.teacher
    async with _socket(workspace, is_proxied=is_proxied) as socket:
        await _ask(socket, "fine")
        await _until(socket, "response.done")
        image = {"type": "input_image", "image_url": "data:image/png;base64,eA=="}
        item = {"type": "message", "role": "user", "content": [image]}
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(json.dumps({"type": "response.create", "event_id": "never"}))
        error = (await _until(socket, "error"))["error"]
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        await teacher.gone.wait()
    socket_record, (fine, refused) = await _split(workspace)
    assert (fine.exchange.outcome, refused.exchange.outcome) == ("complete", "refused")
    assert socket_record.exchange.outcome == "cut"
    for part in ("no-pictures/no-pictures", "Describe it in words", refused.exchange.id):
        assert part in error["message"]
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert socket_record.exchange.id in closed.value.rcvd.reason
    assert not any("never" in str(message) for message in teacher.received)


async def test_what_cannot_be_read_is_not_sent(site: Site) -> None:
    """A message that is no JSON object might ask for anything: it ends the session."""
    workspace, teacher = site.workspace, site.teacher
    async with _socket(workspace, is_proxied=False) as socket:
        await socket.send('{"type": "a", "type": "response.create"}')
        error = (await _until(socket, "error"))["error"]
        await teacher.gone.wait()
    assert "given twice" in error["message"]
    assert teacher.received == []
    assert (await _split(workspace))[0].exchange.outcome == "cut"


@MODES
async def test_messages_pass_byte_for_byte(site: Site, *, is_proxied: bool) -> None:
    """Compressed, fragmented and large messages, pings between them: all arrive as they were sent."""
    workspace, teacher = site.workspace, site.teacher
    async with _socket(workspace, is_proxied=is_proxied) as socket:
        assert socket.response is not None
        assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]
        sent = [json.dumps({"type": "x", "n": n, "text": "ł" * n}) for n in (0, 1, 200, 70_000)]
        for message in sent:
            await socket.send(iter([message[:5], message[5:9], message[9:]]))
            await (await socket.ping())
        await socket.send(json.dumps({"type": "binary"}).encode())
        await _ask(socket, "last")
        said = await _until(socket, "response.done")
    assert teacher.received[: len(sent)] == sent
    assert teacher.received[len(sent)] == b'{"type": "binary"}'
    assert said["response"]["output"][0]["content"][0]["text"] == TEXT


async def test_a_key_among_the_sub_protocols(site: Site) -> None:
    """A browser's way to send a key: it names the caller, and reaches neither teacher nor record."""
    workspace, teacher = site.workspace, site.teacher
    offers = ["realtime", "openai-insecure-api-key.{}", "openai-beta.realtime-v1"]
    named = [offer.format(workspace.key) for offer in offers]
    more = {"additional_headers": {"Sec-WebSocket-Protocol": ", ".join(named)}}
    async with _socket(workspace, is_proxied=False, **more) as socket:
        await _ask(socket, "browser")
        await _until(socket, "response.done")
    (head,) = teacher.heads
    assert head["sec-websocket-protocol"] == "realtime, openai-beta.realtime-v1"
    assert head["authorization"] == "Bearer custody-canary-teacher"
    assert workspace.key not in json.dumps(head)
    records = workspace.records()
    assert len(records) == 2
    assert all(workspace.key.encode() not in record.answer + record.body for record in records)


async def test_an_error_ends_the_response_it_speaks_of(site: Site) -> None:
    """Where the teacher answers with an error event, that is the end of what was asked."""
    workspace = site.workspace
    async with _socket(workspace, is_proxied=False) as socket:
        await _ask(socket, "an.error")
        await _until(socket, "error")
        await _ask(socket, "then")
        await _until(socket, "response.done")
    _, (failed, whole) = await _split(workspace)
    assert (failed.exchange.outcome, failed.exchange.choices) == ("complete", 0)
    assert failed.reading["answer"]["error"]["message"] == "not now"
    assert whole.reading["answer"]["choices"][0]["text"] == TEXT


async def test_a_refused_upgrade_is_an_answer_of_http(site: Site) -> None:
    """A key that is not known gets no socket, and the teacher sees nothing."""
    workspace, teacher = site.workspace, site.teacher
    more = {"additional_headers": {"Authorization": "Bearer ib_nobody"}}
    with pytest.raises(InvalidStatus) as raised:
        async with _socket(workspace, is_proxied=False, **more):
            pass
    assert raised.value.response.status_code == 401
    assert (teacher.heads, workspace.records()) == ([], [])


_ENDS = {
    "client-leaves": ("complete", "client_disconnected", None),
    "client-breaks": ("client_disconnected", "client_disconnected", None),
    "teacher-breaks": ("upstream_failed", "upstream_failed", 1011),
    "drain": ("cut", "cut", 1001),
    "kill": ("interrupted", "interrupted", None),
}
"""The outcomes of the socket and of the response under way, and the proxy's last word."""
_OF_THE_PROXY = ("drain", "kill")


@pytest.mark.parametrize("end", [end for end in _ENDS if end not in _OF_THE_PROXY])
async def test_however_a_session_ends(site: Site, end: str) -> None:
    """One exchange for the socket and one for the response under way, with what was said of it."""
    await _check_end(site, end)


@pytest.mark.parametrize("end", _OF_THE_PROXY)
async def test_however_the_proxy_ends_it(template: Path, tmp_path: Path, end: str) -> None:
    """The same where the proxy stops in order, and where its worker is killed."""
    async with _site(template, tmp_path) as site:
        await _check_end(site, end)


async def _check_end(site: Site, end: str) -> None:
    case = "it.breaks" if end == "teacher-breaks" else "it.held"
    async with _socket(site.workspace, is_proxied=True) as socket:
        await _ask(socket, case)
        await _until(socket, "response.output_text.delta")
        code = await _end(end, socket, site.running)
    if end == "kill":
        await site.running.until_ready(2)
    record, (response,) = await _split(site.workspace)
    assert (record.exchange.outcome, response.exchange.outcome, code) == _ENDS[end]
    if end != "kill":
        assert response.reading["answer"]["choices"][0]["text"] == WORDS[0]


async def _end(end: str, socket: ClientConnection, running: Running) -> int | None:
    """End a session in this way; gives the code with which the proxy took leave."""
    match end:
        case "client-leaves":
            await socket.close()
            return None
        case "client-breaks":
            socket.transport.abort()
            return None
        case "drain":
            running.terminate()
        case "kill":
            (pid,) = running.worker_pids()
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ConnectionClosed):
        async for _ in socket:
            pass
    return None if socket.protocol.close_rcvd is None else socket.protocol.close_rcvd.code


async def test_a_call_that_sets_up_media_is_classified(template: Path, tmp_path: Path) -> None:
    """The set-up of WebRTC is a call of the operation `realtime`, which a policy may refuse."""
    workspace = _workspace(template, tmp_path, 9)
    rules = workspace.settings.policies_directory / "organisation" / "no-media.yaml"
    rules.write_text(
        _RULE.replace("no-pictures", "no-media").replace(
            "request.images: true", "operation: realtime"
        )
    )
    async with workspace.running() as running:
        url = f"{running.url}/every/v1/realtime/"
        headers = {"x-inbond-key": workspace.key}
        async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
            sdp = await client.post(
                url + "calls", content=b"v=0", headers={"content-type": "application/sdp"}
            )
            body = {"session": {"type": "realtime", "model": MODEL}}
            secret = await client.post(url + "client_secrets", json=body)
    assert [answer.status_code for answer in (sdp, secret)] == [403, 403]
    assert "no-media/no-media" in secret.json()["error"]["message"]
    first, second = workspace.records()
    assert {r.call.facts["operation"] for r in (first, second)} == {"realtime"}
    assert "model.asked" not in first.call.facts
    assert second.call.facts["model.asked"] == MODEL
