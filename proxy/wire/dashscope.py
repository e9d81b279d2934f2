"""The format `dashscope`: Alibaba's own interface to its models (Model Studio, "DashScope API reference").

A stream is asked for by a header, and each of its events repeats the whole text so far unless
`incremental_output` is asked for. Nothing ends a stream but a reason to stop. Who answered it never says.
"""

from proxy.errors import WireError
from proxy.exchange import Json, Message, Request, RequestHead, Usage
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
from proxy.wire.openai_answer import ChatAssembly
from proxy.wire.openai_error import error_of
from proxy.wire.openai_request import read_request
from proxy.wire.paths import ends_with
from proxy.wire.prompt import model_of
from proxy.wire.reading import ExchangeReader
from proxy.wire.sse import Event

__all__ = ["DashScope"]

_PATHS = (
    "/services/aigc/text-generation/generation",
    "/services/aigc/multimodal-generation/generation",
)
_READ = frozenset({"messages", "prompt"})
"""What is read of `input`; older models also take a `history` there."""
_ON = "enable"
_UNENDED = "null"
"""How this interface writes that a text has no reason to end yet."""


class DashScope:
    """Generation of text: JSON, or server-sent events."""

    name = "dashscope"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a POST to one of the two services that generate text."""
        is_ours = any(ends_with(head.path, path) for path in _PATHS)
        return "chat" if head.method == "POST" and is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        is_streamed = head.header("x-dashscope-sse") == _ON or "text/event-stream" in (
            head.header("accept") or ""
        )
        parts = _Assembly()

        def read(body: bytes) -> Request:
            doc = read_object(body, of="the request body")
            settings = object_(doc, "parameters") or {}
            parts.is_incremental = flag(settings, "incremental_output", "$.parameters")
            parts.may_search = flag(settings, "enable_search", "$.parameters")
            request = _read(doc, settings, is_streamed=is_streamed)
            parts.wanted = request.n
            return request

        blank = Request(
            wire_format=self.name, operation="chat", model_asked=None, is_streamed=is_streamed
        )
        return ExchangeReader(blank, read, parts, head=head)


def _read(doc: Object, settings: Object, *, is_streamed: bool) -> Request:
    """What a body asks: its messages are those of a chat, its texts may leave their type out."""
    given = object_(doc, "input") or {}
    asked_in = [key for key, value in given.items() if value]
    model = model_of(doc)
    at = "$.parameters"
    prompt = text(given, "prompt", "$.input")
    messages: tuple[Message, ...] = ()
    has_images = False
    if given.get("messages"):
        entries: list[Json] = [_typed(entry) for entry in objects(given, "messages", "$.input")]
        asked = read_request(compact({"model": model, "messages": entries}).encode())
        messages, has_images = asked.messages, asked.has_images
    elif prompt is not None:
        messages = (Message(role="user", text=prompt),)
    else:
        raise WireError(
            "the request has neither `messages` nor a `prompt`",
            code="missing-messages",
            where="$.input",
            help="send at least one message",
        )
    wanted = count(settings, "n", at)
    return Request(
        wire_format=DashScope.name,
        operation="chat",
        model_asked=model,
        is_streamed=is_streamed,
        messages=messages,
        tools=[*objects(settings, "tools", at)] or None,
        n=1 if wanted is None else wanted,
        max_tokens=whole(settings, "max_tokens", at),
        temperature=number(settings, "temperature", at),
        wants_logprobs=flag(settings, "logprobs", at),
        has_system=any(message.role == "system" for message in messages),
        has_images=has_images,
        is_whole=_READ.issuperset(asked_in) and len(asked_in) == 1,
    )


def _typed(entry: Object) -> Object:
    """A message with parts as chats write them: here a part's only key is its type."""
    content = entry.get("content")
    if not isinstance(content, list):
        return entry
    return {**entry, "content": [_part(part) for part in content]}


def _part(part: Json) -> Json:
    if not isinstance(part, dict) or "type" in part:
        return part
    return {"type": next(iter(part), "text"), **part}


class _Assembly(ChatAssembly):
    """Puts one answer together: what it says, it says as the message of a chat."""

    def __init__(self) -> None:
        super().__init__()
        self.is_incremental = False
        self.may_search = False
        """Whether texts of others may have come in: an answer names them only if it is asked to."""
        self._stated: Usage | None = None

    def event(self, event: Event) -> None:
        """Take one event of a stream.

        Raises:
            WireError: it is no event of an answer.
        """
        doc = read_object(event.data, of="an event of the stream")
        if event.event == "error" or doc.get("output") is None:
            self.error = error_of(doc)
            return
        if self.is_incremental:
            self._take(doc, key="delta")
            return
        before = [choice.text for choice in self.choices()]
        self._take(doc, key="message")
        after = [choice.text for choice in self.choices()]
        if not all(map(str.startswith, after, before)):
            self.problem = "text-changed"  # pieces came where the whole text was to be repeated

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if doc.get("output") is None:
            super().document({k: v for k, v in doc.items() if k != "choices"})
        else:
            self._take(doc, key="message")
            if not self.is_finished:
                self.problem = self.problem or "not-an-answer"

    def usage(self) -> Usage | None:
        """The usage as it was last stated."""
        return self._stated

    def _take(self, doc: Object, *, key: str) -> None:
        output = object_(doc, "output") or {}
        said = objects(output, "choices", "$.output")
        if not said and "text" in output:
            message: Json = {"content": output["text"]}
            said = [{"message": message, "finish_reason": output.get("finish_reason")}]
        choices: list[Json] = [_choice(one, position, key) for position, one in enumerate(said)]
        self._add({"id": doc.get("request_id"), "choices": choices})
        if self.may_search or output.get("search_info"):
            self._has_citations = True
        stated = object_(doc, "usage")
        if stated:
            self._stated = _usage(stated)


def _choice(said: Object, position: int, key: str) -> Object:
    reason = text(said, "finish_reason", "$.output.choices[]")
    message = object_(said, "message", "$.output.choices[]") or {}
    return {
        "index": count(said, "index", "$.output.choices[]") or position,
        key: _typed(message),
        "finish_reason": None if reason == _UNENDED else reason,
        "logprobs": said.get("logprobs"),
    }


def _usage(stated: Object) -> Usage:
    at = "$.usage"
    asked = object_(stated, "prompt_tokens_details", at) or {}
    given = object_(stated, "output_tokens_details", at) or {}
    return Usage(
        input=whole(stated, "input_tokens", at),
        output=whole(stated, "output_tokens", at),
        total=whole(stated, "total_tokens", at),
        cache_read=whole(asked, "cached_tokens", at),
        reasoning=whole(given, "reasoning_tokens", at),
        raw=stated,
    )
