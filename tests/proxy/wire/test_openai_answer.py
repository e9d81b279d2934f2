"""Claims on answers of `openai.chat`, by transcripts made from public references."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.exchange import Exchange, RequestHead, ResponseHead
from proxy.wire.openai_answer import ChatAssembly
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.sse import Event
from tests.proxy.wire import playback

CASES = playback.cases("openai.chat")
STREAMS = {name: case for name, case in CASES.items() if case.terminal is not None}


@pytest.mark.parametrize("name", CASES)
def test_transcripts(name: str) -> None:
    """Each transcript reads as its file says, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_cuts_do_not_matter(name: str, cuts: list[int]) -> None:
    """However the network cuts an answer, the same exchange comes out."""
    assert playback.said(playback.play(CASES[name], cuts)) == CASES[name].expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_truncated_stream_is_never_complete(name: str) -> None:
    """A stream cut at any byte before the end of its terminal frame is not complete."""
    case = STREAMS[name]
    assert case.terminal is not None
    whole = case.answer.index(case.terminal) + len(case.terminal)
    for end in range(len(case.answer) + 1):
        reader = playback.begin(case)
        reader.feed(case.answer[:end])
        answer = reader.finish().answer
        assert answer.is_complete == (
            end >= whole and case.expected["answer"].get("is_complete", False)
        )


def _read(answer: bytes, content_type: str) -> Exchange:
    wire_format = OpenAIChat()
    reader = wire_format.reader(RequestHead(method="POST", path="/v1/chat/completions"))
    reader.respond(ResponseHead(status=200, headers=(("content-type", content_type),)))
    playback.feed(reader, [answer])
    return reader.finish()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "text", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "message", "content", "tool_calls", "function", "index", "type",
             "text", "usage", "prompt_tokens", "error", "model", "id", "logprobs", "refusal",
             "reasoning", "thinking", "arguments", "finish_reason"]
        ), inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(doc=VALUES)
def test_any_document_gives_an_exchange(doc: object) -> None:
    """Any JSON at all, whole or as an event, is read or is a problem; nothing else is raised."""
    body = json.dumps(doc).encode()
    for content_type, answer in (
        ("application/json", body),
        ("text/event-stream", b"data: " + body + b"\n\ndata: [DONE]\n\n"),
    ):
        exchange = _read(answer, content_type)
        assert exchange.answer.is_complete <= (exchange.answer.problem is None)


@given(answer=st.binary(max_size=60), is_stream=st.booleans())
def test_any_bytes_give_an_exchange(answer: bytes, is_stream: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Any bytes at all give an exchange."""
    exchange = _read(answer, "text/event-stream" if is_stream else "application/json")
    assert exchange.answer.status == 200


def test_text_is_bounded_by_the_bytes_fed() -> None:
    """What is kept of an answer is no longer than the answer."""
    for case in CASES.values():
        exchange = playback.play(case, [])
        kept = sum(len(c.text) + len(c.reasoning) for c in exchange.answer.choices)
        assert kept <= len(case.answer)


def test_pieces_may_stand_under_message() -> None:
    """Where a host is known to stream so; elsewhere a message repeats the whole text so far."""
    said = ("He", "He", "y")
    texts = []
    for has_pieces in (True, False):
        parts = ChatAssembly()
        parts.has_message_pieces = has_pieces
        for piece in said:
            doc = {"choices": [{"index": 0, "message": {"content": piece}}]}
            parts.event(Event("", json.dumps(doc), ""))
        texts.append(parts.choices()[0].text)
    assert texts == ["HeHey", "y"]
