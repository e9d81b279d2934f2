"""Claims on Google's interactions; what their answers say is in the transcripts."""

import json

import pytest

from proxy.errors import WireError
from proxy.exchange import Message, Request, RequestHead, ToolCall
from proxy.wire.dialects import format_for
from proxy.wire.gemini_interactions import read_interaction


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1beta/interactions", "chat"),
        ("POST", "/v1beta1/projects/p/locations/l/interactions", "chat"),
        ("GET", "/v1beta/interactions/v1_x", "chat"),
        ("POST", "/v1beta/interactions/v1_x/cancel", "chat"),
        ("DELETE", "/v1beta/interactions/v1_x", "other"),
        ("GET", "/v1beta/interactions", None),
        ("POST", "/v1beta/agents", None),
        ("POST", "/v1beta/models/small-1:generateContent", None),
    ],
)
def test_what_they_claim(method: str, path: str, operation: str | None) -> None:
    """A new interaction, and one that is fetched or stopped, bring words; forgetting one does not."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["gemini.interactions"])
    assert (None if found is None else found.claims(head)) == operation


def _asked(**fields: object) -> Request:
    return read_interaction(json.dumps({"model": "m", "input": "Hi", **fields}).encode())


PICTURE = {"type": "image", "data": "eA==", "mime_type": "image/png"}
WORDS = {"type": "text", "text": "Hi"}


@pytest.mark.parametrize(
    ("said", "messages"),
    [
        ("Hi", [Message(role="user", text="Hi")]),
        (WORDS, [Message(role="user", text="Hi")]),
        ([WORDS, PICTURE], [Message(role="user", text="Hi", has_other_parts=True)]),
        ([PICTURE, WORDS], [Message(role="user", text="Hi", has_other_parts=True)]),
        (
            [{"role": "user", "content": "Hi"}, {"role": "model", "content": [WORDS]}],
            [Message(role="user", text="Hi"), Message(role="assistant", text="Hi")],
        ),
        (
            [{"type": "user_input", "content": [WORDS]}, {"type": "model_output", "content": []}],
            [
                Message(role="user", text="Hi"),
                Message(role="assistant", text="", has_other_parts=True),
            ],
        ),
        (
            [
                {"type": "function_call", "id": "c", "name": "f", "arguments": {"a": 1}},
                {"type": "function_result", "call_id": "c", "name": "f", "result": {"b": 2}},
                {"type": "function_result", "call_id": "c", "result": "text"},
                {"type": "thought", "signature": "s"},
            ],
            [
                Message(
                    role="assistant",
                    text="",
                    tool_calls=(ToolCall(id="c", name="f", arguments='{"a":1}'),),
                ),
                Message(role="tool", text='{"b":2}', tool_call_id="c", name="f"),
                Message(role="tool", text="text", tool_call_id="c"),
                Message(role="assistant", text="", has_other_parts=True),
            ],
        ),
    ],
)
def test_the_input_is_read(said: object, messages: list[Message]) -> None:
    """A text, contents, turns of the first revision, or steps."""
    assert list(_asked(input=said).messages) == messages


def test_settings_are_read() -> None:
    """The system's words, the limits, the tools, and whether events are wanted."""
    tool = {"type": "function", "name": "f"}
    settings = {"max_output_tokens": 5, "temperature": 0.5}
    request = _asked(
        system_instruction="Be brief.",
        generation_config=settings,
        tools=[tool],
        stream=True,
        input=[PICTURE],
    )
    assert request.messages[0] == Message(role="system", text="Be brief.")
    assert (request.max_tokens, request.temperature, request.tools) == (5, 0.5, [tool])
    assert (request.is_streamed, request.has_system, request.has_images) == (True, True, True)
    assert request.is_whole


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_interaction_id": "v1_w"},
        {"environment": "env"},
        {"input": [{"type": "document", "uri": "files/x"}]},
    ],
)
def test_what_stands_elsewhere_is_not_whole(fields: dict[str, object]) -> None:
    """Earlier turns, an environment and files are part of the prompt and not on the wire."""
    assert not _asked(**fields).is_whole
    more = {"previous_interaction_id": "v1_w", **fields}
    assert _asked(**more).is_continued == ("previous_interaction_id" in fields)


def test_an_agent_stands_for_the_model() -> None:
    """An agent is asked by its name; one of the two must be given."""
    assert _asked(model=None, agent="research-1").model_asked == "research-1"
    with pytest.raises(WireError) as caught:
        _asked(model=None)
    assert caught.value.code == "missing-model"
