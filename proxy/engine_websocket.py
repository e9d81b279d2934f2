"""A socket between its client and its teacher, once their protocol has changed; part of the engine.

The stock layer decodes and encodes each message anew; this one asks the gate which bytes go on.
"""

from dataclasses import dataclass, field

from mitmproxy.http import HTTPFlow
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator, Layer

from proxy.gate import Relay

__all__ = ["Heard", "SocketEndedHook", "SocketHeardHook", "SocketLayer"]


@dataclass(slots=True)
class Heard:
    """What came from one side of a socket, and what the hooks say goes on."""

    flow: HTTPFlow
    is_client: bool
    data: bytes = b""
    relay: Relay = field(default_factory=lambda: Relay(is_over=True))
    """Unless a hook says otherwise the socket is closed and nothing goes on (P9)."""


@dataclass
class SocketHeardHook(commands.StartHook):  # type: ignore[no-untyped-call] # mitmproxy's __init_subclass__
    """Bytes came from one side."""

    name = "socket_heard"
    heard: Heard


@dataclass
class SocketEndedHook(commands.StartHook):  # type: ignore[no-untyped-call] # as above
    """The connection to one side is over, or the gate closed the socket."""

    name = "socket_ended"
    heard: Heard


class SocketLayer(Layer):
    """Carries a socket, each piece once the gate has read it."""

    def __init__(self, context: Context, flow: HTTPFlow) -> None:
        super().__init__(context)
        self._flow = flow
        self._is_over = False

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if self._is_over or not isinstance(event, events.ConnectionEvent):
            return
        heard = Heard(self._flow, event.connection == self.context.client)
        if isinstance(event, events.DataReceived):
            heard.data = event.data
            yield SocketHeardHook(heard)
            yield from self._send(heard.relay)
            if not heard.relay.is_over:
                return
        self._is_over = True
        heard.relay = Relay(is_over=True)
        yield SocketEndedHook(heard)
        yield from self._send(heard.relay)
        yield commands.CloseConnection(self.context.server)
        yield commands.CloseConnection(self.context.client)

    def _send(self, relay: Relay) -> CommandGenerator[None]:
        if relay.to_server:
            yield commands.SendData(self.context.server, relay.to_server)
        if relay.to_client:
            yield commands.SendData(self.context.client, relay.to_client)
