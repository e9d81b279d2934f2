"""Claims on the format `anthropic.messages` as a whole: what it claims and what its reader knows."""

import pytest

from proxy.exchange import RequestHead
from proxy.wire.anthropic import AnthropicMessages

FORMAT = AnthropicMessages()


@pytest.mark.parametrize("path", ["/v1/messages", "/anthropic/v1/messages"])
def test_it_claims_messages_on_any_host(path: str) -> None:
    """Messages is recognised by method and path, whoever serves it."""
    assert FORMAT.claims(RequestHead(method="POST", path=path)) == "chat"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/threads/t/messages"),
        ("POST", "/v1/complete"),
    ],
)
def test_it_claims_nothing_else(method: str, path: str) -> None:
    """Token counts, batches and other providers' messages are not this."""
    assert FORMAT.claims(RequestHead(method=method, path=path)) is None


def test_its_reader_reads_messages() -> None:
    """A fresh reader reads a request of this format."""
    reader = FORMAT.reader(RequestHead(method="POST", path="/v1/messages"))
    blank = reader.finish().request
    assert (blank.wire_format, blank.model_asked) == ("anthropic.messages", None)
    body = b'{"model":"c","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}'
    assert reader.request(body).model_asked == "c"
