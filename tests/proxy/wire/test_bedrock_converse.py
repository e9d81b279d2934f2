"""Converse beyond the transcripts: what is malformed is refused or kept out."""

import json
from typing import Any

import pytest

from proxy.errors import WireError
from proxy.exchange import Request
from proxy.wire.bedrock_converse import ConverseAssembly, read_converse, said_wrong
from proxy.wire.eventstream import EXCEPTION
from proxy.wire.sse import Event

BLANK = Request(
    wire_format="bedrock.converse", operation="chat", model_asked="m", is_streamed=False
)


@pytest.mark.parametrize(
    ("doc", "where"),
    [
        ({"messages": []}, "$.messages"),
        ({"messages": [{"content": []}]}, "$.messages[0].role"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "$.messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"text": 1}]}]},
            "$.messages[0].content[].text",
        ),
    ],
)
def test_a_request_that_is_none(doc: object, where: str) -> None:
    """The place is named."""
    with pytest.raises(WireError) as caught:
        read_converse(json.dumps(doc).encode(), BLANK)
    assert caught.value.where == where


def test_an_unknown_event_keeps_the_answer_out() -> None:
    """A kind of event that nobody knows may hold anything."""
    parts = ConverseAssembly()
    parts.event(Event("novelty", "{}", ""))
    assert parts.problem == "unread-part"


@pytest.mark.parametrize(
    ("data", "message"),
    [('{"message": "m"}', "m"), ('{"Message": "m"}', "m"), ("m", "m"), ("{}", None)],
)
def test_an_exception_tells_its_kind(data: str, message: str | None) -> None:
    """Whatever its payload is."""
    error = said_wrong(Event(f"{EXCEPTION}modelTimeoutException", data, ""))
    assert (error.type, error.message) == ("modelTimeoutException", message)


def test_metadata_before_the_stop_is_not_the_end() -> None:
    """An answer ends when its reason is known."""
    parts = ConverseAssembly()
    ended = []
    for event in (
        Event("metadata", '{"usage": {"inputTokens": 1}}', ""),
        Event("messageStop", '{"stopReason": "end_turn"}', ""),
    ):
        parts.event(event)
        ended.append(parts.is_terminal)
    assert ended == [False, True]


@pytest.mark.parametrize("field", ["name", "toolUseId"])
@pytest.mark.parametrize("value", [1.5, {}, [], True])
def test_a_call_that_cannot_be_told_is_refused_as_it_comes(field: str, value: Any) -> None:
    """Not when the answer is asked for: `finish` raises nothing."""
    with pytest.raises(WireError) as caught:
        ConverseAssembly().take("contentBlockStart", {"start": {"toolUse": {field: value}}})
    assert caught.value.code == "wrong-type"
