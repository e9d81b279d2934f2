"""Claims on requests of `openai.responses`: everything the policies ask about is read, or refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import Message, Request, ToolCall
from proxy.wire.openai_responses_request import (
    call_of,
    read_compact,
    read_input_tokens,
    read_request,
)


def _request(*items: Any, **fields: Any) -> Request:
    body = {"model": "m", "input": list(items) or "Hi", **fields}
    return read_request(json.dumps(body).encode())


def test_the_least_request() -> None:
    """A model and one text are a request; all else has the API's defaults."""
    assert _request() == Request(
        wire_format="openai.responses",
        operation="chat",
        model_asked="m",
        is_streamed=False,
        messages=(Message(role="user", text="Hi"),),
    )


def test_parameters() -> None:
    """Streaming, limit, temperature, tools and log-probabilities are read."""
    request = _request(stream=True, max_output_tokens=7, temperature=1, tools=[{"type": "mcp"}])
    assert (request.is_streamed, request.max_tokens, request.temperature) == (True, 7, 1.0)
    assert request.tools == [{"type": "mcp"}]
    assert _request(top_logprobs=1).wants_logprobs
    assert _request(include=["message.output_text.logprobs"]).wants_logprobs
    assert not _request(top_logprobs=0, include=["reasoning.encrypted_content"]).wants_logprobs
    assert not _request(include=None).wants_logprobs


def test_instructions_come_first() -> None:
    """Instructions are a system prompt, as text or as parts."""
    system = Message(role="system", text="Be brief")
    for given_ in ("Be brief", [{"type": "input_text", "text": "Be brief"}]):
        request = _request(instructions=given_)
        assert (request.messages[0], request.has_system) == (system, True)
    assert _request({"role": "developer", "content": "Be brief"}).has_system
    assert not _request().has_system


def test_parts() -> None:
    """Text parts are joined in order; other parts are noted, images among them."""
    request = _request({"role": "user", "content": [
        {"type": "input_text", "text": "What "},
        {"type": "input_image", "image_url": "data:,"},
        {"type": "input_text", "text": "is it?"},
    ]})  # fmt: skip
    assert request.messages == (Message(role="user", text="What is it?", has_other_parts=True),)
    assert (request.has_images, request.is_whole) == (True, True)
    audio = _request({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]})
    assert (audio.messages[0].has_other_parts, audio.has_images) == (True, False)


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_0"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "item_reference", "id": "msg_0"}]},
        {"input": [{"id": "msg_0"}]},
        {"input": [{"type": "compaction", "encrypted_content": "g"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        {"input": [{"type": "computer_call_output", "output": {"file_id": "f"}}]},
    ],
)
def test_state_of_the_provider(fields: dict[str, Any]) -> None:
    """A prompt of which the provider holds a part is not whole."""
    assert not _request(**fields).is_whole
    assert _request().is_whole


@pytest.mark.parametrize(
    ("fields", "is_continued"),
    [
        ({}, False),
        ({"previous_response_id": "resp_0"}, True),
        ({"previous_response_id": "resp_0", "conversation": "conv_1"}, False),
        ({"previous_response_id": "resp_0", "prompt": {"id": "pmpt_1"}}, False),
        ({"previous_response_id": "resp_0", "input": [{"id": "msg_0"}]}, False),
    ],
)
def test_what_only_goes_on_from_a_response(fields: dict[str, Any], *, is_continued: bool) -> None:
    """A prompt is continued where nothing is missing but what went before."""
    assert _request(**fields).is_continued == is_continued


def test_a_stored_prompt_may_name_the_model() -> None:
    """Only a prompt that the provider stored may leave the model out, and the input with it."""
    assert read_request(b'{"prompt": {"id": "p"}}').model_asked is None
    with pytest.raises(WireError, match="names no `model`") as caught:
        read_request(b'{"input": "Hi"}')
    assert caught.value.where == "$.model"


def test_a_request_without_input_is_refused() -> None:
    """Nothing to answer, and no state that could hold it, is no request."""
    with pytest.raises(WireError) as caught:
        read_request(b'{"model": "m"}')
    assert (caught.value.code, caught.value.where) == ("missing-messages", "$.input")
    assert read_request(b'{"model": "m", "previous_response_id": "r"}').messages == ()


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
CUSTOM = {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "ls"}


def test_items_of_the_model_are_one_turn() -> None:
    """What the model said and then called is one message; what it says after that begins another."""
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]}
    calls = (
        ToolCall(id="c", name="f", arguments="{}"),
        ToolCall(id="d", name="g", arguments="ls"),
    )
    assert _request(said, CALL, CUSTOM, said).messages == (
        Message(role="assistant", text="Wait.", tool_calls=calls),
        Message(role="assistant", text="Wait."),
    )
    assert _request(CALL, {"role": "user", "content": "So"}, CUSTOM).messages == (
        Message(role="assistant", text="", tool_calls=calls[:1]),
        Message(role="user", text="So"),
        Message(role="assistant", text="", tool_calls=calls[1:]),
    )


def test_results() -> None:
    """A result is a message of its tool, as text or as parts; a screenshot is an image."""
    result = {"type": "function_call_output", "call_id": "c", "output": "found"}
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "data:,"}]
    screen = {"type": "computer_call_output", "output": {"type": "computer_screenshot"}}
    request = _request(result, {**result, "output": parts})
    assert request.messages == (
        Message(role="tool", text="found", tool_call_id="c"),
        Message(role="tool", text="a", tool_call_id="c", has_other_parts=True),
    )
    assert request.has_images
    assert _request(screen).has_images


def test_thoughts_and_other_items_are_not_text() -> None:
    """What no template can render is noted beside the turn it stands in."""
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "g"}
    search = {"type": "web_search_call", "status": "completed"}
    assert _request(thought, CALL).messages == (
        Message(
            role="assistant",
            text="",
            tool_calls=(ToolCall(id="c", name="f", arguments="{}"),),
            has_other_parts=True,
        ),
    )
    assert (
        _request(search, search).messages
        == (Message(role="assistant", text="", has_other_parts=True),) * 2
    )
    assert _request({"type": "image_generation_call", "result": "AA=="}).has_images


def test_arguments_may_be_an_object() -> None:
    """Arguments are kept as text; an object is written as one."""
    assert call_of({"arguments": {"q": "é"}}, "$") == ToolCall(
        id=None, name=None, arguments='{"q":"é"}'
    )
    assert call_of({"id": "x", "name": ""}, "$") == ToolCall(id="x", name=None, arguments="")


def test_counts_and_compactions_read_the_same_prompt() -> None:
    """What leaves for the provider is read, whatever is asked of it."""
    body = b'{"model": "m", "input": "Hi", "instructions": "Be brief"}'
    for read, operation in ((read_input_tokens, "count-tokens"), (read_compact, "other")):
        request = read(body)
        assert (request.wire_format, request.operation) == ("plain", operation)
        assert request.messages == read_request(body).messages


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"input": 3}, "$.input"),
        ({"input": ["Hi"]}, "$.input[0]"),
        ({"input": [{"role": "user", "content": 3}]}, "$.input[0].content"),
        ({"input": [{"type": "message", "content": "Hi"}]}, "$.input[0].role"),
        ({"input": [{"type": 3}]}, "$.input[0].type"),
        ({"input": [{**CALL, "name": 3}]}, "$.input[0].name"),
        ({"max_output_tokens": -1}, "$.max_output_tokens"),
        ({"instructions": 3}, "$.instructions"),
        ({"tools": {}}, "$.tools"),
        ({"stream": "yes"}, "$.stream"),
    ],
)
def test_what_cannot_be_read_says_where(fields: dict[str, Any], where: str) -> None:
    """A field of the wrong type is refused, with its place."""
    with pytest.raises(WireError) as caught:
        _request(**fields)
    assert caught.value.where == where


ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "user", "assistant"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["type", "role", "content", "text", "input", "output", "arguments", "call_id", "name",
             "model", "instructions", "include", "tools", "file_id", "prompt"]
        ), inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(doc=ITEMS)
def test_any_request_is_read_or_refused(doc: object) -> None:
    """Any JSON at all is a request or a `WireError`, and nothing else is raised."""
    with suppress(WireError):
        read_request(json.dumps(doc).encode())
    with suppress(WireError):
        read_request(json.dumps({"model": "m", "input": doc}).encode())
