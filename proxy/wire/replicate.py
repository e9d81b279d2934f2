"""The format `replicate`: predictions of any model, made and then asked after (Replicate's HTTP API reference).

Each model has an input of its own; those of language models share a few names. An answer is the state of a
prediction: it is read as a text once it has succeeded, and only if it holds nothing but text.
"""

from dataclasses import replace

from proxy.exchange import (
    Choice,
    Exchange,
    Json,
    Message,
    Request,
    RequestHead,
    TeacherError,
    Usage,
)
from proxy.wire.document import Object, compact, number, object_, read_object, text, whole
from proxy.wire.openai_error import error_of
from proxy.wire.paths import ends_with
from proxy.wire.reading import ExchangeReader
from proxy.wire.sse import Event

__all__ = ["Replicate"]

_NEW = ("/predictions", "/models/*/*/predictions", "/deployments/*/*/predictions")
_LIMITS = ("max_tokens", "max_new_tokens", "max_completion_tokens")
_WORDLESS = frozenset(
    {"prompt", "reasoning_effort", "stop", "stop_sequences", "system_prompt", "verbosity"}
)
"""Inputs that hold words and ask nothing beyond what is read here."""
_ADDRESSES = ("http://", "https://", "data:")


class Replicate:
    """A prediction: a new one, or one that is asked after or stopped; each brings words."""

    name = "replicate"

    def claims(self, head: RequestHead) -> str | None:
        """`completion` for a prediction."""
        is_old = _is_old(head)
        is_new = head.method == "POST" and any(ends_with(head.path, path) for path in _NEW)
        return "completion" if is_old or is_new else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        blank = Request(
            wire_format=self.name,
            operation="completion",
            model_asked=_model_in(head.path),
            is_streamed=False,
            is_whole=not _is_old(head),
        )
        read = (lambda _: blank) if _is_old(head) else (lambda body: _read(body, blank))
        parts = _Assembly()
        return _PredictionReader(blank, read, parts, head=head)


def _is_old(head: RequestHead) -> bool:
    is_fetched = head.method == "GET" and ends_with(head.path, "/v1/predictions/*")
    is_stopped = head.method == "POST" and ends_with(head.path, "/v1/predictions/*/cancel")
    return is_fetched or is_stopped


def _model_in(path: str) -> str | None:
    """The model that a path names, as its owner and its name; a version or deployment names none."""
    _, found, rest = path.partition("/models/")
    return rest.removesuffix("/predictions") if found else None


def _read(body: bytes, blank: Request) -> Request:
    doc = read_object(body, of="the request body")
    given = object_(doc, "input") or {}
    system, prompt = (_words(given, key) for key in ("system_prompt", "prompt"))
    # A version is the digest of weights: it names no model, and the answer does.
    return replace(
        blank,
        model_asked=blank.model_asked or text(doc, "version") or None,
        messages=(
            *((Message(role="system", text=system),) if system else ()),
            *((Message(role="user", text=prompt),) if prompt is not None else ()),
        ),
        max_tokens=_limit(given),
        temperature=number(given, "temperature", "$.input"),
        has_system=bool(system),
        has_images=any(_is_address(piece) for value in given.values() for piece in _pieces(value)),
        is_whole=prompt is not None and not any(_asks_more(*pair) for pair in given.items()),
    )


def _asks_more(key: str, value: Json) -> bool:
    """Whether an input may be a part of the prompt that is not read: a template, turns, a picture."""
    has_words = isinstance(value, str | list | dict) and bool(value)
    return has_words and (key not in _WORDLESS or any(map(_is_address, _pieces(value))))


def _pieces(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _limit(given: Object) -> int | None:
    """The limit under one of its names; a negative one means none."""
    for key in _LIMITS:
        value = given.get(key)
        if type(value) is int and value >= 0:
            return value
    return None


def _words(given: Object, key: str) -> str | None:
    value = given.get(key)
    return value if isinstance(value, str) else None


def _is_address(value: Json) -> bool:
    return isinstance(value, str) and value.startswith(_ADDRESSES)


class _PredictionReader(ExchangeReader):
    """Reads one exchange: an answer is complete only if the prediction succeeded."""

    def finish(self, *, is_clean: bool = False) -> Exchange:
        """Give what was read."""
        exchange = super().finish(is_clean=is_clean)
        is_over = any(choice.finish_reason == "succeeded" for choice in exchange.answer.choices)
        is_complete = exchange.answer.is_complete and is_over
        return replace(exchange, answer=replace(exchange.answer, is_complete=is_complete))


class _Assembly:
    """Puts one prediction together: at most one choice."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._status: str | None = None
        self._said: list[str] = []
        self._usage: Usage | None = None

    @property
    def is_terminal(self) -> bool:
        """Never: there are no streams under this address."""
        return False

    @property
    def is_finished(self) -> bool:
        """Never: there are no streams under this address."""
        return False

    def event(self, event: Event) -> None:  # noqa: ARG002 - whatever it is, it is no prediction
        """Note that there is a stream, which this address is not known to give."""
        self.problem = "not-an-answer"

    def document(self, doc: Object) -> None:
        """Take the state of a prediction, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        self._status = text(doc, "status") if isinstance(doc.get("status"), str) else None
        if self._status is None:
            self.error = error_of(doc)
            if self.error == TeacherError():
                self.error, self.problem = None, "not-an-answer"
            return
        self.model = text(doc, "model") or None
        self.response_id = text(doc, "id") or None
        fault = doc.get("error")
        if fault:
            said = fault if isinstance(fault, str) else compact(fault)
            self.error = TeacherError(type=self._status, message=said)
        self._take(doc.get("output"))
        metrics = object_(doc, "metrics")
        if metrics:
            self._usage = Usage(
                input=whole(metrics, "input_token_count", "$.metrics"),
                output=whole(metrics, "output_token_count", "$.metrics"),
                raw=metrics,
            )

    def _take(self, output: Json) -> None:
        pieces = output if isinstance(output, list) else [] if output is None else [output]
        self._said = [piece for piece in pieces if isinstance(piece, str)]
        is_text = len(self._said) == len(pieces) and not any(map(_is_address, self._said))
        if not is_text:
            self.problem = "unread-part"
        elif output is None and self._status == "succeeded":
            self.problem = "not-an-answer"  # it was removed, as outputs are after some time

    def choices(self) -> tuple[Choice, ...]:
        """What was said so far as one choice; none before anything was."""
        if self._status is None or (self._status != "succeeded" and not self._said):
            return ()
        return (Choice(index=0, text="".join(self._said), finish_reason=self._status),)

    def usage(self) -> Usage | None:
        """The counts that the prediction states."""
        return self._usage
