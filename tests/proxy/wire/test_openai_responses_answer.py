"""Claims on answers of `openai.responses`, by transcripts made from public references."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import Exchange, RequestHead, ResponseHead
from proxy.wire.openai_responses import OpenAIResponses
from tests.proxy.wire import playback

CASES = playback.cases("openai.responses")


@pytest.mark.parametrize("name", CASES)
def test_transcripts(name: str) -> None:
    """Each transcript reads as its file says, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


def _read(answer: bytes, content_type: str) -> Exchange:
    reader = OpenAIResponses().reader(RequestHead(method="POST", path="/v1/responses"))
    reader.respond(ResponseHead(status=200, headers=(("content-type", content_type),)))
    playback.feed(reader, [answer])
    return reader.finish()


def _stream(*events: object) -> Exchange:
    lines = (f"data: {json.dumps(event)}\n\n" for event in events)
    return _read("".join(lines).encode(), "text/event-stream")


BEGIN = {"type": "response.created", "response": {"id": "r", "model": "m"}}
CLOSE = {"type": "response.completed", "response": {"status": "completed", "output": []}}


def _delta(text: str, **fields: object) -> dict[str, object]:
    return {"type": "response.output_text.delta", "delta": text, **fields}


@given(pieces=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=8))
def test_the_closing_event_may_repeat_the_output_or_not(pieces: list[str]) -> None:
    """The same text comes of the pieces alone, of the whole alone, and of both."""
    text = "".join(pieces)
    output = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
    whole = {**CLOSE, "response": {"status": "completed", "output": output}}
    deltas = [_delta(piece) for piece in pieces]
    for events in ([*deltas, CLOSE], [whole], [*deltas, whole]):
        answer = _stream(BEGIN, *events).answer
        assert (answer.choices[0].text, answer.is_complete) == (text, True)


@given(pieces=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=8))
def test_a_text_that_changed_at_the_end_is_not_complete(pieces: list[str]) -> None:
    """Who read along saw other words than the response ends with: nobody should learn either."""
    output = [{"type": "message", "content": "".join(pieces) + "!"}]
    whole = {**CLOSE, "response": {"status": "completed", "output": output}}
    answer = _stream(BEGIN, *map(_delta, pieces), whole).answer
    assert (answer.problem, answer.is_complete) == ("text-changed", False)


def test_a_part_of_a_stream_is_whole_only_if_its_end_says_all() -> None:
    """A stream that was resumed is whole by its closing event, and by nothing else."""
    assert _stream(_delta("b"), CLOSE).answer.problem == "missing-beginning"
    output = [{"type": "message", "content": "ab"}]
    whole = {**CLOSE, "response": {"status": "completed", "output": output}}
    assert _stream(_delta("b"), whole).answer.is_complete


def test_nothing_is_taken_after_the_closing_event() -> None:
    """What follows the closing event cannot change the answer."""
    answer = _stream(BEGIN, _delta("a"), CLOSE, _delta("b"), {"type": "error"}).answer
    assert (answer.choices[0].text, answer.is_complete) == ("a", True)


def test_a_closing_event_says_the_status_by_its_name() -> None:
    """A response that states no status, or one that is not over, has that of its event."""
    for status in (None, "in_progress"):
        answer = _stream(BEGIN, {**CLOSE, "response": {"status": status}}).answer
        assert (answer.choices[0].finish_reason, answer.is_complete) == ("completed", True)


def test_an_item_begun_again_in_its_place_is_the_same() -> None:
    """An item stated twice before it ended is one; another kind under its index is another."""
    begun = {"type": "response.output_item.added", "output_index": 0}
    message, thought = {"type": "message", "id": "a"}, {"type": "reasoning", "id": "b"}
    answer = _stream(
        BEGIN,
        {**begun, "item": message},
        {**begun, "item": {**message, "id": "c"}},
        _delta("Hi", output_index=0),
        {**begun, "item": thought},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "So."},
        _delta(" there", item_id="c", output_index=None),
        CLOSE,
    ).answer
    assert (answer.choices[0].text, answer.choices[0].reasoning) == ("Hi there", "So.")
    assert answer.is_complete


def test_an_answer_before_its_first_event_has_no_choice() -> None:
    """Where nothing was said of a response there is none."""
    assert _stream().answer.choices == ()
    assert _stream({"type": "keepalive"}).answer.choices == ()
    assert len(_stream(BEGIN).answer.choices) == 1


KEYS = [
    "type", "response", "item", "output", "content", "summary", "text", "delta", "arguments",
    "output_index", "content_index", "item_id", "id", "status", "usage", "input_tokens", "error",
    "logprobs", "annotations", "refusal", "role", "incomplete_details", "content_filters", "model",
]  # fmt: skip
WORDS = [
    "", "x", "message", "reasoning", "function_call", "output_text", "refusal", "completed",
    "response.created", "response.completed", "response.output_item.added", "error",
    "response.output_item.done", "response.output_text.delta", "response.output_text.done",
    "response.function_call_arguments.delta", "response.output_text.annotation.added",
]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)
EVENTS = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(WORDS),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6),
)


@given(doc=VALUES)
def test_any_document_gives_an_exchange(doc: object) -> None:
    """Any JSON at all is read or is a problem; nothing else is raised."""
    answer = _read(json.dumps(doc).encode(), "application/json").answer
    assert answer.is_complete <= (answer.problem is None)


@given(events=st.lists(EVENTS, max_size=6), is_begun=st.booleans())
def test_any_events_give_an_exchange(events: list[object], is_begun: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Events of any shape, in any order, give an exchange; it is complete only if it was closed."""
    answer = _stream(*([BEGIN] if is_begun else []), *events).answer
    assert answer.is_complete <= (answer.problem is None and answer.error is None)
    if answer.is_complete:
        assert any(isinstance(e, dict) and e["type"] == "response.completed" for e in events)


def test_text_is_bounded_by_the_bytes_fed() -> None:
    """What is kept of an answer is no longer than the answer."""
    for case in CASES.values():
        exchange = playback.play(case, [])
        kept = sum(len(c.text) + len(c.reasoning) for c in exchange.answer.choices)
        assert kept <= len(case.answer)
