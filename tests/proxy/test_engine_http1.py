"""HTTP/1 as it comes: trailers and informational answers, which the stock layers stumble over."""

from pathlib import Path

import pytest

from proxy.exchange import Outcome
from proxy.gate import Refused
from tests.proxy.rig import rig
from tests.proxy.upstream import chunked, head

OK = head(content_length="2") + b"ok"


async def test_trailers_of_an_answer_are_dropped(tmp_path: Path) -> None:
    """An answer with HTTP/1 trailers ends well; the trailers go no further."""
    script = (head(transfer_encoding="chunked"), *chunked(b"hello", end=b"0\r\nX-T: 1\r\n\r\n"))
    async with rig(tmp_path, script) as wire, wire.dial() as (reader, writer):
        for _ in range(2):
            writer.write(wire.request())
            got = await reader.readuntil(b"\r\n0\r\n\r\n")
            assert b"5\r\nhello\r\n" in got
            assert b"X-T" not in got
        assert [passage.ends for passage in wire.gate.passages] == [[Outcome.COMPLETE]] * 2
        assert wire.upstream.connections == 1


async def test_trailers_of_a_request_are_dropped(tmp_path: Path) -> None:
    """A request with HTTP/1 trailers is forwarded without them."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        writer.write(b"POST /v1/chat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"2\r\n{}\r\n0\r\nX-T: 1\r\n\r\n")
        await reader.readuntil(b"ok")
        assert wire.passage.body == b"{}"
        assert b"X-T" not in wire.upstream.received


async def test_a_refusal_of_head_has_no_body(tmp_path: Path) -> None:
    """A client would take it for the beginning of the next answer on its connection."""
    async with rig(tmp_path, (OK,)) as wire, wire.dial() as (reader, writer):
        wire.gate.refuse_request = Refused(status=403, headers=(), body=b"no")
        for _ in range(2):
            writer.write(wire.request(b"").replace(b"POST", b"HEAD", 1))
            got = await reader.readuntil(b"\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 403 ")
            assert b"content-length: 2\r\n" in got.lower()


@pytest.mark.parametrize("status", [100, 102, 103])
async def test_informational_answers_are_not_the_answer(tmp_path: Path, status: int) -> None:
    """Answers that come before the final one are dropped, however they are cut."""
    early = head(status, Link="</a>; rel=preload")
    script = (early[:9], early[9:20], early[20:] + early + OK[:5], OK[5:])
    async with rig(tmp_path, script) as wire:
        async with wire.based() as client:
            answer = await client.post("/v1/chat", content=b"{}")
        assert (answer.status_code, answer.text) == (200, "ok")
        assert wire.passage.status == 200
