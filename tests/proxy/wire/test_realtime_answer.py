"""Claims on one response of a realtime session: its prompt, its events and its end."""

import contextlib
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import Answer, Choice, Message, Request, ResponseHead, ToolCall, Usage
from proxy.wire.realtime import Realtime


def _lines(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def _asked(*messages: dict[str, Any]) -> Request:
    return Realtime().session("model=m").reader().request(_lines(*messages))


def _read(stream: bytes, cuts: list[int] | None = None) -> Answer:
    reader = Realtime().session("model=m").reader()
    reader.request(b"")
    reader.respond(ResponseHead(status=200))
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts or [])})
    for start, end in pairwise(edges):
        reader.feed(stream[start:end])
    return reader.finish(is_clean=True).answer


def _item(**item: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": item}


def _delta(kind: str, item: str, text: str) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "response_id": "r", "item_id": item, "delta": text}


CREATED = {"type": "response.created", "response": {"id": "r", "status": "in_progress"}}
_CALL = {"id": "b", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
STREAM = _lines(
    CREATED,
    {"type": "response.output_item.added", "item": {"id": "a", "type": "message"}},
    _delta("output_audio_transcript", "a", "Hello "),
    _delta("output_audio_transcript", "a", "Łódź"),
    {"type": "response.output_item.added", "item": _CALL},
    _delta("function_call_arguments", "b", "{}"),
)
DONE = {
    "type": "response.done",
    "response": {
        "id": "r",
        "status": "completed",
        "output": [
            {
                "type": "message",
                "content": [{"type": "output_audio", "transcript": "Hello Łódź"}, {"type": "x"}],
            },
            _CALL,
            {"type": "mcp_call", "id": "s"},
        ],
        "usage": {
            "input_tokens": 3,
            "output_tokens": 2,
            "total_tokens": 5,
            "input_token_details": {"cached_tokens": 1},
        },
    },
}
_TOOL = ToolCall(id="c", name="f", arguments="{}")


def test_what_a_client_said_is_the_prompt() -> None:
    """Items become messages; sound without a transcript stands beside them; tools are the last given."""
    sound = {"type": "input_audio", "audio": "eA=="}
    heard = {"type": "input_audio", "transcript": "spoken"}
    request = _asked(
        {"type": "session.update", "session": {"tools": [{"name": "old"}]}},
        _item(type="message", role="system", content=[{"type": "input_text", "text": "Be brief."}]),
        _item(type="message", role="user", content=[heard, sound]),
        _item(type="message", role="user", content=[{"type": "input_image", "image_url": "x"}]),
        _item(type="function_call_output", call_id="c", output="wet"),
        _item(type="item_reference", id="i"),
        {"type": "response.create", "response": {"tools": [{"name": "new"}]}},
    )
    assert request.messages == (
        Message(role="system", text="Be brief."),
        Message(role="user", text="spoken", has_other_parts=True),
        Message(role="user", text="", has_other_parts=True),
        Message(role="tool", text="wet", tool_call_id="c"),
    )
    assert request.tools == [{"name": "new"}]
    assert (request.has_system, request.has_images, request.is_whole) == (True, True, False)
    assert _asked().tools is None


@given(cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    """However a response is cut, its last event says what it was."""
    answer = _read(STREAM + _lines(DONE), cuts)
    assert answer.choices == (
        Choice(
            index=0,
            text="Hello Łódź",
            finish_reason="completed",
            tool_calls=(_TOOL,),
            server_tools=("mcp_call",),
        ),
    )
    usage = answer.usage
    assert usage is not None
    assert usage == Usage(input=3, output=2, total=5, cache_read=1, raw=usage.raw)
    assert (answer.response_id, answer.model_served, answer.is_complete) == ("r", "m", True)


def test_a_response_that_never_ended() -> None:
    """The pieces that came are kept, and it is not complete, however the socket ended."""
    answer = _read(STREAM)
    assert answer.choices == (Choice(index=0, text="Hello Łódź", tool_calls=(_TOOL,)),)
    assert (answer.is_complete, answer.usage) == (False, None)
    assert _read(b"").choices == ()


def test_an_end_without_its_words() -> None:
    """Where the last event leaves the output out, the pieces stand, and the status is known."""
    done = {"type": "response.done", "response": {"id": "r", "status": "completed"}}
    (choice,) = _read(STREAM + _lines(done)).choices
    assert (choice.text, choice.finish_reason) == ("Hello Łódź", "completed")


def test_a_response_that_was_cut_or_failed() -> None:
    """Cancelled is not finished; failed brings the teacher's error; neither is complete."""
    cancelled = {"type": "response.done", "response": {"id": "r", "status": "cancelled"}}
    assert (_read(_lines(cancelled)).problem, _read(_lines(cancelled)).is_complete) == (
        "not-finished",
        False,
    )
    details = {"error": {"type": "server_error", "code": "x", "message": "sorry"}}
    failed = {"response": {"id": "r", "status": "failed", "status_details": details}}
    error = _read(_lines({"type": "response.done", **failed})).error
    assert error is not None
    assert (error.type, error.code, error.message) == ("server_error", "x", "sorry")


def test_an_error_event_is_an_end() -> None:
    """An error in place of a response ends it."""
    answer = _read(_lines({"type": "error", "error": {"message": "not now"}}))
    assert answer.error is not None
    assert (answer.error.message, answer.is_complete) == ("not now", False)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "response.done", "response": {"id": "r", "status": "completed", "output": 1}},
        {"type": "response.done", "response": {"id": "r", "usage": {"input_tokens": "many"}}},
        {"type": 7},
    ],
)
def test_an_event_that_is_none(message: dict[str, Any]) -> None:
    """What is not as the reference says is an error of the wire, and nothing else."""
    with pytest.raises(WireError):
        _read(_lines(message))


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes gives an answer or a `WireError`."""
    with contextlib.suppress(WireError):
        _read(data)
    with contextlib.suppress(WireError):
        Realtime().session("").reader().request(data)
