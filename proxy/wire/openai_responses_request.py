"""The request of `openai.responses`: Responses as OpenAI's API reference names its fields.

The input is one text or a list of items: messages, calls, their results, and what the model thought.
Consecutive items of the model are one turn, as a chat template renders them.
"""

from dataclasses import replace

from proxy.errors import WireError
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
    word,
)
from proxy.wire.prompt import content_parts, model_of, role_of
from proxy.wire.sampling import bent_by

__all__ = ["TEXT_PARTS", "call_of", "read_compact", "read_input_tokens", "read_request"]

TEXT_PARTS = frozenset({"input_text", "output_text", "text"})
"""Kinds of content parts whose `text` is what was said."""

_SYSTEM_ROLES = frozenset({"system", "developer"})
_HELD_STATE = ("conversation", "prompt")
"""What the provider keeps of a prompt, beside the response that it goes on from."""
_LOGPROBS = "message.output_text.logprobs"
_IMAGES = frozenset({"input_image", "image_url", "computer_screenshot"})


def read_request(body: bytes) -> Request:
    """What a body of Responses asks; `instructions` become the first message.

    Raises:
        WireError: the body is not such a request; `where` is the JSON path.
    """
    return _read(body, "openai.responses", "chat")


def read_input_tokens(body: bytes) -> Request:
    """What a count of input tokens is asked of: the same prompt, and no answer of a model."""
    return _read(body, "plain", "count-tokens")


def read_compact(body: bytes) -> Request:
    """What is to be compacted: the same prompt; the answer is sealed by the provider."""
    return _read(body, "plain", "other")


def _read(body: bytes, wire_format: str, operation: str) -> Request:
    doc = read_object(body, of="the request body")
    prompt = _Prompt(doc)
    tools: Json = [*objects(doc, "tools")]
    included = doc.get("include")
    before = text(doc, "previous_response_id") or None
    return Request(
        wire_format=wire_format,
        operation=operation,
        model_asked=_model(doc),
        is_streamed=flag(doc, "stream"),
        messages=tuple(prompt.messages),
        tools=tools or None,
        max_tokens=count(doc, "max_output_tokens"),
        temperature=number(doc, "temperature"),
        wants_logprobs=bool(count(doc, "top_logprobs"))
        or (isinstance(included, list) and _LOGPROBS in included),
        bent_by=bent_by(doc),
        has_system=any(message.role in _SYSTEM_ROLES for message in prompt.messages),
        has_images=prompt.has_images,
        is_whole=prompt.is_whole and before is None,
        is_continued=prompt.is_whole and before is not None,
        previous_response_id=before,
    )


def _model(doc: Object) -> str | None:
    """The model named; a prompt stored by the provider may name it instead."""
    if doc.get("model") is None and doc.get("prompt") is not None:
        return None
    return model_of(doc)


class _Prompt:
    """The messages of one request, growing item by item."""

    def __init__(self, doc: Object) -> None:
        self.messages: list[Message] = []
        self.has_images = False
        self.is_whole = all(not doc.get(key) for key in _HELD_STATE)
        self._is_open = False
        """Whether the last message is the model's turn, still growing."""
        self._add_instructions(doc)
        given = doc.get("input")
        if isinstance(given, str):
            self.messages.append(Message(role="user", text=given))
        else:
            for position, item in enumerate(objects(doc, "input")):
                self._add(item, f"$.input[{position}]")
        if given is None and self.is_whole and not doc.get("previous_response_id"):
            raise WireError(
                "the request has no `input`",
                code="missing-messages",
                where="$.input",
                help="send a text or at least one item",
            )

    def _add_instructions(self, doc: Object) -> None:
        parts = content_parts(doc, "instructions", "$")
        if parts:
            self._say(replace(self._message(parts, "$.instructions[]"), role="system"))

    def _add(self, item: Object, at: str) -> None:
        kind = text(item, "type", at) or ("message" if "role" in item else "item_reference")
        match kind:
            case "message":
                self._add_message(item, at)
            case "function_call" | "custom_tool_call":
                self._turn(calls=(call_of(item, at),))
            case "reasoning":
                self._turn(has_other_parts=True)
            case "item_reference":
                self.is_whole = False
            case _ if kind.endswith("_output"):
                self._add_result(item, at)
            case _:
                # A compaction stands for a prompt that only the provider can read.
                self.is_whole &= not kind.startswith("compaction")
                self.has_images |= kind == "image_generation_call"
                self._turn(has_other_parts=True)
                self._is_open = False

    def _add_message(self, item: Object, at: str) -> None:
        role = role_of(item, at)
        said = self._message(content_parts(item, "content", at), f"{at}.content[]")
        if role == "assistant":
            self._turn(said=said.text, has_other_parts=said.has_other_parts)
        else:
            self._say(replace(said, role=role))

    def _add_result(self, item: Object, at: str) -> None:
        output = item.get("output")
        parts = [output] if isinstance(output, dict) else content_parts(item, "output", at)
        result = self._message(parts, f"{at}.output")
        self._say(replace(result, role="tool", tool_call_id=text(item, "call_id", at)))

    def _message(self, parts: list[Object], at: str) -> Message:
        """The parts as a message of nobody yet; what they need of the provider is noted."""
        texts = [text(part, "text", at) or "" for part in parts if word(part, "type") in TEXT_PARTS]
        self.has_images |= any(word(part, "type") in _IMAGES for part in parts)
        self.is_whole &= not any(part.get("file_id") for part in parts)
        return Message(role="", text="".join(texts), has_other_parts=len(texts) < len(parts))

    def _say(self, message: Message) -> None:
        self.messages.append(message)
        self._is_open = False

    def _turn(
        self,
        *,
        said: str = "",
        calls: tuple[ToolCall, ...] = (),
        has_other_parts: bool = False,
    ) -> None:
        """Go on with the model's turn: it thinks, speaks, then calls; words after calls begin anew."""
        last = self.messages[-1] if self._is_open else None
        if last is None or (said and last.tool_calls):
            last = Message(role="assistant", text="")
            self.messages.append(last)
        self.messages[-1] = replace(
            last,
            text=last.text + said,
            tool_calls=last.tool_calls + calls,
            has_other_parts=last.has_other_parts or has_other_parts,
        )
        self._is_open = True


def call_of(item: Object, at: str) -> ToolCall:
    """A call of a client-side tool as an item gives it; a custom tool takes text as it is."""
    key = "input" if item.get("type") == "custom_tool_call" else "arguments"
    whole = object_(item, key, at) if isinstance(item.get(key), dict) else None
    return ToolCall(
        id=text(item, "call_id", at) or text(item, "id", at) or None,
        name=text(item, "name", at) or None,
        arguments=(text(item, key, at) or "") if whole is None else compact(whole),
    )
