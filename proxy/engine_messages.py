"""Our values as mitmproxy's messages, and back; part of the engine.

Header fields are text here and bytes there, one for one: latin-1 loses nothing.
"""

from mitmproxy.http import Headers as HeaderFields
from mitmproxy.http import HTTPFlow, Response

from proxy.exchange import Headers
from proxy.gate import Arrival, Forward, Refused

__all__ = [
    "BASE_URL_HOST",
    "LAST_RESORT",
    "arrival_of",
    "fields_of",
    "framed",
    "framed_as_it_comes",
    "readdress",
    "response_of",
    "text_of",
    "with_added",
]

BASE_URL_HOST = "base-url.invalid"
"""Stands for "no host" in a flow: an origin-form request to the proxy itself (RFC 2606 §2)."""

LAST_RESORT = Refused(
    status=503,
    headers=(("content-type", "application/json"),),
    body=b'{"error": {"message": "inbond refused this call: it could not be decided; try again"}}',
)
"""What is answered when even the gate cannot say how it refuses."""

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE"})


def text_of(fields: tuple[tuple[bytes, bytes], ...]) -> Headers:
    """Header fields as text, byte for byte."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


def fields_of(headers: Headers) -> HeaderFields:
    """Header fields as mitmproxy has them."""
    return HeaderFields(_fields(headers))


def _fields(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def arrival_of(flow: HTTPFlow) -> Arrival:
    """A request as the gate sees it."""
    request = flow.request
    is_base_url = request.data.host == BASE_URL_HOST
    return Arrival(
        client=flow.client_conn.id,
        method=request.data.method.decode("latin-1"),
        scheme="https" if request.data.scheme == b"https" else "http",
        host=None if is_base_url else request.data.host,
        port=None if is_base_url else request.data.port,
        target=request.data.path.decode("latin-1"),
        headers=text_of(request.headers.fields),
    )


def response_of(refused: Refused) -> Response:
    """A refusal as mitmproxy sends it; its `content-length` is counted here."""
    return Response.make(refused.status, refused.body, HeaderFields(_fields(refused.headers)))


def with_added(fields: tuple[tuple[bytes, bytes], ...], added: Headers) -> HeaderFields:
    """Header fields, and ours after them."""
    return HeaderFields([*fields, *_fields(added)])


def framed(headers: Headers, method: str, body: bytes) -> Headers:
    """The headers with the length of the body: it goes out whole, whatever its framing was."""
    kept = tuple(pair for pair in headers if pair[0].lower() != "transfer-encoding")
    has_length = any(name.lower() == "content-length" for name, _ in kept)
    if has_length or (not body and method.upper() in _BODILESS):
        return kept
    return (*kept, ("Content-Length", str(len(body))))


def framed_as_it_comes(headers: Headers) -> Headers:
    """The headers of a body that goes on while it comes in: its own length, or chunks."""
    if any(name.lower() == "content-length" for name, _ in headers):
        return headers
    return (*headers, ("Transfer-Encoding", "chunked"))


def readdress(flow: HTTPFlow, forward: Forward, headers: Headers) -> None:
    """Set exactly what the gate said; the setters of mitmproxy would touch `Host` again.

    In HTTP/2 the host is a field of its own, names are in lower case (RFC 9113 §8.2), and we say of
    this hop that its trailers are read (RFC 9110 §10.1.4): gRPC's servers refuse who does not.
    """
    data = flow.request.data
    data.host, data.port = forward.connect
    data.scheme = forward.scheme.encode()
    data.path = forward.target.encode("latin-1")
    data.authority = b""
    if forward.is_http2:
        lower = [(name.lower(), value) for name, value in headers]
        data.authority = next((v for name, v in lower if name == "host"), forward.host).encode()
        headers = (*(pair for pair in lower if pair[0] != "host"), ("te", "trailers"))
    data.trailers = None
    flow.request.headers = HeaderFields(_fields(headers))
