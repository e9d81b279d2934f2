"""Claims on answers of `anthropic.messages`, by transcripts made from public references."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.exchange import Exchange, RequestHead, ResponseHead
from proxy.wire.anthropic import AnthropicMessages
from tests.proxy.wire import playback

CASES = playback.cases("anthropic.messages")
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
    wire_format = AnthropicMessages()
    reader = wire_format.reader(RequestHead(method="POST", path="/v1/messages"))
    reader.respond(ResponseHead(status=200, headers=(("content-type", content_type),)))
    playback.feed(reader, [answer])
    return reader.finish()


KINDS = [
    "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop",
    "error", "ping", "tool_use", "text_delta", "input_json_delta",
]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "text", "message", *KINDS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["type", "message", "content", "content_block", "delta", "index", "text", "thinking",
             "id", "name", "input", "partial_json", "citations", "usage", "input_tokens", "error",
             "stop_reason", "stop_details", "model"]
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
        ("text/event-stream", b"data: " + body + b"\n\n"),
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


START = {"type": "message_start", "message": {"type": "message", "id": "m", "model": "c"}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([START, START], "out-of-order"),
        ([BLOCK], "out-of-order"),
        ([START, BLOCK, BLOCK], "out-of-order"),
        ([START, {"type": "content_block_delta", "index": 3, "delta": {}}], "out-of-order"),
        ([{"type": "message_stop"}], "out-of-order"),
        ([{"type": "message_start"}], "wrong-type"),
        ([START, {"type": "content_block_start", "index": 0}], "wrong-type"),
        ([START, {**BLOCK, "index": None}], "wrong-type"),
        ([START, BLOCK, {"type": "content_block_delta", "index": 0}], "wrong-type"),
        ([START, {**BLOCK, "index": -1}], "wrong-type"),
    ],
)
def test_events_out_of_place_are_problems(events: list[dict[str, object]], problem: str) -> None:
    """An event that is out of its place, or lacks what it is for, makes the answer unreadable."""
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    answer = _read(stream, "text/event-stream").answer
    assert (answer.problem, answer.is_complete) == (problem, False)


@pytest.mark.parametrize("reason", [{}, {"stop_reason": None}])
def test_without_a_reason_to_stop_no_message_is_whole(reason: dict[str, None]) -> None:
    """A message that does not say why it ended may be half of one, in a stream as in a body."""
    said = {"id": "m", "type": "message", "model": "c", "content": [{"type": "text", "text": "a"}]}
    body = json.dumps({**said, **reason}).encode()
    events = [START, BLOCK, {"type": "message_delta", "delta": reason}, {"type": "message_stop"}]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    for wire, kind in ((body, "application/json"), (stream, "text/event-stream")):
        answer = _read(wire, kind).answer
        assert (answer.problem, answer.is_complete) == ("not-an-answer", False)
    ended = json.dumps({**said, "stop_reason": "end_turn"}).encode()
    assert _read(ended, "application/json").answer.is_complete
