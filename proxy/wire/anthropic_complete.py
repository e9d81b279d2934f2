"""The format `anthropic.complete`: Text Completions, which the Messages API took the place of.

A stream's events bring pieces; in the first version of the API each brought the whole text so far.
The last one names the reason to stop (Anthropic's API reference, Text Completions, Versions).
"""

from proxy.exchange import Choice, Message, Request, RequestHead, TeacherError
from proxy.wire.document import Object, count, flag, number, read_object, text
from proxy.wire.openai_error import error_of
from proxy.wire.prompt import model_of
from proxy.wire.reading import ExchangeReader
from proxy.wire.sse import Event

__all__ = ["AnthropicComplete"]

_CUMULATIVE_VERSION = "2023-01-01"


class AnthropicComplete:
    """Text Completions: JSON, or server-sent events."""

    name = "anthropic.complete"

    def claims(self, head: RequestHead) -> str | None:
        """`completion` for a POST whose path ends in `/v1/complete`."""
        is_ours = head.method == "POST" and head.path.endswith("/v1/complete")
        return "completion" if is_ours else None

    def reader(self, head: RequestHead) -> ExchangeReader:
        """A fresh reader for one exchange."""
        is_cumulative = head.header("anthropic-version") == _CUMULATIVE_VERSION
        blank = Request(
            wire_format=self.name, operation="completion", model_asked=None, is_streamed=False
        )
        return ExchangeReader(blank, _read, _Assembly(is_cumulative=is_cumulative), head=head)


def _read(body: bytes) -> Request:
    doc = read_object(body, of="the request body")
    return Request(
        wire_format="anthropic.complete",
        operation="completion",
        model_asked=model_of(doc),
        is_streamed=flag(doc, "stream"),
        messages=(Message(role="user", text=text(doc, "prompt") or ""),),
        max_tokens=count(doc, "max_tokens_to_sample"),
        temperature=number(doc, "temperature"),
    )


class _Assembly:
    """Puts one completion together: always one choice, and no word of its tokens."""

    def __init__(self, *, is_cumulative: bool) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._is_cumulative = is_cumulative
        self._text: list[str] = []
        self._has_answer = False
        self._stop_reason: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the reason to stop was read."""
        return self._stop_reason is not None

    @property
    def is_finished(self) -> bool:
        """Never: a stream always ends in a reason."""
        return False

    def event(self, event: Event) -> None:
        """Take one event of a stream.

        Raises:
            WireError: it is no event of a completion.
        """
        doc = read_object(event.data, of="an event of the stream")
        match text(doc, "type") or event.event:
            case "completion" | "":
                self._take(doc)
            case "error":
                self.error = error_of(doc)
            case "ping":
                pass
            case _:
                self.problem = "unread-part"

    def document(self, doc: Object) -> None:
        """Take the whole completion, or the body of an error.

        Raises:
            WireError: it is neither.
        """
        if "completion" in doc:
            self._take(doc)
            return
        error = error_of(doc)
        if error == TeacherError():
            self.problem = "not-an-answer"
        else:
            self.error = error

    def _take(self, doc: Object) -> None:
        piece = text(doc, "completion")
        if piece is None:
            self.problem = "unread-part"
            return
        self._has_answer = True
        if self._is_cumulative:
            self._text.clear()
        self._text.append(piece)
        self.model = text(doc, "model") or self.model
        self.response_id = text(doc, "id") or text(doc, "log_id") or self.response_id
        self._stop_reason = text(doc, "stop_reason") or self._stop_reason

    def choices(self) -> tuple[Choice, ...]:
        """The completion so far; none before it began."""
        if not self._has_answer:
            return ()
        said = "".join(self._text)
        return (Choice(index=0, text=said, finish_reason=self._stop_reason),)

    def usage(self) -> None:
        """None: this interface states no tokens."""
