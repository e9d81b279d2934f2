"""The requests of `xai.grpc`: `xai_api.GetCompletionsRequest`, read by the numbers of its fields.

The numbers are those of the messages that the `xai-sdk` package ships (xai/api/v1/chat.proto).
"""

from collections.abc import Mapping
from types import MappingProxyType

from proxy.errors import WireError
from proxy.exchange import Json, Message, Request, ToolCall
from proxy.wire.protobuf import Fields, read_fields

__all__ = ["CLIENT_TOOL_TYPES", "ROLES", "read_request", "tool_call"]

ROLES: Mapping[int, str] = MappingProxyType(
    {1: "user", 2: "assistant", 3: "system", 4: "function", 5: "tool", 6: "developer"}
)
"""`MessageRole`, as the other formats word it."""

CLIENT_TOOL_TYPES = frozenset({0, 1})
"""`ToolCallType` of calls that the client is to run; before there were others it was left out."""

_SYSTEM_ROLES = frozenset({"system", "developer"})
_TOOLS = MappingProxyType(
    {
        3: "web_search",
        4: "x_search",
        5: "code_execution",
        6: "collections_search",
        7: "mcp",
        8: "attachment_search",
        10: "image_generation",
    }
)
"""The kinds of server-side `Tool`; what stands in one is not kept: it may hold a credential."""

_SEARCH_OFF = frozenset({0, 1})


def read_request(message: bytes, *, is_streamed: bool) -> Request:
    """What a `GetCompletionsRequest` asks.

    Raises:
        WireError: the message is not such a request; `where` is made of the numbers of its fields.
    """
    fields = read_fields(message)
    model = fields.text(2)
    entries = fields.messages(1)
    _check(model, entries)
    messages = tuple(_message(entry) for entry in entries)
    before = fields.text(22) or None
    is_given = not any(_is_held(entry) for entry in entries)
    return Request(
        wire_format="xai.grpc",
        operation="chat",
        model_asked=model,
        is_streamed=is_streamed,
        messages=messages,
        tools=_tools(fields),
        n=max(fields.integer(8), 1),
        max_tokens=fields.integer(7) if fields.has(7) else None,
        temperature=fields.decimal(14) if fields.has(14) else None,
        wants_logprobs=fields.flag(5) or fields.integer(6) > 0,
        has_system=any(each.role in _SYSTEM_ROLES for each in messages),
        has_images=any(part.last_of(1, 2, 3) == 2 for e in entries for part in e.messages(1)),
        is_whole=is_given and before is None,
        is_continued=is_given and before is not None,
        previous_response_id=before,
    )


def _check(model: str, entries: list[Fields]) -> None:
    if not model:
        raise WireError(
            "the request names no `model`",
            code="missing-model",
            where="$.2",
            help="name the teacher: without it no licence can be looked up",
        )
    if not entries:
        raise WireError(
            "the request has no `messages`",
            code="missing-messages",
            where="$.1",
            help="send at least one message",
        )


def _message(entry: Fields) -> Message:
    parts = entry.messages(1)
    texts = [part.text(1) for part in parts if part.last_of(1, 2, 3) == 1]
    number = entry.integer(2)
    return Message(
        role=ROLES.get(number, str(number)),
        text="".join(texts),
        tool_calls=tuple(tool_call(call) for call in entry.messages(4)),
        tool_call_id=entry.text(7) or None,
        name=entry.text(3) or None,
        has_other_parts=len(texts) < len(parts),
    )


def tool_call(call: Fields) -> ToolCall:
    """A `ToolCall`; its arguments are the text that was written."""
    function = call.message(10)
    return ToolCall(
        id=call.text(1) or None,
        name=(function.text(1) or None) if function else None,
        arguments=function.text(2) if function else "",
    )


def _is_held(entry: Fields) -> bool:
    """Whether a part of a message lies with the provider: a file, or reasoning only it can read."""
    files = [part.message(3) for part in entry.messages(1) if part.last_of(1, 2, 3) == 3]
    return bool(entry.text(6)) or any(file is not None and file.text(1) for file in files)


def _tools(fields: Fields) -> Json:
    tools: list[Json] = [_tool(tool) for tool in fields.messages(17)]
    search = fields.message(20)
    if search is not None and search.integer(1) not in _SEARCH_OFF:
        tools.append({"type": "live_search"})
    return tools or None


def _tool(tool: Fields) -> Json:
    kind = tool.last_of(1, *_TOOLS)
    function = tool.message(1) if kind == 1 else None
    if function is None:
        return {"type": _TOOLS.get(kind or 0, "unknown")}
    return {
        "type": "function",
        "function": {
            "name": function.text(1),
            "description": function.text(2),
            "parameters": function.text(4),
        },
    }
