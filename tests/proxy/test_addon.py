"""The hooks: what the gate is told, what it says is done, and whatever breaks refuses."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from proxy.exchange import Outcome
from proxy.gate import Refused
from tests.proxy.rig import HOST, Rig, rig
from tests.proxy.upstream import Script, Step, chunked, head

SSE_HEAD = head(content_type="text/event-stream", transfer_encoding="chunked")
EVENTS = (b'data: {"n": 1}\n\n', b"data: [DONE]\n\n")
SSE = SSE_HEAD + b"".join(chunked(*EVENTS))
JSON_BODY = b'{"text": "' + b"a" * 80 + b'"}'
JSON_HEAD = head(content_type="application/json", content_length=str(len(JSON_BODY)))

REFUSAL = Refused(
    status=403,
    headers=(("content-type", "application/json"), ("x-inbond-decision", "forbid")),
    body=b'{"error": "no"}',
)


def script_of(shape: str, stage: str, last: Step) -> Script:
    """An answer that goes as far as the stage and then does its last step."""
    parts: dict[str, dict[str, tuple[bytes, ...]]] = {
        "sse": {
            "before headers": (),
            "mid-stream": (SSE_HEAD, chunked(EVENTS[0])[0]),
            "after terminal": (SSE_HEAD, *chunked(*EVENTS)[:2]),
        },
        "json": {
            "before headers": (),
            "mid-stream": (JSON_HEAD, JSON_BODY[:40]),
            "after terminal": (JSON_HEAD, JSON_BODY),
        },
    }
    return (*parts[shape][stage], last)


async def until_stage(wire: Rig, stage: str, shape: str, reader: asyncio.StreamReader) -> None:
    """Wait until the client has all that comes before the abort."""
    await wire.asked()
    if stage == "before headers":
        await wire.upstream.until(lambda up: bool(up.requests))
    elif stage == "mid-stream":
        await reader.readuntil(EVENTS[0] if shape == "sse" else JSON_BODY[:40])
    else:
        await reader.readuntil(EVENTS[1] if shape == "sse" else JSON_BODY)


CAUSES = ("client gone", "upstream reset", "upstream fin", "upstream silent", "cut", "drain")
STAGES = ("before headers", "mid-stream", "after terminal")
OUTCOMES = {
    "client gone": Outcome.CLIENT_DISCONNECTED,
    "upstream reset": Outcome.UPSTREAM_FAILED,
    "upstream fin": Outcome.UPSTREAM_FAILED,
    "upstream silent": Outcome.UPSTREAM_FAILED,
    "cut": Outcome.CUT,
    "drain": Outcome.CUT,
}
LAST = {"upstream reset": Step.RESET, "upstream fin": Step.FIN}


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("cause", "stage", "shape"),
    [
        case
        for case in itertools.product(CAUSES, STAGES, ("json", "sse"))
        if case[:2] != ("cut", "before headers")  # the tap cuts, and there is no chunk yet
    ],
)
async def test_each_abort_ends_once(
    tmp_path: Path, cause: str, stage: str, shape: str, *, is_tls: bool
) -> None:
    """However a call ends and whenever, its passage ends once, and the upstream is closed."""
    script = script_of(shape, stage, LAST.get(cause, Step.HOLD))
    is_whole = shape == "json" and stage == "after terminal" and cause != "cut"
    timeout_s = 0.3 if cause == "upstream silent" else 30.0
    async with rig(tmp_path, script, is_tls=is_tls, upstream_timeout_s=timeout_s) as wire:
        if cause == "cut":
            wire.gate.cut_at = 2 if stage == "after terminal" and shape == "sse" else 1
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            if cause == "client gone":
                await until_stage(wire, stage, shape, reader)
                writer.transport.abort()
            elif cause == "drain":
                await until_stage(wire, stage, shape, reader)
                await wire.engine.drain()
            passage = await wire.ended()
            if not is_whole:  # at once: the client is still there
                await wire.upstream.until(lambda up: up.closed == 1)
    assert passage.ends == [Outcome.COMPLETE if is_whole else OUTCOMES[cause]]
    assert passage.upstream_bytes == 0
    assert wire.upstream.connections == len(wire.upstream.requests) == 1


# What the client sees.


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("last", [Step.RESET, Step.FIN, Step.HOLD], ids=lambda step: step.value)
async def test_a_silent_teacher_is_answered_for(
    tmp_path: Path, last: Step, *, is_tls: bool
) -> None:
    """Where the teacher gave no answer, the client gets the gate's, and may go on."""
    timeout_s = 0.1 if last is Step.HOLD else 30.0
    async with rig(tmp_path, (last,), is_tls=is_tls, upstream_timeout_s=timeout_s) as wire:
        async with wire.proxied() as client:
            answer = await client.post(url_of(wire), content=b"{}")
        assert (answer.status_code, answer.text) == (502, "unreachable")
        assert wire.passage.ends == [Outcome.UPSTREAM_FAILED]


def url_of(wire: Rig, path: str = "/v1/chat") -> str:
    """The teacher's address as a client in proxy mode writes it."""
    return f"{'https' if wire.is_tls else 'http'}://{HOST}{path}"


async def test_nobody_listens(tmp_path: Path) -> None:
    """A teacher that cannot be dialled is answered for in the gate's words."""
    async with rig(tmp_path) as wire:
        wire.gate.connect_to = ("127.0.0.1", 1)
        async with wire.based() as client:
            answer = await client.post("/openai/v1/chat", content=b"{}")
        assert (answer.status_code, answer.text) == (502, "unreachable")
        assert wire.passage.ends == [Outcome.UPSTREAM_FAILED]


@pytest.mark.parametrize("cause", ["upstream fin", "cut"])
@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_a_broken_answer_looks_broken(tmp_path: Path, cause: str, *, http2: bool) -> None:
    """An answer that was cut or broke off never looks whole to the client."""
    script: Script = (SSE_HEAD, *chunked(*EVENTS)[:2], Step.FIN)
    async with rig(tmp_path, script, is_tls=True) as wire:
        wire.gate.cut_at = 2 if cause == "cut" else None
        got: list[bytes] = []

        async def read() -> None:
            async with (
                wire.proxied(http2=http2) as client,
                client.stream("POST", url_of(wire)) as a,
            ):
                async for piece in a.aiter_raw():
                    got.append(piece)  # noqa: PERF401 - what came before the break is the point

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        assert b"".join(EVENTS).startswith(b"".join(got))
        assert cause != "cut" or EVENTS[1] not in b"".join(got)


async def test_the_end_waits_for_the_record(tmp_path: Path) -> None:
    """Data may come before the record is durable, the end of the message may not."""
    async with rig(tmp_path, (SSE,)) as wire, wire.dial() as (reader, writer):
        wire.gate.hold_end = asyncio.Event()
        writer.write(wire.request())
        await reader.readuntil(EVENTS[1])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.readuntil(b"0\r\n\r\n")
        wire.gate.hold_end.set()
        await reader.readuntil(b"0\r\n\r\n")
        assert wire.passage.ends == [Outcome.COMPLETE]


async def test_a_slow_record_is_written_once(tmp_path: Path) -> None:
    """While one end is being written, no other begins."""
    async with rig(tmp_path, (SSE_HEAD, chunked(EVENTS[0])[0], Step.HOLD)) as wire:
        wire.gate.hold_end = asyncio.Event()
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            await reader.readuntil(EVENTS[0])
        await wire.left()
        await wire.upstream.until(lambda up: up.closed == 1)
        await asyncio.sleep(0.01)
        wire.gate.hold_end.set()
        assert (await wire.ended()).ends == [Outcome.CLIENT_DISCONNECTED]
        await asyncio.sleep(0.01)
        assert len(wire.passage.ends) == 1


# Refusals.


async def test_refused_at_the_tunnel(tmp_path: Path) -> None:
    """A refused CONNECT is answered before any byte of TLS, and nothing is dialled."""
    async with rig(tmp_path) as wire:
        wire.gate.verdict = REFUSAL
        line = b"CONNECT teacher.test:443 HTTP/1.1\r\n"
        async with wire.raw() as (reader, writer):
            writer.write(line + b"Host: t\r\nX-Inbond-Key: ib_1\r\n\r\n")
            answer = await reader.readuntil(REFUSAL.body)
        assert answer.startswith(b"HTTP/1.1 403 ")
        headers = (("Host", "t"), ("X-Inbond-Key", "ib_1"))
        assert wire.gate.connects == [("teacher.test", 443, headers)]
        assert wire.upstream.connections == 0


@pytest.mark.parametrize("where", ["open", "request"])
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_a_refusal_is_sent_as_it_is(tmp_path: Path, where: str, *, is_tls: bool) -> None:
    """The gate's refusal reaches the client unchanged, and the teacher hears nothing."""
    async with rig(tmp_path, (SSE,), is_tls=is_tls) as wire:
        setattr(wire.gate, f"refuse_{where}", REFUSAL)
        async with wire.proxied() as client:
            answer = await client.post(url_of(wire), content=b"x" * 100_000)
        assert (answer.status_code, answer.content) == (403, REFUSAL.body)
        assert answer.headers["x-inbond-decision"] == "forbid"
        assert wire.upstream.connections == 0
        ends = [passage.ends for passage in wire.gate.passages]
        assert ends == ([] if where == "open" else [[Outcome.REFUSED]])


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_large_upload_is_refused(tmp_path: Path, framing: str) -> None:
    """A body over the limit is refused, by its length or as it comes, and never decided on."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    async with rig(tmp_path) as wire:
        wire.gate.limit_bytes = 5000
        async with wire.based() as client:
            content = b"x" * 20_000 if framing == "length" else pieces()
            answer = await client.post("/openai/v1/files", content=content)
        assert (answer.status_code, answer.text) == (413, "too large")
        assert wire.passage.ends == [Outcome.REFUSED]
        assert wire.passage.body is None
        assert wire.upstream.connections == 0


async def test_a_body_at_the_limit_passes(tmp_path: Path) -> None:
    """The limit is the largest body that passes."""
    async with rig(tmp_path, (SSE,)) as wire:
        wire.gate.limit_bytes = 5000
        async with wire.based() as client:
            answer = await client.post("/openai/v1/files", content=b"x" * 5000)
        assert answer.status_code == 200
        assert wire.passage.body == b"x" * 5000


async def test_an_endless_refused_upload_is_ended(tmp_path: Path) -> None:
    """A refused upload is read on for a while only."""
    async with rig(tmp_path, discard_bytes=200_000) as wire, wire.dial() as (_, writer):
        wire.gate.limit_bytes = 10
        writer.write(wire.request().replace(b"Content-Length: 2", b"Content-Length: 99999999"))

        async def upload() -> None:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            await upload()
        assert (await wire.ended()).ends == [Outcome.REFUSED]


async def test_the_client_leaves_while_the_gate_decides(tmp_path: Path) -> None:
    """A call whose client is gone is not sent, even where the gate then permits it."""
    async with rig(tmp_path, (SSE,)) as wire:
        wire.gate.hold = asyncio.Event()
        async with wire.dial() as (_, writer):
            writer.write(wire.request())
            passage = await wire.asked()
        await wire.left()
        wire.gate.hold.set()
        await wire.ended()
        assert passage.ends == [Outcome.CLIENT_DISCONNECTED]
        assert wire.upstream.connections == 0


async def test_the_client_is_ended_while_the_gate_opens(tmp_path: Path) -> None:
    """A passage that was opened for a client already gone is ended all the same."""
    async with rig(tmp_path, (SSE,)) as wire, wire.raw() as (reader, writer):
        wire.gate.hold_open = asyncio.Event()
        writer.write(wire.request())
        while not wire.gate.opening:  # noqa: ASYNC110 - the gate is told by calls, not by events
            await asyncio.sleep(0.001)
        await wire.engine.drain()
        assert await reader.read() == b""
        wire.gate.hold_open.set()
        assert (await wire.ended()).ends == [Outcome.CLIENT_DISCONNECTED]
        assert wire.upstream.connections == wire.engine._addon.open_calls == 0


async def test_an_upload_waits_while_the_gate_opens(tmp_path: Path) -> None:
    """While the gate looks at the head, the body stays with the client, not in our memory."""
    async with rig(tmp_path) as wire, wire.raw() as (reader, writer):
        wire.gate.limit_bytes, wire.gate.hold_open = 10, asyncio.Event()
        body = b"x" * 30_000_000
        writer.write(wire.request(body))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await writer.drain()
        wire.gate.hold_open.set()
        await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        assert wire.passage.ends == [Outcome.REFUSED]


async def test_the_client_leaves_in_its_upload(tmp_path: Path) -> None:
    """A request that never came whole ends once and is never decided on."""
    async with rig(tmp_path) as wire:
        async with wire.dial() as (_, writer):
            writer.write(wire.request(b"x" * 100)[:-50])
            await wire.met()
        assert (await wire.ended()).ends == [Outcome.CLIENT_DISCONNECTED]
        assert wire.passage.body is None


async def test_a_slow_client_is_not_the_teachers_silence(tmp_path: Path) -> None:
    """While bytes wait for the client, the teacher's time does not run."""
    big = b"x" * 30_000_000
    script = (head(content_length=str(len(big))), big)
    async with rig(tmp_path, script, upstream_timeout_s=0.5) as wire:
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            await wire.asked()
            await asyncio.sleep(1.2)
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(big)) == big
        assert (await wire.ended()).ends == [Outcome.COMPLETE]


# What breaks refuses (P9).


@pytest.mark.parametrize("where", ["open", "request", "too_large", "open broken", "request fail"])
async def test_a_broken_hook_lets_nothing_out(
    tmp_path: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure before the answer is a 503, and the teacher sees no byte."""
    async with rig(tmp_path, (SSE,)) as wire:
        wire.gate.broken_in = frozenset(where.split())
        wire.gate.limit_bytes = 10 if where == "too_large" else 1000
        async with wire.based() as client:
            answer = await client.post("/openai/v1/chat", content=b"x" * 100)
        assert answer.status_code == 503
        assert wire.upstream.connections == 0
        assert all(passage.ends == [Outcome.REFUSED] for passage in wire.gate.passages)
        assert "BrokenError" in caplog.text


async def test_a_broken_tunnel_decision_refuses(tmp_path: Path) -> None:
    """A CONNECT that could not be decided is refused."""
    async with rig(tmp_path) as wire:
        wire.gate.broken_in = frozenset({"connect"})
        async with wire.raw() as (reader, writer):
            writer.write(b"CONNECT teacher.test:443 HTTP/1.1\r\nHost: t\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
        assert wire.gate.reasons == ["hook `http_connect` broke"]


async def test_a_broken_head_withholds_the_answer(tmp_path: Path) -> None:
    """Where the answer's head could not be noted, the client gets a 503 instead of the answer."""
    async with rig(tmp_path, (SSE, Step.HOLD)) as wire:
        wire.gate.broken_in = frozenset({"respond"})
        async with wire.based() as client:
            answer = await client.post("/openai/v1/chat", content=b"{}")
            assert (answer.status_code, answer.text) == (503, "failed")
            await wire.upstream.until(lambda up: up.closed == 1)
        assert wire.passage.ends == [Outcome.CUT]
        assert wire.passage.reasons == ["hook `responseheaders` broke"]


async def test_a_broken_tap_poisons_and_cuts(tmp_path: Path) -> None:
    """A chunk that could not be read is not released, and the record is told."""
    async with rig(tmp_path, (SSE_HEAD, *chunked(*EVENTS), Step.HOLD)) as wire:
        wire.gate.broken_in = frozenset({"tap"})
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            got = await reader.read(-1)
        assert EVENTS[0] not in got
        assert wire.passage.ends == [Outcome.CUT]
        assert wire.passage.reasons == ["hook `tap` broke"]


async def test_an_end_that_is_not_durable_is_withheld(tmp_path: Path) -> None:
    """Where the record could not be written, the message never ends for the client."""
    async with rig(tmp_path, (SSE,)) as wire:
        wire.gate.broken_in = frozenset({"end"})
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            got = await reader.read(-1)
        assert not got.endswith(b"0\r\n\r\n")
        assert wire.passage.ends == [Outcome.COMPLETE]
        assert wire.passage.reasons == ["hook `end` broke"]


async def test_a_broken_excuse_still_answers(tmp_path: Path) -> None:
    """Where even the 502 cannot be worded, the client gets a 503."""
    async with rig(tmp_path, (Step.FIN,)) as wire:
        wire.gate.broken_in = frozenset({"unreachable", "disconnect"})
        async with wire.based() as client:
            answer = await client.post("/openai/v1/chat", content=b"{}")
        assert (answer.status_code, answer.text) == (503, "failed")
        assert wire.passage.ends == [Outcome.UPSTREAM_FAILED]


# What the gate is told.


async def test_arrivals(tmp_path: Path) -> None:
    """Both modes give the gate the request as it arrived; only base-URL mode has no host."""
    async with rig(tmp_path, (SSE,), is_tls=True) as wire:
        async with wire.based() as client:
            await client.post("/openai/v1/chat?a=%2e", headers={"X-Case": "Kept"})
            await client.get("/openai/v1/models")
        async with wire.proxied() as client:
            await client.post(url_of(wire, "/v1/chat?q"), content=b"{}")
            await client.get("http://plain.test:82/y?z=1")
        seen = [(p.arrival.scheme, p.arrival.host, p.arrival.port) for p in wire.gate.passages]
        targets = [(p.arrival.method, p.arrival.target) for p in wire.gate.passages]
        assert seen[0] == ("http", None, None)
        assert seen[2:] == [("https", HOST, 443), ("http", "plain.test", 82)]
        assert targets[0] == ("POST", "/openai/v1/chat?a=%2e")
        assert targets[2:] == [("POST", "/v1/chat?q"), ("GET", "/y?z=1")]
        assert ("X-Case", "Kept") in wire.gate.passages[0].arrival.headers
        assert wire.gate.clients == [wire.gate.passages[2].arrival.client]


async def test_a_client_is_forgotten(tmp_path: Path) -> None:
    """The gate hears of every client connection that ends."""
    async with rig(tmp_path, (SSE,), is_tls=True) as wire:
        async with wire.proxied() as client:
            await client.post(url_of(wire), content=b"{}")
        await wire.left()
        assert wire.gate.gone == wire.gate.clients
        assert wire.engine._addon.open_calls == 0


async def test_headers_go_out_as_the_gate_says(tmp_path: Path) -> None:
    """The teacher gets exactly the gate's headers; the client the teacher's, and those added."""
    script = (head(content_length="2", Date="today", x_y="1") + b"ok",)
    async with rig(tmp_path, script) as wire, wire.dial() as (reader, writer):
        lines = ("TE: trailers", "Proxy-Connection: keep-alive", "Weird: \xe9")
        writer.write(wire.request(b"{}", *lines).decode().encode("latin-1"))
        answer = await reader.readuntil(b"ok")
        sent = wire.upstream.requests[0].headers
        assert sent == (("Host", HOST), ("Content-Length", "2"), ("Weird", "\xe9"))
        told = b"content-length: 2\r\nDate: today\r\nx-y: 1\r\nx-inbond-exchange: x0\r\n\r\nok"
        assert answer.endswith(told)


async def test_passages_of_one_connection_are_apart(tmp_path: Path) -> None:
    """Calls that follow each other on one connection are ended one by one."""
    async with rig(tmp_path, (SSE,)) as wire:
        async with wire.based() as client:
            for _ in range(3):
                assert (await client.post("/openai/v1/chat", content=b"{}")).status_code == 200
        assert [passage.ends for passage in wire.gate.passages] == [[Outcome.COMPLETE]] * 3
        assert wire.upstream.connections == 1
