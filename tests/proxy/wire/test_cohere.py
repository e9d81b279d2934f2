"""Claims on Cohere's interfaces; what their answers say is in the transcripts."""

import pytest

from proxy.exchange import RequestHead
from proxy.wire.dialects import format_for

NAMES = ("cohere.v2", "cohere.v1")


@pytest.mark.parametrize(
    ("method", "path", "name", "operation"),
    [
        ("POST", "/v2/chat", "cohere.v2", "chat"),
        ("POST", "/v1/chat", "cohere.v1", "chat"),
        ("POST", "/v2/embed", "plain", "embedding"),
        ("POST", "/v2/rerank", "plain", "rerank"),
        ("POST", "/v1/tokenize", "plain", "count-tokens"),
        ("GET", "/v1/models", "plain", "models"),
        ("GET", "/v2/chat", None, None),
        ("POST", "/v1/generate", "plain", "completion"),
        ("POST", "/v1/summarize", "plain", "other"),
        ("POST", "/v1/classify", "plain", "other"),
        ("POST", "/v1/chat/completions", None, None),
    ],
)
def test_what_they_claim(method: str, path: str, name: str | None, operation: str | None) -> None:
    """Chat of both versions, and what carries no words of a model; retired interfaces are named, not read."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, NAMES)
    assert (found and found.name, found and found.claims(head)) == (name, operation)
