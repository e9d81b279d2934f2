"""The answer of `openai.chat`: one assembly for the whole object and for the chunks of a stream.

A stream's `delta` has the fields of `message`, in pieces, so both are added the same way.
"""

from proxy.exchange import Choice, Json, TeacherError, ToolCall, Usage
from proxy.wire.azure_filters import is_filtered, is_verbatim
from proxy.wire.document import Object, count, integer, object_, objects, read_object, text, whole
from proxy.wire.openai_error import error_of
from proxy.wire.openai_request import id_of, tool_call
from proxy.wire.prompt import content_parts
from proxy.wire.sse import Event

__all__ = ["ChatAssembly"]

_UNREAD_FIELDS = ("audio", "images")
_SOURCES = ("citations", "search_results", "search_info", "web_search")
"""Where hosts that search list what they found, beside the choices."""


class _Call:
    """One tool call, growing."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.id: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []

    def add(self, piece: ToolCall) -> None:
        self.id = self.id or piece.id
        self.name = self.name or piece.name
        self.arguments.append(piece.arguments)

    def whole(self) -> ToolCall:
        return ToolCall(id=self.id, name=self.name, arguments="".join(self.arguments))


class _Calls:
    """The tool calls of one choice, joined by index or, where that is missing, by position.

    A second id under a used index begins another call: some hosts send whole calls under index 0.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_key: dict[int, _Call] = {}

    def add(self, piece: ToolCall, key: int) -> None:
        call = self._by_key.get(key)
        if call is None or (piece.id and call.id and piece.id != call.id):
            call = self._by_key[key] = _Call(key)
            self._calls.append(call)
        call.add(piece)

    def whole(self) -> tuple[ToolCall, ...]:
        return tuple(call.whole() for call in sorted(self._calls, key=lambda call: call.key))


class _ChoiceParts:
    """One choice, growing."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.finish_reason: str | None = None
        self.calls = _Calls()
        self.server_tools: dict[int, str] = {}
        self.logprobs: list[Json] = []
        self.has_citations = False
        self.has_unread = False
        self.is_filtered = False
        self.is_verbatim: bool | None = None

    def add(self, said: Object, at: str) -> None:
        """Add a message, or a piece of one."""
        self._add_content(said, at)
        self._add_reasoning(said, at)
        refusal = text(said, "refusal", at)
        if refusal:
            self.refusal.append(refusal)
        for position, call in enumerate(_called(said, at)):
            index = integer(call, "index", at)
            self.calls.add(tool_call(call, at), position if index is None else index)
        legacy = object_(said, "function_call", at)
        if legacy and any(legacy.values()):  # some hosts write what is absent as empty
            self.calls.add(tool_call({"function": legacy}, at), 0)
        self._add_server_tools(said, at)
        self.has_citations |= bool(objects(said, "annotations", at))
        self.has_unread |= any(_says_something(said.get(field)) for field in _UNREAD_FIELDS)

    def _add_server_tools(self, said: Object, at: str) -> None:
        """Add tools the host ran: a stream tells each when it begins and again with its result."""
        for tool in objects(said, "executed_tools", at):
            index = integer(tool, "index", at)
            key = len(self.server_tools) if index is None else index
            kind = text(tool, "type", at) or self.server_tools.get(key, "unknown")
            self.server_tools[key] = kind

    def _add_content(self, said: Object, at: str) -> None:
        content = said.get("content")
        if isinstance(content, str):  # by far the most: no list is made for it
            self.text.append(content)
            return
        for part in content_parts(said, "content", at):
            self._add_part(part, f"{at}.content[]")

    def _add_part(self, part: Object, at: str) -> None:
        match part.get("type"):
            case "text":
                self.text.append(text(part, "text", at) or "")
            case "thinking":
                thinking = part.get("thinking")
                if isinstance(thinking, list):
                    for piece in objects(part, "thinking", at):
                        self.reasoning.append(text(piece, "text", at) or "")
                else:
                    self.reasoning.append(text(part, "thinking", at) or "")
            case "refusal":
                self.refusal.append(text(part, "refusal", at) or "")
            case "reference":
                self.has_citations = True
            case _:
                self.has_unread = True

    def _add_reasoning(self, said: Object, at: str) -> None:
        spoken = text(said, "reasoning_content", at) or text(said, "reasoning", at)
        if spoken:
            self.reasoning.append(spoken)
            return
        for detail in objects(said, "reasoning_details", at):
            self.reasoning.append(text(detail, "text", at) or text(detail, "summary", at) or "")

    def add_logprobs(self, given: Json, at: str) -> None:
        """Add token log-probabilities; another shape than OpenAI's is kept as one element.

        Together gives lists of its own, and in a stream the number of each token.
        """
        if isinstance(given, dict) and "content" in given:
            self.logprobs.extend(objects(given, "content", at))
        elif given is not None and given not in ({}, []):
            self.logprobs.append(given)

    def add_filters(self, results: Json) -> None:
        """Add what the host's filters say; what one of them found, a later piece does not take back."""
        self.is_filtered |= is_filtered(results)
        found = is_verbatim(results)
        if found is not None:
            self.is_verbatim = found or bool(self.is_verbatim)

    def whole(self, index: int, *, has_citations: bool) -> Choice:
        """The choice as far as it was given."""
        return Choice(
            index=index,
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            refusal="".join(self.refusal) if self.refusal else None,
            finish_reason=self.finish_reason,
            tool_calls=self.calls.whole(),
            server_tools=tuple(self.server_tools.values()),
            logprobs=self.logprobs or None,
            is_models_own=self.finish_reason != "content_filter" and not self.is_filtered,
            has_citations=has_citations or self.has_citations,
            is_verbatim=self.is_verbatim,
        )


def _called(said: Object, at: str) -> list[Object]:
    """The calls of a message; one alone may stand without a list, as TGI's streams have it."""
    single = said.get("tool_calls")
    return [single] if isinstance(single, dict) else objects(said, "tool_calls", at)


def _says_something(value: Json) -> bool:
    """Whether a field holds more than empty values, which some hosts write for what is absent."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


class ChatAssembly:
    """Puts a Chat Completions answer together."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.served_by: str | None = None
        """Who ran the model, where a router names its upstream."""
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self.wanted = 1
        """How many choices were asked for: fewer are not a finished stream."""
        self.has_message_pieces = False
        """Whether a stream gives its pieces under `message`, as Mistral's models on Bedrock do."""
        self._choices: dict[int, _ChoiceParts] = {}
        self._usage: Usage | None = None
        self._has_citations = False
        self._is_whole = False
        self._is_done = False

    @property
    def is_terminal(self) -> bool:
        """Whether `[DONE]` was read."""
        return self._is_done

    @property
    def is_finished(self) -> bool:
        """Whether every choice asked for has its finish reason."""
        return len(self._choices) >= max(self.wanted, 1) and all(
            choice.finish_reason is not None for choice in self._choices.values()
        )

    def event(self, event: Event) -> None:
        """Take one chunk of a stream.

        Raises:
            WireError: it is no chunk.
        """
        if event.data.startswith("[DONE]"):
            self._is_done = True
            return
        doc = read_object(event.data, of="an event of the stream")
        self._add(doc)
        if doc.get("error") is None:
            self._add_bare_error(doc, is_marked=event.event == "error")

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if isinstance(doc.get("choices"), list) or doc.get("error") is not None:
            self._is_whole = True
            self._add(doc)
            is_shared = len(self._choices) < len(objects(doc, "choices"))
            if is_shared or not (self._choices or self.error):
                self.problem = "not-an-answer"  # two choices under one index, or none
            return
        error = error_of(doc)
        if error == TeacherError():
            self.problem = "not-an-answer"
        else:
            self.error = error

    def _add(self, doc: Object) -> None:
        self._add_identity(doc)
        for position, choice in enumerate(objects(doc, "choices")):
            self._add_choice(choice, position)
        groq = object_(doc, "x_groq") or {}
        self._count(object_(doc, "usage") or object_(groq, "usage", "$.x_groq"))
        if any(doc.get(name) for name in _SOURCES):
            self._has_citations = True
        fault = doc if doc.get("error") is not None else groq  # Groq's reason to stop early
        if fault.get("error") is not None:
            self.error = error_of(fault)
            self._add_failed(fault.get("error"))

    def _add_bare_error(self, doc: Object, *, is_marked: bool) -> None:
        """Take an error whose fields are those of the event itself, as some gateways send it."""
        found = error_of(doc)
        if is_marked or ("choices" not in doc and found.message is not None):
            self.error = found

    def _add_failed(self, error: Json) -> None:
        """Take the words of a model that Groq found to be no call of a tool: they did come out."""
        words = error.get("failed_generation") if isinstance(error, dict) else None
        parts = self._choices.get(0)
        if isinstance(words, str) and words and not (parts and parts.text):
            self._choices.setdefault(0, _ChoiceParts()).text.append(words)

    def _count(self, stated: Object | None) -> None:
        if stated:
            self._usage = _usage(stated)

    def _add_identity(self, doc: Object) -> None:
        model = text(doc, "model")
        if model:
            if self.model is not None and model != self.model:
                self.problem = "model-changed"  # who said which words is unknown
            self.model = model
        upstream = doc.get("provider")
        if isinstance(upstream, str) and upstream:
            if self.served_by is not None and upstream != self.served_by:
                self.problem = "provider-changed"
            self.served_by = upstream
        self.response_id = self.response_id or id_of(doc, "$")

    def _add_choice(self, choice: Object, position: int) -> None:
        at = f"$.choices[{position}]"
        index = count(choice, "index", at)
        key = position if index is None else index
        piece = object_(choice, "delta", at)
        message = object_(choice, "message", at)
        parts = self._choices.setdefault(key, _ChoiceParts())
        # Beside each other, as at Perplexity, one of the two only repeats or stands empty: a stream
        # has a `message` with the whole text so far, a whole answer has an empty `delta`.
        if message is not None and self.has_message_pieces:
            parts.add(message, at)
        elif message is not None and (piece is None or self._is_whole):
            parts = self._choices[key] = _ChoiceParts()
            parts.add(message, at)
        elif piece is not None:
            parts.add(piece, at)
        parts.add_logprobs(choice.get("logprobs"), at)
        self._count(object_(choice, "usage", at))  # where Moonshot's streams state it
        parts.finish_reason = _reason(choice, at) or parts.finish_reason
        if "content_filter_results" in choice:
            parts.add_filters(choice["content_filter_results"])
        if parts.has_unread:
            self.problem = "unread-part"
        if choice.get("error") is not None or parts.finish_reason == "error":
            self.error = error_of(choice)

    def choices(self) -> tuple[Choice, ...]:
        """The choices in the order of their index."""
        return tuple(
            self._choices[index].whole(index, has_citations=self._has_citations)
            for index in sorted(self._choices)
        )

    def usage(self) -> Usage | None:
        """The last usage stated, verbatim and by name."""
        return self._usage


def _reason(choice: Object, at: str) -> str | None:
    """Why a choice ended; Mistral's models on Bedrock name the reason as Anthropic does."""
    said = text(choice, "finish_reason", at)
    other = choice.get("stop_reason")  # beside a reason, vLLM's word for the stop that was met
    return said or (other if isinstance(other, str) and other else None)


def _usage(stated: Object) -> Usage:
    at = "$.usage"
    asked = object_(stated, "prompt_tokens_details", at) or {}
    given = object_(stated, "completion_tokens_details", at) or {}
    return Usage(
        input=whole(stated, "prompt_tokens", at),
        output=whole(stated, "completion_tokens", at),
        total=whole(stated, "total_tokens", at),
        cache_read=_first(
            (asked, "cached_tokens"),
            (stated, "prompt_cache_hit_tokens"),  # DeepSeek's older name for it
            (stated, "cached_tokens"),  # Moonshot's
            (stated, "num_cached_tokens"),  # Mistral's older name for it
        ),
        cache_write=_first(
            (asked, "cache_write_tokens"),
            (asked, "cache_creation_input_tokens"),  # Model Studio's
        ),
        reasoning=_first(
            (given, "reasoning_tokens"),
            (stated, "reasoning_tokens"),  # Perplexity's
        ),
        raw=stated,
    )


def _first(*places: tuple[Object, str]) -> int | None:
    """The first count that is stated in one of these places."""
    found = (whole(stated, name, "$.usage") for stated, name in places)
    return next((number for number in found if number is not None), None)
