"""The answer of `gemini.generateContent`: one assembly for the whole object and for its pieces.

Older clients ask for enumerations as numbers; they are read by Google's public definitions, which differ
(`Candidate.FinishReason` of google.cloud.aiplatform.v1 and of google.ai.generativelanguage.v1beta).
"""

from proxy.exchange import Choice, Json, TeacherError, ToolCall, Usage
from proxy.wire.document import Object, compact, count, integer, object_, objects, read_object, text
from proxy.wire.gemini_framing import END
from proxy.wire.retrying import retry_delay_s
from proxy.wire.sse import Event

__all__ = ["GEMINI_REASONS", "VERTEX_REASONS", "GeminiAssembly", "google_error"]

_UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"
_FIRST_REASONS = (_UNSPECIFIED, "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
VERTEX_REASONS = (
    *_FIRST_REASONS,
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "UNEXPECTED_TOOL_CALL",
    "NO_IMAGE",
)
GEMINI_REASONS = (
    *_FIRST_REASONS,
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
)
_BLOCKS = ("BLOCK_REASON_UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT")
_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
"""Reasons that a filter gave, not the model: what stands before them is what the filter left."""
_SERVER_TOOLS = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
_CITING = ("citationMetadata", "groundingMetadata", "urlContextMetadata", "groundingAttributions")
_MARKS = frozenset({"thought", "thoughtSignature", "partMetadata", "videoMetadata"})
"""Fields of a part beside what it says."""


class _Candidate:
    """One candidate, growing."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self._reasons = reasons
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[ToolCall] = []
        self.server_tools: list[str] = []
        self.logprobs: list[Json] = []
        self.reason: str | None = None
        self.has_citations = False
        self.is_recited = False
        self.has_unread = False

    def add(self, said: Object, at: str) -> None:
        content = object_(said, "content", at) or {}
        for part in objects(content, "parts", f"{at}.content"):
            self._add_part(part, f"{at}.content.parts[]")
        self.reason = _word(said, "finishReason", self._reasons, at) or self.reason
        self.has_citations |= any(said.get(name) for name in _CITING)
        self.is_recited |= bool(said.get("citationMetadata"))  # of texts that it repeats
        logprobs = object_(said, "logprobsResult", at)
        if logprobs is not None:
            self.logprobs.append(logprobs)

    def _add_part(self, part: Object, at: str) -> None:
        said = part.keys() - _MARKS
        if "text" in part:
            words = text(part, "text", at) or ""
            (self.reasoning if part.get("thought") is True else self.text).append(words)
            self.has_unread |= len(said) > 1
            return
        call = object_(part, "functionCall", at)
        tool = next((name for name in _SERVER_TOOLS if name in part), None)
        if call is not None:
            self.calls.append(_call(call, at))
            # A call in pieces (`partialArgs`, more to come) or without a name is not read.
            is_whole = not (call.get("partialArgs") or call.get("willContinue"))
            self.has_unread |= not (is_whole and call.get("name"))
        elif tool is not None:
            self.server_tools.append(tool)
        else:
            self.has_unread |= bool(said)

    def whole(self, index: int, *, is_blocked: bool) -> Choice:
        """The candidate as far as it was given."""
        return Choice(
            index=index,
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            finish_reason=self.reason,
            tool_calls=tuple(self.calls),
            server_tools=tuple(self.server_tools),
            logprobs=self.logprobs or None,
            is_models_own=not is_blocked and self.reason not in _FILTERED,
            has_citations=self.has_citations,
            is_verbatim=True if self.is_recited or self.reason == "RECITATION" else None,
        )


class GeminiAssembly:
    """Puts one answer together; `reasons` are the words for reasons that come as numbers."""

    def __init__(self, reasons: tuple[str, ...] = VERTEX_REASONS) -> None:
        self._reasons = reasons
        self.wanted = 1
        """How many candidates were asked for: fewer are not a finished stream."""
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._candidates: dict[int, _Candidate] = {}
        self._blocked: str | None = None
        self._usage: Usage | None = None
        self._is_ended = False

    @property
    def is_terminal(self) -> bool:
        """Whether an array or an object ended that holds a whole answer; events never say so."""
        return self._is_ended and (self.error is not None or self.is_finished)

    @property
    def is_finished(self) -> bool:
        """Whether each candidate asked for was given a reason to end, or the prompt was blocked."""
        ended = [one.reason is not None for one in self._candidates.values()]
        is_all = len(ended) >= max(self.wanted, 1) and all(ended)
        return self._blocked is not None or is_all

    def event(self, event: Event) -> None:
        """Take one piece of a stream.

        Raises:
            WireError: it is no piece of an answer.
        """
        if event == END:
            self._is_ended = True
        elif not event.data.startswith("[DONE]"):  # some gateways add it
            self._take(read_object(event.data, of="an event of the stream"))

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        self._take(doc)
        # Of several candidates a filter may leave fewer in one body; each must have ended.
        self.wanted = 1
        if self.error is None and not self.is_finished:
            self.problem = self.problem or "not-an-answer"

    def choices(self) -> tuple[Choice, ...]:
        """The candidates in their order; an empty one where the prompt was blocked."""
        is_blocked = self._blocked is not None
        if is_blocked and not self._candidates:
            return (Choice(index=0, finish_reason=self._blocked, is_models_own=False),)
        return tuple(
            one.whole(index, is_blocked=is_blocked)
            for index, one in sorted(self._candidates.items())
        )

    def usage(self) -> Usage | None:
        """The counts as they were last stated: each piece repeats them."""
        return self._usage

    def _take(self, doc: Object) -> None:
        if doc.get("error") is not None:
            self.error = google_error(doc)
        self._identify(doc)
        shown: set[int] = set()
        for position, said in enumerate(objects(doc, "candidates")):
            at = f"$.candidates[{position}]"
            index = integer(said, "index", at)
            key = position if index is None else index
            if key in shown:
                self.problem = "not-an-answer"  # two candidates under one index
            shown.add(key)
            one = self._candidates.get(key)
            if one is None:
                one = self._candidates[key] = _Candidate(self._reasons)
            one.add(said, at)
            if one.has_unread:
                self.problem = "unread-part"
        feedback = object_(doc, "promptFeedback")
        if feedback:
            blocked = _word(feedback, "blockReason", _BLOCKS, "$.promptFeedback")
            self._blocked = blocked or self._blocked
        self._usage = _usage(object_(doc, "usageMetadata")) or self._usage

    def _identify(self, doc: Object) -> None:
        model = text(doc, "modelVersion")
        if model:
            if self.model is not None and model != self.model:
                self.problem = "model-changed"  # who said which words is unknown
            self.model = model
        self.response_id = text(doc, "responseId") or self.response_id


def _call(said: Object, at: str) -> ToolCall:
    return ToolCall(
        id=text(said, "id", at) or None,
        name=text(said, "name", at) or None,
        arguments=compact(said.get("args") or {}),
    )


def _word(said: Object, key: str, words: tuple[str, ...], at: str) -> str | None:
    """The word under a key, or the one its number stands for; an unknown number stays one."""
    value = said.get(key)
    if type(value) is int:
        value = words[value] if 0 <= value < len(words) else str(value)
    else:
        value = text(said, key, at)
    return None if not value or value.endswith("_UNSPECIFIED") else value


def google_error(doc: Object) -> TeacherError:
    """The error a body names, in Google's form (google.rpc.Status); never refused for its types."""
    fault = doc.get("error")
    if not isinstance(fault, dict):
        return TeacherError(message=fault if isinstance(fault, str) else compact(fault))
    status, code, message = fault.get("status"), fault.get("code"), fault.get("message")
    return TeacherError(
        type=status if isinstance(status, str) else None,
        code=None if code is None else str(code),
        message=message if isinstance(message, str) else None,
        retry_after_s=retry_delay_s(fault),
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
