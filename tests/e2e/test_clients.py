"""The genuine SDKs as their users run them: through `inbond run`, in both modes.

One proxy serves all but those who need two workers.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.caller import Answer, Caller
from tests.e2e.harness import MODEL, Workspace
from tests.e2e.site import Site, running_site
from tests.e2e.teacher import (
    TEXT,
    answer,
    ask,
    case_of,
    chat,
    message,
    message_events,
    teachers,
)
from tests.proxy.upstream import Script, Seen, chunked, head

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

MODES = ("proxy", "base-url")


def _speak(seen: Seen) -> Script:
    """What the teachers of this file answer: by the format of the path, and by the case."""
    case = case_of(seen.body)
    is_streamed = b'"stream":true' in seen.body.replace(b" ", b"")
    if case.startswith("busy"):
        body = b'{"error": {"message": "slow down", "type": "rate_limit_error", "code": null}}'
        start = head(429, Content_Type="application/json", Content_Length=str(len(body)))
        return (start, body)
    if "/messages" in seen.line:
        if is_streamed:
            start = head(Content_Type="text/event-stream", Transfer_Encoding="chunked")
            return (start, *chunked(*message_events(case)))
        return _json(message(case))
    if case.startswith("tools"):
        function = {"name": "weather", "arguments": "{}"}
        call = {"id": "call-1", "type": "function", "function": function}
        return _json(chat(case, finish="tool_calls", content=None, tool_calls=[call]))
    parts = answer(case, is_streamed=is_streamed)
    return parts[0] + parts[1] + parts[2]


def _json(body: bytes) -> Script:
    return (head(Content_Type="application/json", Content_Length=str(len(body))), body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running_site(template, tmp_path_factory.mktemp("clients"), _speak) as site:
        yield site


@pytest.fixture
def site(_shared: Site) -> Site:
    """The shared proxy and its teachers, as if nothing had been."""
    return _shared.from_now()


async def _run(
    workspace: Workspace, via: str, *words: str, student: str = "shop-assistant"
) -> dict[str, dict[str, Any]]:
    """What a child says that runs the genuine SDK through `inbond run`, by kind of call."""
    key = "the-user-has-some-key"
    script = Path(__file__).with_name("sdk_calls.py")
    done = await workspace.said(
        *("run", "--via", via, "--key", workspace.keys[student], "--"),
        *(sys.executable, str(script), *words),
        is_child=True,
        OPENAI_API_KEY=key,
        ANTHROPIC_API_KEY=key,
    )
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    return {line["kind"]: line for line in lines}


def _url(workspace: Workspace, via: str, teacher: str, path: str) -> str:
    if via == "proxy":
        return f"https://{teacher}.teacher.test{path}"
    return f"http://{workspace.settings.listen}/{teacher}{path}"


async def test_the_openai_sdk_works_in_both_modes(site: Site) -> None:
    """Plain, streamed, async, with tools and with a teacher's error: as if nothing were between."""
    workspace = site.workspace
    kinds = ("plain", "stream", "async", "tools", "busy")
    said: dict[str, dict[str, Any]] = {}
    for via in MODES:
        url = _url(workspace, via, "sealed", "/v1")
        named = [f"{kind}.{via}" for kind in kinds]
        said |= await _run(workspace, via, "openai", url, MODEL, *named)
    for via in MODES:
        for kind in ("plain", "stream", "async"):
            assert said[f"{kind}.{via}"]["text"] == TEXT
        assert said[f"tools.{via}"]["tool"] == "weather"
        busy = said[f"busy.{via}"]
        assert (busy["raised"], busy["status"]) == ("RateLimitError", 429)
        assert "slow down" in str(busy["message"])
    by_case = {case_of(record.body): record for record in await workspace.settled()}
    assert set(by_case) == {f"{kind}.{via}" for kind in kinds for via in MODES}
    for case, record in by_case.items():
        assert record.exchange.outcome == "complete"
        assert record.is_admitted == (not case.startswith("busy"))
        assert record.call.facts["account.id"] == "sealed-account"
    plain = said["plain.proxy"]
    assert plain["exchange"] == by_case["plain.proxy"].exchange.id


async def test_the_anthropic_sdk_works_in_both_modes(site: Site) -> None:
    """Plain, streamed, async and with a teacher's error: as if nothing were between."""
    workspace, stage = site.workspace, site.stage
    kinds = ("plain", "stream", "async", "busy")
    said: dict[str, dict[str, Any]] = {}
    for via in MODES:
        url = _url(workspace, via, "claude", "")
        named = [f"{kind}.{via}" for kind in kinds]
        said |= await _run(workspace, via, "anthropic", url, MODEL, *named)
    for via in MODES:
        for kind in ("plain", "stream", "async"):
            assert said[f"{kind}.{via}"]["text"] == TEXT
        assert said[f"busy.{via}"]["raised"] == "RateLimitError"
    by_case = {case_of(record.body): record for record in await workspace.settled()}
    assert set(by_case) == {f"{kind}.{via}" for kind in kinds for via in MODES}
    for case, record in by_case.items():
        assert record.is_admitted == (not case.startswith("busy"))
    sent = stage.visits[0].seen
    assert sent.header("x-api-key") == "custody-canary-teacher"
    assert sent.header("authorization") is None


@pytest.mark.parametrize("via", MODES)
async def test_terms_refuse_a_call_in_the_sdks_own_words(site: Site, via: str) -> None:
    """The SDK's usual exception carries rule, clause, fix and exchange; nothing left the house."""
    workspace = site.workspace
    said = await _run(workspace, via, "openai", "", "gpt-4o", "raises", student="rival")
    other = await _run(
        workspace, via, "anthropic", "", "claude-sonnet-4-5", "raises", student="rival"
    )
    (openai, anthropic) = await workspace.settled()
    for line, record, rule, clause in (
        (said["raises"], openai, "openai-api/no-competing-models", "services-agreement 3.3(e)"),
        (other["raises"], anthropic, "anthropic-api/", "D.4"),
    ):
        assert (line["raised"], line["status"]) == ("PermissionDeniedError", 403)
        assert record.exchange.outcome == "refused"
        assert line["exchange"] == record.exchange.id
        for part in (rule, clause, record.exchange.id, "`distil-general`"):
            assert part in line["message"]


async def test_a_held_call_passes_once_it_is_cleared(site: Site) -> None:
    """A `review` verdict refuses and says so; after `inbond review clear` the same call passes."""
    workspace, stage = site.workspace, site.stage
    url = _url(workspace, "proxy", "plain", "/v1")
    held = (await _run(workspace, "proxy", "openai", url, MODEL, "held"))["held"]
    assert (held["raised"], held["status"]) == ("PermissionDeniedError", 403)
    assert "review" in held["message"]
    assert "house-rules/asks-logprobs" in held["message"]
    assert stage.visits == []
    listed = await workspace.said("review", "list")
    waiting = [json.loads(line)["exchange"] for line in listed.out.splitlines()]
    assert held["exchange"] in waiting
    cleared = await workspace.said(
        "review",
        "clear",
        held["exchange"],
        "--reason",
        "asked why: it is for an experiment",
    )
    assert cleared.status == 0, cleared.err
    again = (await _run(workspace, "proxy", "openai", url, MODEL, "held"))["held"]
    assert again["raised"] is None
    first, second = await workspace.settled()
    assert (first.exchange.outcome, second.exchange.outcome) == ("refused", "complete")
    assert first.call.cleared_by is None
    assert second.call.cleared_by is not None


async def test_workers_share_one_port(template: Path, tmp_path: Path) -> None:
    """With `workers: 2` both processes serve, and every answer names its exchange."""
    async with teachers() as stage:
        where = tmp_path / "workspace"
        workspace = Workspace.copy(template, where, **stage.settings, more="workers: 2\n")
        named: list[str] = []
        async with workspace.running():
            for n in range(40):
                async with Caller(workspace, "plain", is_proxied=False).connected() as caller:
                    await caller.send(ask(f"many.{n}", is_streamed=bool(n % 2)))
                    named.append((await caller.answer()).headers["x-inbond-exchange"])
    records = workspace.records()
    assert len({record.call.worker for record in records}) == 2
    assert {record.exchange.id for record in records} == set(named)


async def test_a_call_may_identify_itself_inside_its_tunnel(site: Site) -> None:
    """A CONNECT to a registered host needs no credentials where the call inside brings its own."""
    workspace, stage = site.workspace, site.stage
    mine, nobody = [
        await _in_bare_tunnel(workspace, *lines)
        for lines in ((f"x-inbond-key: {workspace.key}",), ())
    ]
    assert mine.status == 200
    assert nobody.status == 401
    assert "x-inbond-exchange" not in nobody.headers
    (record,) = await workspace.settled()
    assert record.exchange.id == mine.headers["x-inbond-exchange"]
    (visit,) = stage.visits
    assert visit.seen.header("x-inbond-key") is None


async def _in_bare_tunnel(workspace: Workspace, *lines: str) -> Answer:
    async with Caller(workspace, "sealed", is_proxied=True, is_bare=True).connected() as caller:
        await caller.send(ask("bare"), *lines)
        return await caller.answer()


async def test_other_tunnels_need_a_key(site: Site) -> None:
    """A tunnel to a host nobody registered asks for proxy credentials."""
    workspace = site.workspace
    reader, writer = await asyncio.open_connection(
        workspace.settings.listen.host, workspace.settings.listen.port
    )
    writer.write(b"CONNECT unlisted.test:443 HTTP/1.1\r\nHost: unlisted.test:443\r\n\r\n")
    said = await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    assert said.split()[1] == b"407"
    assert b"proxy-authenticate" in said.lower()
    assert await workspace.settled() == []


async def test_every_answer_names_its_exchange(site: Site) -> None:
    """Answers of teachers, their errors and our refusals carry `x-inbond-exchange`."""
    workspace, running = site.workspace, site.running
    bodies: list[tuple[str, bytes]] = [
        ("/plain/v1/chat/completions", ask("one")),
        ("/plain/v1/chat/completions", ask("two", is_streamed=True)),
        ("/plain/v1/chat/completions", ask("busy")),
        ("/plain/v1/chat/completions", ask("three", logprobs=True)),
        ("/plain/v1/chat/completions", b"not json"),
        ("/plain/v1/something-else", b"{}"),
        ("/claude/v1/messages", ask("four")),
    ]
    named: list[str] = []
    headers = {"x-inbond-key": workspace.key}
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        for path, body in bodies:
            got = await client.post(path, content=body, headers=headers)
            named.append(got.headers["x-inbond-exchange"])
    assert [record.exchange.id for record in await workspace.settled()] == named
