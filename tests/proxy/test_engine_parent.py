"""The way through a parent proxy: what it is told, what it may say, and how a call ends behind it."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mitmproxy.connection import Server

from proxy.engine_parent import Carried, carrier_of, excuse_of
from proxy.exchange import Outcome
from proxy.gate import BeyondParent, Tunnel
from tests.proxy.parent_proxy import OPENED, ParentProxy, parent_proxy
from tests.proxy.rig import HOST, Rig, parent_tls, rig
from tests.proxy.upstream import Script, Step, chunked, head

OK = head(content_length="2") + b"ok"
CREDENTIALS = "clerk:canary-password"
EVENTS = (head(content_type="text/event-stream", transfer_encoding="chunked"), *chunked(b"a"))


@contextlib.asynccontextmanager
async def _behind(
    folder: Path,
    script: Script = (OK,),
    *,
    is_tls: bool = True,
    is_sealed: bool = False,
    credentials: str | None = None,
    timeout_s: float = 30.0,
) -> AsyncIterator[tuple[Rig, ParentProxy]]:
    """An engine whose way to its upstream leads through a parent, on TLS or not."""
    async with parent_proxy(parent_tls() if is_sealed else None) as parent:
        told = parent.settings(credentials)
        rigged = rig(folder, script, is_tls=is_tls, parent=told, upstream_timeout_s=timeout_s)
        async with rigged as wire:
            parent.leads_to = wire.upstream.address
            wire.gate.connect_to = BeyondParent(HOST, 443)
            yield wire, parent


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("is_sealed", [False, True], ids=["http", "https"])
async def test_a_teacher_is_reached(tmp_path: Path, *, is_tls: bool, is_sealed: bool) -> None:
    """The parent is asked for the name, the teacher proves that it is it, and one way serves two calls."""
    behind = _behind(tmp_path, is_tls=is_tls, is_sealed=is_sealed, credentials=CREDENTIALS)
    async with behind as (wire, parent):
        wire.gate.hold = asyncio.Event()
        async with wire.based() as client, asyncio.TaskGroup() as group:
            call = group.create_task(client.post("/v1/chat", content=b"{}"))
            await wire.asked()
            assert parent.connections == 0
            wire.gate.hold.set()
            assert (await call).text == "ok"
            assert (await client.post("/v1/chat", content=b"{}")).text == "ok"
        proof = base64.b64encode(CREDENTIALS.encode()).decode()
        asked = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n"
        assert parent.heads == [f"{asked}Proxy-Authorization: Basic {proof}\r\n\r\n"]
        assert wire.upstream.server_names == ([HOST] if is_tls else [])
        assert len(wire.upstream.requests) == 2
        assert proof.encode() not in wire.upstream.received
        assert [passage.ends for passage in wire.gate.passages] == [[Outcome.COMPLETE]] * 2


async def test_what_the_settings_address_is_dialled_from_here(tmp_path: Path) -> None:
    """An address that is not beyond the parent is dialled, and shares no connection with one that is."""
    async with _behind(tmp_path) as (wire, parent), wire.based() as client:
        wire.gate.connect_to = wire.upstream.address
        await client.post("/v1/chat", content=b"{}")
        assert parent.connections == 0
        wire.gate.connect_to = BeyondParent(*wire.upstream.address)
        await client.post("/v1/chat", content=b"{}")
        assert (parent.connections, wire.upstream.connections) == (1, 2)


async def test_the_teachers_certificate_is_verified(tmp_path: Path) -> None:
    """A parent that leads somewhere else gets no byte of the request."""
    async with _behind(tmp_path) as (wire, _), wire.based() as client:
        wire.gate.host = "other.test"
        assert (await client.post("/v1/chat", content=b"{}")).status_code == 502
        assert wire.upstream.received == b""
        assert wire.passage.reasons == ["the teacher gave no answer"]


@pytest.mark.parametrize(
    "says",
    [
        (b"HTTP/1.1 200", b" OK\r\nVia: 1.1 p", b"roxy\r\n\r", b"\n"),
        (b"HTTP/1.0 103 X\r\n\r\nHTTP/1.0 204 X\r\n\r\n",),
        (OPENED,),
    ],
)
async def test_a_way_is_given(tmp_path: Path, says: tuple[bytes, ...]) -> None:
    """However its answer is cut, and whatever comes before it."""
    async with _behind(tmp_path) as (wire, parent), wire.based() as client:
        parent.says = says
        parent.opens = True
        assert (await client.post("/v1/chat", content=b"{}")).text == "ok"


SAID = [
    (407, None, "the parent proxy wants credentials; give them in `upstream.proxy_credentials` (407)"),
    (407, CREDENTIALS, "the parent proxy does not take those of `upstream.proxy_credentials` (407)"),
    (403, None, f"the parent proxy gave no way to `{HOST}:443` (403); ask who runs it"),
    (503, None, f"the parent proxy gave no way to `{HOST}:443` (503); ask who runs it"),
    (302, None, f"the parent proxy gave no way to `{HOST}:443` (302); ask who runs it"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "credentials", "reason"), SAID)
async def test_a_refusal_is_said(
    tmp_path: Path, status: int, credentials: str | None, reason: str
) -> None:
    """What the parent answers is no answer of the teacher's: the client hears whose it is, and why."""
    async with _behind(tmp_path, credentials=credentials) as (wire, parent), wire.based() as client:
        parent.says = (head(status, content_length="5") + b"login",)
        answer = await client.post("/v1/chat", content=b"{}")
        assert (answer.status_code, answer.text) == (502, "unreachable")
        assert wire.passage.reasons == [reason]
        assert wire.passage.ends == [Outcome.UPSTREAM_FAILED]
        assert "canary" not in reason


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ((b"220 mail.test ESMTP\r\n\r\n",), "what listens at `upstream.proxy` does not answer"),
        ((b"x" * 70_000,), "what listens at `upstream.proxy` does not answer"),
        ((b"HTTP/1.1 200",), "the parent proxy closed the connection"),
    ],
)
async def test_what_is_no_proxy_is_said(
    tmp_path: Path, says: tuple[bytes, ...], reason: str
) -> None:
    """Another server at the address, or one that goes away, is told from a refusal."""
    async with _behind(tmp_path) as (wire, parent), wire.based() as client:
        parent.says = says
        parent.opens = False
        assert (await client.post("/v1/chat", content=b"{}")).status_code == 502
        assert wire.passage.reasons[0].startswith(reason)


async def test_a_silent_parent_is_left(tmp_path: Path) -> None:
    """A parent that says nothing holds nobody longer than a teacher would."""
    async with _behind(tmp_path, timeout_s=0.1) as (wire, parent), wire.based() as client:
        parent.is_silent = True
        assert (await client.post("/v1/chat", content=b"{}")).status_code == 502
        assert wire.passage.ends == [Outcome.UPSTREAM_FAILED]
        await parent.until_closed(1)


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_a_parent_that_is_not_reached_is_said(tmp_path: Path, *, is_sealed: bool) -> None:
    """Nobody listens, or somebody whose certificate is for another name: no byte is said to it."""
    async with parent_proxy(parent_tls("other.test") if is_sealed else None) as parent:
        if not is_sealed:
            parent.address = ("127.0.0.1", 9)
        async with rig(tmp_path, (OK,), parent=parent.settings()) as wire, wire.based() as client:
            wire.gate.connect_to = BeyondParent(HOST, 443)
            assert (await client.post("/v1/chat", content=b"{}")).status_code == 502
            assert wire.passage.reasons[0].startswith("the parent proxy could not be reached")
        assert parent.heads == []


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_an_unopened_tunnel_leads_through_it(tmp_path: Path, *, is_sealed: bool) -> None:
    """The client of a passed tunnel sees the teacher's own certificate; the parent saw the name."""
    async with _behind(tmp_path, is_sealed=is_sealed) as (wire, parent), wire.raw() as pair:
        reader, writer = pair
        wire.gate.verdict = Tunnel(carried_to=BeyondParent(HOST, 443))
        writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(wire.trust_upstream(), server_hostname=HOST)
        writer.write(wire.request())
        assert (await reader.readuntil(b"ok")).endswith(b"ok")
        assert parent.heads[0].startswith(f"CONNECT {HOST}:443 ")
        assert wire.gate.passages == []


async def test_an_unopened_tunnel_without_a_way_is_closed(tmp_path: Path) -> None:
    """A parent that refuses ends the client's tunnel."""
    async with _behind(tmp_path) as (wire, parent), wire.raw() as (reader, writer):
        parent.says = (head(403),)
        wire.gate.verdict = Tunnel(carried_to=BeyondParent(HOST, 443))
        writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello")
        assert await reader.read() == b""


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("end", ["cut", "client gone", "reset"])
async def test_a_call_ends_behind_it(tmp_path: Path, end: str, *, is_sealed: bool) -> None:
    """A cut reaches the teacher through the parent, and a teacher that breaks off is heard."""
    script = (*EVENTS[:2], Step.RESET if end == "reset" else Step.HOLD)
    async with _behind(tmp_path, script, is_sealed=is_sealed) as (wire, parent):
        async with wire.dial() as (reader, writer):
            writer.write(wire.request())
            await reader.readuntil(b"1\r\na\r\n")
            if end == "cut":
                wire.engine._addon.cut_all()
            if end != "client gone":
                assert b"0\r\n\r\n" not in await reader.read()
        outcomes = {"cut": Outcome.CUT, "reset": Outcome.UPSTREAM_FAILED}
        ended = await wire.ended()
        assert ended.ends == [outcomes.get(end, Outcome.CLIENT_DISCONNECTED)]
        await wire.upstream.until(lambda up: up.closed == 1)
        await parent.until_closed(1)


async def test_a_way_that_is_being_closed_serves_no_other_call(tmp_path: Path) -> None:
    """A call whose answer we refuse ends its way at once; the next one, already there, gets its own."""
    async with _behind(tmp_path, (*EVENTS[:2], Step.HOLD)) as (wire, parent):
        wire.gate.broken_in = frozenset({"respond"})
        async with wire.dial() as (reader, writer):
            writer.write(wire.request() * 2)
            for count in (1, 2):
                assert (await reader.readuntil(b"failed")).startswith(b"HTTP/1.1 503 ")
                await parent.until_closed(count)
        assert parent.connections == 2


async def test_a_way_that_was_closed_is_asked_for_again(tmp_path: Path) -> None:
    """A teacher may close between calls; the next one gets a new way."""
    async with _behind(tmp_path, (OK, Step.FIN)) as (wire, parent), wire.based() as client:
        for count in (1, 2, 3):
            assert (await client.post("/v1/chat", content=b"{}")).text == "ok"
            await parent.until_closed(count)
            await asyncio.sleep(0.01)


def test_only_what_is_carried_has_a_carrier() -> None:
    """A connection of its own is its own carrier, and nothing behind no parent needs an excuse."""
    own = Server(address=("h", 1))
    assert carrier_of(own) is own
    assert excuse_of(own) is None
    carried = Carried(address=("h", 1), carrier=own)
    assert carrier_of(carried) is own
    assert excuse_of(carried) is None
