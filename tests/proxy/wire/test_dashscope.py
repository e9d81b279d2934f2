"""Claims on Alibaba's own interface; what its answers say is in the transcripts."""

import json

import pytest

from proxy.errors import WireError
from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.dashscope import DashScope
from proxy.wire.dialects import format_for
from tests.proxy.wire import playback

CASES = playback.cases("dashscope")
TEXT = "/api/v1/services/aigc/text-generation/generation"


@pytest.mark.parametrize("name", CASES)
def test_transcripts(name: str) -> None:
    """Each transcript reads as its file says, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", TEXT, "chat"),
        ("POST", "/api/v1/services/aigc/multimodal-generation/generation", "chat"),
        ("POST", "/api/v1/services/embeddings/text-embedding/text-embedding", "embedding"),
        ("POST", "/api/v1/services/rerank/text-rerank/text-rerank", "rerank"),
        ("POST", "/api/v1/services/aigc/text2image/image-synthesis", "image"),
        ("GET", "/api/v1/tasks/t1", "other"),
        ("GET", TEXT, None),
        ("POST", "/api/v1/services/audio/asr/transcription", None),
    ],
)
def test_what_it_claims(method: str, path: str, operation: str | None) -> None:
    """Text by its service; figures and pictures by theirs."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["dashscope"])
    assert (None if found is None else found.claims(head)) == operation


@pytest.mark.parametrize(
    ("name", "value", "is_streamed"),
    [
        ("x-dashscope-sse", "enable", True),
        ("accept", "text/event-stream", True),
        ("accept", "application/json", False),
    ],
)
def test_a_header_asks_for_a_stream(name: str, value: str, is_streamed: bool) -> None:  # noqa: FBT001 - a case of the table
    """Whether a stream is wanted stands in the head, not in the body."""
    reader = DashScope().reader(RequestHead(method="POST", path=TEXT, headers=((name, value),)))
    body = {"model": "m", "input": {"prompt": "Hi"}}
    assert reader.request(json.dumps(body).encode()).is_streamed == is_streamed


@pytest.mark.parametrize(
    ("more", "is_whole"),
    [
        ({}, True),
        ({"messages": [], "history": []}, True),
        ({"history": [{"user": "a", "bot": "b"}]}, False),
        ({"messages": [{"role": "user", "content": "No."}]}, False),
    ],
)
def test_what_is_asked_beside_the_prompt(more: dict[str, object], *, is_whole: bool) -> None:
    """Where it is asked in two places, or in one that is not read, the prompt is not known (P5)."""
    reader = DashScope().reader(RequestHead(method="POST", path=TEXT))
    body = {"model": "m", "input": {"prompt": "Hi", **more}}
    assert reader.request(json.dumps(body).encode()).is_whole is is_whole


@pytest.mark.parametrize("may_search", [True, False])
def test_a_search_that_the_answer_is_silent_about(*, may_search: bool) -> None:
    """Texts of others may have come in wherever a search was allowed: sources are named on demand."""
    reader = DashScope().reader(RequestHead(method="POST", path=TEXT))
    settings = {"enable_search": may_search}
    body = {"model": "m", "input": {"prompt": "Hi"}, "parameters": settings}
    reader.request(json.dumps(body).encode())
    reader.respond(ResponseHead(status=200))
    reader.feed(b'{"output": {"text": "Hi", "finish_reason": "stop"}}')
    (choice,) = reader.finish(is_clean=True).answer.choices
    assert choice.has_citations is may_search


def test_something_must_be_asked() -> None:
    """A request without messages or a prompt is refused, and told what is missing."""
    reader = DashScope().reader(RequestHead(method="POST", path=TEXT))
    with pytest.raises(WireError, match="neither `messages` nor a `prompt`"):
        reader.request(b'{"model": "m", "input": {}}')


def test_parts_that_have_a_type_keep_it() -> None:
    """Only parts without a type are named after their key; what is no object is refused."""
    reader = DashScope().reader(RequestHead(method="POST", path=TEXT))
    content = [{"type": "text", "text": "a"}, {"text": "b"}, {}]
    asked = {"model": "m", "input": {"messages": [{"role": "user", "content": content}]}}
    assert reader.request(json.dumps(asked).encode()).messages[0].text == "ab"
    asked["input"] = {"messages": [{"role": "user", "content": ["a"]}]}
    with pytest.raises(WireError, match="should be an object"):
        reader.request(json.dumps(asked).encode())
