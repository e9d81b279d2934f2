"""Operations that carry no words of a teacher: recorded, never read for choices."""

from collections.abc import Callable

from proxy.exchange import Answer, Exchange, Request, RequestHead, ResponseHead
from proxy.wire.reading import NO_RESPONSE

__all__ = ["Plain"]


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
        """Take requests by method and path; `/*` at a suffix's end stands for one segment more."""
        self._operation = operation
        self._method = method
        self._suffixes = suffixes
        self._read = read

    def claims(self, head: RequestHead) -> str | None:
        """The operation, for a request of its method and one of its paths."""
        is_ours = head.method == self._method and any(
            _matches(head.path, suffix) for suffix in self._suffixes
        )
        return self._operation if is_ours else None

    def reader(self, head: RequestHead) -> "_PlainReader":  # noqa: ARG002 - the path says nothing more
        """A fresh reader for one exchange."""
        return _PlainReader(self._operation, self._read)


def _matches(path: str, suffix: str) -> bool:
    if not suffix.endswith("/*"):
        return path.endswith(suffix)
    parent, _, last = path.rpartition("/")
    return bool(last) and parent.endswith(suffix.removesuffix("/*"))


class _PlainReader:
    def __init__(self, operation: str, read: Callable[[bytes], Request] | None) -> None:
        self._read = read
        self._request = Request(
            wire_format=Plain.name, operation=operation, model_asked=None, is_streamed=False
        )
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
