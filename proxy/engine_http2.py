"""How an answer over HTTP/2 ends where the teacher broke it off; part of the engine.

Stock behaviour on 12.2.3 is a reset of the stream, which a client of gRPC tells from no other fault.
"""

from collections.abc import Iterator

from mitmproxy.http import HTTPFlow
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http import _events as messages

from proxy.engine_messages import fields_of
from proxy.gate import Refused

__all__ = ["HTTP2", "in_trailers", "put_late"]

HTTP2 = b"h2"
"""The protocol's name in TLS (RFC 9113 §3.2)."""

_STATUS_FIELDS = frozenset({"grpc-status", "grpc-message"})


def put_late(flow: HTTPFlow, refused: Refused) -> None:
    """Put a refusal of gRPC behind an answer that has begun: its status goes into the trailers."""
    status = tuple(pair for pair in refused.headers if pair[0] in _STATUS_FIELDS)
    if flow.response is not None and status:
        flow.response.trailers = fields_of(status)


def in_trailers(command: commands.Command, flow: HTTPFlow) -> Iterator[http.SendHttp] | None:
    """What is sent for a reset, where `put_late` has left a status; else None."""
    if not isinstance(command, http.SendHttp) or flow.response is None:
        return None
    event, trailers = command.event, flow.response.trailers
    if not isinstance(event, messages.ResponseProtocolError) or trailers is None:
        return None
    end = messages.ResponseEndOfMessage(event.stream_id)
    said = messages.ResponseTrailers(event.stream_id, trailers)
    return iter([http.SendHttp(said, command.connection), http.SendHttp(end, command.connection)])
