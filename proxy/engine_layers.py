"""mitmproxy's HTTP layers where the stock ones are not enough; part of the engine.

Stock behaviour on 12.2.3 that is changed here: a call is dialled by the `Host` it names (here: by
the gate's `Forward`, with its own SNI); an origin-form request in regular mode is taken for a
request to the host in `Host`; a refused upload is kept in memory to its end; errors become HTML
pages.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, cast

from mitmproxy.connection import ConnectionState, Server
from mitmproxy.http import HTTPFlow, Response
from mitmproxy.proxy import commands, events, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers import TCPLayer, http
from mitmproxy.proxy.layers.http import _events as messages
from mitmproxy.proxy.layers.http import _hooks as hooks
from mitmproxy.proxy.layers.http._http2 import Http2Client
from mitmproxy.proxy.layers.tls import ServerTLSLayer

from proxy.addon import Addon
from proxy.engine_http1 import ClientHttp1, UpstreamHttp1
from proxy.engine_http2 import HTTP2, in_trailers
from proxy.engine_messages import BASE_URL_HOST
from proxy.engine_parent import Carried, carrier_of, carrier_to, excuse_of, through
from proxy.engine_websocket import SocketLayer
from proxy.exchange import Outcome
from proxy.gate import BeyondParent, Forward
from proxy.parent import Parent

__all__ = ["BondHttpLayer", "UploadBeginsHook"]

_HTTP1 = b"http/1.1"


@dataclass
class UploadBeginsHook(commands.StartHook):  # type: ignore[no-untyped-call] # mitmproxy's __init_subclass__
    """Some of a body has come; the gate may say that it goes on while the rest comes in."""

    name = "upload_begins"
    flow: HTTPFlow


class _Upstream(http.HttpClient):
    """A connection to a teacher: HTTP/1.1, or HTTP/2 for one call, so that its end cuts the call."""

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        server = self.context.server
        err = yield commands.OpenConnection(server)
        is_http2 = server.alpn_offers == (HTTP2,)
        if not err and is_http2 and server.tls and server.alpn != HTTP2:
            err = "the teacher does not speak HTTP/2"
            yield commands.CloseConnection(server)
        if not err:
            self.child_layer = (Http2Client if is_http2 else UpstreamHttp1)(self.context)
            self._handle_event = self.child_layer.handle_event  # type: ignore[method-assign] # how the stock layer hands over
            yield from self.child_layer.handle_event(event)
        yield http.RegisterHttpConnection(self.context.server, cast("str | None", err))


@dataclass(eq=False)
class _Dial(http.GetHttpConnection):
    """Ask for a connection to the address and, under TLS, the name that the gate gave."""

    sni: str | None = None
    protocol: bytes = _HTTP1
    is_beyond: bool = False
    """Whether the parent proxy is asked for the way."""

    def connection_spec_matches(self, connection: Any) -> bool:
        """Whether an open connection may carry this call too."""
        is_like = super().connection_spec_matches(connection) and connection.sni == self.sni
        is_like = is_like and isinstance(connection, Carried) is self.is_beyond
        return is_like and self.protocol == _HTTP1 and connection.alpn_offers == (_HTTP1,)


class _Stream(http.HttpStream):
    """One request and its answer."""

    def __init__(self, context: Context, stream_id: int, addon: Addon, discard_bytes: int) -> None:
        super().__init__(context, stream_id)
        self._addon = addon
        self._discard_bytes = discard_bytes
        self._left_bytes: int | None = None
        self._held: list[commands.Command] = []
        self._may_switch = False

    def state_wait_for_request_headers(
        self, event: messages.RequestHeaders
    ) -> CommandGenerator[None]:
        """Take a request with no host of its own for one to the proxy itself."""
        if self.mode is http.HTTPMode.regular and not event.request.host:
            event.request.data.host = BASE_URL_HOST
            event.request.data.scheme = b"https" if self.context.client.tls else b"http"
        yield from super().state_wait_for_request_headers(event)

    def state_consume_request_body(self, event: events.Event) -> CommandGenerator[None]:
        """Collect the body of a call that may still be forwarded; drop the rest."""
        if isinstance(event, messages.RequestData):
            size = len(self.request_body_buf) + len(event.data)
            if self.flow.response is None and size > self._addon.limit_of(self.flow):
                self._addon.overflow(self.flow)
                self.request_body_buf.clear()  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
                yield hooks.HttpRequestHook(self.flow)
            if self.flow.response is not None:
                yield from self._discard(event.data)
                return
            if self._addon.is_peeking(self.flow):
                self.request_body_buf += event.data
                yield from self._begin_upload()
                return
        yield from super().state_consume_request_body(event)

    def _begin_upload(self) -> CommandGenerator[None]:
        """Show what has come of the body; where it may go on, send it, and then each next piece."""
        held = bytes(self.request_body_buf)
        self.flow.request.data.content = held
        yield UploadBeginsHook(self.flow)
        self.flow.request.data.content = None
        if (yield from self.check_killed(True)):
            return
        if self.flow.response is not None:
            self.request_body_buf.clear()  # type: ignore[no-untyped-call] # mitmproxy leaves it untyped
        elif self.flow.request.stream:
            self.request_body_buf.clear()  # type: ignore[no-untyped-call] # as above
            with self._addon.dialling(self.flow):
                yield from self.start_request_stream()
            yield from self.client_state(messages.RequestData(self.stream_id, held))

    def state_stream_request_body(self, event: events.Event) -> CommandGenerator[None]:
        """Send on what came; trailers are dropped, as of any request."""
        if not isinstance(event, messages.RequestTrailers):
            yield from super().state_stream_request_body(event)

    def _discard(self, data: bytes) -> CommandGenerator[None]:
        """Read on to the end of a refused upload: most clients read no answer before it."""
        self._discard_bytes -= len(data)
        if self._discard_bytes < 0:
            yield commands.CloseConnection(self.context.client)

    def make_server_connection(self) -> CommandGenerator[bool]:
        """Dial where the gate's `Forward` says; without one, nothing is dialled (P1)."""
        forward = self._addon.forward_of(self.flow)
        if forward is None or self.context.client.state is ConnectionState.CLOSED:
            self._addon.blame(self.flow, Outcome.CLIENT_DISCONNECTED)
            yield from self._failed("the call has ended", messages.ErrorCode.CONNECT_FAILED)
            return False
        self._may_switch = forward.may_switch
        if forward.is_http2 and self.context.client.alpn != HTTP2:  # HTTP/1 has no trailers here
            yield from self._failed("the client has no HTTP/2", messages.ErrorCode.CONNECT_FAILED)
            return False
        connection, err = yield _dial(forward)
        if err:
            self._addon.explain(self.flow, excuse_of(self.flow.server_conn))
            yield from self._failed(err, messages.ErrorCode.CONNECT_FAILED)
            return False
        self.context.server = self.flow.server_conn = connection
        if (yield from self.check_killed(True)):
            yield commands.CloseConnection(connection)
            return False
        if self._addon.forward_of(self.flow) is None:  # cut while it was dialled
            yield commands.CloseConnection(connection)
            yield from self._failed("the call has ended", messages.ErrorCode.CONNECT_FAILED)
            return False
        return True

    def _failed(self, why: str, code: messages.ErrorCode) -> CommandGenerator[None]:
        error = messages.ResponseProtocolError(self.stream_id, why, code)
        yield from self.handle_protocol_error(error)

    def state_wait_for_response_headers(
        self, event: messages.ResponseHeaders
    ) -> CommandGenerator[None]:
        """Show the head to the hooks; where they put an answer of ours, send that and hang up."""
        self.flow.response = event.response
        if (yield from self.check_invalid(False)):
            return
        yield hooks.HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        if self.flow.response is not event.response:
            yield commands.CloseConnection(self.context.server)
            yield from self._answer(self.flow.response)
            self.client_state = self.server_state = self.state_errored
            yield http.DropStream(self.stream_id)
        elif event.end_stream or self._addon.is_kept(self.flow):
            self.server_state = self.state_consume_response_body
        else:
            yield from self.start_response_stream()

    def state_consume_response_body(self, event: events.Event) -> CommandGenerator[None]:
        """Hold an answer until it was decided on, as long as it is wanted."""
        is_unwanted = isinstance(event, messages.ResponseData) and not self._addon.keep(
            self.flow, event.data
        )
        if not is_unwanted:
            yield from super().state_consume_response_body(event)

    def start_response_stream(self) -> CommandGenerator[None]:
        """Send the head on, and note how long the body says it is."""
        assert self.flow.response is not None  # noqa: S101 - the stock layer calls this with one
        length = self.flow.response.headers.get("content-length", "")
        self._left_bytes = int(length) if length.isdecimal() else None
        yield from super().start_response_stream()

    def state_stream_response_body(self, event: events.Event) -> CommandGenerator[None]:
        """Send on what came, but hold the last bytes of an announced length until `flow_done`.

        They are the end of the message, and a client that has them asks for no more: so they wait
        for the durable record, as the last chunk of a chunked body does.
        """
        stock = super().state_stream_response_body(event)
        if not isinstance(event, messages.ResponseData) or self._left_bytes is None:
            yield from stock
            return
        self._left_bytes -= len(event.data)
        if self._left_bytes > 0:
            yield from stock
        else:
            self._held += stock

    def flow_done(self) -> CommandGenerator[None]:
        """End the message: the `response` hook has run, and nothing was cut."""
        yield from self._held
        assert self.flow.response is not None  # noqa: S101 - as above
        if self.flow.response.status_code == 101 and self._may_switch:
            yield from self._switch()
        else:
            yield from super().flow_done()
            yield from self._leave_http2()

    def _leave_http2(self) -> CommandGenerator[None]:
        """Close a connection that was opened for this call alone."""
        server = self.flow.server_conn
        if server.alpn_offers == (HTTP2,):
            yield commands.CloseConnection(server)

    def _switch(self) -> CommandGenerator[None]:
        """Carry what follows a change of protocol as it comes, or as the gate lets it."""
        if self._addon.is_socket(self.flow):
            self.child_layer = SocketLayer(self.context, self.flow)
        else:
            self._addon.carry(self.flow)
            self.child_layer = TCPLayer(self.context, ignore=True)
        self._handle_event = self.passthrough
        yield from self.child_layer.handle_event(events.Start())
        yield http.SendHttp(messages.ResponseEndOfMessage(self.stream_id), self.context.client)

    def handle_protocol_error(
        self, event: messages.RequestProtocolError | messages.ResponseProtocolError
    ) -> CommandGenerator[None]:
        """Tell the hooks whose fault it is, before the stock layer fires `error`."""
        queued = self._paused_event_queue
        is_client = isinstance(event, messages.RequestProtocolError) or any(
            isinstance(waiting, messages.RequestProtocolError) for waiting in queued
        )
        outcome = Outcome.CLIENT_DISCONNECTED if is_client else Outcome.UPSTREAM_FAILED
        self._addon.blame(self.flow, outcome)
        is_under_way = self.server_state == self.state_stream_response_body
        if not is_client and is_under_way and self._left_bytes is None:
            words = self._addon.last_words(self.flow)
            if words:
                yield http.SendHttp(
                    messages.ResponseData(self.stream_id, words), self.context.client
                )
        yield from self._in_our_words(super().handle_protocol_error(event))
        yield from self._leave_http2()

    def check_invalid(self, request: bool) -> CommandGenerator[bool]:  # noqa: FBT001 - the stock signature
        """Whether the head just received is malformed."""
        return (yield from self._in_our_words(super().check_invalid(request)))

    def _in_our_words[T](self, stock: Generator[Any, Any, T]) -> CommandGenerator[T]:
        """Do what the stock layer says, but send the hooks' answer for its own error page."""
        reply = None
        while True:
            try:
                command = stock.send(reply)
            except StopIteration as stop:
                return cast("T", stop.value)
            ours = self._instead_of(command)
            late = in_trailers(command, self.flow) if ours is None else None
            if ours is not None:
                yield from self._answer(ours)
            elif late is not None:
                yield from late
            else:
                reply = yield command

    def _instead_of(self, command: commands.Command) -> Response | None:
        is_page = (
            isinstance(command, http.SendHttp)
            and isinstance(command.event, messages.ResponseProtocolError)
            and command.event.code.http_status_code() is not None
            and self.server_state
            in {self.state_wait_for_response_headers, self.state_consume_response_body}
        )
        return self.flow.response if is_page else None

    def _answer(self, response: Response) -> CommandGenerator[None]:
        content, client = response.raw_content, self.context.client
        head = messages.ResponseHeaders(self.stream_id, response, not content)
        yield http.SendHttp(head, client)
        if content:
            yield http.SendHttp(messages.ResponseData(self.stream_id, content), client)
        yield http.SendHttp(messages.ResponseEndOfMessage(self.stream_id), client)


def _dial(forward: Forward) -> _Dial:
    is_tls = forward.scheme == "https"
    protocol = HTTP2 if forward.is_http2 else _HTTP1
    sni = forward.host if is_tls else None
    is_beyond = isinstance(forward.connect, BeyondParent)
    return _Dial(forward.connect, is_tls, None, sni=sni, protocol=protocol, is_beyond=is_beyond)


class BondHttpLayer(http.HttpLayer):
    """All requests of one client connection, or of one opened tunnel in it."""

    def __init__(
        self,
        context: Context,
        mode: http.HTTPMode,
        addon: Addon,
        *,
        parent: Parent | None,
        discard_bytes: int,
    ) -> None:
        super().__init__(context, mode)
        self._addon = addon
        self._parent = parent
        self._discard_bytes = discard_bytes
        if context.client.alpn != b"h2":
            self.connections[context.client] = ClientHttp1(context.fork())

    def make_stream(self, stream_id: int) -> CommandGenerator[None]:
        """Begin a request."""
        stream = _Stream(self.context.fork(), stream_id, self._addon, self._discard_bytes)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def get_connection(
        self, event: http.GetHttpConnection, *, reuse: bool = True
    ) -> CommandGenerator[None]:
        """Give the stream that asked a connection: an idle one of the same kind, or a new one.

        A client speaking HTTP/2 gets a new one each time: HTTP/1.1 carries one call at a time.
        """
        is_shareable = reuse and self.context.client.alpn != b"h2"
        idle = next((c for c in self.connections if event.connection_spec_matches(c)), None)
        is_open = idle is not None and carrier_of(idle).state is ConnectionState.OPEN
        if is_shareable and idle and is_open and not idle.error:
            stream = self.command_sources.pop(event)
            completed = http.GetHttpConnectionCompleted(event, (idle, None))
            yield from self.event_to_child(stream, completed)
            return
        stack = self._stack(cast("_Dial", event))
        yield from self.event_to_child(stack, events.Start())

    def _stack(self, dial: _Dial) -> Layer:
        """The layers of a new connection; its stream knows it at once, so that it can be closed."""
        self._prune()
        context = self.context.fork()
        stack = tunnel.LayerStack()
        if dial.is_beyond:
            stack /= self._through_parent(context, dial)
        else:
            context.server = Server(
                address=dial.address, sni=dial.sni, alpn_offers=(dial.protocol,)
            )
        if dial.tls:
            stack /= ServerTLSLayer(context)
        stack /= _Upstream(context)
        self.connections[context.server] = stack[0]
        self.waiting_for_establishment[context.server].append(dial)
        cast("_Stream", self.command_sources[dial]).flow.server_conn = context.server
        return stack[0]

    def _through_parent(self, context: Context, dial: _Dial) -> tunnel.LayerStack:
        assert self._parent is not None  # noqa: S101 - else no `Forward` names what is beyond it
        carrier = carrier_to(self._parent)
        context.server = Carried(
            address=dial.address, sni=dial.sni, alpn_offers=(dial.protocol,), carrier=carrier
        )
        return through(self._parent, context, carrier)

    def _prune(self) -> None:
        """Forget connections that are over, so that a long-lived client costs no memory."""
        for connection in [c for c in self.connections if isinstance(c, Server)]:
            ends = (connection, carrier_of(connection))
            is_over = any(end.timestamp_end is not None or end.error is not None for end in ends)
            if is_over and connection not in self.waiting_for_establishment:
                del self.connections[connection]
