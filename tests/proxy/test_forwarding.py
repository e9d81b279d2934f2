"""What goes on to a teacher, and what does not."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import IdentityError
from proxy.exchange import Headers
from proxy.forwarding import (
    SentRequest,
    forwarded_headers,
    forwarded_target,
    may_carry_credential,
    signed_headers,
)
from proxy.identity import AuthStyle, Caller, Credential
from proxy.secret import Secret
from tests.proxy.callers import CUSTODY, OTHER, OURS, basic, who

REQUEST: Headers = (
    ("User-Agent", "sdk"),
    ("HOST", "old.example"),
    ("Proxy-Authorization", basic(OURS)),
    ("X-Inbond-Key", OURS),
    ("x-inbond-parent", "e1"),
    ("Authorization", "Bearer sk-theirs"),
    ("accept-encoding", "gzip, br"),
    ("TE", "trailers"),
    ("Connection", "close, X-Hop"),
    ("x-hop", "1"),
    ("Cookie", "a=b"),
    ("X-Same", "1"),
    ("X-Same", "2"),
)


def test_pass_through_sends_the_clients_own_key() -> None:
    """Without custody the client's headers go on as they came, less what is ours or of one hop."""
    assert forwarded_headers(REQUEST, who(*REQUEST), "api.example") == (
        ("User-Agent", "sdk"),
        ("HOST", "api.example"),
        ("Authorization", "Bearer sk-theirs"),
        ("accept-encoding", "gzip, br"),
        ("Cookie", "a=b"),
        ("X-Same", "1"),
        ("X-Same", "2"),
    )


@pytest.mark.parametrize(
    ("auth", "injected"),
    [
        ("bearer", ("Authorization", "Bearer sk-real-canary")),
        ("x-api-key", ("x-api-key", "sk-real-canary")),
    ],
)
def test_custody_sends_the_real_key_alone(auth: AuthStyle, injected: tuple[str, str]) -> None:
    """Under custody no credential of the client goes on, and the provider's key goes in."""
    headers = (*REQUEST, ("X-Api-Key", "sk-theirs-too"), ("api-key", OTHER))
    caller = who(*headers, custody=CUSTODY, auth=auth)
    sent = forwarded_headers(headers, caller, "api.example")
    assert sent == (
        ("User-Agent", "sdk"),
        ("HOST", "api.example"),
        ("accept-encoding", "gzip, br"),
        ("Cookie", "a=b"),
        ("X-Same", "1"),
        ("X-Same", "2"),
        injected,
    )


def test_host_is_set_where_there_was_none_or_two() -> None:
    """Exactly one `Host` is sent, first if the client gave none."""
    caller = who(("x-inbond-key", OURS))
    assert forwarded_headers((("A", "1"),), caller, "h") == (("Host", "h"), ("A", "1"))
    double = (("Host", "a"), ("A", "1"), ("host", "b"))
    assert forwarded_headers(double, caller, "h") == (("Host", "h"), ("A", "1"))


NAMES = st.sampled_from(
    ["Authorization", "x-api-key", "X-Inbond-Key", "Proxy-Authorization", "api-key", "Accept"]
)
VALUES = st.sampled_from(
    [OURS, OTHER, f"Bearer {OURS}", basic(OURS), basic("u", OTHER), "sk-x", ""]
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.booleans())
def test_no_client_key_is_ever_forwarded(
    headers: list[tuple[str, str]],
    is_custody: bool,  # noqa: FBT001 - a property's input
) -> None:
    """Wherever a client puts its keys, none of them reaches a teacher in a credential header."""
    custody = CUSTODY if is_custody else None
    caller = Caller(
        key="k",
        project="p",
        student=None,
        account_id=None,
        credential=custody.secret if custody else None,
        auth="bearer",
    )
    sent = forwarded_headers(tuple(headers), caller, "h")
    credentials = [value for name, value in sent if name.lower() != "accept"]
    tokens = [OURS, OTHER, basic(OURS), basic("u", OTHER)]
    assert not any(token in value for value in credentials for token in tokens)


@pytest.mark.parametrize(
    ("scheme", "address", "is_allowed"),
    [
        ("https", "203.0.113.7", True),
        ("http", "127.0.0.1", True),
        ("http", "::1", True),
        ("http", "203.0.113.7", False),
        ("http", "10.0.0.7", False),
        ("http", "localhost", False),
    ],
)
def test_a_providers_key_leaves_the_machine_by_tls_alone(
    scheme: str,
    address: str,
    is_allowed: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """Off loopback a key in custody is sent by TLS or not at all."""
    assert may_carry_credential(scheme, address) is is_allowed


def of_google(*, is_custody: bool) -> Caller:
    """A caller of a route whose key may stand in the query."""
    return who(
        ("x-inbond-key", OURS), auth="x-goog-api-key", custody=CUSTODY if is_custody else None
    )


@pytest.mark.parametrize(
    ("target", "passed", "held"),
    [
        ("/v1/m:g?alt=sse&key=theirs", "/v1/m:g?alt=sse&key=theirs", "/v1/m:g?alt=sse"),
        (f"/v1/m:g?key={OURS}", "/v1/m:g", "/v1/m:g"),
        (f"/v1/m:g?%6Bey={OURS}&a=%20+b", "/v1/m:g?a=%20+b", "/v1/m:g?a=%20+b"),
        ("/v1/m:g?monkey=1&key", "/v1/m:g?monkey=1&key", "/v1/m:g?monkey=1"),
        ("/v1/m:g", "/v1/m:g", "/v1/m:g"),
    ],
)
def test_a_key_in_the_query_goes_the_way_of_others(target: str, passed: str, held: str) -> None:
    """Ours never goes on, theirs not under custody; all else stays byte for byte."""
    assert forwarded_target(target, of_google(is_custody=False)) == passed
    assert forwarded_target(target, of_google(is_custody=True)) == held


def test_other_routes_queries_stay() -> None:
    """A parameter that is called `key` elsewhere is not ours to touch."""
    target = "/v1/x?key=theirs"
    assert forwarded_target(target, who(("x-inbond-key", OURS), custody=CUSTODY)) == target


SENT = SentRequest(
    method="POST",
    host="bedrock-runtime.eu-central-1.amazonaws.com",
    target="/model/m/converse",
    body=b"{}",
    at=datetime(2026, 11, 24, tzinfo=UTC),
)


def of_aws(key: str | None) -> Caller:
    """A caller of Bedrock, with a key in custody or his own."""
    custody = None if key is None else Credential(account="main", secret=Secret(key))
    return who(("x-inbond-key", OURS), auth="sigv4", custody=custody)


def test_a_call_under_custody_is_signed_anew() -> None:
    """With the access key in custody, for the region of the host."""
    sent = dict(signed_headers((("Host", SENT.host),), of_aws("AKIAX:secret"), SENT))
    assert "Credential=AKIAX/20261124/eu-central-1/bedrock/aws4_request" in sent["Authorization"]
    assert "secret" not in str(sent)


def test_a_bearer_key_of_bedrock_needs_no_signature() -> None:
    """It goes into the header as any other."""
    caller = of_aws("ABSKbearer")
    headers = forwarded_headers((), caller, SENT.host)
    assert signed_headers(headers, caller, SENT) == headers
    assert ("Authorization", "Bearer ABSKbearer") in headers


def test_a_signature_of_the_client_is_never_touched() -> None:
    """Passed through, the headers are what they were: signed bytes stay signed."""
    headers: Headers = (("Authorization", "AWS4-HMAC-SHA256 Credential=…"), ("X-Amz-Date", "x"))
    assert signed_headers(headers, of_aws(None), SENT) == headers


def test_a_host_without_a_region_cannot_be_signed_for() -> None:
    """The message says which host, and where Bedrock is."""
    other = SentRequest(method="POST", host="x.test", target="/", body=b"", at=SENT.at)
    with pytest.raises(IdentityError, match="names no region") as caught:
        signed_headers((), of_aws("AKIAX:secret"), other)
    assert "bedrock-runtime" in caught.value.help
