"""The format `mistral.conversations`: conversations with agents that Mistral keeps (Conversations API reference).

A request brings new entries, and goes on from those that the provider holds; an answer brings what was said
and done since. Its stream ends in `conversation.response.done`. Nothing says why the model stopped.
"""

from proxy.exchange import (
    Choice,
    Json,
    Message,
    Request,
    RequestHead,
    TeacherError,
    ToolCall,
    Usage,
)
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
from proxy.wire.openai_error import error_of
from proxy.wire.paths import ends_with
from proxy.wire.prompt import content_parts, texts_of
from proxy.wire.reading import ExchangeReader
from proxy.wire.sse import Event

__all__ = ["MistralConversations"]

_PATHS = ("/conversations", "/conversations/*", "/conversations/*/restart")
_MARKS = frozenset({"agent.handoff.started", "agent.handoff.done", "tool.execution.delta"})
"""Events that bring no words and name nothing that was done."""


class MistralConversations:
    """A conversation begun, gone on with or begun again: JSON, or server-sent events."""

    name = "mistral.conversations"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a POST to a conversation."""
        is_ours = any(ends_with(head.path, path) for path in _PATHS)
        return "chat" if head.method == "POST" and is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        is_new = ends_with(head.path, "/conversations")
        blank = Request(
            wire_format=self.name,
            operation="chat",
            model_asked=None,
            is_streamed=False,
            is_whole=is_new,
        )
        return ExchangeReader(
            blank, lambda body: _read(body, is_new=is_new), _Assembly(), head=head
        )


def _read(body: bytes, *, is_new: bool) -> Request:
    """What a body asks: of a model, or of an agent, whose instructions the provider holds."""
    doc = read_object(body, of="the request body")
    settings = object_(doc, "completion_args") or {}
    system = text(doc, "instructions")
    given = doc.get("inputs")
    entries = [] if isinstance(given, str) else objects(doc, "inputs")
    agent = text(doc, "agent_id") or None
    return Request(
        wire_format=MistralConversations.name,
        operation="chat",
        model_asked=text(doc, "model") or agent,
        is_streamed=flag(doc, "stream"),
        messages=(
            *((Message(role="system", text=system),) if system else ()),
            *((Message(role="user", text=given),) if isinstance(given, str) else ()),
            *(_message(entry, f"$.inputs[{position}]") for position, entry in enumerate(entries)),
        ),
        tools=[*objects(doc, "tools")] or None,
        max_tokens=count(settings, "max_tokens", "$.completion_args"),
        temperature=number(settings, "temperature", "$.completion_args"),
        has_system=bool(system),
        has_images=any(_has_image(entry) for entry in entries),
        is_whole=is_new and agent is None,
    )


def _message(entry: Object, at: str) -> Message:
    match text(entry, "type", at):
        case "function.result":
            return Message(
                role="tool",
                text=text(entry, "result", at) or "",
                tool_call_id=text(entry, "tool_call_id", at),
            )
        case "function.call":
            return Message(role="assistant", text="", tool_calls=(_call(entry, at),))
    parts = content_parts(entry, "content", at)
    texts = texts_of(parts, f"{at}.content")
    return Message(
        role=text(entry, "role", at) or "user",
        text="".join(texts),
        has_other_parts=len(texts) < len(parts) or "content" not in entry,
    )


def _has_image(entry: Object) -> bool:
    content = entry.get("content")
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def _call(said: Object, at: str) -> ToolCall:
    given = said.get("arguments")
    return ToolCall(
        id=text(said, "tool_call_id", at) or None,
        name=text(said, "name", at) or None,
        arguments=compact(given) if isinstance(given, dict) else text(said, "arguments", at) or "",
    )


class _Assembly:
    """Puts one answer together: always one choice."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[str, ToolCall] = {}
        self._tools: list[str] = []
        self._has_citations = False
        self._has_answer = False
        self._usage: Usage | None = None
        self._is_done = False

    @property
    def is_terminal(self) -> bool:
        """Whether the event that closes a stream was shown."""
        return self._is_done

    @property
    def is_finished(self) -> bool:
        """Never: this format always ends in an event that closes it."""
        return False

    def event(self, event: Event) -> None:
        """Take one event of a stream; its kind is told by the JSON, else by the line before it.

        Raises:
            WireError: it is no event of an answer.
        """
        doc = read_object(event.data, of="an event of the stream")
        match text(doc, "type") or event.event:
            case "conversation.response.started":
                self._begin(doc)
            case "message.output.delta":
                self._speak(doc, "$")
            case "function.call.delta":
                self._call(doc, "$")
            case "tool.execution.started":
                self._tools.append(text(doc, "name") or "tool.execution")
            case "conversation.response.done":
                self._is_done = True
                self._count(doc)
            case "conversation.response.error" | "error":
                self.error = error_of(doc)
            case kind if kind in _MARKS or kind == "tool.execution.done":
                pass
            case _:
                self.problem = "unread-part"

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if not isinstance(doc.get("outputs"), list):
            self.error = error_of(doc)
            if self.error == TeacherError():
                self.error, self.problem = None, "not-an-answer"
            return
        self._begin(doc)
        for position, output in enumerate(objects(doc, "outputs")):
            self._take(output, f"$.outputs[{position}]")
        self._count(doc)

    def choices(self) -> tuple[Choice, ...]:
        """What was said as one choice; none before the answer began."""
        if not self._has_answer:
            return ()
        return (
            Choice(
                index=0,
                text="".join(self._text),
                reasoning="".join(self._reasoning),
                tool_calls=tuple(self._calls.values()),
                server_tools=tuple(self._tools),
                has_citations=self._has_citations,
            ),
        )

    def usage(self) -> Usage | None:
        """The usage that the end states."""
        return self._usage

    def _begin(self, doc: Object) -> None:
        self._has_answer = True
        self.response_id = text(doc, "conversation_id") or None

    def _take(self, output: Object, at: str) -> None:
        match text(output, "type", at):
            case "message.output":
                self._speak(output, at)
            case "function.call":
                self._call(output, at)
            case "tool.execution":
                self._tools.append(text(output, "name", at) or "tool.execution")
            case "agent.handoff":
                pass
            case _:
                self.problem = "unread-part"

    def _speak(self, said: Object, at: str) -> None:
        self._has_answer = True
        model = text(said, "model", at) or None
        if model is not None:
            if self.model not in {None, model}:
                self.problem = "model-changed"  # agents that hand over may run on several
            self.model = model
        content = said.get("content")
        parts = [content] if isinstance(content, dict) else content_parts(said, "content", at)
        for part in parts:
            self._add(part, f"{at}.content")

    def _add(self, part: Object, at: str) -> None:
        match text(part, "type", at):
            case "text":
                self._text.append(text(part, "text", at) or "")
            case "tool_reference":
                self._has_citations = True
            case "thinking":
                for piece in content_parts(part, "thinking", at):
                    self._reasoning.append(text(piece, "text", at) or "")
            case _:
                self.problem = "unread-part"

    def _call(self, said: Object, at: str) -> None:
        self._has_answer = True
        piece = _call(said, at)
        key = text(said, "id", at) or piece.id or str(len(self._calls))
        before = self._calls.get(key)
        self._calls[key] = piece if before is None else _joined(before, piece)

    def _count(self, doc: Object) -> None:
        stated = object_(doc, "usage")
        if not stated:
            return
        at = "$.usage"
        raw: Json = stated
        self._usage = Usage(
            input=whole(stated, "prompt_tokens", at),
            output=whole(stated, "completion_tokens", at),
            total=whole(stated, "total_tokens", at),
            raw=raw,
        )


def _joined(before: ToolCall, piece: ToolCall) -> ToolCall:
    return ToolCall(
        id=before.id or piece.id,
        name=before.name or piece.name,
        arguments=before.arguments + piece.arguments,
    )
