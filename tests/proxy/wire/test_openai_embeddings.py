"""Claims on embeddings and moderations: who answered is read, and never a word of a teacher."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.dialects import format_for
from proxy.wire.openai_embeddings import OpenAIFigures
from tests.proxy.wire import playback

NAMES = ("openai.embeddings", "openai.moderations")
CASES = {
    f"{name}/{case}": transcript
    for name in NAMES
    for case, transcript in playback.cases(name).items()
}


@pytest.mark.parametrize("name", CASES)
def test_transcripts(name: str) -> None:
    """Each transcript reads as its file says, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/embeddings", "embedding"),
        ("POST", "/openai/deployments/d/embeddings", "embedding"),
        ("POST", "/v1/moderations", "moderation"),
        ("POST", "/v1/rerank", "rerank"),
        ("GET", "/v1/embeddings", None),
        ("POST", "/v1/chat/moderations/x", None),
    ],
)
def test_what_is_claimed(method: str, path: str, operation: str | None) -> None:
    """Each operation by its method and path."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, NAMES)
    assert (None if found is None else found.claims(head)) == operation


def test_only_a_moderation_may_leave_the_model_to_the_host() -> None:
    """A request for embeddings names its model, or the path does."""
    head = RequestHead(method="POST", path="/v1/moderations")
    assert OpenAIFigures("moderation").reader(head).request(b'{"input": "Hi"}').model_asked is None
    with pytest.raises(WireError, match="names no `model`"):
        OpenAIFigures("embedding").reader(head).request(b'{"input": "Hi"}')


@given(
    doc=st.dictionaries(
        st.sampled_from(["data", "results", "model", "id", "usage", "error", "choices"]),
        st.none() | st.integers() | st.just([]) | st.just({"prompt_tokens": 1}) | st.just("x"),
    )
)
def test_no_answer_holds_a_choice(doc: dict[str, object]) -> None:
    """Whatever comes, no words are read of it, and nothing is raised."""
    reader = OpenAIFigures("embedding").reader(RequestHead(method="POST", path="/v1/embeddings"))
    reader.respond(ResponseHead(status=200, headers=(("content-type", "application/json"),)))
    playback.feed(reader, [json.dumps(doc).encode()])
    answer = reader.finish(is_clean=True).answer
    assert answer.choices == ()
    assert answer.is_complete <= (answer.problem is None and answer.error is None)


def test_an_answer_without_an_end_is_not_complete() -> None:
    """Nothing of a stream is an answer, however it ends."""
    reader = OpenAIFigures("embedding").reader(RequestHead(method="POST", path="/v1/embeddings"))
    reader.respond(ResponseHead(status=200, headers=(("content-type", "text/event-stream"),)))
    assert not reader.is_terminal
    assert not reader.finish(is_clean=True).answer.is_complete
