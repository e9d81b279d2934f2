"""The layer of a socket: what the hooks say goes on, and nothing where they say nothing."""

from mitmproxy.connection import Connection
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.test.tflow import tclient_conn, tflow, tserver_conn

from proxy.engine_websocket import SocketEndedHook, SocketHeardHook, SocketLayer
from proxy.gate import Relay


def _layer() -> tuple[SocketLayer, Context]:
    context = Context(tclient_conn(), Options())
    context.server = tserver_conn()
    layer = SocketLayer(context, tflow())
    assert list(layer.handle_event(events.Start())) == []
    return layer, context


def _heard(layer: SocketLayer, event: events.Event, relay: Relay | None) -> list[commands.Command]:
    """What the layer does with an event whose hook says this; None: the hook broke."""
    (hook,) = layer.handle_event(event)
    assert isinstance(hook, SocketHeardHook)
    if relay is not None:
        hook.heard.relay = relay
    return list(layer.handle_event(events.HookCompleted(hook)))


def _ended(layer: SocketLayer, hook: commands.Command, words: bytes = b"") -> list[Connection]:
    """Which connections are closed once the end is durable."""
    assert isinstance(hook, SocketEndedHook)
    hook.heard.relay = Relay(to_client=words, is_over=True)
    sent = list(layer.handle_event(events.HookCompleted(hook)))
    if words:
        first = sent.pop(0)
        assert isinstance(first, commands.SendData)
        assert first.data == words
    return [each.connection for each in sent if isinstance(each, commands.CloseConnection)]


def test_what_the_gate_gives_goes_on() -> None:
    """Bytes of either side go where the hook says, and the socket stays open."""
    layer, context = _layer()
    for side in (context.client, context.server):
        (hook,) = layer.handle_event(events.DataReceived(side, b"in"))
        assert isinstance(hook, SocketHeardHook)
        assert (hook.heard.data, hook.heard.is_client) == (b"in", side == context.client)
        hook.heard.relay = Relay(to_client=b"c", to_server=b"s")
        to_server, to_client = layer.handle_event(events.HookCompleted(hook))
        assert isinstance(to_server, commands.SendData)
        assert isinstance(to_client, commands.SendData)
        assert (to_server.connection, to_server.data) == (context.server, b"s")
        assert (to_client.connection, to_client.data) == (context.client, b"c")


def test_a_hook_that_broke_ends_the_socket() -> None:
    """Unless a hook says otherwise nothing goes on, and both connections are closed."""
    layer, context = _layer()
    (hook,) = _heard(layer, events.DataReceived(context.client, b"in"), None)
    assert _ended(layer, hook) == [context.server, context.client]
    assert list(layer.handle_event(events.DataReceived(context.client, b"more"))) == []


def test_a_connection_that_is_over_ends_the_other() -> None:
    """The end is told to the hooks first; then the client hears the words they give."""
    layer, context = _layer()
    (hook,) = layer.handle_event(events.ConnectionClosed(context.server))
    assert isinstance(hook, SocketEndedHook)
    assert not hook.heard.is_client
    assert _ended(layer, hook, b"bye") == [context.server, context.client]


def test_the_last_words_of_the_gate_are_sent() -> None:
    """A relay that ends the socket is sent before the end."""
    layer, context = _layer()
    event = events.DataReceived(context.client, b"in")
    first, hook = _heard(layer, event, Relay(to_client=b"no", is_over=True))
    assert isinstance(first, commands.SendData)
    assert first.data == b"no"
    assert isinstance(hook, SocketEndedHook)
    assert hook.heard.data == b"in"
