"""One turn of the Live API: what the client said before it, and the server's messages that make it.

A turn of sound has its words in `outputTranscription`, where that was asked for. A call of a tool ends a
turn: what comes after its answer is another.
"""

from dataclasses import replace

from proxy.exchange import Choice, Json, Message, Request, TeacherError, ToolCall, Usage
from proxy.wire.document import Object, compact, count, flag, object_, objects, read_object, text
from proxy.wire.sse import Event

__all__ = ["TurnAssembly", "read_turn"]

_ROLES = {"model": "assistant"}


def read_turn(body: bytes, blank: Request) -> Request:
    """What a client said on its socket before a turn: its messages, one a line.

    Raises:
        WireError: one of them is no JSON object.
    """
    said = [read_object(line, of="a message") for line in body.splitlines() if line.strip()]
    setups = [setup for doc in said if (setup := object_(doc, "setup")) is not None]
    tools: list[Json] = [tool for setup in setups for tool in objects(setup, "tools")]
    return replace(
        blank,
        messages=tuple(message for doc in said for message in _messages(doc)),
        tools=tools or None,
        has_system=any("systemInstruction" in s or "system_instruction" in s for s in setups),
        has_images=any(_has_image(doc) for doc in said),
    )


def _turns(doc: Object) -> list[Object]:
    content = object_(doc, "clientContent") or object_(doc, "client_content") or {}
    return objects(content, "turns")


def _messages(doc: Object) -> list[Message]:
    found = [_message(turn) for turn in _turns(doc)]
    spoken = object_(doc, "realtimeInput") or object_(doc, "realtime_input") or {}
    words = text(spoken, "text")
    if words is not None:
        found.append(Message(role="user", text=words))
    answers = object_(doc, "toolResponse") or object_(doc, "tool_response") or {}
    for each in objects(answers, "functionResponses") or objects(answers, "function_responses"):
        said = compact(each.get("response"))
        found.append(
            Message(role="tool", text=said, tool_call_id=text(each, "id"), name=text(each, "name"))
        )
    return found


def _message(turn: Object) -> Message:
    parts = objects(turn, "parts")
    role = text(turn, "role") or "user"
    return Message(
        role=_ROLES.get(role, role),
        text="".join(text(part, "text") or "" for part in parts),
        has_other_parts=any("text" not in part for part in parts),
    )


def _has_image(doc: Object) -> bool:
    parts = [part for turn in _turns(doc) for part in objects(turn, "parts")]
    data = [object_(part, "inlineData") or object_(part, "inline_data") or {} for part in parts]
    kinds = [text(each, "mimeType") or text(each, "mime_type") or "" for each in data]
    return any(kind.startswith("image/") for kind in kinds)


class TurnAssembly:
    """Puts one turn together."""

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self.is_terminal = False
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._transcript: list[str] = []
        self._calls: list[ToolCall] = []
        self._is_cut = False
        self._usage: Usage | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the end of the socket ends a turn: only its own mark does."""
        return False

    def event(self, event: Event) -> None:
        """Take one message of the server.

        Raises:
            WireError: it is no such message.
        """
        doc = read_object(event.data, of="a message")
        usage = object_(doc, "usageMetadata")
        if usage is not None:
            self._usage = _usage(usage)
        content = object_(doc, "serverContent") or {}
        for part in objects(object_(content, "modelTurn") or {}, "parts"):
            words = self._reasoning if flag(part, "thought") else self._text
            words.append(text(part, "text") or "")
        spoken = object_(content, "outputTranscription") or {}
        self._transcript.append(text(spoken, "text") or "")
        if flag(content, "interrupted"):
            self._is_cut, self.problem = True, "not-finished"
        for call in objects(object_(doc, "toolCall") or {}, "functionCalls"):
            self._calls.append(_call(call))
        self.is_terminal = flag(content, "turnComplete") or "toolCall" in doc

    def document(self, doc: Object) -> None:
        """Take a body: a socket has none."""

    def choices(self) -> tuple[Choice, ...]:
        """The turn, where it has words or calls: written ones, else those of its sound."""
        words = "".join(self._text) or "".join(self._transcript)
        reasoning = "".join(self._reasoning)
        if not (words or reasoning or self._calls):
            return ()
        return (
            Choice(
                index=0,
                text=words,
                reasoning=reasoning,
                finish_reason=self._finish(),
                tool_calls=tuple(self._calls),
            ),
        )

    def _finish(self) -> str | None:
        if self._is_cut:
            return "interrupted"
        if not self.is_terminal:
            return None
        return "toolCall" if self._calls else "turnComplete"

    def usage(self) -> Usage | None:
        """The usage as it was last stated."""
        return self._usage


def _call(call: Object) -> ToolCall:
    return ToolCall(
        id=text(call, "id"), name=text(call, "name"), arguments=compact(object_(call, "args") or {})
    )


def _usage(stated: Object) -> Usage:
    return Usage(
        input=count(stated, "promptTokenCount"),
        output=count(stated, "responseTokenCount"),
        total=count(stated, "totalTokenCount"),
        cache_read=count(stated, "cachedContentTokenCount"),
        reasoning=count(stated, "thoughtsTokenCount"),
        raw=stated,
    )
