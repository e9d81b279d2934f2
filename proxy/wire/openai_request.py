"""The request of `openai.chat`: Chat Completions as OpenAI's API reference names its fields."""

from proxy.exchange import Json, Message, Request, ToolCall
from proxy.wire.document import (
    Object,
    compact,
    count,
    flag,
    number,
    object_,
    objects,
    read_object,
    text,
    whole,
    word,
)
from proxy.wire.prompt import content_parts, entries_of, holds_file, model_of, role_of, texts_of
from proxy.wire.sampling import bent_by

__all__ = ["id_of", "read_request", "tool_call"]

_SYSTEM_ROLES = frozenset({"system", "developer"})
_IMAGE_PARTS = frozenset({"image", "image_url", "input_image"})


def read_request(body: bytes, *, deployment: str | None = None) -> Request:
    """What a Chat Completions body asks; a deployment of the path answers whatever the body names.

    Raises:
        WireError: the body is not such a request; `where` is the JSON path.
    """
    doc = read_object(body, of="the request body")
    entries = entries_of(doc)
    limit = whole(doc, "max_completion_tokens")
    wanted = count(doc, "n")
    return Request(
        wire_format="openai.chat",
        operation="chat",
        model_asked=deployment or _model(doc),
        is_streamed=flag(doc, "stream"),
        messages=tuple(
            _message(entry, f"$.messages[{position}]") for position, entry in enumerate(entries)
        ),
        tools=_tools(doc),
        n=1 if wanted is None else wanted,
        max_tokens=whole(doc, "max_tokens") if limit is None else limit,
        temperature=number(doc, "temperature"),
        wants_logprobs=_wants_logprobs(doc),
        bent_by=bent_by(doc),
        has_system=any(word(entry, "role") in _SYSTEM_ROLES for entry in entries),
        has_images=any(_has_image(entry) for entry in entries),
        # An agent has instructions of its own, which lie with the provider.
        is_whole=doc.get("agent_id") is None and not any(_is_held(entry) for entry in entries),
    )


def _model(doc: Object) -> str:
    """The model or agent; where OpenRouter is given only a list to choose from, its first choice."""
    agent = doc.get("agent_id")
    if doc.get("model") is None and isinstance(agent, str) and agent:
        return agent
    names = doc.get("models")
    if doc.get("model") is None and isinstance(names, list) and names:
        first = names[0]
        return model_of({"model": first})
    return model_of(doc)


def _wants_logprobs(doc: Object) -> bool:
    """Whether log-probabilities are asked for: a flag, or their number as Together takes it."""
    wanted = doc.get("logprobs")
    is_number = isinstance(wanted, int) and not isinstance(wanted, bool)
    asked = bool(count(doc, "logprobs")) if is_number else flag(doc, "logprobs")
    return asked or bool(count(doc, "top_logprobs"))


def _is_held(entry: Object) -> bool:
    """Whether a part of a message lies with the provider: a file, or speech of an earlier answer."""
    return holds_file(entry.get("content")) or entry.get("audio") is not None


def _tools(doc: Object) -> Json:
    tools: Json = [*objects(doc, "tools")] or [*objects(doc, "functions")]
    return tools or None


def _message(entry: Object, at: str) -> Message:
    parts = content_parts(entry, "content", at)
    texts = texts_of(parts, f"{at}.content")
    return Message(
        role=role_of(entry, at),
        text="".join(texts),
        tool_calls=_tool_calls(entry, at),
        tool_call_id=text(entry, "tool_call_id", at),
        name=text(entry, "name", at),
        has_other_parts=len(texts) < len(parts) or entry.get("audio") is not None,
    )


def _has_image(entry: Object) -> bool:
    content = entry.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and word(part, "type") in _IMAGE_PARTS for part in content
    )


def _tool_calls(entry: Object, at: str) -> tuple[ToolCall, ...]:
    calls = [
        tool_call(call, f"{at}.tool_calls[{position}]")
        for position, call in enumerate(objects(entry, "tool_calls", at))
    ]
    legacy = object_(entry, "function_call", at)
    if legacy is not None:
        calls.append(tool_call({"function": legacy}, f"{at}.function_call"))
    return tuple(calls)


def id_of(doc: Object, at: str) -> str | None:
    """The id of a call or of an answer, which some hosts count instead of naming it."""
    said = doc.get("id")
    is_number = isinstance(said, int) and not isinstance(said, bool)
    return str(said) if is_number else text(doc, "id", at) or None


def tool_call(call: Object, at: str) -> ToolCall:
    """One call as the wire gives it, or a piece of one: arguments as text, or written as text."""
    spoken = object_(call, "function", at) or {}
    custom = object_(call, "custom", at)
    if custom is not None:
        spoken = {"name": custom.get("name"), "arguments": custom.get("input")}
    arguments = spoken.get("arguments")
    return ToolCall(
        id=id_of(call, at),
        name=text(spoken, "name", at) or None,
        arguments=compact(arguments)
        if isinstance(arguments, dict)
        else text(spoken, "arguments", at) or "",
    )
