"""Claims on stored Chat Completions: what the provider kept is an answer without its request."""

import json

import pytest

from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.dialects import format_for
from proxy.wire.openai_stored import StoredChat

ONE = RequestHead(method="GET", path="/v1/chat/completions/c-1")


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/v1/chat/completions/c-1", "chat"),
        ("POST", "/v1/chat/completions/c-1", "chat"),
        ("GET", "/v1/chat/completions/c-1/messages", "other"),
        ("DELETE", "/v1/chat/completions/c-1", "other"),
        ("GET", "/v1/chat/completions", "other"),
        ("GET", "/v1/chat/deferred-completion/r-1", "chat"),
        ("POST", "/v1/chat/deferred-completion/r-1", None),
        ("HEAD", "/v1/chat/completions/c-1", None),
    ],
)
def test_what_is_claimed(method: str, path: str, operation: str | None) -> None:
    """One stored completion brings words that are read; a list of them brings words that are not."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["openai.chat"])
    assert (None if found is None else found.claims(head)) == operation


def test_it_reads_as_when_it_was_made() -> None:
    """The words, the model and the end are there; the prompt and who was asked are not."""
    reader = StoredChat().reader(ONE)
    request = reader.request(b'{"metadata": {}}')
    assert (request.model_asked, request.is_whole, request.messages) == (None, False, ())
    reader.respond(ResponseHead(status=200, headers=(("content-type", "application/json"),)))
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    reader.feed(json.dumps({"id": "c-1", "model": "m", "choices": [choice]}).encode())
    exchange = reader.finish(is_clean=True)
    assert exchange.request == request
    assert (exchange.answer.choices[0].text, exchange.answer.model_served) == ("Hi", "m")
    assert exchange.answer.is_complete
