"""Claims on the format `openai.completions`: what it claims, asks and answers."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import Exchange, Message, Request, RequestHead, ResponseHead
from proxy.wire.openai_completions import OpenAICompletions, texts_in
from tests.proxy.wire import playback

FORMAT = OpenAICompletions()
CASES = playback.cases("openai.completions")


@pytest.mark.parametrize("name", CASES)
def test_transcripts(name: str) -> None:
    """Each transcript reads as its file says, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/completions", "completion"),
        ("POST", "/completions", "completion"),
        ("POST", "/beta/completions", "completion"),
        ("POST", "/openai/deployments/d/completions", "completion"),
        ("POST", "/v1/fim/completions", "completion"),
        ("POST", "/v1/chat/completions", None),
        ("POST", "/v1/agents/completions", None),
        ("GET", "/v1/completions", None),
        ("POST", "/v1/completions/c-1", None),
    ],
)
def test_what_it_claims(method: str, path: str, operation: str | None) -> None:
    """Legacy completions on any host, and no chat."""
    assert FORMAT.claims(RequestHead(method=method, path=path)) == operation


def _request(**fields: Any) -> Request:
    reader = FORMAT.reader(RequestHead(method="POST", path="/v1/completions"))
    return reader.request(json.dumps({"model": "m", "prompt": "Hi", **fields}).encode())


def test_parameters() -> None:
    """Streaming, n, limit, temperature and log-probabilities are read."""
    request = _request(stream=True, n=3, max_tokens=5, temperature=1, logprobs=2)
    assert (request.is_streamed, request.n, request.max_tokens) == (True, 3, 5)
    assert (request.temperature, request.wants_logprobs) == (1.0, True)
    assert _request().n == 1


def test_no_log_probabilities_beside_those_of_the_words_are_still_some() -> None:
    """`logprobs: 0` asks for those of the words themselves; false and null ask for none."""
    assert _request(logprobs=0).wants_logprobs
    assert not _request(logprobs=False).wants_logprobs
    assert not _request(logprobs=None).wants_logprobs


@pytest.mark.parametrize(
    ("given_", "texts"),
    [
        (None, []),
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [None]),
        ([[1], [2]], [None, None]),
        ([], [None]),
        (["a", 1], [None]),
        ({}, [None]),
    ],
)
def test_texts(given_: Any, texts: list[str | None]) -> None:
    """One text or several; what is no text is noted as one that cannot be read."""
    assert texts_in({"input": given_}, "input") == texts


def test_only_one_prompt_is_whole() -> None:
    """Of several prompts nobody can say which one a choice goes on."""
    assert _request().is_whole
    assert not _request(prompt=["a", "b"]).is_whole
    assert _request(prompt=["a"]).messages == (Message(role="user", text="a"),)


def test_the_deployment_in_the_path_answers() -> None:
    """On Azure the path names who is asked, and the body need not."""
    reader = FORMAT.reader(RequestHead(method="POST", path="/openai/deployments/d/completions"))
    assert reader.request(b'{"prompt": "Hi"}').model_asked == "d"
    assert reader.request(b'{"prompt": "Hi", "model": "m"}').model_asked == "d"
    with pytest.raises(WireError, match="names no `model`"):
        _request(model=None)


def _read(answer: bytes, content_type: str, **fields: Any) -> Exchange:
    reader = FORMAT.reader(RequestHead(method="POST", path="/v1/completions"))
    reader.request(json.dumps({"model": "m", "prompt": "Hi", **fields}).encode())
    reader.respond(ResponseHead(status=200, headers=(("content-type", content_type),)))
    playback.feed(reader, [answer])
    return reader.finish(is_clean=True)


@pytest.mark.parametrize(
    ("fields", "wanted"), [({}, 1), ({"n": 2}, 2), ({"n": 2, "prompt": ["a", "b"]}, 4)]
)
def test_a_stream_without_its_end_needs_every_choice(fields: dict[str, Any], wanted: int) -> None:
    """Each prompt wants `n` choices; a stream that ends before has not ended."""
    for have in (wanted - 1, wanted):
        chunks = ({"choices": [{"index": i, "text": "a", "finish_reason": "stop"}]}
                  for i in range(have))  # fmt: skip
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        answer = _read(body.encode(), "text/event-stream", **fields).answer
        assert answer.is_complete == (have == wanted)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["choices", "text", "index", "finish_reason", "logprobs", "usage", "prompt_tokens",
             "error", "model", "id", "message", "delta", "content", "reasoning", "prompt", "echo"]
        ), inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(doc=VALUES)
def test_any_document_is_read_or_refused(doc: object) -> None:
    """Any JSON at all, asked or answered, is read or is a problem; nothing else is raised."""
    body = json.dumps(doc).encode()
    with suppress(WireError):
        FORMAT.reader(RequestHead(method="POST", path="/v1/completions")).request(body)
    for content_type, answer in (
        ("application/json", body),
        ("text/event-stream", b"data: " + body + b"\n\ndata: [DONE]\n\n"),
    ):
        exchange = _read(answer, content_type)
        assert exchange.answer.is_complete <= (exchange.answer.problem is None)
