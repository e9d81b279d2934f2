"""Operations that are recorded and never read for choices: most carry no words of a teacher.

Where an answer may carry some, it is marked as unread, so that nobody takes it for silence.
"""

from collections.abc import Callable

from proxy.errors import WireError
from proxy.exchange import Answer, Exchange, Request, RequestHead, ResponseHead, TeacherError
from proxy.wire.document import flag, read_object, text
from proxy.wire.error_page import first_of, page_error
from proxy.wire.form import fields_of, is_form
from proxy.wire.openai_error import error_of
from proxy.wire.paths import deployment_of, ends_with
from proxy.wire.reading import NO_RESPONSE

__all__ = ["ModelCall", "Plain"]

_FIRST_ERROR = 400
_MAX_ERROR_BYTES = 65_536
_UNREAD = "unread-answer"


class Plain:
    """The format `plain`: one operation of one provider whose answer is not read for choices."""

    def __init__(
        self,
        operation: str,
        *,
        method: str,
        suffixes: tuple[str, ...],
        read: Callable[[bytes], Request] | None = None,
        name: str = "plain",
        has_words: bool = False,
    ) -> None:
        """Take requests by method and path; a segment `*` in a suffix stands for any one segment.

        `has_words` says that a good answer may hold words of a teacher: it is then marked as unread.
        """
        self.name = name
        self._has_words = has_words
        self._operation = operation
        self._method = method
        self._suffixes = suffixes
        self._read = read

    def claims(self, head: RequestHead) -> str | None:
        """The operation, for a request of its method and one of its paths."""
        is_ours = head.method == self._method and any(
            ends_with(head.path, suffix) for suffix in self._suffixes
        )
        return self._operation if is_ours else None

    def reader(self, head: RequestHead) -> "_PlainReader":
        """A fresh reader for one exchange."""
        blank = self.blank(head)
        return _PlainReader(blank, self.reads(blank), has_words=self._has_words)

    def blank(self, head: RequestHead) -> Request:  # noqa: ARG002 - the path says nothing more
        """What is known of a request before its body is read."""
        return Request(
            wire_format=self.name, operation=self._operation, model_asked=None, is_streamed=False
        )

    def reads(self, blank: Request) -> Callable[[bytes], Request] | None:  # noqa: ARG002 - all is in the body
        """How a body reads; None where it is passed over."""
        return self._read


class ModelCall(Plain):
    """An operation that asks a model for something else than words: an image, a voice, a label.

    The model asked for is read from the path, a JSON body or a form; nothing else of the request is.
    """

    def __init__(
        self, name: str, operation: str, *, suffixes: tuple[str, ...], has_words: bool = False
    ) -> None:
        """Take POST requests by path, and name the readings after a format."""
        super().__init__(
            operation, method="POST", suffixes=suffixes, name=name, has_words=has_words
        )

    def reader(self, head: RequestHead) -> "_PlainReader":
        """A fresh reader for one exchange."""
        content_type = head.header("content-type") or ""
        deployment = deployment_of(head.path)

        def read(body: bytes) -> Request:
            found = _in_form(body, content_type) if is_form(content_type) else _in_object(body)
            model, is_streamed = found
            return Request(
                wire_format=self.name,
                operation=self._operation,
                model_asked=deployment or model,
                is_streamed=is_streamed,
            )

        blank = Request(
            wire_format=self.name,
            operation=self._operation,
            model_asked=deployment,
            is_streamed=False,
        )
        return _PlainReader(blank, read, has_words=self._has_words)


def _in_object(body: bytes) -> tuple[str | None, bool]:
    doc = read_object(body, of="the request body")
    return text(doc, "model"), flag(doc, "stream")


def _in_form(body: bytes, content_type: str) -> tuple[str | None, bool]:
    found: dict[str, str] = {}
    for name, value in fields_of(body, content_type):
        if name not in {"model", "stream"}:
            continue
        if name in found:
            raise WireError(
                f"the form names `{name}` twice",
                code="duplicate-key",
                where=f"$.{name}",
                help="give each field once: readers differ in which of two values they take",
            )
        found[name] = value.decode(errors="replace")
    return found.get("model") or None, found.get("stream", "").lower() in {"true", "1"}


class _PlainReader:
    def __init__(
        self, blank: Request, read: Callable[[bytes], Request] | None, *, has_words: bool
    ) -> None:
        self._read = read
        self._request = blank
        self._has_words = has_words
        self._head: ResponseHead | None = None
        self._error = bytearray()

    def request(self, body: bytes) -> Request:
        if self._read is not None:
            self._request = self._read(body)
        return self._request

    def respond(self, head: ResponseHead) -> None:
        self._head = head

    def feed(self, chunk: bytes) -> None:
        """Pass over the answer: nothing in it is kept but what went wrong."""
        if self._is_error and len(self._error) < _MAX_ERROR_BYTES:
            self._error += chunk

    @property
    def is_terminal(self) -> bool:
        return False

    @property
    def _is_error(self) -> bool:
        return self._head is not None and self._head.status >= _FIRST_ERROR

    def finish(self, *, is_clean: bool = False) -> Exchange:
        status = NO_RESPONSE if self._head is None else self._head.status
        is_good = 200 <= status < 300
        return Exchange(
            request=self._request,
            answer=Answer(
                status=status,
                error=_told(bytes(self._error)) if self._is_error else None,
                is_complete=is_clean and is_good and not self._has_words,
                problem=self._problem(is_good=is_good),
            ),
        )

    def _problem(self, *, is_good: bool) -> str | None:
        if self._head is None:
            return "no-response"
        return _UNREAD if self._has_words and is_good else None


def _told(body: bytes) -> TeacherError:
    """The error that a body tells, in whatever of the usual shapes."""
    try:
        is_list = body.lstrip().startswith(b"[")
        doc = first_of(body) if is_list else read_object(body, of="the answer")
    except WireError:
        return page_error(body)
    return error_of(doc)
