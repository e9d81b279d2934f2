"""The answers of Cohere's chat interfaces: always one choice."""

from proxy.exchange import Choice, Json, TeacherError, ToolCall, Usage
from proxy.wire.document import Object, compact, object_, objects, read_object, text, whole
from proxy.wire.openai_request import tool_call
from proxy.wire.sse import Event

__all__ = ["V1Assembly", "V2Assembly"]


class _Parts:
    """What both versions put together."""

    def __init__(self) -> None:
        self.model: str | None = None
        """Cohere never says who served."""
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self.has_answer = False
        self.is_ended = False
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, ToolCall] = {}
        self.logprobs: list[Json] = []
        self.has_citations = False
        self.reason: str | None = None
        self.stated: Usage | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the last event was shown."""
        return self.is_ended

    @property
    def is_finished(self) -> bool:
        """Never: each version has a last event of its own."""
        return False

    def choices(self) -> tuple[Choice, ...]:
        """The answer so far; none before it began."""
        if not self.has_answer:
            return ()
        return (
            Choice(
                index=0,
                text="".join(self.text),
                reasoning="".join(self.reasoning),
                finish_reason=self.reason,
                tool_calls=tuple(self.calls[index] for index in sorted(self.calls)),
                logprobs=self.logprobs or None,
                has_citations=self.has_citations,
            ),
        )

    def usage(self) -> Usage | None:
        """The usage that the end states."""
        return self.stated

    def fail(self, doc: Object) -> None:
        """Take the body of an error: a message, and the id of the request."""
        message = doc.get("message")
        if isinstance(message, str):
            kind = doc.get("error_type")
            self.error = TeacherError(type=kind if isinstance(kind, str) else None, message=message)
        else:
            self.problem = "not-an-answer"


_FAILED = frozenset({"ERROR", "ERROR_LIMIT", "ERROR_TOXIC", "TIMEOUT", "USER_CANCEL"})
"""Reasons to end that are no end of an answer (Cohere's API reference, `finish_reason`)."""

_SILENT = frozenset({"content-end", "tool-call-end", "citation-start", "citation-end"})
"""Events of version 2 that bring no words."""


class V2Assembly(_Parts):
    """Puts one answer of version 2 together."""

    def event(self, event: Event) -> None:
        """Take one event; unknown kinds say nothing that could be admitted.

        Raises:
            WireError: it is no event of an answer.
        """
        doc = read_object(event.data, of="an event of the stream")
        delta = object_(doc, "delta") or {}
        message = object_(delta, "message", "$.delta") or {}
        match text(doc, "type") or event.event:
            case "message-start":
                self.has_answer = True
                self.response_id = text(doc, "id")
            case "content-start" | "content-delta":
                self._speak(object_(message, "content", "$.delta.message") or {})
                logprobs = object_(doc, "logprobs")
                self.logprobs += [logprobs] if logprobs else []
            case "tool-plan-delta":
                self.reasoning.append(text(message, "tool_plan", "$.delta.message") or "")
            case "tool-call-start" | "tool-call-delta":
                call = object_(message, "tool_calls", "$.delta.message") or {}
                self._call(whole(doc, "index") or 0, call)
            case "message-end":
                self._end(delta)
            case kind if kind in _SILENT:
                self.has_citations |= kind == "citation-start"
            case _:
                self.fail(doc)

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if not isinstance(doc.get("message"), dict):
            self.fail(doc)
            return
        message = object_(doc, "message") or {}
        self.has_answer = True
        self.response_id = text(doc, "id")
        self.reasoning.append(text(message, "tool_plan", "$.message") or "")
        for part in objects(message, "content", "$.message"):
            self._speak(part)
        for index, call in enumerate(objects(message, "tool_calls", "$.message")):
            self._call(index, call)
        self.has_citations = bool(objects(message, "citations", "$.message"))
        self.logprobs += objects(doc, "logprobs")
        self._end(doc)

    def _speak(self, part: Object) -> None:
        at = "$.content"
        if "thinking" in part:
            self.reasoning.append(text(part, "thinking", at) or "")
        elif part.get("type", "text") == "text":
            self.text.append(text(part, "text", at) or "")
        else:
            self.problem = "unread-part"

    def _call(self, index: int, piece: Object) -> None:
        new = tool_call(piece, "$.tool_calls")
        old = self.calls.get(index)
        self.calls[index] = ToolCall(
            id=new.id or (old.id if old else None),
            name=new.name or (old.name if old else None),
            arguments=(old.arguments if old else "") + new.arguments,
        )

    def _end(self, said: Object) -> None:
        self.is_ended = True
        self.reason = text(said, "finish_reason")
        self.stated = _usage(object_(said, "usage"))
        fault = said.get("error")
        if isinstance(fault, str):
            self.error = TeacherError(message=fault)
        elif self.reason in _FAILED:
            self.error = TeacherError(type=self.reason)


class V1Assembly(_Parts):
    """Puts one answer of version 1 together: the end of a stream says it all again."""

    def event(self, event: Event) -> None:
        """Take one line of a stream.

        Raises:
            WireError: it is no line of an answer.
        """
        doc = read_object(event.data, of="a line of the stream")
        match text(doc, "event_type"):
            case "stream-start":
                self.has_answer = True
                self.response_id = text(doc, "generation_id")
            case "text-generation":
                self.has_answer = True
                self.text.append(text(doc, "text") or "")
            case "citation-generation":
                self.has_citations = True
            case "tool-calls-generation":
                self._calls(doc)
            case "stream-end":
                self._end(doc)
            case "tool-calls-chunk" | "search-queries-generation" | "search-results" | "debug":
                pass
            case None:
                self.fail(doc)
            case _:
                self.problem = "unread-part"

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if "text" in doc:
            self._take(doc)
            self._fail_by_reason(doc)
            self.is_ended = True
        else:
            self.fail(doc)

    def _end(self, doc: Object) -> None:
        whole_answer = object_(doc, "response")
        if whole_answer is not None and isinstance(whole_answer.get("text"), str):
            self._take(whole_answer)
        self.reason = text(doc, "finish_reason") or self.reason
        self.is_ended = True
        self._fail_by_reason(doc)

    def _fail_by_reason(self, doc: Object) -> None:
        if self.reason in _FAILED:
            self.error = TeacherError(type=self.reason, message=text(doc, "error"))

    def _take(self, doc: Object) -> None:
        self.has_answer = True
        self.text = [text(doc, "text") or ""]
        self.response_id = (
            text(doc, "generation_id") or text(doc, "response_id") or self.response_id
        )
        self.reason = text(doc, "finish_reason") or self.reason
        self.has_citations = self.has_citations or bool(objects(doc, "citations"))
        if objects(doc, "tool_calls"):
            self._calls(doc)
        self.stated = _usage(object_(doc, "meta")) or self.stated

    def _calls(self, doc: Object) -> None:
        self.calls = {
            index: ToolCall(
                id=None,
                name=text(call, "name", f"$.tool_calls[{index}]"),
                arguments=compact(call.get("parameters") or {}),
            )
            for index, call in enumerate(objects(doc, "tool_calls"))
        }


_COUNTS = ("tokens", "billed_units", "cached_tokens")


def _usage(stated: Object | None) -> Usage | None:
    """The tokens, and all counts as they were stated."""
    if stated is None:
        return None
    raw: Json = {name: stated[name] for name in stated if name in _COUNTS}
    if not raw:
        return None
    at = "$.usage.tokens"
    tokens = object_(stated, "tokens", "$.usage") or {}
    return Usage(
        input=whole(tokens, "input_tokens", at),
        output=whole(tokens, "output_tokens", at),
        cache_read=whole(stated, "cached_tokens", "$.usage"),
        raw=raw,
    )
