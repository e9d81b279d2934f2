"""Our values as mitmproxy's messages: nothing is lost or added on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.connection import Client, Server
from mitmproxy.http import HTTPFlow, Request

from proxy.engine_messages import (
    BASE_URL_HOST,
    arrival_of,
    framed,
    framed_as_it_comes,
    readdress,
    response_of,
    text_of,
    with_added,
)
from proxy.exchange import Headers
from proxy.gate import Arrival, Forward, Refused

ARRIVAL = Arrival(
    client="c", method="GET", scheme="https", host=None, port=None, target="/", headers=()
)
_FIELDS = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=4).map(tuple)


def _flow(url: str = "https://teacher.test/v1/chat?a=b") -> HTTPFlow:
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0)
    flow = HTTPFlow(client, Server(address=None))
    flow.request = Request.make("POST", url, b"{}", [(b"X-One", b"1")])
    return flow


@given(fields=_FIELDS)
def test_header_fields_survive_as_text(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    """Any bytes in a header are text and the same bytes again."""
    assert with_added((), text_of(fields)).fields == fields
    assert with_added(fields, (("x-inbond", "ü"),)).fields == (*fields, (b"x-inbond", b"\xfc"))


def test_an_arrival_is_what_came() -> None:
    """Method, place, target and headers are those of the request; no host in base-URL mode."""
    flow = _flow()
    arrival = arrival_of(flow)
    assert (arrival.method, arrival.scheme, arrival.host, arrival.port) == (
        "POST",
        "https",
        "teacher.test",
        443,
    )
    assert (arrival.target, arrival.client) == ("/v1/chat?a=b", flow.client_conn.id)
    assert ("X-One", "1") in arrival.headers
    flow.request.data.host = BASE_URL_HOST
    assert (arrival_of(flow).host, arrival_of(flow).port) == (None, None)


def test_a_refusal_is_sent_as_it_is() -> None:
    """Status, headers and body are the gate's; the length is counted."""
    response = response_of(Refused(status=403, headers=(("x-a", "b"),), body=b"no"))
    assert (response.status_code, response.raw_content) == (403, b"no")
    assert response.headers["x-a"] == "b"
    assert response.headers["content-length"] == "2"


@pytest.mark.parametrize(
    ("headers", "method", "body", "added"),
    [
        ((("transfer-encoding", "chunked"),), "POST", b"abc", (("Content-Length", "3"),)),
        ((), "POST", b"", (("Content-Length", "0"),)),
        ((), "GET", b"", ()),
        ((), "get", b"x", (("Content-Length", "1"),)),
    ],
)
def test_a_whole_body_has_its_length(
    headers: Headers, method: str, body: bytes, added: Headers
) -> None:
    """A body that goes out whole says how long it is, whatever its framing was."""
    assert framed(headers, method, body) == added


def test_a_length_that_stands_is_kept() -> None:
    """What the client said of its length stays, in both ways."""
    said = (("Content-length", "2"),)
    assert framed(said, "POST", b"ab") == framed_as_it_comes(said) == said


def test_a_body_of_unknown_length_goes_in_chunks() -> None:
    """Without a length each piece is framed as it comes."""
    assert framed_as_it_comes(()) == (("Transfer-Encoding", "chunked"),)


def test_a_call_is_readdressed_whole() -> None:
    """Address, scheme, target and headers are exactly those of the gate."""
    flow = _flow()
    forward = Forward(
        scheme="http", host="other.test", connect=("192.0.2.1", 8000), target="/x", headers=()
    )
    readdress(flow, forward, (("Host", "other.test"),))
    data = flow.request.data
    assert (data.host, data.port, data.scheme, data.path) == ("192.0.2.1", 8000, b"http", b"/x")
    assert data.authority == b""
    assert data.headers.fields == ((b"Host", b"other.test"),)
