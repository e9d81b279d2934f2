"""Claims on requests of `openai.chat`: everything the policies ask about is read, or refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import Message, Request, ToolCall
from proxy.wire.openai_request import read_request, tool_call


def _request(*messages: Any, **fields: Any) -> Request:
    entries = list(messages) or [{"role": "user", "content": "Hi"}]
    return read_request(json.dumps({"model": "m", "messages": entries, **fields}).encode())


def test_the_least_request() -> None:
    """A model and one message are a request; all else has the API's defaults."""
    assert _request() == Request(
        wire_format="openai.chat",
        operation="chat",
        model_asked="m",
        is_streamed=False,
        messages=(Message(role="user", text="Hi"),),
    )


def test_parameters() -> None:
    """Streaming, n, limits, temperature and log-probabilities are read."""
    request = _request(
        stream=True, n=3, max_tokens=5, max_completion_tokens=7, temperature=1, logprobs=True
    )
    assert (request.is_streamed, request.n, request.max_tokens) == (True, 3, 7)
    assert (request.temperature, request.wants_logprobs) == (1.0, True)
    assert _request(top_p=0.5).bent_by == ("top_p",)
    assert _request(max_tokens=5).max_tokens == 5
    assert _request(top_logprobs=2).wants_logprobs
    assert not _request(top_logprobs=0).wants_logprobs
    assert _request(logprobs=1).wants_logprobs
    assert not _request(logprobs=0).wants_logprobs
    assert _request(max_tokens=5.0).max_tokens == 5


def test_who_is_asked() -> None:
    """A deployment of the path answers; else the body's model; else the first of a router's list."""
    body = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
    assert read_request(body, deployment="mine").model_asked == "mine"
    assert (
        read_request(body.replace(b'"model": "m", ', b""), deployment="mine").model_asked == "mine"
    )
    assert _request(model=None, models=["a", "b"]).model_asked == "a"
    assert _request(models=["a", "b"]).model_asked == "m"


def test_what_lies_with_the_provider_is_not_on_the_wire() -> None:
    """A file by id, or the speech of an earlier answer, is a part of the prompt that nobody sent."""
    file = {"type": "file", "file": {"file_id": "f"}}
    assert _request().is_whole
    assert not _request({"role": "user", "content": [file]}).is_whole
    assert not _request({"role": "assistant", "audio": {"id": "a"}}).is_whole


@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_prompts(role: str) -> None:
    """A system or developer message is a system prompt."""
    assert _request({"role": role, "content": "Be brief"}, {"role": "user"}).has_system
    assert not _request().has_system


def test_parts() -> None:
    """Text parts are joined in order; other parts are noted, images among them."""
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    request = _request({"role": "user", "content": [
        {"type": "text", "text": "What "}, image, {"type": "text", "text": "is it?"},
    ]})  # fmt: skip
    assert request.messages == (Message(role="user", text="What is it?", has_other_parts=True),)
    assert request.has_images
    request = _request({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]})
    assert (request.messages[0].has_other_parts, request.has_images) == (True, False)
    assert _request({"role": "assistant", "audio": {"id": "a"}}).messages[0].has_other_parts


def test_tools() -> None:
    """Tools are kept verbatim, and so are functions where there are no tools."""
    tool = {"type": "function", "function": {"name": "f", "strict": True}}
    assert _request(tools=[tool]).tools == [tool]
    assert _request(functions=[{"name": "f"}]).tools == [{"name": "f"}]
    assert _request(tools=[]).tools is None


def test_tool_turns() -> None:
    """Calls of the past and their results are messages like others."""
    request = _request(
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
            {"id": "t2", "type": "custom", "custom": {"name": "g", "input": "raw"}},
        ]},
        {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": "ok"}]},
        {"role": "assistant", "function_call": {"name": "h", "arguments": "{}"}},
        {"role": "function", "name": "h", "content": "done"},
    )  # fmt: skip
    assert request.messages == (
        Message(
            role="assistant",
            text="",
            tool_calls=(
                ToolCall(id="t1", name="f", arguments='{"a": 1}'),
                ToolCall(id="t2", name="g", arguments="raw"),
            ),
        ),
        Message(role="tool", text="ok", tool_call_id="t1"),
        Message(
            role="assistant", text="", tool_calls=(ToolCall(id=None, name="h", arguments="{}"),)
        ),
        Message(role="function", text="done", name="h"),
    )


def test_a_call_may_be_partial() -> None:
    """A piece of a call may lack everything but a part of its arguments."""
    assert tool_call({"function": {"arguments": "{"}}, "$") == ToolCall(
        id=None, name=None, arguments="{"
    )
    assert tool_call({"id": ""}, "$") == ToolCall(id=None, name=None, arguments="")


@pytest.mark.parametrize(
    ("fields", "code", "where"),
    [
        ({"model": None}, "missing-model", "$.model"),
        ({"model": 4}, "wrong-type", "$.model"),
        ({"model": None, "models": []}, "missing-model", "$.model"),
        ({"model": None, "models": [1]}, "wrong-type", "$.model"),
        ({"logprobs": -1}, "wrong-type", "$.logprobs"),
        ({"logprobs": "yes"}, "wrong-type", "$.logprobs"),
        ({"messages": None}, "missing-messages", "$.messages"),
        ({"messages": "Hi"}, "wrong-type", "$.messages"),
        ({"messages": ["Hi"]}, "wrong-type", "$.messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "missing-role", "$.messages[0].role"),
        ({"messages": [{"role": "user", "content": {}}]}, "wrong-type", "$.messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "wrong-type", "$.messages[0].content[0]"),
        ({"messages": [{"role": "a", "tool_calls": [{"id": [1]}]}]}, "wrong-type", "$.messages[0].tool_calls[0].id"),
        ({"stream": "yes"}, "wrong-type", "$.stream"),
        ({"n": -1}, "wrong-type", "$.n"),
        ({"max_tokens": 1.5}, "wrong-type", "$.max_tokens"),
        ({"temperature": "hot"}, "wrong-type", "$.temperature"),
        ({"tools": [1]}, "wrong-type", "$.tools[0]"),
    ],
)  # fmt: skip
def test_malformed_requests_name_the_path(fields: dict[str, Any], code: str, where: str) -> None:
    """A malformed body is refused with the JSON path of what is wrong."""
    with pytest.raises(WireError) as caught:
        _request(**fields)
    assert (caught.value.code, caught.value.where) == (code, where)
    assert caught.value.help


@given(body=st.binary(max_size=60))
def test_any_bytes_give_a_request_or_a_wire_error(body: bytes) -> None:
    """Any bytes at all are a request or an error of the wire."""
    with suppress(WireError):
        assert read_request(body).model_asked
