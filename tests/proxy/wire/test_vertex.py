"""Claims on other vendors' models at Vertex AI; what their answers say is in the transcripts."""

import pytest

from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.dialects import format_for

MODELS = "/v1/projects/p/locations/l/publishers/anthropic/models"
MISTRAL = "/v1/projects/p/locations/l/publishers/mistralai/models/small-1"
NAMES = ("gemini.generateContent", "anthropic.messages", "openai.chat")
BODY = b'{"anthropic_version": "v", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]%s}'


@pytest.mark.parametrize(
    ("path", "name", "operation"),
    [
        (f"{MODELS}/claude-x@20250101:rawPredict", "anthropic.messages", "chat"),
        (f"{MODELS}/claude-x:streamRawPredict", "anthropic.messages", "chat"),
        (f"{MODELS}/count-tokens:rawPredict", "plain", "count-tokens"),
        (f"{MODELS}/claude-x:predict", "plain", "other"),
        ("/v1/projects/p/locations/l/publishers/acme/models/m:rawPredict", None, None),
        (f"{MISTRAL}:rawPredict", "openai.chat", "chat"),
        (f"{MISTRAL}:streamRawPredict", "openai.chat", "chat"),
        (f"{MISTRAL}:predict", "plain", "other"),
    ],
)
def test_what_they_claim(path: str, name: str | None, operation: str | None) -> None:
    """Models by their vendor's path; what vendors speak that nobody knows is not read by guess."""
    head = RequestHead(method="POST", path=path)
    found = format_for(head, NAMES)
    assert (found and found.name, found and found.claims(head)) == (name, operation)


@pytest.mark.parametrize(
    ("verb", "more", "is_streamed"),
    [
        ("rawPredict", b"", False),
        ("rawPredict", b', "stream": true', True),
        ("streamRawPredict", b"", True),
    ],
)
def test_the_path_names_the_model(verb: str, more: bytes, is_streamed: bool) -> None:  # noqa: FBT001 - a case of the table
    """It also says whether a stream is wanted, where the body does not; a model in the body is not asked."""
    head = RequestHead(method="POST", path=f"{MODELS}/claude-x%4020250101:{verb}")
    found = format_for(head, NAMES)
    assert found is not None
    for body in (BODY % more, BODY % (more + b', "model": "other"')):
        request = found.reader(head).request(body)
        assert (request.model_asked, request.is_streamed) == ("claude-x@20250101", is_streamed)


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_an_error_of_either_is_read(kind: str) -> None:
    """Google's error and Anthropic's, as an event or a body."""
    ours = b'{"type": "error", "error": {"type": "overloaded_error", "message": "x"}}'
    googles = b'{"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}'
    head = RequestHead(method="POST", path=f"{MODELS}/claude-x:streamRawPredict")
    found = format_for(head, NAMES)
    assert found is not None
    for body, said in ((ours, "overloaded_error"), (googles, "UNAVAILABLE")):
        reader = found.reader(head)
        reader.respond(ResponseHead(status=200, headers=(("content-type", kind),)))
        reader.feed(b"data: " + body + b"\n\n" if kind == "text/event-stream" else body)
        answer = reader.finish(is_clean=True).answer
        assert answer.error is not None
        assert (answer.error.type, answer.is_complete) == (said, False)


@pytest.mark.parametrize(
    ("verb", "is_streamed"), [("rawPredict", False), ("streamRawPredict", True)]
)
def test_other_vendors_speak_chat(verb: str, is_streamed: bool) -> None:  # noqa: FBT001 - a case of the table
    """The path names their model as well, and says whether a stream is wanted."""
    head = RequestHead(method="POST", path=f"{MISTRAL}:{verb}")
    found = format_for(head, NAMES)
    assert found is not None
    reader = found.reader(head)
    request = reader.request(b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
    assert (request.model_asked, request.is_streamed) == ("small-1", is_streamed)
    reader.respond(ResponseHead(status=200, headers=(("content-type", "text/event-stream"),)))
    reader.feed(
        b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n\n'
    )
    assert reader.finish().answer.choices[0].text == "Hi"
