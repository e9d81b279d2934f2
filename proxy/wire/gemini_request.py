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
    whole,
)
from proxy.wire.sampling import bent_by

__all__ = ["either", "read_generate", "read_silent"]

_ROLES = {"model": "assistant", "function": "tool"}


def either(doc: Object, name: str) -> Object:
    """The object with a field under its own name, whichever case the client wrote it in.

    Raises:
        WireError: `duplicate-key`: both cases are given.
    """
    snake = "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
    if snake == name or snake not in doc:
        return doc
    if name in doc:
        raise WireError(
            f"`{name}` is given twice: in camel case and in snake case",
            code="duplicate-key",
            where=f"$.{name}",
            help="give each field once: readers differ in which of two values they take",
        )
    return {name: doc[snake]}


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
        tools=[*_several(doc, "tools", "$")] or None,
        n=1 if wanted is None else wanted,
        max_tokens=whole(either(settings, "maxOutputTokens"), "maxOutputTokens"),
        temperature=number(settings, "temperature", "$.generationConfig"),
        wants_logprobs=flag(either(settings, "responseLogprobs"), "responseLogprobs"),
        bent_by=bent_by(settings),
        has_system=bool(system),
        has_images=any(_is_media(part) for one in contents for part in _parts(one)),
        is_whole=not (
            text(either(doc, "cachedContent"), "cachedContent") or any(map(_has_file, contents))
        ),
    )


def read_silent(body: bytes, blank: Request) -> Request:
    """What is counted or embedded, which leaves for the provider as any prompt does.

    Raises:
        WireError: the body is not such a request; `where` is the JSON path.
    """
    doc = read_object(body, of="the request body")
    asked = object_(either(doc, "generateContentRequest"), "generateContentRequest") or doc
    found = [*_several(asked, "contents", "$"), *_several(asked, "content", "$")]
    for position, one in enumerate(objects(doc, "requests")):
        found += _several(one, "content", f"$.requests[{position}]")
    system = _system(asked)
    return replace(
        blank,
        messages=(
            *((Message(role="system", text=system),) if system else ()),
            *(message for at, one in enumerate(found) for message in _messages(one, at)),
        ),
        has_system=bool(system),
        has_images=any(_is_media(part) for one in found for part in _parts(one)),
    )


def _several(doc: Object, key: str, at: str) -> list[Object]:
    """The objects under a key; one alone may stand without a list, as Google's own examples do."""
    single = doc.get(key)
    return [single] if isinstance(single, dict) else objects(doc, key, at)


def _parts(content: Object, at: str = "$.contents[]") -> list[Object]:
    return _several(content, "parts", at)


def _has_file(content: Object) -> bool:
    """Whether a part stands elsewhere and only its address is on the wire."""
    return any("fileData" in part or "file_data" in part for part in _parts(content))


def _contents(doc: Object) -> list[Object]:
    found = _several(doc, "contents", "$")
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
    return "".join(text(part, "text", at) or "" for part in _parts(said, "$.systemInstruction"))


def _is_media(part: Object) -> bool:
    for name in ("inlineData", "fileData"):
        said = either(part, name).get(name)
        kind = either(said, "mimeType").get("mimeType") if isinstance(said, dict) else None
        if isinstance(kind, str) and kind.startswith("image/"):
            return True
    return False


def _messages(content: Object, position: int) -> list[Message]:
    """A turn, and before it one message for each result of a function that it brings.

    Thoughts that are sent back are no text of the turn.
    """
    at = f"$.contents[{position}]"
    role = text(content, "role", at) or "user"
    texts: list[str] = []
    calls: list[ToolCall] = []
    results: list[Message] = []
    has_others = False
    for part in _parts(content, at):
        call = object_(either(part, "functionCall"), "functionCall", at)
        result = object_(either(part, "functionResponse"), "functionResponse", at)
        if "text" in part and part.get("thought") is not True:
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
