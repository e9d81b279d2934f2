"""Sockets and their responses: each decided on, durable before it goes out, ended exactly once."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Message, Ping, TextMessage

from proxy.detect import Detectors, Sighting
from proxy.exchange import Answer, Outcome, RequestHead
from proxy.gate import Arrival, Forward, Refused, Relay, Socketed
from proxy.realtime import RealtimeCall, unfolded
from proxy.route import Route
from proxy.services import Delivery
from proxy.wire.gemini_live import GeminiLive
from proxy.wire.realtime import Realtime, SocketFormat
from tests.proxy.calls import CALLER, Disk, Site, site

TARGET = "/v1/realtime?model=acme-1"
ASK = {"type": "response.create", "event_id": "ask-1"}
WITH_TOOLS = {**ASK, "response": {"tools": [{"name": "f"}]}}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site with a ledger of its own."""
    with site(tmp_path) as opened:
        yield opened


def _call(here: Site, student: str = "router", kind: SocketFormat | None = None) -> RealtimeCall:
    route = Route(
        entry=here.teacher,
        host=here.teacher.hosts[0],
        port=443,
        scheme="https",
        connect=here.address,
        target=TARGET,
        path="/v1/realtime",
        query="model=acme-1",
    )
    return RealtimeCall(
        kind=kind or Realtime(),
        query=route.query,
        services=here.services,
        route=route,
        caller=replace(CALLER, student=student),
        head=RequestHead(method="GET", path="/v1/realtime"),
        sent_headers=(("Connection", "Upgrade"), ("Upgrade", "websocket"), ("X-Own", "1")),
        operation="realtime",
        early=None,
        family="openai",
    )


class Talk:
    """A session whose two sides are a genuine implementation of WebSockets."""

    def __init__(self, call: RealtimeCall) -> None:
        self.call = call
        self.client = Connection(ConnectionType.CLIENT)
        self.server = Connection(ConnectionType.SERVER)

    async def says(self, *messages: dict[str, Any] | str) -> Relay:
        """What goes on of what the client says."""
        return await self._heard(self.client, messages, is_client=True)

    async def answers(self, *messages: dict[str, Any] | str) -> Relay:
        """What goes on of what the teacher says."""
        return await self._heard(self.server, messages, is_client=False)

    async def _heard(
        self, peer: Connection, messages: tuple[dict[str, Any] | str, ...], *, is_client: bool
    ) -> Relay:
        texts = [m if isinstance(m, str) else json.dumps(m, indent=1) for m in messages]
        data = b"".join(peer.send(TextMessage(text)) for text in texts)
        return await self.call.heard(data, is_client=is_client)

    def read(self, relay: Relay) -> tuple[list[dict[str, Any]], int | None]:
        """What the client reads: messages, and the code of a farewell."""
        self.client.receive_data(relay.to_client)
        found = list(self.client.events())
        said = [json.loads(e.data) for e in found if isinstance(e, Message)]
        codes = [int(e.code) for e in found if isinstance(e, CloseConnection)]
        return said, codes[0] if codes else None


async def _opened(here: Site, *, extensions: str = "") -> Talk:
    call = _call(here)
    assert isinstance(call, Socketed)
    forward = await call.request(b"")
    assert isinstance(forward, Forward)
    assert forward.may_switch
    assert forward.headers[-2:] == (("Connection", "Upgrade"), ("Upgrade", "websocket"))
    assert ("X-Own", "1") in forward.headers
    headers = (("Sec-WebSocket-Extensions", extensions),) if extensions else ()
    call.respond(101, headers)
    return Talk(call)


def _created(response: str) -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": response}}


def _delta(response: str) -> dict[str, Any]:
    return {
        "type": "response.output_text.delta",
        "response_id": response,
        "item_id": "i",
        "delta": "x",
    }


def _done(response: str) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": response, "status": "completed"}}


def _ends(here: Site) -> list[tuple[str, str | None, bool]]:
    """How each call ended, in the order in which the calls were made."""
    by_call = {exchange.call: exchange for exchange in here.exchanges()}
    assert len(by_call) == len(here.exchanges())
    found = [by_call[call.id] for call in here.calls()]
    return [(each.outcome, each.response_id, each.is_whole) for each in found]


async def test_each_response_is_a_call_of_its_own(here: Site) -> None:
    """Durable before the message that asks goes on, ended before its last event does, never whole."""
    talk = await _opened(here)
    assert len(here.calls()) == 1
    assert (await talk.says({"type": "session.update", "session": {}})).to_server
    assert len(here.calls()) == 1
    assert (await talk.says(ASK)).to_server
    assert [call.facts["operation"] for call in here.calls()] == ["realtime"] * 2
    await talk.answers({"type": "session.created", "session": {"model": "acme-1"}}, _created("r1"))
    await talk.answers(_delta("r1"), _delta("unknown"))
    assert here.exchanges() == []
    relay = await talk.answers(_done("r1"))
    assert (relay.to_client != b"", relay.is_over) == (True, False)
    (exchange,) = here.exchanges()
    assert (exchange.problem, exchange.decision, exchange.choices) == ("realtime", None, 1)
    await talk.call.end(Outcome.COMPLETE)
    assert _ends(here) == [("complete", None, False), ("complete", "r1", False)]


async def test_responses_side_by_side(here: Site) -> None:
    """Two that were asked for begin in order and end in any; a third begins by itself."""
    talk = await _opened(here)
    await talk.says(ASK, ASK)
    await talk.answers(_created("r1"), _created("r2"), _created("r3"))
    await talk.answers(_done("r3"), _done("r1"), _done("r2"))
    await talk.call.end(Outcome.COMPLETE)
    assert [end[1] for end in _ends(here)] == [None, "r1", "r2", "r3"]


async def test_a_refused_response_ends_the_session(here: Site) -> None:
    """Its message goes nowhere; the client reads the rule in an error event, and the code 1008."""
    talk = await _opened(here)
    relay = await talk.says({"type": "input_audio_buffer.clear"}, WITH_TOOLS)
    assert relay.is_over
    assert b"response.create" not in _text(talk, relay)
    (error,), code = talk.read(relay)
    assert (error["type"], code) == ("error", 1008)
    assert "tools-need-a-look" in error["error"]["message"]
    await talk.call.end(Outcome.CUT)
    assert [end[0] for end in _ends(here)] == ["cut", "refused"]


def _text(talk: Talk, relay: Relay) -> bytes:
    talk.server.receive_data(relay.to_server)
    return b"".join(e.data.encode() for e in talk.server.events() if isinstance(e, TextMessage))


async def test_a_socket_cannot_be_held(here: Site) -> None:
    """Where answers wait for their decision, one that cannot wait is refused on record (P9)."""
    here.delivery = Delivery(is_buffered=True)
    refused = await _call(here).request(b"")
    assert isinstance(refused, Refused)
    assert b"deliveries: {acme: stream}" in refused.body
    _, exchange = here.pair()
    assert (exchange.outcome, exchange.problem) == ("refused", "socket-not-held")


async def test_a_response_that_begins_by_itself_is_decided_on(here: Site) -> None:
    """What the teacher begins unasked is refused where the policies say no to what was said."""
    talk = await _opened(here)
    await talk.says({"type": "session.update", "session": {"tools": [{"name": "f"}]}})
    relay = await talk.answers(_created("r1"))
    assert (relay.is_over, talk.read(relay)[1]) == (True, 1008)


async def test_messages_wait_until_they_are_whole(here: Site) -> None:
    """Of a message that is not whole nothing goes on, and a ping behind it waits; then all does."""
    talk = await _opened(here)
    first = talk.client.send(TextMessage('{"type": ', message_finished=False))
    second = talk.client.send(TextMessage('"x"}'))
    assert await talk.call.heard(first[:4], is_client=True) == Relay()
    assert await talk.call.heard(first[4:], is_client=True) == Relay()
    relay = await talk.call.heard(second, is_client=True)
    assert relay == Relay(to_server=first + second)
    ping = talk.client.send(Ping(b"p"))
    assert await talk.call.heard(ping, is_client=True) == Relay(to_server=ping)


async def test_a_ping_inside_a_message_lets_nothing_of_it_go_on(here: Site) -> None:
    """A message that asks goes on whole and once its call is durable, whatever stands between."""
    talk = await _opened(here)
    whole = json.dumps(ASK)
    first = talk.client.send(TextMessage(whole[:9], message_finished=False))
    ping, second = talk.client.send(Ping(b"p")), talk.client.send(TextMessage(whole[9:]))
    assert await talk.call.heard(first, is_client=True) == Relay()
    assert await talk.call.heard(ping, is_client=True) == Relay()
    assert len(here.calls()) == 1
    assert await talk.call.heard(second, is_client=True) == Relay(to_server=first + ping + second)
    assert len(here.calls()) == 2
    talk.client.send(TextMessage("{", message_finished=False))
    leave = talk.client.send(CloseConnection(1000))
    assert await talk.call.heard(leave, is_client=True) == Relay(to_server=leave)


async def test_an_id_that_is_none_leaves_no_call_without_an_end(here: Site) -> None:
    """A message whose id cannot be read ends the session before a call is made of it (P2)."""
    talk = await _opened(here)
    assert (await talk.says({**ASK, "event_id": 5})).is_over
    await talk.call.end(Outcome.CUT)
    assert [end[0] for end in _ends(here)] == ["cut"]


async def test_a_tools_call_that_nobody_asked_for_is_recorded(here: Site) -> None:
    """Sound may be answered by a call of a tool at once: a response like any other."""
    call = _call(here, kind=GeminiLive())
    assert isinstance(await call.request(b""), Forward)
    call.respond(101, ())
    talk = Talk(call)
    await talk.says({"setup": {"model": "models/acme-1"}}, {"realtimeInput": {"audio": {}}})
    called = {"functionCalls": [{"id": "c", "name": "f", "args": {}}]}
    await talk.answers({"toolCall": called})
    await talk.answers({"serverContent": {"turnComplete": True}})
    assert [each.is_whole for each in here.exchanges()] == [False]
    await talk.call.end(Outcome.COMPLETE)
    assert [end[0] for end in _ends(here)] == ["complete", "complete"]


@pytest.mark.parametrize("is_client", [True, False])
async def test_what_cannot_be_read_ends_the_session(here: Site, *, is_client: bool) -> None:
    """Frames that are none, and messages that are no objects, of either side."""
    talk = await _opened(here)
    relay = await talk.call.heard(b"\x83\x00", is_client=is_client)
    assert (relay.is_over, talk.read(relay)[1]) == (True, 1008)
    other = await _opened(here)
    peer = other.says if is_client else other.answers
    relay = await peer("[]")
    assert (relay.is_over, other.read(relay)[1]) == (True, 1008)


async def test_an_extension_that_is_not_known(here: Site) -> None:
    """Frames of an unknown extension cannot be read, so none goes on."""
    talk = await _opened(here, extensions="x-unknown")
    assert (await talk.says(ASK)).is_over
    assert len(here.calls()) == 1


async def test_compressed_messages(here: Site) -> None:
    """Where `permessage-deflate` was agreed on, plain messages still are what they are."""
    talk = await _opened(here, extensions="permessage-deflate; server_no_context_takeover")
    assert (await talk.says(ASK)).to_server
    assert len(here.calls()) == 2


async def test_an_answer_that_is_no_socket(here: Site) -> None:
    """A teacher that says no to the upgrade is answered as ever, and there is nothing to hear."""
    call = _call(here)
    assert isinstance(await call.request(b""), Forward)
    call.respond(400, ())
    await call.end(Outcome.COMPLETE)
    assert (await call.heard(b"\x81\x00", is_client=True)).is_over


@pytest.mark.parametrize(("event", "is_ended"), [("ask-1", True), (None, True), ("other", False)])
async def test_an_error_ends_what_it_speaks_of(
    here: Site, event: str | None, *, is_ended: bool
) -> None:
    """An error of the message that asked, or of none that it names, is the end of the response."""
    talk = await _opened(here)
    await talk.says(ASK)
    await talk.answers({"type": "error", "error": {"message": "no", "event_id": event}})
    assert bool(here.exchanges()) is is_ended
    await talk.call.end(Outcome.CUT)
    assert _ends(here)[1][0] == ("complete" if is_ended else "cut")


@pytest.mark.parametrize(
    ("leaves", "by_client", "socket", "response"),
    [
        (True, True, "complete", "client_disconnected"),
        (False, True, "complete", "upstream_failed"),
        (None, True, "client_disconnected", "client_disconnected"),
        (None, False, "upstream_failed", "upstream_failed"),
    ],
)
async def test_who_ended_it(
    here: Site, socket: str, response: str, *, leaves: bool | None, by_client: bool
) -> None:
    """A farewell is an orderly end of the socket, and whoever said it left the response unfinished."""
    talk = await _opened(here)
    await talk.says(ASK)
    await talk.answers(_created("r1"))
    if leaves is not None:
        peer = talk.client if leaves else talk.server
        await talk.call.heard(peer.send(CloseConnection(1000)), is_client=leaves)
    await talk.call.end(talk.call.parted(by_client=by_client))
    assert [end[0] for end in _ends(here)] == [socket, response]


async def test_a_record_that_cannot_be_made_ends_the_session(here: Site) -> None:
    """Where the ledger does not take the call, the message that asks goes nowhere."""
    disk = Disk(here.ledger)
    talk = await _opened(here)
    disk.fails = True
    relay = await talk.says(ASK)
    disk.fails = False
    assert (relay.is_over, relay.to_server) == (True, b"")


class _BreaksOnce(Detectors):
    """Breaks at the first answer it is to look at."""

    is_broken = False

    async def in_answer(self, answer: Answer) -> Sighting:
        """Break, the first time."""
        if self.is_broken:
            return await super().in_answer(answer)
        self.is_broken = True
        raise RuntimeError


async def test_each_response_has_its_end_whatever_breaks_in_another(here: Site) -> None:
    """One that cannot be put into words keeps neither the next nor the socket from its record (P2)."""
    here.detectors = _BreaksOnce({}, timeout_s=1)
    talk = await _opened(here)
    await talk.says(ASK, ASK)
    with pytest.raises(RuntimeError):
        await talk.call.end(Outcome.CUT)
    async with asyncio.timeout(5):
        while len(here.exchanges()) < 3:  # noqa: ASYNC110 - what is owed is written by a thread
            await asyncio.sleep(0.01)
    assert len(_ends(here)) == 3


def test_farewells(here: Site) -> None:
    """Who is cut, or left alone by the teacher, is told by a code; who left is told nothing."""
    talk = Talk(_call(here))
    for outcome, code in ((Outcome.CUT, 1001), (Outcome.UPSTREAM_FAILED, 1011)):
        talk.client = Connection(ConnectionType.CLIENT)
        assert talk.read(Relay(to_client=talk.call.farewell(outcome)))[1] == code
    assert talk.call.farewell(Outcome.COMPLETE) == b""


def _arrival(*headers: tuple[str, str]) -> Arrival:
    return Arrival(
        client="c",
        method="GET",
        scheme="https",
        host="h",
        port=443,
        target=TARGET,
        headers=headers,
    )


def test_a_key_among_the_sub_protocols() -> None:
    """It becomes a header, as other clients send it; what stood beside it stays."""
    offers = "realtime, openai-insecure-api-key.sk-1 ,openai-organization.o"
    found = unfolded(_arrival(("Host", "h"), ("Sec-WebSocket-Protocol", offers)))
    assert found.headers == (
        ("Host", "h"),
        ("Sec-WebSocket-Protocol", "realtime, openai-organization.o"),
        ("Authorization", "Bearer sk-1"),
    )
    alone = _arrival(("sec-websocket-protocol", "openai-insecure-api-key.sk-1"))
    assert unfolded(alone).headers == (("Authorization", "Bearer sk-1"),)
    other = _arrival(("Sec-WebSocket-Protocol", "realtime"))
    assert unfolded(other) is other
