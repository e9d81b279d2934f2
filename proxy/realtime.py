"""A socket and its responses: one call for the socket, and one more for each response on it.

The socket's own call is durable before the upgrade leaves, and each response that a client asks for is
decided on, counted and durable before the message that asks for it goes on (P1). A response that the
teacher begins by itself, as when it hears that somebody stopped speaking, is decided on and recorded as
it begins: the socket's own decision let the sound go out. No response is ever admitted: the provider
holds the session, so its prompt is not on the wire (docs/decisions/0017).
"""

import json
from collections import deque
from dataclasses import dataclass, replace
from typing import Unpack

from proxy.call import Call, CallParts
from proxy.errors import LedgerError, WireError
from proxy.exchange import Headers, Outcome
from proxy.gate import Arrival, Forward, Refused, Relay
from proxy.refusals import Early
from proxy.store.log import Pending
from proxy.wire.document import read_object, text
from proxy.wire.realtime import Part, Session, SocketFormat
from proxy.wire.websocket import FrameReader, close_frame, compression_of, text_frame

__all__ = ["RealtimeCall", "unfolded"]

_SWITCHED = 101
_GOING_AWAY, _POLICY, _BROKEN = 1001, 1008, 1011
"""Codes of RFC 6455 §7.4.1."""
_PROTOCOLS = "sec-websocket-protocol"
_KEY_PROTOCOL = "openai-insecure-api-key."
"""How a browser, which cannot set headers, sends a key: as the name of a sub-protocol."""
_EXTENSIONS = "sec-websocket-extensions"
_SOCKET = "x-inbond-socket"
"""What a response's reading is given beside its headers: the exchange of its socket."""


class _Response(Call):
    """One response: a call whose request is what the client said, and whose answer its events."""

    async def _ending(self, outcome: Outcome) -> Pending:
        self._tap.poison("realtime")  # read and kept, and never admitted
        return await super()._ending(outcome)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A response that was asked for and has not begun."""

    call: _Response
    event: str | None
    """The client's own id of the message that asked."""


class RealtimeCall(Call):
    """The call that opens a socket (`proxy.gate.Socketed`)."""

    def __init__(self, *, kind: SocketFormat, query: str, **parts: Unpack[CallParts]) -> None:
        self._session: Session = kind.session(query)
        teacher = parts["route"].entry.id
        if parts["early"] is None and parts["services"].delivery.holds(teacher):
            parts = {**parts, "early": _not_held(teacher)}
        super().__init__(reader=kind.opening(self._session), **parts)
        head = parts["head"]
        named = replace(head, headers=(*head.headers, (_SOCKET, self.exchange)))
        self._parts: CallParts = {**parts, "head": named}
        self._sides: dict[bool, FrameReader] = {}
        self._held = bytearray()
        self._said: list[bytes] = []
        self._waiting: deque[_Waiting] = deque()
        self._begun: dict[str | None, _Response] = {}
        self._is_client_first: bool | None = None
        """Which side took leave first; None: neither has."""

    def _sent_to(self, connect: tuple[str, int], body: bytes) -> Forward:
        forward = super()._sent_to(connect, body)
        headers = (*forward.headers, ("Connection", "Upgrade"), ("Upgrade", "websocket"))
        return replace(forward, headers=headers, may_switch=True, buffer_bytes=None)

    def respond(self, status: int, headers: Headers) -> Headers:
        """Take note of the answer: where it changes the protocol, of how frames are written."""
        if status == _SWITCHED:
            self._listen(", ".join(v for name, v in headers if name.lower() == _EXTENSIONS))
        return super().respond(status, headers)

    def _listen(self, extensions: str) -> None:
        try:
            agreed = compression_of(extensions)
        except WireError as error:
            self._tap.poison(error.code)
            return
        keeps = {
            True: None if agreed is None else agreed.client_keeps,
            False: None if agreed is None else agreed.server_keeps,
        }
        limits = {True: self.limit_bytes, False: self._services.answer_limit_bytes}
        self._sides = {
            side: FrameReader(keeps=keeps[side], limit_bytes=limits[side]) for side in keeps
        }

    # -- the socket --------------------------------------------------------------------------

    async def heard(self, data: bytes, *, is_client: bool) -> Relay:
        """Read what came from one side; what cannot be read, decided or recorded ends the socket."""
        try:
            if is_client:
                return await self._client_sent(data)
            self.tap(data)
            return await self._server_sent(data)
        except WireError as error:
            refused = self._refusals.say(self._refusals.of(400, error), "forbid")
        except LedgerError as error:
            refused = self._refusals.unrecorded(error)
        return self._closing(refused)

    async def _client_sent(self, data: bytes) -> Relay:
        """Send messages on as they become whole: only then is it known what they ask for."""
        to_server = bytearray()
        for frame in self._reader_of(is_client=True).feed(data):
            self._note_leave(is_client=True, is_close=frame.is_close)
            if frame.is_close:  # a message that it breaks off goes nowhere
                to_server += frame.raw
                continue
            is_inside = bool(self._held)
            self._held += frame.raw
            if frame.message is not None:
                refused = await self._client_said(frame.message)
                if refused is not None:
                    return replace(self._closing(refused), to_server=bytes(to_server))
            if frame.message is not None or (frame.is_control and not is_inside):
                to_server += self._held
                self._held.clear()
        return Relay(to_server=bytes(to_server))

    async def _client_said(self, message: bytes) -> Refused | None:
        doc = read_object(message, of="a message")
        if self._session.keeps(doc):
            self._said.append(_line(message))
        if not self._session.asks(doc):
            return None
        event = text(doc, "event_id")  # nothing may break between a durable call and its place here
        begun = await self._begin()
        if isinstance(begun, Refused):
            return begun
        self._waiting.append(_Waiting(begun, event))
        return None

    async def _begin(self) -> _Response | Refused:
        """A new response, its call durable; or the refusal of it, durable too."""
        response = _Response(reader=self._session.reader(), **self._parts)
        said, self._said = b"".join(self._said), []
        verdict = await response.request(said)
        if isinstance(verdict, Refused):
            return verdict
        response.respond(200, ())
        return response

    async def _server_sent(self, data: bytes) -> Relay:
        """Send on what came as it came, once what it ends is durable."""
        for frame in self._reader_of(is_client=False).feed(data):
            self._note_leave(is_client=False, is_close=frame.is_close)
            if frame.message is not None:
                doc = read_object(frame.message, of="a message")
                part = self._session.part_of(doc)
                refused = None if part is None else await self._take(part, _line(frame.message))
                if refused is not None:
                    return self._closing(refused)
        return Relay(to_client=data)

    async def _take(self, part: Part, line: bytes) -> Refused | None:
        if part.does == "fail":
            await self._fail(part.response, line)
            return None
        is_due = part.does in {"begin", "whole"} or (part.does == "end" and bool(self._waiting))
        if is_due and part.response not in self._begun:
            begun = self._waiting.popleft().call if self._waiting else await self._begin()
            if isinstance(begun, Refused):
                return begun
            self._begun[part.response] = begun
        response = self._begun.get(part.response)
        if response is not None:
            response.tap(line)
            if part.does in {"end", "whole"}:
                del self._begun[part.response]
                await response.end(Outcome.COMPLETE)
        return None

    async def _fail(self, event: str | None, line: bytes) -> None:
        """End the response that an error speaks of, where one is waiting for its beginning."""
        found = next((each for each in self._waiting if event in {None, each.event}), None)
        if found is not None:
            self._waiting.remove(found)
            found.call.tap(line)
            await found.call.end(Outcome.COMPLETE)

    def _reader_of(self, *, is_client: bool) -> FrameReader:
        reader = self._sides.get(is_client)
        if reader is None:
            raise WireError("the socket's frames cannot be read", code="unread-extension")
        return reader

    def _note_leave(self, *, is_client: bool, is_close: bool) -> None:
        if is_close and self._is_client_first is None:
            self._is_client_first = is_client

    def _closing(self, refused: Refused) -> Relay:
        """Tell the client why in an error event, and end the socket."""
        error = json.loads(refused.body).get("error", {})
        event = self._session.refusal(error)
        reason = f"inbond refused this response; exchange {self.exchange}"
        if event is None:
            return Relay(to_client=close_frame(_POLICY, error.get("message", reason)), is_over=True)
        return Relay(to_client=text_frame(event) + close_frame(_POLICY, reason), is_over=True)

    # -- the end -----------------------------------------------------------------------------

    def parted(self, *, by_client: bool) -> Outcome:
        """Complete where somebody took leave; else the side whose connection broke is to blame."""
        if self._is_client_first is not None:
            return Outcome.COMPLETE
        return Outcome.CLIENT_DISCONNECTED if by_client else Outcome.UPSTREAM_FAILED

    def farewell(self, outcome: Outcome) -> bytes:
        """The frame that closes a socket which the client did not close."""
        if outcome is Outcome.CUT:
            return close_frame(_GOING_AWAY, f"inbond is going away; exchange {self.exchange}")
        if outcome is Outcome.UPSTREAM_FAILED:
            return close_frame(_BROKEN, f"the teacher broke off; exchange {self.exchange}")
        return b""

    async def end(self, outcome: Outcome) -> None:
        """End the responses under way, then the socket's own call.

        Raises:
            LedgerError: one of them is not durable.
        """
        left = [each.call for each in self._waiting] + list(self._begun.values())
        self._waiting.clear()
        self._begun.clear()
        failed: Exception | None = None
        for response in left:
            try:
                await response.end(self._unfinished(outcome))
            except Exception as error:  # noqa: BLE001 - whatever breaks in one, each has its end (P2)
                failed = error
        await super().end(outcome)
        if failed is not None:
            raise failed

    def _unfinished(self, outcome: Outcome) -> Outcome:
        """How a response ended whose socket did: by whoever left, where that was in order."""
        if outcome is not Outcome.COMPLETE:
            return outcome
        return Outcome.CLIENT_DISCONNECTED if self._is_client_first else Outcome.UPSTREAM_FAILED


def _not_held(teacher: str) -> Early:
    message = (
        f"inbond refused this call: answers of `{teacher}` are held until they were decided on "
        f"(`delivery: buffer`), and those on a socket cannot be; set `deliveries: {{{teacher}: stream}}`"
    )
    return Early(status=403, code="socket-not-held", message=message)


def _line(message: bytes) -> bytes:
    """A message on one line: no text of JSON holds a line end."""
    return message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def unfolded(arrival: Arrival) -> Arrival:
    """A request whose key stands in a header of its own, and not among its sub-protocols."""
    offers = [v for name, v in arrival.headers if name.lower() == _PROTOCOLS]
    words = [word.strip() for offer in offers for word in offer.split(",")]
    keys = [word.removeprefix(_KEY_PROTOCOL) for word in words if word.startswith(_KEY_PROTOCOL)]
    if not keys:
        return arrival
    rest = tuple(pair for pair in arrival.headers if pair[0].lower() != _PROTOCOLS)
    kept = [word for word in words if word and not word.startswith(_KEY_PROTOCOL)]
    named = (("Sec-WebSocket-Protocol", ", ".join(kept)),) if kept else ()
    return replace(arrival, headers=(*rest, *named, ("Authorization", f"Bearer {keys[0]}")))
