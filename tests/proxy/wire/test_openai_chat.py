"""Claims on the format `openai.chat` as a whole: what it claims and what its reader knows."""

import json

import pytest

from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.openai_chat import OpenAIChat

FORMAT = OpenAIChat()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/openai/deployments/d/chat/completions",
        "/api/paas/v4/chat/completions",
    ],
)
def test_it_claims_chat_on_any_host(path: str) -> None:
    """Chat Completions is recognised by method and path, whoever serves it."""
    assert FORMAT.claims(RequestHead(method="POST", path=path)) == "chat"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/c-1"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/xchat/completion"),
        ("POST", "/v1/responses"),
    ],
)
def test_it_claims_nothing_else(method: str, path: str) -> None:
    """Stored completions, legacy completions and other operations are not chat."""
    assert FORMAT.claims(RequestHead(method=method, path=path)) is None


def test_its_reader_knows_how_many_choices_were_asked_for() -> None:
    """A stream without its end mark is whole only with as many choices as the request wanted."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"}]}
    for n, is_complete in ((1, True), (2, False)):
        reader = FORMAT.reader(RequestHead(method="POST", path="/v1/chat/completions"))
        body = {"model": "m", "n": n, "messages": [{"role": "user", "content": "Hi"}]}
        assert reader.request(json.dumps(body).encode()).n == n
        stream = (("content-type", "text/event-stream"),)
        reader.respond(ResponseHead(status=200, headers=stream))
        reader.feed(f"data: {json.dumps(chunk)}\n\n".encode())
        assert reader.finish(is_clean=True).answer.is_complete == is_complete


def test_an_unread_request_is_blank() -> None:
    """Before its body is read, a request is only known to be chat."""
    request = FORMAT.reader(RequestHead(method="POST", path="/")).finish().request
    assert (request.wire_format, request.operation, request.model_asked) == (
        "openai.chat", "chat", None,
    )  # fmt: skip
