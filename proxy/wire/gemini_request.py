"""The request of `gemini.generateContent`; some clients write its fields in snake case."""

from dataclasses import replace

from proxy.errors import WireError
from proxy.exchange import Message, Request, ToolCall
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

__all__ = ["either", "read_generate"]

_ROLES = {"model": "assistant", "function": "tool"}


def either(doc: Object, name: str) -> Object:
    """The object with a field under its own name, whichever case the client wrote it in."""
    snake = "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
    return {name: doc[snake]} if name not in doc and snake in doc else doc


def read_generate(body: bytes, blank: Request) -> Request:
    """What a body asks; the path has said of which model.

    Raises:
        WireError: the body is not such a request; `where` is the JSON path.
    """
    doc = read_object(body, of="the request body")
    contents = _contents(doc)
    system = _system(doc)
    settings = object_(either(doc, "generationConfig"), "generationConfig") or {}
    wanted = count(either(settings, "candidateCount"), "candidateCount", "$.generationConfig")
    return replace(
        blank,
        messages=(
            *((Message(role="system", text=system),) if system else ()),
            *(message for at, one in enumerate(contents) for message in _messages(one, at)),
        ),
        tools=[*objects(doc, "tools")] or None,
        n=1 if wanted is None else wanted,
        max_tokens=count(either(settings, "maxOutputTokens"), "maxOutputTokens"),
        temperature=number(settings, "temperature", "$.generationConfig"),
        wants_logprobs=flag(either(settings, "responseLogprobs"), "responseLogprobs"),
        has_system=bool(system),
        has_images=any(_is_media(part) for one in contents for part in objects(one, "parts")),
        is_whole=not text(either(doc, "cachedContent"), "cachedContent"),
    )


def _contents(doc: Object) -> list[Object]:
    single = doc.get("contents")
    found: list[Object] = [single] if isinstance(single, dict) else objects(doc, "contents")
    if found:
        return found
    raise WireError(
        "the request has no `contents`",
        code="missing-messages",
        where="$.contents",
        help="send at least one content",
    )


def _system(doc: Object) -> str:
    said = object_(either(doc, "systemInstruction"), "systemInstruction") or {}
    at = "$.systemInstruction.parts[]"
    return "".join(text(part, "text", at) or "" for part in objects(said, "parts"))


def _is_media(part: Object) -> bool:
    for name in ("inlineData", "fileData"):
        said = either(part, name).get(name)
        kind = either(said, "mimeType").get("mimeType") if isinstance(said, dict) else None
        if isinstance(kind, str) and kind.startswith("image/"):
            return True
    return False


def _messages(content: Object, position: int) -> list[Message]:
    """A turn, and before it one message for each result of a function that it brings."""
    at = f"$.contents[{position}]"
    role = text(content, "role", at) or "user"
    texts: list[str] = []
    calls: list[ToolCall] = []
    results: list[Message] = []
    has_others = False
    for part in objects(content, "parts", at):
        call = object_(either(part, "functionCall"), "functionCall", at)
        result = object_(either(part, "functionResponse"), "functionResponse", at)
        if "text" in part:
            texts.append(text(part, "text", f"{at}.parts[]") or "")
        elif call is not None:
            calls.append(_call(call, at))
        elif result is not None:
            results.append(_result(result, at))
        else:
            has_others = True
    if not (texts or calls or has_others):
        return results
    turn = Message(
        role=_ROLES.get(role, role),
        text="".join(texts),
        tool_calls=tuple(calls),
        has_other_parts=has_others,
    )
    return [*results, turn]


def _call(said: Object, at: str) -> ToolCall:
    return ToolCall(
        id=text(said, "id", at),
        name=text(said, "name", at),
        arguments=compact(said.get("args") or {}),
    )


def _result(said: Object, at: str) -> Message:
    answer = said.get("response") or {}
    return Message(
        role="tool",
        text=compact(answer),
        tool_call_id=text(said, "id", at),
        name=text(said, "name", at),
    )
