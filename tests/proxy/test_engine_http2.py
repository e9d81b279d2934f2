"""The end of an answer over HTTP/2 that broke off: what is said in place of a reset."""

from mitmproxy.http import Headers, Response
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http import _events as messages
from mitmproxy.test.tflow import tflow

from proxy.engine_http2 import in_trailers, put_late
from proxy.wire.refusal import refusal


def _reset(kind: type = messages.ResponseProtocolError) -> http.SendHttp:
    event = kind(1, "reset", messages.ErrorCode.GENERIC_SERVER_ERROR)
    return http.SendHttp(event, tflow().client_conn)


def test_a_status_goes_into_the_trailers() -> None:
    """Of a refusal in gRPC's shape the status and its words follow what was sent."""
    flow = tflow(resp=True)
    refused = refusal("grpc", status=502, code="c", message="broke off", exchange="x")
    put_late(flow, refused)
    assert flow.response is not None
    assert dict(flow.response.trailers or {}) == {"grpc-status": "14", "grpc-message": "broke off"}
    said = in_trailers(_reset(), flow)
    assert said is not None
    first, last = said
    assert isinstance(first.event, messages.ResponseTrailers)
    assert isinstance(last.event, messages.ResponseEndOfMessage)


def test_other_shapes_have_no_trailers() -> None:
    """A refusal of another family is not put anywhere, and the stock reset stays."""
    flow = tflow(resp=True)
    put_late(flow, refusal("openai", status=502, code="c", message="m", exchange="x"))
    assert in_trailers(_reset(), flow) is None
    put_late(tflow(), refusal("grpc", status=502, code="c", message="m", exchange="x"))


def test_only_a_reset_of_the_answer_is_replaced() -> None:
    """Anything else that is sent goes out as it is."""
    flow = tflow(resp=Response.make(200, b""))
    assert flow.response is not None
    flow.response.trailers = Headers()
    end = http.SendHttp(messages.ResponseEndOfMessage(1), flow.client_conn)
    assert in_trailers(end, flow) is None
    assert in_trailers(http.DropStream(1), flow) is None
