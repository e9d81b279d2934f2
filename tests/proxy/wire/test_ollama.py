"""Claims on Ollama's own interface; what its answers say is in the transcripts."""

import pytest

from proxy.exchange import RequestHead
from proxy.wire.dialects import format_for
from proxy.wire.ollama import Ollama

NAMES = ("ollama.chat", "ollama.generate")


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/api/chat", "chat"),
        ("POST", "/api/generate", "completion"),
        ("POST", "/api/embed", "embedding"),
        ("POST", "/api/embeddings", "embedding"),
        ("GET", "/api/tags", "models"),
        ("POST", "/api/show", "models"),
        ("GET", "/api/chat", None),
        ("POST", "/api/pull", None),
        ("DELETE", "/api/delete", None),
    ],
)
def test_what_it_claims(method: str, path: str, operation: str | None) -> None:
    """Chat, generation, embeddings and lists of models; changing what is served is nobody's call."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, NAMES)
    assert (None if found is None else found.claims(head)) == operation


def test_a_stream_is_the_default() -> None:
    """A request that does not say is streamed; one that says no is not."""
    reader = Ollama("chat").reader(RequestHead(method="POST", path="/api/chat"))
    ask = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]%s}'
    assert reader.request(ask % b"").is_streamed
    assert not reader.request(ask % b', "stream": false').is_streamed
