"""The formats `openai.embeddings` and `openai.moderations`: figures for texts, and no words of a model.

Who answered and what it cost is read; the figures are not kept.
"""

from typing import Literal

from proxy.exchange import Choice, Message, Request, RequestHead, TeacherError, Usage
from proxy.wire.document import Object, count, flag, object_, read_object, text
from proxy.wire.openai_completions import texts_in
from proxy.wire.openai_error import error_of
from proxy.wire.paths import deployment_of, ends_with
from proxy.wire.prompt import model_of
from proxy.wire.reading import ExchangeReader
from proxy.wire.sse import Event

__all__ = ["OpenAIFigures"]


class OpenAIFigures:
    """Embeddings or moderations: always one JSON body."""

    def __init__(self, operation: Literal["embedding", "moderation"]) -> None:
        self.name = f"openai.{operation}s"
        self._operation = operation

    def claims(self, head: RequestHead) -> str | None:
        """The operation for a POST whose path ends in `/embeddings` or `/moderations`."""
        is_ours = head.method == "POST" and ends_with(head.path, f"/{self._operation}s")
        return self._operation if is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""

        def read(body: bytes) -> Request:
            doc = read_object(body, of="the request body")
            is_named = doc.get("model") is not None or self._operation == "embedding"
            return Request(
                wire_format=self.name,
                operation=self._operation,
                model_asked=deployment_of(head.path) or (model_of(doc) if is_named else None),
                is_streamed=flag(doc, "stream"),
                messages=tuple(
                    Message(role="user", text=said or "", has_other_parts=said is None)
                    for said in texts_in(doc, "input")
                ),
            )

        blank = Request(
            wire_format=self.name, operation=self._operation, model_asked=None, is_streamed=False
        )
        return ExchangeReader(blank, read, _Assembly())


class _Assembly:
    """Notes who answered, and how many tokens that took."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._usage: Usage | None = None

    @property
    def is_terminal(self) -> bool:
        """Never: there are no streams of figures."""
        return False

    @property
    def is_finished(self) -> bool:
        """Never: there are no streams of figures."""
        return False

    def event(self, event: Event) -> None:  # noqa: ARG002 - whatever it is, it holds no figures
        """Note that there is a stream, which no host is known to give."""
        self.problem = "not-an-answer"

    def document(self, doc: Object) -> None:
        """Take the whole answer, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if isinstance(doc.get("data"), list) or isinstance(doc.get("results"), list):
            self.model = text(doc, "model") or None
            self.response_id = text(doc, "id") or None
            usage = object_(doc, "usage")
            self._usage = _usage(usage) if usage else None
            return
        self.error = error_of(doc)
        if self.error == TeacherError():
            self.error, self.problem = None, "not-an-answer"

    def choices(self) -> tuple[Choice, ...]:
        """None: nothing here is said."""
        return ()

    def usage(self) -> Usage | None:
        """The usage the answer states."""
        return self._usage


def _usage(stated: Object) -> Usage:
    at = "$.usage"
    return Usage(
        input=count(stated, "prompt_tokens", at),
        output=count(stated, "completion_tokens", at),
        total=count(stated, "total_tokens", at),
        raw=stated,
    )
