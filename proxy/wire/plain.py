"""Operations that carry no words of a teacher: recorded, never read for choices."""

from collections.abc import Callable

from proxy.errors import WireError
from proxy.exchange import Answer, Exchange, Request, RequestHead, ResponseHead
from proxy.wire.document import flag, read_object, text
from proxy.wire.form import fields_of, is_form
from proxy.wire.paths import deployment_of, ends_with
from proxy.wire.reading import NO_RESPONSE

__all__ = ["ModelCall", "Plain"]


class Plain:
    """The format `plain`: one operation of one provider whose answer holds no teacher's text."""

    name = "plain"

    def __init__(
        self,
        operation: str,
        *,
        method: str,
        suffixes: tuple[str, ...],
        read: Callable[[bytes], Request] | None = None,
    ) -> None:
        """Take requests by method and path; a segment `*` in a suffix stands for any one segment."""
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
        return _PlainReader(blank, self.reads(blank))

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

    def __init__(self, name: str, operation: str, *, suffixes: tuple[str, ...]) -> None:
        """Take POST requests by path, and name the readings after a format."""
        super().__init__(operation, method="POST", suffixes=suffixes)
        self.name = name

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
        return _PlainReader(blank, read)


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
    def __init__(self, blank: Request, read: Callable[[bytes], Request] | None) -> None:
        self._read = read
        self._request = blank
        self._head: ResponseHead | None = None

    def request(self, body: bytes) -> Request:
        if self._read is not None:
            self._request = self._read(body)
        return self._request

    def respond(self, head: ResponseHead) -> None:
        self._head = head

    def feed(self, chunk: bytes) -> None:
        """Pass over the answer: nothing in it is kept."""

    @property
    def is_terminal(self) -> bool:
        return False

    def finish(self, *, is_clean: bool = False) -> Exchange:
        status = NO_RESPONSE if self._head is None else self._head.status
        return Exchange(
            request=self._request,
            answer=Answer(
                status=status,
                is_complete=is_clean and 200 <= status < 300,
                problem="no-response" if self._head is None else None,
            ),
        )
