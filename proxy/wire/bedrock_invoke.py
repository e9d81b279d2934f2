"""`bedrock.invoke`: the bodies of every vendor, told apart by their shape.

The path names a model, but a profile of the customer's own names none, so the shape decides. What
vendors say elsewhere in the same words is read by the same assembly.
"""

import base64
import binascii
from dataclasses import replace

from proxy.errors import WireError
from proxy.exchange import Choice, Json, Message, Request, ResponseHead, TeacherError, Usage
from proxy.wire.anthropic_answer import MessageAssembly
from proxy.wire.bedrock_converse import ConverseAssembly, said_wrong
from proxy.wire.bedrock_text import TextAssembly
from proxy.wire.cohere_answer import V1Assembly
from proxy.wire.document import (
    Object,
    compact,
    number,
    object_,
    objects,
    read_object,
    text,
    whole,
    word,
)
from proxy.wire.eventstream import EXCEPTION
from proxy.wire.openai_answer import ChatAssembly
from proxy.wire.reading import Assembly
from proxy.wire.sse import Event

__all__ = ["InvokeAssembly", "read_invoke"]

_METRICS = "amazon-bedrock-invocationMetrics"
_GUARDRAIL = "amazon-bedrock-guardrailAction"
_COUNTS = {
    "input": "x-amzn-bedrock-input-token-count",
    "output": "x-amzn-bedrock-output-token-count",
    "cache_read": "x-amzn-bedrock-cache-read-input-token-count",
    "cache_write": "x-amzn-bedrock-cache-write-input-token-count",
}
_CONVERSE_EVENTS = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)
_PROMPTS = ("prompt", "inputText", "message", "inputs")
_LIMITS = ("max_tokens", "max_gen_len", "max_new_tokens", "maxTokens")


def read_invoke(body: bytes, blank: Request) -> Request:
    """What a vendor's body asks, as far as vendors agree.

    Raises:
        WireError: the body is no JSON object.
    """
    doc = read_object(body, of="the request body")
    settings = object_(doc, "textGenerationConfig") or object_(doc, "inferenceConfig") or doc
    limit = next((found for key in _LIMITS if (found := whole(doc, key)) is not None), None)
    if limit is None:
        limit = whole(settings, "maxTokenCount") or whole(settings, "maxTokens")
    messages = _messages(doc)
    return replace(
        blank,
        messages=messages,
        tools=[*objects(doc, "tools")] or None,
        max_tokens=limit,
        temperature=number(settings, "temperature"),
        has_system=any(message.role == "system" for message in messages),
        has_images=any(message.has_other_parts for message in messages),
    )


def _messages(doc: Object) -> tuple[Message, ...]:
    entries = doc.get("messages")
    if isinstance(entries, list):
        system = _said(doc.get("system"))
        turns = [
            Message(
                role=str(entry.get("role") or "user"),
                text=_said(entry.get("content")),
                has_other_parts=_has_others(entry.get("content")),
            )
            for entry in entries
            if isinstance(entry, dict)
        ]
        return (*((Message(role="system", text=system),) if system else ()), *turns)
    prompt = next((text(doc, key) for key in _PROMPTS if isinstance(doc.get(key), str)), None)
    return () if prompt is None else (Message(role="user", text=prompt),)


def _said(content: Json) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    found = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(piece for piece in found if isinstance(piece, str))


def _has_others(content: Json) -> bool:
    parts = content if isinstance(content, list) else []
    return any(not (isinstance(part, dict) and "text" in part) for part in parts)


class InvokeAssembly:
    """Puts one answer together with the assembly that its shape calls for."""

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        """The head of the answer: some counts stand in headers alone."""
        self._fault: TeacherError | None = None
        self._inner: Assembly | None = None
        self._is_over = False
        self._is_guarded = False
        self._metrics: Object | None = None

    @property
    def model(self) -> str | None:
        """Who served, where the vendor's own body says it."""
        return None if self._inner is None else self._inner.model

    @property
    def response_id(self) -> str | None:
        """The id of the answer, where the vendor's own body gives one."""
        return None if self._inner is None else self._inner.response_id

    @property
    def error(self) -> TeacherError | None:
        """Bedrock's error, or the vendor's."""
        return self._fault or (None if self._inner is None else self._inner.error)

    @property
    def problem(self) -> str | None:
        """Why the answer cannot be read, if so."""
        return None if self._inner is None else self._inner.problem

    @property
    def is_terminal(self) -> bool:
        """Whether the last chunk was shown: it carries the metrics of the call."""
        return self._is_over

    @property
    def is_finished(self) -> bool:
        """Whether the vendor's own last event was shown."""
        inner = self._inner
        return inner is not None and (inner.is_terminal or inner.is_finished)

    def event(self, event: Event) -> None:
        """Take one event of a stream: a chunk that holds the vendor's own event.

        Raises:
            WireError: it is no chunk, or what it holds is no event of a known vendor.
        """
        if event.event.startswith(EXCEPTION):
            self._fault = said_wrong(event)
            return
        frame = read_object(event.data, of="a chunk of the stream")
        try:
            held = base64.b64decode(text(frame, "bytes") or "", validate=True)
        except binascii.Error as error:
            raise WireError("a chunk of the stream is no base64", code="wrong-type") from error
        doc = read_object(held, of="an event of the stream")
        self._note(doc)
        kind = next((name for name in _CONVERSE_EVENTS if isinstance(doc.get(name), dict)), None)
        if kind is not None:
            if not isinstance(self._inner, ConverseAssembly):
                self._inner = ConverseAssembly()
            self._inner.take(kind, object_(doc, kind) or {})
        elif doc.keys() - {_METRICS, _GUARDRAIL, "amazon-bedrock-trace"}:
            inner = self._choose(doc)
            if isinstance(inner, ChatAssembly):
                inner.has_message_pieces = True
            inner.event(Event("", compact(doc), ""))

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        self._note(doc)
        status = 200 if self.head is None else self.head.status
        message = doc.get("message") or doc.get("Message")
        if isinstance(message, str) and (status >= 300 or len(doc) == 1):
            self._fault = TeacherError(message=message)
        elif "embedding" in doc or "embeddings" in doc:
            self._inner = TextAssembly()  # figures, which are passed over; their cost is read
            self._inner.document(doc)
        else:
            self._choose(doc).document(doc)

    def choices(self) -> tuple[Choice, ...]:
        """What was put together; a guardrail's words are not the model's."""
        found = () if self._inner is None else self._inner.choices()
        if not self._is_guarded:
            return found
        return tuple(replace(choice, is_models_own=False) for choice in found)

    def usage(self) -> Usage | None:
        """The counts: of a vendor's full usage, else of the last chunk, else those in the headers."""
        stated = None if self._inner is None else self._inner.usage()
        is_full = stated is not None and not isinstance(self._inner, TextAssembly)
        if self._metrics is not None and not is_full:
            return Usage(
                input=whole(self._metrics, "inputTokenCount"),
                output=whole(self._metrics, "outputTokenCount"),
                cache_read=whole(self._metrics, "cacheReadInputTokenCount"),
                cache_write=whole(self._metrics, "cacheWriteInputTokenCount"),
                raw=self._metrics,
            )
        return stated or self._counted()

    def _counted(self) -> Usage | None:
        if self.head is None:
            return None
        raw = {name: self.head.header(name) for name in _COUNTS.values()}
        said = {name: value for name, value in raw.items() if value is not None}
        found = {
            field: int(said[name])
            for field, name in _COUNTS.items()
            if said.get(name, "").isdecimal()
        }
        return Usage(**found, raw={**said}) if found else None

    def _note(self, doc: Object) -> None:
        """Take what Bedrock itself adds to a vendor's words."""
        metrics = object_(doc, _METRICS)
        if metrics is not None:
            self._metrics = metrics
            self._is_over = True
        self._is_guarded |= doc.get(_GUARDRAIL) == "INTERVENED"

    def _choose(self, doc: Object) -> Assembly:
        if self._inner is None:
            self._inner = _assembly_of(doc)
        return self._inner


def _assembly_of(doc: Object) -> Assembly:
    if "choices" in doc and not _is_text(doc):
        return ChatAssembly()
    if word(doc, "type") in {"message", "message_start", "error"}:
        return MessageAssembly()
    if "output" in doc:
        return ConverseAssembly()
    if "event_type" in doc or ("text" in doc and "generation_id" in doc):
        return V1Assembly()
    return TextAssembly()


def _is_text(doc: Object) -> bool:
    """Whether choices hold bare text, as models without a chat format give."""
    first = next(iter(objects(doc, "choices")), {})
    return "text" in first
