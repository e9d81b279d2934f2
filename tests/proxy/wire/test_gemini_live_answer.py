"""Claims on one turn of the Live API: its prompt, its words and its end."""

import contextlib
import json
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import Answer, Choice, Message, Request, ResponseHead, ToolCall, Usage
from proxy.wire.gemini_live import GeminiLive


def _lines(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def _asked(*messages: dict[str, Any]) -> Request:
    return GeminiLive().session("").reader().request(_lines(*messages))


def _read(stream: bytes, size: int = 4096) -> Answer:
    session = GeminiLive().session("")
    session.keeps({"setup": {"model": "models/small-live"}})
    reader = session.reader()
    reader.request(b"")
    reader.respond(ResponseHead(status=200))
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    return reader.finish(is_clean=True).answer


def _says(**content: Any) -> dict[str, Any]:
    return {"serverContent": content}


_USAGE = {
    "promptTokenCount": 4,
    "responseTokenCount": 2,
    "totalTokenCount": 9,
    "thoughtsTokenCount": 3,
}
TURN = (
    _says(modelTurn={"parts": [{"text": "Hm.", "thought": True}, {"text": "Hello "}]}),
    _says(modelTurn={"parts": [{"text": "Łódź"}]}),
    _says(generationComplete=True),
    {**_says(turnComplete=True), "usageMetadata": _USAGE},
)


def test_what_a_client_said_is_the_prompt() -> None:
    """Turns, typed words and answers of tools become messages; a picture stands beside the text."""
    picture = {"inlineData": {"mimeType": "image/png", "data": "eA=="}}
    request = _asked(
        {"setup": {"model": "m", "systemInstruction": {}, "tools": [{"googleSearch": {}}]}},
        {
            "clientContent": {
                "turns": [
                    {"role": "user", "parts": [{"text": "Hi"}, picture]},
                    {"role": "model", "parts": [{"text": "Yes?"}]},
                    {"parts": [{"text": "Go on"}]},
                ]
            }
        },
        {"realtimeInput": {"text": "typed"}},
        {"toolResponse": {"functionResponses": [{"id": "c", "name": "f", "response": {"a": 1}}]}},
    )
    assert request.messages == (
        Message(role="user", text="Hi", has_other_parts=True),
        Message(role="assistant", text="Yes?"),
        Message(role="user", text="Go on"),
        Message(role="user", text="typed"),
        Message(role="tool", text='{"a":1}', tool_call_id="c", name="f"),
    )
    assert (request.has_system, request.has_images, request.is_whole) == (True, True, False)
    assert request.tools == [{"googleSearch": {}}]
    assert _asked().tools is None


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_turn_of_text(size: int) -> None:
    """Its pieces join, thoughts apart; its mark makes it complete; usage is as it was stated."""
    answer = _read(_lines(*TURN), size)
    assert answer.choices == (
        Choice(index=0, text="Hello Łódź", reasoning="Hm.", finish_reason="turnComplete"),
    )
    assert answer.usage == Usage(input=4, output=2, total=9, reasoning=3, raw={**_USAGE})
    assert (answer.is_complete, answer.model_served) == (True, "small-live")


def test_a_turn_of_sound() -> None:
    """Its words are those it was written down as."""
    sound = {"inlineData": {"mimeType": "audio/pcm", "data": "eA=="}}
    answer = _read(
        _lines(
            _says(modelTurn={"parts": [sound]}),
            _says(outputTranscription={"text": "Hello "}),
            _says(outputTranscription={"text": "you"}),
            _says(turnComplete=True),
        )
    )
    assert [choice.text for choice in answer.choices] == ["Hello you"]


def test_a_call_of_a_tool_ends_a_turn() -> None:
    """Arguments are the object's text."""
    calls = [{"id": "c", "name": "f", "args": {"city": "Łódź"}}, {"id": "d", "name": "g"}]
    (choice,) = _read(_lines({"toolCall": {"functionCalls": calls}})).choices
    assert choice.finish_reason == "toolCall"
    assert choice.tool_calls == (
        ToolCall(id="c", name="f", arguments='{"city":"Łódź"}'),
        ToolCall(id="d", name="g", arguments="{}"),
    )


def test_a_turn_that_was_cut() -> None:
    """Interrupted, or without its mark, a turn keeps its words and is not complete."""
    cut = _read(_lines(TURN[1], _says(interrupted=True), _says(turnComplete=True)))
    assert (cut.is_complete, cut.problem) == (False, "not-finished")
    assert cut.choices[0].finish_reason == "interrupted"
    lost = _read(_lines(TURN[1]))
    assert (lost.is_complete, lost.choices[0].finish_reason) == (False, None)
    assert _read(b"").choices == ()


def test_the_sdks_types_take_what_is_read_here() -> None:
    """The messages of these tests are messages of the genuine SDK."""
    for message in TURN:
        assert types.LiveServerMessage.model_validate(message).server_content is not None


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes gives an answer or a `WireError`."""
    with contextlib.suppress(WireError):
        _read(data)
    with contextlib.suppress(WireError):
        GeminiLive().session("").reader().request(data)
