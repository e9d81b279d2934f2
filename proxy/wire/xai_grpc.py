"""The format `xai.grpc`: the service `xai_api.Chat` over gRPC, as xAI's SDK speaks it.

The end of an answer is its status, which stands in trailers: without it an answer is cut.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.errors import WireError
from proxy.exchange import (
    Answer,
    Exchange,
    Headers,
    Request,
    RequestHead,
    ResponseHead,
    TeacherError,
)
from proxy.wire.error_page import page_error
from proxy.wire.grpc import MessageDecoder, end_of, is_grpc, only_message
from proxy.wire.paths import ends_with
from proxy.wire.protobuf import Fields, read_fields
from proxy.wire.reading import NO_RESPONSE
from proxy.wire.xai_grpc_answer import CompletionAssembly
from proxy.wire.xai_grpc_request import read_request

__all__ = ["XaiGrpc"]

_PAGE_BYTES = 65536
_MAX_STATUS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    """One method of the service: whether it asks a model, and how its messages are taken."""

    take: Callable[[CompletionAssembly, Fields], None]
    is_new: bool = False
    is_streamed: bool = False


_METHODS: Mapping[str, _Method] = MappingProxyType(
    {
        "GetCompletion": _Method(take=CompletionAssembly.whole, is_new=True),
        "GetCompletionChunk": _Method(take=CompletionAssembly.chunk, is_new=True, is_streamed=True),
        "StartDeferredCompletion": _Method(take=CompletionAssembly.started, is_new=True),
        "GetDeferredCompletion": _Method(take=CompletionAssembly.deferred),
        "GetStoredCompletion": _Method(take=CompletionAssembly.whole),
    }
)


def _method(head: RequestHead) -> _Method | None:
    found = _METHODS.get(head.path.rpartition("/")[2])
    is_ours = head.method == "POST" and ends_with(head.path, "/xai_api.Chat/*")
    return found if is_ours else None


class XaiGrpc:
    """Chat with xAI's models: one message, or a stream of chunks."""

    name = "xai.grpc"

    def claims(self, head: RequestHead) -> str | None:
        """`chat` for a new completion, and for one that is fetched: each brings words."""
        return None if _method(head) is None else "chat"

    def reader(self, head: RequestHead) -> "_GrpcReader":
        """A fresh reader for one exchange that `claims` knows."""
        return _GrpcReader(_METHODS[head.path.rpartition("/")[2]])


class _GrpcReader:
    """Reads one exchange; it is a `proxy.wire.grpc.Trailed` reader."""

    def __init__(self, method: _Method) -> None:
        self._method = method
        self._request = Request(
            wire_format=XaiGrpc.name,
            operation="chat",
            model_asked=None,
            is_streamed=method.is_streamed,
            is_whole=method.is_new,
        )
        self._head: ResponseHead | None = None
        self._frames = MessageDecoder()
        self._parts = CompletionAssembly()
        self._page: bytearray | None = None
        self._count = 0
        self._is_ended = False
        self._error: TeacherError | None = None
        self._problem: str | None = None

    def request(self, body: bytes) -> Request:
        """Read the whole request: one message.

        Raises:
            WireError: it is not a request of the method that was called.
        """
        message = only_message(body)
        if self._method.is_new:
            self._request = read_request(message, is_streamed=self._method.is_streamed)
        else:
            read_fields(message)
        return self._request

    def respond(self, head: ResponseHead) -> None:
        """Take note of the response's head: a gateway before the service may answer in a page."""
        self._head = head
        if not is_grpc(head.header("content-type") or "application/grpc"):
            self._page = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes of the answer.

        Raises:
            WireError: the bytes are not an answer of this format; the reader is spent.
        """
        if self._problem is not None or self._is_ended:
            return
        if self._page is not None:
            self._page += chunk[: _PAGE_BYTES - len(self._page)]
            return
        try:
            for message in self._frames.feed(chunk):
                self._count += 1
                self._method.take(self._parts, read_fields(message))
        except WireError as error:
            self._problem = error.code
            raise

    def trailers(self, fields: Headers) -> None:
        """Take note of header fields in which the status may stand."""
        status = end_of(fields)
        if status is not None:
            self._is_ended, self._error = True, status.error

    @property
    def is_terminal(self) -> bool:
        """Whether the status has been read."""
        return self._is_ended

    def finish(self, *, is_clean: bool = False) -> Exchange:  # noqa: ARG002 - without a status it is cut
        """Give what was read: complete only with the status OK and all that goes before it."""
        head, parts = self._head, self._parts
        status = NO_RESPONSE if head is None else head.status
        problem = self._problem or self._shortfall() or parts.problem
        error = self._error or self._page_error()
        is_sound = problem is None and error is None and 200 <= status < _MAX_STATUS
        return Exchange(
            request=self._request,
            answer=Answer(
                status=status,
                model_served=parts.model,
                response_id=parts.response_id,
                choices=parts.choices(self._request.n),
                usage=parts.usage(),
                error=error,
                is_complete=self._is_ended and is_sound and parts.is_over and parts.is_told,
                problem=problem,
            ),
            provider_request_id=None if head is None else head.header("x-request-id"),
        )

    def _shortfall(self) -> str | None:
        """Why the messages are not those of one answer."""
        if self._head is None:
            return "no-response"
        if self._page is not None or self._error is not None:
            return None
        if not self._frames.is_between:
            return "cut-frame"
        is_right = self._count > 0 if self._method.is_streamed else self._count == 1
        return "not-an-answer" if self._is_ended and not is_right else None

    def _page_error(self) -> TeacherError | None:
        return None if self._page is None else page_error(bytes(self._page))
