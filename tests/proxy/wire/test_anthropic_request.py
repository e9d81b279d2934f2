"""Claims on requests of `anthropic.messages`: everything the policies ask about is read, or refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import Message, Request, ToolCall
from proxy.wire.anthropic_request import read_count_tokens, read_request

IMAGE = {"type": "image", "source": {"type": "base64", "data": ""}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "Sunny"}


def _body(*messages: Any, **fields: Any) -> bytes:
    entries = list(messages) or [{"role": "user", "content": "Hi"}]
    doc = {"model": "c", "max_tokens": 9, "messages": entries, **fields}
    return json.dumps(doc).encode()


def _messages(*messages: Any, **fields: Any) -> tuple[Message, ...]:
    return read_request(_body(*messages, **fields)).messages


def test_the_least_request() -> None:
    """A model, a limit and one message are a request."""
    assert read_request(_body()) == Request(
        wire_format="anthropic.messages",
        operation="chat",
        model_asked="c",
        is_streamed=False,
        messages=(Message(role="user", text="Hi"),),
        max_tokens=9,
    )


def test_parameters() -> None:
    """Streaming, temperature, tools and a container held by the provider are read."""
    tool = {"name": "f", "input_schema": {"type": "object"}}
    request = read_request(_body(stream=True, temperature=0.5, tools=[tool], container="c1"))
    assert (request.is_streamed, request.temperature, request.tools) == (True, 0.5, [tool])
    assert not request.is_whole
    assert read_request(_body()).is_whole
    file = {"type": "document", "source": {"type": "file", "file_id": "f"}}
    assert not read_request(_body({"role": "user", "content": [file]})).is_whole


def test_the_system_prompt_is_the_first_message() -> None:
    """A system prompt, as text or as blocks, becomes the first message."""
    user = Message(role="user", text="Hi")
    assert _messages(system="Be brief") == (Message(role="system", text="Be brief"), user)
    blocks = [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief"}]
    assert _messages(system=blocks) == (Message(role="system", text="Be brief"), user)
    assert read_request(_body(system="x")).has_system
    assert not read_request(_body(system=[])).has_system


def test_tool_turns() -> None:
    """Calls stay with their message; each result is a `tool` message of its own, in its place."""
    assert _messages(
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me "}, {"type": "text", "text": "look"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "ä"}},
        ]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "And?"}]},
        {"role": "user", "content": [{"type": "text", "text": "So:"}, RESULT]},
    ) == (
        Message(
            role="assistant",
            text="Let me look",
            tool_calls=(ToolCall(id="t1", name="f", arguments='{"a":"ä"}'),),
        ),
        Message(role="tool", text="Sunny", tool_call_id="t1"),
        Message(role="user", text="And?"),
        Message(role="user", text="So:"),
        Message(role="tool", text="Sunny", tool_call_id="t1"),
    )  # fmt: skip


def test_empty_messages_stay() -> None:
    """A message without content is still a message."""
    assert _messages({"role": "assistant", "content": []}) == (Message(role="assistant", text=""),)


def test_other_blocks_are_noted() -> None:
    """Images, documents and past reasoning are noted beside the text, in results as well."""
    thinking = {"type": "thinking", "thinking": "Hm", "signature": ""}
    request = read_request(
        _body({"role": "user", "content": [IMAGE, {"type": "text", "text": "?"}]})
    )
    assert request.messages == (Message(role="user", text="?", has_other_parts=True),)
    assert request.has_images
    request = read_request(_body({"role": "assistant", "content": [thinking]}))
    assert (request.messages[0].has_other_parts, request.has_images) == (True, False)
    request = read_request(_body({"role": "user", "content": [{**RESULT, "content": [IMAGE]}]}))
    assert request.messages == (
        Message(role="tool", text="", tool_call_id="t1", has_other_parts=True),
    )
    assert request.has_images


def test_counting_tokens_reads_the_same_prompt() -> None:
    """A token count is asked of the same prompt, and is another operation without a model's words."""
    request = read_count_tokens(_body(system="x"))
    assert (request.wire_format, request.operation) == ("plain", "count-tokens")
    assert request.messages == _messages(system="x")


@pytest.mark.parametrize(
    ("fields", "code", "where"),
    [
        ({"model": ""}, "missing-model", "$.model"),
        ({"messages": []}, "missing-messages", "$.messages"),
        ({"system": 1}, "wrong-type", "$.system"),
        ({"system": ["x"]}, "wrong-type", "$.system[0]"),
        ({"messages": [{"content": "Hi"}]}, "missing-role", "$.messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "wrong-type", "$.messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "wrong-type", "$.messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{**RESULT, "content": 1}]}]}, "wrong-type", "$.messages[0].content[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_use", "input": "x"}]}]}, "wrong-type", "$.messages[0].content[0].input"),
        ({"stream": 1}, "wrong-type", "$.stream"),
        ({"tools": {}}, "wrong-type", "$.tools"),
        ({"max_tokens": -1}, "wrong-type", "$.max_tokens"),
    ],
)  # fmt: skip
def test_malformed_requests_name_the_path(fields: dict[str, Any], code: str, where: str) -> None:
    """A malformed body is refused with the JSON path of what is wrong."""
    with pytest.raises(WireError) as caught:
        read_request(_body(**fields))
    assert (caught.value.code, caught.value.where) == (code, where)
    assert caught.value.help


@given(body=st.binary(max_size=60))
def test_any_bytes_give_a_request_or_a_wire_error(body: bytes) -> None:
    """Any bytes at all are a request or an error of the wire."""
    with suppress(WireError):
        assert read_request(body).model_asked
