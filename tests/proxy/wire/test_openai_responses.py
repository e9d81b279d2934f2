"""Claims on the format `openai.responses` as a whole: what it claims, and when an answer is one."""

import json

import pytest

from proxy.exchange import Exchange, RequestHead, ResponseHead
from proxy.wire.dialects import format_for
from proxy.wire.openai_responses import OpenAIResponses

FORMAT = OpenAIResponses()


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/responses", "chat"),
        ("POST", "/responses", "chat"),
        ("POST", "/openai/responses", "chat"),
        ("POST", "/api/v1/responses", "chat"),
        ("GET", "/v1/responses/resp_1", "chat"),
        ("POST", "/v1/responses/resp_1/cancel", "chat"),
        ("POST", "/v1/responses/input_tokens", "count-tokens"),
        ("POST", "/v1/responses/compact", "other"),
        ("GET", "/v1/responses/resp_1/input_items", "other"),
        ("DELETE", "/v1/responses/resp_1", "other"),
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/responses", None),
        ("HEAD", "/v1/responses/resp_1", None),
        ("DELETE", "/v1/responses", None),
        ("POST", "/v1/responses/resp_1", None),
        ("POST", "/v1/my-responses", None),
        ("GET", "/v1/conversations/conv_1/items", None),
        ("POST", "/v1/chat/completions", None),
    ],
)
def test_what_it_claims(method: str, path: str, operation: str | None) -> None:
    """New, fetched and stopped responses bring words; nothing that is not known is passed."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["openai.responses"])
    assert (None if found is None else found.claims(head)) == operation


def _read(head: RequestHead, status: str, *, is_stream: bool = False) -> Exchange:
    response = {"object": "response", "status": status, "model": "m", "output": []}
    reader = FORMAT.reader(head)
    reader.request(b'{"model": "m", "input": "Hi"}')
    content_type = "text/event-stream" if is_stream else "application/json"
    reader.respond(ResponseHead(status=200, headers=(("content-type", content_type),)))
    if is_stream:
        event = json.dumps({"type": f"response.{status}", "response": response})
        reader.feed(f"data: {event}\n\n".encode())
    else:
        reader.feed(json.dumps(response).encode())
    return reader.finish(is_clean=True)


@pytest.mark.parametrize(
    ("status", "is_complete"),
    [
        ("completed", True),
        ("complete", True),
        ("incomplete", True),
        ("failed", False),
        ("cancelled", False),
        ("queued", False),
        ("in_progress", False),
        ("some-day", False),
    ],
)
def test_only_a_response_that_is_over_is_complete(status: str, is_complete: bool) -> None:  # noqa: FBT001 - a column of the table
    """A body may be whole while the response in it is not: then the answer is not complete."""
    exchange = _read(RequestHead(method="POST", path="/v1/responses"), status)
    assert exchange.answer.is_complete == is_complete
    assert exchange.answer.choices[0].finish_reason == status
    assert exchange.answer.problem is None


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_stream_may_close_without_an_answer(status: str) -> None:
    """A stream that closes with a response that failed or was stopped is not complete."""
    exchange = _read(RequestHead(method="POST", path="/v1/responses"), status, is_stream=True)
    assert (exchange.answer.is_complete, exchange.answer.problem) == (False, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/responses/resp_1"), ("POST", "/v1/responses/resp_1/cancel")],
)
def test_a_stored_response_has_no_prompt(method: str, path: str) -> None:
    """What was asked is not on the wire again: its prompt is not whole, whatever body is sent."""
    head = RequestHead(method=method, path=path, query="stream=true&starting_after=3")
    request = _read(head, "completed").request
    assert (request.is_whole, request.is_streamed, request.messages) == (False, True, ())
    assert request.model_asked is None


def test_an_unread_request_is_blank() -> None:
    """Before its body is read, a request is only known to be chat."""
    request = FORMAT.reader(RequestHead(method="POST", path="/v1/responses")).finish().request
    assert (request.wire_format, request.operation, request.model_asked) == (
        "openai.responses", "chat", None,
    )  # fmt: skip
