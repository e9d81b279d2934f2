"""The answer of `gemini.generateContent`: one assembly for the whole object and for its pieces.

Older clients of Vertex ask for enumerations as numbers; they are read by Google's public definition
(google.ai.generativelanguage.v1beta, `Candidate.FinishReason`).
"""

from proxy.exchange import Choice, Json, TeacherError, ToolCall, Usage
from proxy.wire.document import Object, compact, count, integer, object_, objects, read_object, text
from proxy.wire.sse import Event

__all__ = ["GeminiAssembly"]

_REASONS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
)
_SERVER_TOOLS = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")


class _Candidate:
    """One candidate, growing."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[ToolCall] = []
        self.server_tools: list[str] = []
        self.logprobs: list[Json] = []
        self.reason: str | None = None
        self.has_citations = False
        self.has_unread = False

    def add(self, said: Object, at: str) -> None:
        content = object_(said, "content", at) or {}
        for part in objects(content, "parts", f"{at}.content"):
            self._add_part(part, f"{at}.content.parts[]")
        self.reason = _reason(said, at) or self.reason
        cited = object_(said, "citationMetadata", at) or object_(said, "groundingMetadata", at)
        self.has_citations |= bool(cited)
        logprobs = object_(said, "logprobsResult", at)
        if logprobs is not None:
            self.logprobs.append(logprobs)

    def _add_part(self, part: Object, at: str) -> None:
        call = object_(part, "functionCall", at)
        tool = next((name for name in _SERVER_TOOLS if name in part), None)
        if "text" in part:
            words = text(part, "text", at) or ""
            (self.reasoning if part.get("thought") is True else self.text).append(words)
        elif call is not None:
            self.calls.append(
                ToolCall(
                    id=text(call, "id", at),
                    name=text(call, "name", at),
                    arguments=compact(call.get("args") or {}),
                )
            )
        elif tool is not None:
            self.server_tools.append(tool)
        elif part.keys() - {"thoughtSignature", "thought"}:
            self.has_unread = True


class GeminiAssembly:
    """Puts one answer together."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._candidates: dict[int, _Candidate] = {}
        self._blocked: str | None = None
        self._usage: Usage | None = None

    @property
    def is_terminal(self) -> bool:
        """Never: a stream has no terminal frame."""
        return False

    @property
    def is_finished(self) -> bool:
        """Whether every candidate was given a reason to end, or the prompt was blocked."""
        ended = [one.reason is not None for one in self._candidates.values()]
        return self._blocked is not None or (bool(ended) and all(ended))

    def event(self, event: Event) -> None:
        """Take one piece of a stream.

        Raises:
            WireError: it is no piece of an answer.
        """
        self._take(read_object(event.data, of="an event of the stream"))

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        self._take(doc)
        if self.error is None and not self.is_finished:
            self.problem = self.problem or "not-an-answer"

    def choices(self) -> tuple[Choice, ...]:
        """The candidates in their order."""
        return tuple(
            Choice(
                index=index,
                text="".join(one.text),
                reasoning="".join(one.reasoning),
                finish_reason=one.reason,
                tool_calls=tuple(one.calls),
                server_tools=tuple(one.server_tools),
                logprobs=one.logprobs or None,
                has_citations=one.has_citations,
            )
            for index, one in sorted(self._candidates.items())
        )

    def usage(self) -> Usage | None:
        """The counts as they were last stated: each piece repeats them."""
        return self._usage

    def _take(self, doc: Object) -> None:
        fault = doc.get("error")
        if isinstance(fault, dict):
            self.error = _error(fault)
            return
        self.model = text(doc, "modelVersion") or self.model
        self.response_id = text(doc, "responseId") or self.response_id
        for position, said in enumerate(objects(doc, "candidates")):
            at = f"$.candidates[{position}]"
            index = integer(said, "index", at)
            one = self._candidates.setdefault(position if index is None else index, _Candidate())
            one.add(said, at)
            if one.has_unread:
                self.problem = "unread-part"
        feedback = object_(doc, "promptFeedback") or {}
        blocked = feedback.get("blockReason")
        self._blocked = str(blocked) if blocked else self._blocked
        self._usage = _usage(object_(doc, "usageMetadata")) or self._usage


def _reason(said: Object, at: str) -> str | None:
    value = said.get("finishReason")
    if type(value) is int:
        return _REASONS[value] if 0 < value < len(_REASONS) else str(value) if value else None
    return text(said, "finishReason", at) or None


def _error(fault: Object) -> TeacherError:
    status, code, message = fault.get("status"), fault.get("code"), fault.get("message")
    return TeacherError(
        type=status if isinstance(status, str) else None,
        code=None if code is None else str(code),
        message=message if isinstance(message, str) else None,
    )


def _usage(stated: Object | None) -> Usage | None:
    if not stated:
        return None
    at = "$.usageMetadata"
    return Usage(
        input=count(stated, "promptTokenCount", at),
        output=count(stated, "candidatesTokenCount", at),
        total=count(stated, "totalTokenCount", at),
        cache_read=count(stated, "cachedContentTokenCount", at),
        reasoning=count(stated, "thoughtsTokenCount", at),
        raw=stated,
    )
