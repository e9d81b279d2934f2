"""The formats `cohere.v2` and `cohere.v1`: Cohere's chat interfaces, in JSON and as streams.

Version 2 streams server-sent events that end in `message-end`; version 1 streams JSON lines, and its
last line holds the whole answer again. Tokens and billed units are two counts: both are kept, and the
tokens are the usage.
"""

from typing import Literal

from proxy.exchange import Message, Request, RequestHead
from proxy.wire.cohere_answer import V1Assembly, V2Assembly
from proxy.wire.document import Object, flag, number, objects, read_object, text, whole
from proxy.wire.openai_request import tool_call
from proxy.wire.prompt import content_parts, entries_of, model_of, role_of, texts_of
from proxy.wire.reading import ExchangeReader

__all__ = ["Cohere"]

_ROLES = {"user": "user", "chatbot": "assistant", "system": "system", "tool": "tool"}


class Cohere:
    """Chat of one version."""

    def __init__(self, version: Literal["v1", "v2"]) -> None:
        self.name = f"cohere.{version}"
        self._is_first = version == "v1"
        self._suffix = f"/{version}/chat"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a POST whose path ends in `/v1/chat` or `/v2/chat`."""
        return "chat" if head.method == "POST" and head.path.endswith(self._suffix) else None

    def reader(self, head: RequestHead) -> ExchangeReader:  # noqa: ARG002 - the body names the model
        """A fresh reader for one exchange."""
        blank = Request(
            wire_format=self.name, operation="chat", model_asked=None, is_streamed=False
        )
        if self._is_first:
            return ExchangeReader(blank, _read_v1, V1Assembly())
        return ExchangeReader(blank, _read_v2, V2Assembly())


def _read_v2(body: bytes) -> Request:
    doc = read_object(body, of="the request body")
    entries = entries_of(doc)
    messages = tuple(
        _message(entry, f"$.messages[{position}]") for position, entry in enumerate(entries)
    )
    return _request(doc, "cohere.v2", messages, model=model_of(doc))


def _message(entry: Object, at: str) -> Message:
    parts = content_parts(entry, "content", at)
    texts = texts_of(parts, f"{at}.content")
    return Message(
        role=role_of(entry, at),
        text="".join(texts) or text(entry, "tool_plan", at) or "",
        tool_calls=tuple(
            tool_call(call, f"{at}.tool_calls[{position}]")
            for position, call in enumerate(objects(entry, "tool_calls", at))
        ),
        tool_call_id=text(entry, "tool_call_id", at),
        has_other_parts=len(texts) < len(parts),
    )


def _read_v1(body: bytes) -> Request:
    doc = read_object(body, of="the request body")
    preamble = text(doc, "preamble")
    messages = (
        *((Message(role="system", text=preamble),) if preamble else ()),
        *(
            _turn(entry, f"$.chat_history[{position}]")
            for position, entry in enumerate(objects(doc, "chat_history"))
        ),
        Message(role="user", text=text(doc, "message") or ""),
    )
    # The model may be left out, and Cohere chooses one; a conversation's earlier turns are with them.
    is_whole = not (doc.get("conversation_id") or doc.get("connectors"))
    model = text(doc, "model") or None
    return _request(doc, "cohere.v1", messages, model=model, is_whole=is_whole)


def _turn(entry: Object, at: str) -> Message:
    role = role_of(entry, at).lower()
    return Message(
        role=_ROLES.get(role, role),
        text=text(entry, "message", at) or "",
        has_other_parts=bool(entry.get("tool_calls") or entry.get("tool_results")),
    )


def _request(
    doc: Object,
    name: str,
    messages: tuple[Message, ...],
    *,
    model: str | None,
    is_whole: bool = True,
) -> Request:
    return Request(
        wire_format=name,
        operation="chat",
        model_asked=model,
        is_streamed=flag(doc, "stream"),
        messages=messages,
        tools=[*objects(doc, "tools")] or None,
        max_tokens=whole(doc, "max_tokens"),
        temperature=number(doc, "temperature"),
        wants_logprobs=flag(doc, "logprobs"),
        has_system=any(message.role in {"system", "developer"} for message in messages),
        has_images=_has_images(doc),
        is_whole=is_whole,
    )


def _has_images(doc: Object) -> bool:
    contents = [entry.get("content") for entry in objects(doc, "messages")]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)
