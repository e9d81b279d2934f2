"""The formats `ollama.chat` and `ollama.generate`: Ollama's own interface, in JSON lines or one object.

A stream is what is given unless `stream: false` is asked (Ollama's API reference). Its last line has
`done: true` with the reason and the counts; a count may be missing, and is then unknown.
"""

from typing import Literal

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
)
from proxy.wire.framing import lines_or_type
from proxy.wire.prompt import entries_of, model_of, role_of
from proxy.wire.reading import ExchangeReader
from proxy.wire.sampling import bent_by
from proxy.wire.sse import Event

__all__ = ["Ollama"]

_COUNTS = ("prompt_eval_count", "eval_count")


class Ollama:
    """`/api/chat`, or `/api/generate`, which takes one prompt and knows no tools."""

    def __init__(self, kind: Literal["chat", "generate"]) -> None:
        self.name = f"ollama.{kind}"
        self._operation = "chat" if kind == "chat" else "completion"
        self._suffix = f"/api/{kind}"

    def claims(self, head: RequestHead) -> str | None:
        """The operation for a POST to this interface."""
        is_ours = head.method == "POST" and head.path.endswith(self._suffix)
        return self._operation if is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:  # noqa: ARG002 - the body names the model
        """A fresh reader for one exchange."""
        blank = Request(
            wire_format=self.name, operation=self._operation, model_asked=None, is_streamed=True
        )
        read = _read_chat if self._operation == "chat" else _read_generate
        return ExchangeReader(blank, read, _Assembly(), framing=lines_or_type)


def _read_chat(body: bytes) -> Request:
    doc = read_object(body, of="the request body")
    entries = entries_of(doc)
    messages = tuple(
        _message(entry, f"$.messages[{position}]") for position, entry in enumerate(entries)
    )
    tools: Json = [*objects(doc, "tools")]
    return _request(doc, "ollama.chat", "chat", messages, tools=tools or None)


def _read_generate(body: bytes) -> Request:
    doc = read_object(body, of="the request body")
    system = text(doc, "system")
    has_images = bool(doc.get("images"))
    messages = (
        *((Message(role="system", text=system),) if system else ()),
        Message(role="user", text=text(doc, "prompt") or "", has_other_parts=has_images),
    )
    # `context` holds tokens of an earlier answer: a part of the prompt that cannot be read.
    is_whole = not doc.get("context")
    return _request(doc, "ollama.generate", "completion", messages, is_whole=is_whole)


def _request(
    doc: Object,
    name: str,
    operation: str,
    messages: tuple[Message, ...],
    *,
    tools: Json = None,
    is_whole: bool = True,
) -> Request:
    options = object_(doc, "options") or {}
    return Request(
        wire_format=name,
        operation=operation,
        model_asked=model_of(doc),
        is_streamed=doc.get("stream") is None or flag(doc, "stream"),
        messages=messages,
        tools=tools,
        max_tokens=_limit(options),
        temperature=number(options, "temperature", "$.options"),
        wants_logprobs=flag(doc, "logprobs"),
        bent_by=bent_by(doc, options),
        has_system=any(message.role == "system" for message in messages),
        has_images=any(message.has_other_parts for message in messages),
        is_whole=is_whole,
    )


def _limit(options: Object) -> int | None:
    """`num_predict`; a negative one means no limit."""
    wanted = options.get("num_predict")
    return wanted if type(wanted) is int and wanted >= 0 else None


def _message(entry: Object, at: str) -> Message:
    return Message(
        role=role_of(entry, at),
        text=text(entry, "content", at) or "",
        tool_calls=tuple(_calls(entry, at)),
        name=text(entry, "tool_name", at) or text(entry, "name", at),
        has_other_parts=bool(entry.get("images")),
    )


def _calls(entry: Object, at: str) -> list[ToolCall]:
    found = []
    for position, call in enumerate(objects(entry, "tool_calls", at)):
        where = f"{at}.tool_calls[{position}]"
        spoken = object_(call, "function", where) or {}
        arguments = spoken.get("arguments")
        found.append(
            ToolCall(
                id=text(call, "id", where) or None,
                name=text(spoken, "name", f"{where}.function") or None,
                arguments=arguments if isinstance(arguments, str) else compact(arguments or {}),
            )
        )
    return found


class _Assembly:
    """Puts one answer together: always one choice, from lines or one object of the same shape."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._has_answer = False
        self._is_done = False
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCall] = []
        self._logprobs: list[Json] = []
        self._reason: str | None = None
        self._usage: Usage | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the line that says `done` was shown."""
        return self._is_done

    @property
    def is_finished(self) -> bool:
        """Never: this format always ends in a line that says so."""
        return False

    def event(self, event: Event) -> None:
        """Take one line of a stream.

        Raises:
            WireError: it is no line of an answer.
        """
        self._take(read_object(event.data, of="a line of the stream"))

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        self._take(doc)
        if self.error is None and not self._is_done:
            self.problem = "not-an-answer"

    def choices(self) -> tuple[Choice, ...]:
        """The answer so far as one choice; none before it began."""
        if not self._has_answer:
            return ()
        return (
            Choice(
                index=0,
                text="".join(self._text),
                reasoning="".join(self._reasoning),
                finish_reason=self._reason,
                tool_calls=tuple(self._calls),
                logprobs=self._logprobs or None,
            ),
        )

    def usage(self) -> Usage | None:
        """The counts of the last line."""
        return self._usage

    def _take(self, doc: Object) -> None:
        if "error" in doc:
            said = doc["error"]
            self.error = TeacherError(message=said if isinstance(said, str) else compact(said))
            return
        self.model = text(doc, "model") or self.model
        message = object_(doc, "message")
        if message is not None:
            self._speak(message, "content", "$.message")
            self._calls += _calls(message, "$.message")
        elif "response" in doc:
            self._speak(doc, "response", "$")
        elif not flag(doc, "done"):
            self.problem = "unread-part"
        self._logprobs += objects(doc, "logprobs")
        if flag(doc, "done"):
            self._is_done = True
            self._has_answer = True
            self._reason = text(doc, "done_reason") or None
            self._usage = _usage(doc)

    def _speak(self, said: Object, key: str, at: str) -> None:
        self._has_answer = True
        self._text.append(text(said, key, at) or "")
        self._reasoning.append(text(said, "thinking", at) or "")


def _usage(doc: Object) -> Usage | None:
    raw: Json = {name: doc[name] for name in _COUNTS if doc.get(name) is not None}
    if not raw:
        return None
    read, written = (count(doc, name) for name in _COUNTS)
    return Usage(input=read, output=written, raw=raw)
