"""The format `openai.completions`: a text goes on (OpenAI's API reference, legacy Completions).

There is one prompt or several, as text or tokens, and `n` choices for each. A stream's chunks have the
shape of the whole answer. Hosts that fill in the middle answer with a `message` instead of a `text`.
"""

from proxy.exchange import Choice, Json, Message, Request, RequestHead, TeacherError, Usage
from proxy.wire.document import Object, count, flag, number, object_, objects, read_object, text
from proxy.wire.openai_error import error_of
from proxy.wire.paths import deployment_of, ends_with
from proxy.wire.prompt import model_of
from proxy.wire.reading import ExchangeReader
from proxy.wire.sse import Event

__all__ = ["OpenAICompletions", "texts_in"]

_OTHERS = ("/chat/completions", "/agents/completions")


class OpenAICompletions:
    """Legacy Completions: JSON, or server-sent events that end in `[DONE]`."""

    name = "openai.completions"

    def claims(self, head: RequestHead) -> str | None:
        """`completion` for a POST whose path ends in `/completions`, and not in another format's."""
        is_ours = ends_with(head.path, "/completions") and not head.path.endswith(_OTHERS)
        return "completion" if head.method == "POST" and is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        parts = _Assembly()

        def read(body: bytes) -> Request:
            doc = read_object(body, of="the request body")
            request = _read(doc, deployment_of(head.path))
            parts.wanted = max(request.n, 1) * max(len(request.messages), 1)
            parts.is_echoed = flag(doc, "echo")
            return request

        blank = Request(
            wire_format=self.name, operation="completion", model_asked=None, is_streamed=False
        )
        return ExchangeReader(blank, read, parts, head=head)


def texts_in(doc: Object, key: str) -> list[str | None]:
    """The texts under a key: one, or a list of them; None stands for one given as tokens."""
    given = doc.get(key)
    if given is None or isinstance(given, str):
        return [] if given is None else [given]
    if isinstance(given, list) and given and all(isinstance(item, str) for item in given):
        return [str(item) for item in given]
    if isinstance(given, list) and given and all(isinstance(item, list) for item in given):
        return [None] * len(given)
    return [None]


def _read(doc: Object, deployment: str | None) -> Request:
    prompts = texts_in(doc, "prompt") or [""]
    wanted = count(doc, "n")
    has_suffix = bool(text(doc, "suffix"))
    return Request(
        wire_format="openai.completions",
        operation="completion",
        model_asked=deployment or model_of(doc),
        is_streamed=flag(doc, "stream"),
        messages=tuple(
            Message(role="user", text=said or "", has_other_parts=said is None or has_suffix)
            for said in prompts
        ),
        n=1 if wanted is None else wanted,
        max_tokens=count(doc, "max_tokens"),
        temperature=number(doc, "temperature"),
        wants_logprobs=isinstance(doc.get("logprobs"), int) and doc["logprobs"] is not False,
        # Each choice belongs to one of several prompts, so that none belongs to all of them.
        is_whole=len(prompts) == 1,
    )


class _Text:
    """One choice, growing."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.finish_reason: str | None = None
        self.logprobs: list[Json] = []

    def add(self, choice: Object, at: str) -> None:
        """Add a choice, or a piece of one."""
        said = object_(choice, "delta", at) or object_(choice, "message", at) or {}
        self.text.append(text(choice, "text", at) or text(said, "content", at) or "")
        self.reasoning.append(text(choice, "reasoning", at) or "")
        logprobs = object_(choice, "logprobs", at)
        if logprobs is not None:
            self.logprobs.append(logprobs)
        self.finish_reason = text(choice, "finish_reason", at) or self.finish_reason

    def whole(self, index: int, *, is_echoed: bool) -> Choice:
        """The choice as far as it was given; an echoed prompt is not the model's own words."""
        return Choice(
            index=index,
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            finish_reason=self.finish_reason,
            logprobs=self.logprobs or None,
            is_models_own=not is_echoed and self.finish_reason != "content_filter",
        )


class _Assembly:
    """Puts one answer together from the whole of it, or from chunks."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self.wanted = 1
        """How many choices were asked for: fewer are not a finished stream."""
        self.is_echoed = False
        self._choices: dict[int, _Text] = {}
        self._usage: Usage | None = None
        self._is_done = False

    @property
    def is_terminal(self) -> bool:
        """Whether `[DONE]` was read."""
        return self._is_done

    @property
    def is_finished(self) -> bool:
        """Whether every choice asked for has its finish reason."""
        return len(self._choices) >= self.wanted and all(
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
        if event.event == "error" and doc.get("error") is None:
            self.error = error_of(doc)
        self._add(doc)

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if isinstance(doc.get("choices"), list):
            self._add(doc)
            if len(self._choices) < len(objects(doc, "choices")):
                self.problem = "not-an-answer"  # two choices under one index
            return
        self.error = error_of(doc)
        if self.error == TeacherError():
            self.error, self.problem = None, "not-an-answer"

    def choices(self) -> tuple[Choice, ...]:
        """The choices in the order of their index."""
        return tuple(
            self._choices[index].whole(index, is_echoed=self.is_echoed)
            for index in sorted(self._choices)
        )

    def usage(self) -> Usage | None:
        """The last usage stated."""
        return self._usage

    def _add(self, doc: Object) -> None:
        model = text(doc, "model")
        if model:
            if self.model not in {None, model}:
                self.problem = "model-changed"  # who said which words is unknown
            self.model = model
        self.response_id = self.response_id or text(doc, "id") or None
        for position, choice in enumerate(objects(doc, "choices")):
            at = f"$.choices[{position}]"
            index = count(choice, "index", at)
            key = position if index is None else index
            self._choices.setdefault(key, _Text()).add(choice, at)
        usage = object_(doc, "usage")
        if usage:
            self._usage = _usage(usage)
        if doc.get("error"):
            self.error = error_of(doc)


def _usage(stated: Object) -> Usage:
    at = "$.usage"
    asked = object_(stated, "prompt_tokens_details", at) or {}
    given = object_(stated, "completion_tokens_details", at) or {}
    return Usage(
        input=count(stated, "prompt_tokens", at),
        output=count(stated, "completion_tokens", at),
        total=count(stated, "total_tokens", at),
        cache_read=count(asked, "cached_tokens", f"{at}.prompt_tokens_details"),
        reasoning=count(given, "reasoning_tokens", f"{at}.completion_tokens_details"),
        raw=stated,
    )
