"""The request of `anthropic.messages`, as Anthropic's API reference names its fields."""

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
)
from proxy.wire.prompt import content_parts, entries_of, holds_file, model_of, role_of, texts_of

__all__ = ["read_count_tokens", "read_request"]


def read_request(body: bytes) -> Request:
    """What a Messages body asks; the system prompt becomes the first message.

    Raises:
        WireError: the body is not such a request; `where` is the JSON path.
    """
    return _read(body, "anthropic.messages", "chat")


def read_count_tokens(body: bytes) -> Request:
    """What a token count is asked of: the same prompt, and no answer of a model."""
    return _read(body, "plain", "count-tokens")


def _read(body: bytes, wire_format: str, operation: str) -> Request:
    doc = read_object(body, of="the request body")
    entries = entries_of(doc)
    messages = [
        *_system(doc),
        *(
            message
            for position, entry in enumerate(entries)
            for message in _messages(entry, f"$.messages[{position}]")
        ),
    ]
    tools: Json = [*objects(doc, "tools")]
    return Request(
        wire_format=wire_format,
        operation=operation,
        model_asked=model_of(doc),
        is_streamed=flag(doc, "stream"),
        messages=tuple(messages),
        tools=tools or None,
        max_tokens=count(doc, "max_tokens"),
        temperature=number(doc, "temperature"),
        has_system=bool(messages and messages[0].role == "system"),
        has_images=any(_has_image(entry) for entry in entries),
        is_whole=doc.get("container") is None
        and not any(holds_file(entry.get("content")) for entry in entries),
    )


def _system(doc: Object) -> list[Message]:
    blocks = content_parts(doc, "system", "$")
    if not blocks:
        return []
    texts = texts_of(blocks, "$.system")
    return [Message(role="system", text="".join(texts), has_other_parts=len(texts) < len(blocks))]


class _Turn:
    """One message of the prompt, growing block by block."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.texts: list[str] = []
        self.calls: list[ToolCall] = []
        self.has_other_parts = False

    @property
    def is_empty(self) -> bool:
        return not (self.texts or self.calls or self.has_other_parts)

    def add(self, block: Object, at: str) -> None:
        match block.get("type"):
            case "text":
                self.texts.append(text(block, "text", at) or "")
            case "tool_use":
                self.calls.append(_tool_use(block, at))
            case _:
                self.has_other_parts = True

    def message(self) -> Message:
        return Message(
            role=self.role,
            text="".join(self.texts),
            tool_calls=tuple(self.calls),
            has_other_parts=self.has_other_parts,
        )


def _messages(entry: Object, at: str) -> list[Message]:
    """One entry as messages: each tool result is a `tool` message of its own, in its place."""
    role = role_of(entry, at)
    found: list[Message] = []
    turn = _Turn(role)
    for position, block in enumerate(content_parts(entry, "content", at)):
        where = f"{at}.content[{position}]"
        if block.get("type") != "tool_result":
            turn.add(block, where)
            continue
        if not turn.is_empty:
            found.append(turn.message())
            turn = _Turn(role)
        found.append(_tool_result(block, where))
    if not (turn.is_empty and found):
        found.append(turn.message())
    return found


def _tool_use(block: Object, at: str) -> ToolCall:
    return ToolCall(
        id=text(block, "id", at),
        name=text(block, "name", at),
        arguments=compact(object_(block, "input", at) or {}),
    )


def _tool_result(block: Object, at: str) -> Message:
    parts = content_parts(block, "content", at)
    texts = texts_of(parts, f"{at}.content")
    return Message(
        role="tool",
        text="".join(texts),
        tool_call_id=text(block, "tool_use_id", at),
        has_other_parts=len(texts) < len(parts),
    )


def _has_image(entry: Object) -> bool:
    content = entry.get("content")
    return isinstance(content, list) and any(
        isinstance(block, dict)
        and (
            block.get("type") == "image"
            or (block.get("type") == "tool_result" and _has_image(block))
        )
        for block in content
    )
