"""Recorded exchanges of real providers, replayed by a server through the running proxy.

Cases exist where the files do.
"""

import asyncio
import gzip
import random
import zlib
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import brotli  # type: ignore[import-untyped] # it ships no types
import pytest
import zstandard

from proxy.exchange import Answer, Choice, Exchange, Request, TeacherError, ToolCall, Usage
from tests.e2e.caller import Caller
from tests.e2e.harness import Record, Workspace
from tests.e2e.teacher import Teachers, teachers
from tests.proxy.upstream import Script, Seen, chunked
from tests.proxy.wire.test_samples import SAMPLES, _bytes, reading, wanted

pytestmark = pytest.mark.slow

CODINGS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {
        "gzip": lambda body: gzip.compress(body, mtime=0),
        "br": brotli.compress,
        "zstd": zstandard.ZstdCompressor().compress,
        "deflate": zlib.compress,
    }
)
"""The codings of RFC 9110 §8.4.1, RFC 7932 and RFC 8878 that clients of teachers ask for."""
_OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
)


def _headers(headers: list[list[str]]) -> list[str]:
    """The header lines of a recording that do not concern its connection."""
    return [f"{name}: {value}" for name, value in headers if name.lower() not in _OF_THE_CONNECTION]


def _replay(replay: "_Replay") -> Script:
    """The recorded answer, framed as it was and cut at random."""
    response, body = replay.sample["response"], replay.wire
    is_chunked = "transfer-encoding" in {name.lower() for name, _ in response["headers"]}
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    if replay.coding:
        framing += f"\r\nContent-Encoding: {replay.coding}"
    lines = [f"HTTP/1.1 {response['status']} Recorded", *_headers(response["headers"]), framing]
    pieces = _cut(body)
    start = "\r\n".join([*lines, "", ""]).encode()
    return (start, *(chunked(*pieces) if is_chunked else pieces))


def _cut(body: bytes) -> list[bytes]:
    """The body in pieces of random lengths, none of them empty."""
    chance = random.Random(len(body))
    pieces: list[bytes] = []
    while body:
        size = chance.choice([1, 2, 7, 40, 300, 5000])
        pieces.append(body[:size])
        body = body[size:]
    return pieces


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while True:
        size, _, rest = body.partition(b"\r\n")
        if not int(size, 16):
            return whole
        whole, body = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]


def _rebuilt(record: Record) -> Exchange:
    """The exchange that the stored reading speaks of."""
    request, answer = record.reading["request"], record.reading["answer"]
    return Exchange(
        request=Request(
            **{name: request[name] for name in ("wire_format", "operation", "model_asked")},
            is_streamed=request["is_streamed"],
        ),
        answer=Answer(
            **{name: answer[name] for name in ("status", "model_served", "response_id")},
            choices=tuple(_choice(choice) for choice in answer["choices"]),
            usage=Usage(**answer["usage"]) if answer["usage"] else None,
            error=TeacherError(**answer["error"]) if answer["error"] else None,
        ),
    )


def _choice(choice: dict[str, Any]) -> Choice:
    calls = tuple(ToolCall(**call) for call in choice["tool_calls"])
    tools = tuple(choice["server_tools"])
    return Choice(**{**choice, "tool_calls": calls, "server_tools": tools})


class _Replay:
    """One recording, sent through by one mode; its case is a header, since its body is given.

    A `coding` compresses the answer, where the recording has none of its own.
    """

    def __init__(self, name: str, *, is_proxied: bool, coding: str = "") -> None:
        self.case = f"{name}-{'tunnel' if is_proxied else 'base'}"
        self.sample = SAMPLES[name]
        self.is_proxied = is_proxied
        body = _bytes(self.sample["response"]["body"])
        coded = {name.lower() for name, _ in self.sample["response"]["headers"]}
        self.coding = "" if "content-encoding" in coded else coding
        self.wire = CODINGS[self.coding](body) if self.coding else body
        """The answer's bytes as the teacher sends them."""
        self.got = b""
        self.status = 0
        self.exchange = ""

    async def play(self, workspace: Workspace) -> None:
        request = self.sample["request"]
        parts = urlsplit(request["url"])
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        caller = Caller(workspace, "every", is_proxied=self.is_proxied, path=path)
        async with caller.connected():
            lines = [line for line in _headers(request["headers"]) if "content-type" not in line]
            await caller.send(_bytes(request["body"]), f"x-case: {self.case}", *lines)
            answer = await caller.answer()
        assert answer.is_whole, (self.case, answer)
        is_chunked = answer.headers.get("transfer-encoding") == "chunked"
        self.got = _unchunked(answer.body) if is_chunked else answer.body
        self.status, self.exchange = answer.status, answer.headers["x-inbond-exchange"]


async def test_recordings_pass_unchanged_and_are_read_rightly(
    template: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """Bytes are the same on both sides both ways, and the stored reading is the expected one."""
    plain = [_Replay(name, is_proxied=False) for name in SAMPLES]
    codings = zip(SAMPLES, cycle(CODINGS), strict=False)
    coded = [_Replay(name, is_proxied=True, coding=coding) for name, coding in codings]
    replays = [*plain, *coded]
    by_case = {replay.case: replay for replay in replays}

    async with teachers() as stage:
        stage.otherwise = lambda seen: _replay(by_case[seen.header("x-case") or ""])
        workspace = Workspace.copy(template, tmp_path / "workspace", **stage.settings)
        async with workspace.running(), asyncio.TaskGroup() as group:
            for replay in replays:
                group.create_task(replay.play(workspace))
    records = {record.exchange.id: record for record in workspace.records()}
    assert len(records) == len(replays)
    for replay in replays:
        with subtests.test(replay.case):
            sample, record = replay.sample, records[replay.exchange]
            assert _seen(stage, replay.case).body == _bytes(sample["request"]["body"])
            assert replay.got == replay.wire
            assert replay.status == sample["response"]["status"]
            assert record.body == _bytes(sample["request"]["body"])
            assert reading(_rebuilt(record)) == wanted(sample)


def _seen(stage: Teachers, case: str) -> Seen:
    (found,) = [each.seen for each in stage.visits if each.seen.header("x-case") == case]
    return found
