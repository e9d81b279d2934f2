"""The format `gemini.interactions`: steps of a conversation that Google may keep (Interactions API).

An interaction that was kept is read as it was when it was made: its request is then not on the wire, so
its prompt is known in part at most.
"""

from dataclasses import replace

from proxy.exchange import Exchange, Message, Request, RequestHead, ToolCall
from proxy.wire.document import (
    Object,
    compact,
    flag,
    number,
    object_,
    objects,
    read_object,
    text,
    whole,
    word,
)
from proxy.wire.gemini_framing import google_framing
from proxy.wire.gemini_interactions_answer import InteractionAssembly
from proxy.wire.paths import ends_with, is_asked
from proxy.wire.prompt import content_parts, model_of, texts_of
from proxy.wire.reading import ExchangeReader

__all__ = ["Interactions", "read_interaction"]

_ROLES = {"model": "assistant", "user_input": "user", "model_output": "assistant"}
_CONTENT = frozenset({"text", "image", "audio", "document", "video"})


class Interactions:
    """Interactions: JSON, or server-sent events that end in `interaction.completed`."""

    name = "gemini.interactions"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a new interaction, and for one that is fetched or stopped: each brings words."""
        match head.method:
            case "POST":
                is_ours = ends_with(head.path, "/interactions") or _is_stopped(head.path)
            case "GET":
                is_ours = ends_with(head.path, "/interactions/*")
            case _:
                is_ours = False
        return "chat" if is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        is_new = head.method == "POST" and not _is_stopped(head.path)
        blank = Request(
            wire_format=self.name,
            operation="chat",
            model_asked=None,
            is_streamed=is_asked(head.query, "stream"),
            is_whole=is_new,
        )
        return _InteractionReader(blank, is_new=is_new)


def _is_stopped(path: str) -> bool:
    return ends_with(path, "/interactions/*/cancel")


class _InteractionReader(ExchangeReader):
    """Reads one exchange: an answer is complete only if the interaction says that it is over."""

    def __init__(self, blank: Request, *, is_new: bool) -> None:
        self._interaction = InteractionAssembly()
        super().__init__(
            blank,
            read_interaction if is_new else lambda _: blank,
            self._interaction,
            framing=lambda answer: google_framing(answer, is_streamed=blank.is_streamed),
        )

    def request(self, body: bytes) -> Request:
        """Read the whole request body, which also says whether events are wanted.

        Raises:
            WireError: the body is not a request of this format.
        """
        request = super().request(body)
        is_streamed = request.is_streamed
        self._framing = lambda answer: google_framing(answer, is_streamed=is_streamed)
        return request

    def finish(self, *, is_clean: bool = False) -> Exchange:
        """Give what was read."""
        exchange = super().finish(is_clean=is_clean)
        is_complete = exchange.answer.is_complete and self._interaction.is_over
        return replace(exchange, answer=replace(exchange.answer, is_complete=is_complete))


def read_interaction(body: bytes) -> Request:
    """What a body asks: of a model, or of an agent, whose name then stands for the model's.

    Raises:
        WireError: the body is not such a request; `where` is the JSON path.
    """
    doc = read_object(body, of="the request body")
    settings = object_(doc, "generation_config") or {}
    system = text(doc, "system_instruction")
    entries = _entries(doc)
    before = text(doc, "previous_interaction_id") or None
    is_given = not doc.get("environment") and not any(_has_address(entry) for entry in entries)
    messages = (
        *((Message(role="system", text=system),) if system else ()),
        *(message for at, entry in enumerate(entries) for message in _messages(entry, at)),
    )
    return Request(
        wire_format=Interactions.name,
        operation="chat",
        model_asked=text(doc, "model") or text(doc, "agent") or model_of(doc),
        is_streamed=flag(doc, "stream"),
        messages=messages,
        tools=[*objects(doc, "tools")] or None,
        max_tokens=whole(settings, "max_output_tokens", "$.generation_config"),
        temperature=number(settings, "temperature", "$.generation_config"),
        has_system=bool(system),
        has_images=any(_has_image(entry) for entry in entries),
        is_whole=is_given and before is None,
        is_continued=is_given and before is not None,
        previous_response_id=before,
    )


def _entries(doc: Object) -> list[Object]:
    """The input as steps: a text, one content, or contents among steps are what the user says."""
    found: list[Object] = []
    said = doc.get("input")
    parts = [said] if isinstance(said, dict) else content_parts(doc, "input", "$")
    for part in parts:
        is_content = "role" not in part and word(part, "type") in _CONTENT
        if not is_content:
            found.append(part)
        elif found and found[-1].get("type") == "user_input" and "role" not in found[-1]:
            content = found[-1]["content"]
            found[-1] = {**found[-1], "content": [*_listed(content), part]}
        else:
            found.append({"type": "user_input", "content": [part]})
    return found


def _listed(content: object) -> list[Object]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _messages(entry: Object, position: int) -> list[Message]:
    at = f"$.input[{position}]"
    kind = text(entry, "role", at) or text(entry, "type", at) or "user"
    match entry.get("type"):
        case "function_call":
            return [Message(role="assistant", text="", tool_calls=(_call(entry, at),))]
        case "function_result":
            return [_result(entry, at)]
    parts = content_parts(entry, "content", at)
    texts = texts_of(parts, f"{at}.content")
    role = _ROLES.get(kind, kind if "role" in entry else "assistant")
    has_others = len(texts) < len(parts) or not parts
    return [Message(role=role, text="".join(texts), has_other_parts=has_others)]


def _call(entry: Object, at: str) -> ToolCall:
    return ToolCall(
        id=text(entry, "id", at),
        name=text(entry, "name", at),
        arguments=compact(object_(entry, "arguments", at) or {}),
    )


def _result(entry: Object, at: str) -> Message:
    result = entry.get("result")
    return Message(
        role="tool",
        text=result if isinstance(result, str) else compact(result),
        tool_call_id=text(entry, "call_id", at),
        name=text(entry, "name", at),
    )


def _has_image(entry: Object) -> bool:
    return any(part.get("type") == "image" for part in _listed(entry.get("content")))


def _has_address(entry: Object) -> bool:
    """Whether a part stands elsewhere and only its address is on the wire."""
    return any(part.get("uri") for part in _listed(entry.get("content")))
