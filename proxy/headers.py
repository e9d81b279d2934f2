"""Which headers go where: what is forwarded to a teacher, and what may be stored.

Forwarding takes out by name (RFC 9110 §7.6.1) and leaves all else as it came, in order and case.
Storing is the other way round: only what is on the list is kept (promise P4).
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

from proxy.exchange import Headers

__all__ = [
    "CREDENTIAL_HEADERS",
    "storable_query",
    "storable_request_headers",
    "storable_response_headers",
    "without_hop_by_hop",
]

CREDENTIAL_HEADERS = frozenset(
    {"api-key", "authorization", "x-api-key", "x-amz-security-token", "x-goog-api-key"}
)
"""Request headers in which providers' keys travel (lower case)."""

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)
_NEVER_NAMED = frozenset({"content-length", "content-type", "host"})
"""What `Connection` cannot take out: without these the message means another thing."""

_REQUEST = frozenset(
    {
        "accept",
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "anthropic-beta",
        "anthropic-version",
        "content-encoding",
        "content-length",
        "content-type",
        "openai-beta",
        "user-agent",
        "x-dashscope-sse",
        "x-goog-api-client",
        "x-inbond-parent",
        "x-inbond-source",
        "x-stainless-lang",
        "x-stainless-package-version",
        "x-stainless-retry-count",
    }
)
_RESPONSE = frozenset(
    {
        "apim-request-id",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "mistral-correlation-id",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "transfer-encoding",
        "x-amzn-errortype",
        "x-amzn-requestid",
        "x-data-retention",
        "x-debug-trace-id",
        "x-ds-trace-id",
        "x-gemini-service-tier",
        "x-inference-provider",
        "x-ms-aoai-configured-data-retention-days",
        "x-ms-region",
        "x-ms-served-model",
        "x-request-id",
        "x-should-retry",
        "x-zero-data-retention",
    }
)
_RESPONSE_FAMILIES = ("anthropic-ratelimit-", "x-amzn-bedrock-", "x-ratelimit-")
_QUERY = frozenset({"$alt", "alt", "api-version", "beta", "starting_after", "stream"})


def without_hop_by_hop(headers: Headers) -> Headers:
    """The headers without those that concern one connection (RFC 9110 §7.6.1), TE and Proxy-*.

    `Transfer-Encoding` is among them: whoever sends the message frames it anew.
    """
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for token in value.split(",")
    } - _NEVER_NAMED
    dropped = _HOP_BY_HOP | named
    return tuple(
        (name, value)
        for name, value in headers
        if name.lower() not in dropped and not name.lower().startswith("proxy-")
    )


def storable_request_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """The request headers that may be kept, by lower-case name (wire formats §7)."""
    return tuple((name.lower(), value) for name, value in headers if name.lower() in _REQUEST)


def storable_response_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """The response headers that may be kept, by lower-case name (wire formats §7)."""
    return tuple(
        (name.lower(), value)
        for name, value in headers
        if name.lower() in _RESPONSE or name.lower().startswith(_RESPONSE_FAMILIES)
    )


def storable_query(query: str) -> str:
    """The parts of a query that may be kept: providers take keys in others."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name in _QUERY])
