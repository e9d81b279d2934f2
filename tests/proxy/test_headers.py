"""Tests of proxy.headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.headers import (
    CREDENTIAL_HEADERS,
    storable_query,
    storable_request_headers,
    storable_response_headers,
    without_hop_by_hop,
)

NAMES = st.sampled_from(
    ["Accept", "X-A", "TE", "Connection", "Host", "Authorization", "Proxy-Foo", "x-a", "Cookie"]
)
HEADERS = st.lists(st.tuples(NAMES, st.text("abc, x-", max_size=9)), max_size=8).map(tuple)


def test_hop_by_hop_headers_go() -> None:
    """What concerns one connection is taken out, with what `Connection` names (RFC 9110 §7.6.1)."""
    headers = (
        ("Accept", "*/*"),
        ("Connection", "keep-alive, X-Gone"),
        ("Keep-Alive", "5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eA=="),
        ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("x-gone", "1"),
        ("X-Kept", "2"),
    )
    assert without_hop_by_hop(headers) == (("Accept", "*/*"), ("X-Kept", "2"))


def test_connection_cannot_take_out_what_frames_a_message() -> None:
    """A client cannot change what a message is by naming its framing in `Connection`."""
    headers = (("Connection", "content-length, host, content-type"), ("Content-Length", "3"))
    assert without_hop_by_hop(headers) == (("Content-Length", "3"),)


@given(HEADERS)
def test_what_stays_keeps_order_and_case(headers: tuple[tuple[str, str], ...]) -> None:
    """Taking out twice is taking out once, and what stays is a subsequence of what came."""
    kept = without_hop_by_hop(headers)
    rest = iter(headers)
    assert all(header in rest for header in kept)
    assert without_hop_by_hop(kept) == kept


@pytest.mark.parametrize("name", [*sorted(CREDENTIAL_HEADERS), "cookie", "x-inbond-key", "x-else"])
def test_no_credential_is_stored(name: str) -> None:
    """Headers of credentials, and any that is not on the list, are not stored."""
    headers = ((name.title(), "canary"), ("Content-Type", "application/json"))
    assert storable_request_headers(headers) == (("content-type", "application/json"),)
    assert storable_response_headers(headers) == (("content-type", "application/json"),)


def test_rate_limits_are_kept_by_family() -> None:
    """The rate limits of a response are kept whatever they count; `set-cookie` is not."""
    headers = (("X-RateLimit-Remaining-Tokens", "9"), ("Set-Cookie", "a"), ("Request-Id", "r"))
    kept = (("x-ratelimit-remaining-tokens", "9"), ("request-id", "r"))
    assert storable_response_headers(headers) == kept


def test_a_key_in_the_query_is_not_stored() -> None:
    """Of a query only what is on the list is stored."""
    assert storable_query("key=canary&api-version=2026-01-01&beta=true&x=1") == (
        "api-version=2026-01-01&beta=true"
    )
    assert storable_query("") == ""
