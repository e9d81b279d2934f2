"""One reader for every format whose answer is a JSON object, or a stream of events in some framing.

A format brings two things: how a request body reads, and an `Assembly` that puts an answer
together. Framing, truncation, errors and completeness are settled here, once.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from proxy.errors import WireError
from proxy.exchange import (
    Answer,
    Choice,
    Exchange,
    Request,
    RequestHead,
    ResponseHead,
    TeacherError,
    Usage,
)
from proxy.wire.document import Object, read_object
from proxy.wire.error_page import BOM, first_of, is_page, page_error
from proxy.wire.framing import Framing, begins_events, framing_of
from proxy.wire.retrying import retries_of, with_retry_after
from proxy.wire.sse import Event, SSEDecoder

__all__ = ["NO_RESPONSE", "Assembly", "ExchangeReader", "request_id_of"]

NO_RESPONSE = 0
"""The status of an answer whose head never came."""

_FIRST_ERROR = 400

_SERVED_HEADERS = ("x-ms-served-model", "openai-model")
"""Where a host names the model that answered: before the body's word for it, and for want of one."""

_UPSTREAM_HEADER = "x-inference-provider"
"""Where Hugging Face's router names who ran the model."""

_REQUEST_ID_HEADERS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "mistral-correlation-id",
    "x-debug-trace-id",
    "x-ds-trace-id",
)


class Assembly(Protocol):
    """Puts the answer of one exchange together from what it is shown."""

    @property
    def model(self) -> str | None:
        """Who served, where the answer says it."""

    @property
    def response_id(self) -> str | None:
        """The id of the answer."""

    @property
    def error(self) -> TeacherError | None:
        """The error that was told."""

    @property
    def problem(self) -> str | None:
        """A slug: something was seen that cannot be read as text of the model."""

    @property
    def is_terminal(self) -> bool:
        """Whether the terminal frame was shown."""

    @property
    def is_finished(self) -> bool:
        """Whether a stream that ends here, cleanly and without a terminal frame, is whole."""

    def event(self, event: Event) -> None:
        """Take one event of a stream.

        Raises:
            WireError: it is not an event of this format.
        """

    def document(self, doc: Object) -> None:
        """Take the whole JSON answer, or the body of an error.

        Raises:
            WireError: it is not an answer of this format.
        """

    def choices(self) -> tuple[Choice, ...]:
        """What was put together."""

    def usage(self) -> Usage | None:
        """The usage as it was last stated."""


class ExchangeReader:
    """Reads one exchange: a `proxy.wire.format.Reader` for JSON bodies and event streams.

    `framing` says by the head of the answer which frames follow, or None for one JSON body. `head` is
    the request's, for what its headers say of the call; `served_by` gives who ran the model, where
    the answer's body names its upstream.
    """

    def __init__(
        self,
        blank: Request,
        read: Callable[[bytes], Request],
        parts: Assembly,
        *,
        framing: Callable[[ResponseHead], Framing | None] = framing_of,
        head: RequestHead | None = None,
        served_by: Callable[[], str | None] | None = None,
    ) -> None:
        self._retries = None if head is None else retries_of(head)
        self._served_by = served_by
        self._request = replace(blank, retries=self._retries)
        self._read = read
        self._parts = parts
        self._head: ResponseHead | None = None
        self._framing = framing
        self._frames: Framing | None = None
        self._body = bytearray()
        self._is_whole_body = False
        self._problem: str | None = None
        self._page: TeacherError | None = None
        self._is_spent = False

    def request(self, body: bytes) -> Request:
        """Read the whole request body.

        Raises:
            WireError: the body is not a request of this format.
        """
        self._request = replace(self._read(body), retries=self._retries)
        return self._request

    def respond(self, head: ResponseHead) -> None:
        """Take note of the response's head: a stream says so in its content type."""
        self._head = head
        self._frames = self._framing(head)

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes of the answer; after the terminal frame they are passed over.

        Raises:
            WireError: the bytes are not an answer of this format; the reader is spent.
        """
        if self._is_spent or self._parts.is_terminal:
            return
        if self._frames is None:
            self._body += chunk
            if not self._is_unannounced_stream():
                return
            chunk = bytes(self._body)
            self._frames = SSEDecoder()
            self._body.clear()
        try:
            self._take(self._frames.feed(chunk))
        except WireError as error:
            self._spend(error)
            raise

    @property
    def is_terminal(self) -> bool:
        """Whether the terminal frame, or the whole of a JSON body, has been read."""
        if self._frames is None and not self._is_spent and self._body.rstrip().endswith(b"}"):
            try:
                doc = read_object(self._whole_body(), of="the answer")
            except WireError:
                return False
            self._take_document(doc)
        return self._is_whole_body or self._parts.is_terminal

    def finish(self, *, is_clean: bool = False) -> Exchange:
        """Give what was read; `is_clean` says that the transport ended the message in order.

        Only a stream without a terminal frame needs `is_clean` to be complete. The status is
        `NO_RESPONSE` where no head came.
        """
        if not self._is_spent:
            try:
                self._end()
            except WireError as error:
                self._spend(error)
            self._is_spent = True
        return Exchange(
            request=self._request,
            answer=self._answer(is_clean=is_clean),
            provider_request_id=request_id_of(self._head),
        )

    def _is_unannounced_stream(self) -> bool:
        is_answer = self._head is not None and self._head.status < _FIRST_ERROR
        return is_answer and begins_events(self._body)

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if self._parts.is_terminal:
                return
            self._parts.event(event)

    def _take_document(self, doc: Object) -> None:
        self._is_spent = True
        try:
            self._parts.document(doc)
        except WireError as error:
            self._spend(error)
        else:
            self._is_whole_body = True

    def _end(self) -> None:
        if self._frames is None:
            if self._head is not None:
                self._end_body(self._head.status)
        elif not self._parts.is_terminal:
            rest = self._frames.finish()
            try:
                self._take(rest)
            except WireError as error:
                raise WireError("the stream ends inside an event", code="cut-frame") from error

    def _end_body(self, status: int) -> None:
        """Read the whole body: of an error it need not be JSON, as gateways answer in pages."""
        body, is_error = self._whole_body(), status >= _FIRST_ERROR
        if is_error and is_page(body):
            self._page = page_error(body)
        elif is_error and body.startswith(b"["):
            self._take_document(first_of(body))
        else:
            self._take_document(read_object(body, of="the answer"))

    def _whole_body(self) -> bytes:
        """The body without a byte order mark, which JSON may not have and hosts send (RFC 8259 §8.1)."""
        return bytes(self._body).removeprefix(BOM)

    def _spend(self, error: WireError) -> None:
        self._is_spent = True
        self._problem = error.code

    def _answer(self, *, is_clean: bool) -> Answer:
        parts = self._parts
        status = NO_RESPONSE if self._head is None else self._head.status
        problem = self._problem or parts.problem
        if self._head is None:
            problem = "no-response"
        is_ended = self._is_whole_body or parts.is_terminal or (is_clean and parts.is_finished)
        is_sound = problem is None and parts.error is None and 200 <= status < 300
        return Answer(
            status=status,
            model_served=self._model_served() if is_sound else parts.model,
            served_by=self._upstream(),
            response_id=parts.response_id,
            choices=parts.choices(),
            usage=parts.usage(),
            error=self._error(),
            is_complete=is_ended and is_sound,
            problem=problem,
        )

    def _model_served(self) -> str | None:
        """Who answered: Azure's header names the model where the body repeats the deployment's name."""
        head = self._head
        first, last = (None if head is None else head.header(name) for name in _SERVED_HEADERS)
        return first or self._parts.model or last

    def _upstream(self) -> str | None:
        """Who ran the model: the body's word for it, else the header's."""
        said = None if self._served_by is None else self._served_by()
        return said or (None if self._head is None else self._head.header(_UPSTREAM_HEADER))

    def _error(self) -> TeacherError | None:
        """The error that was told; Amazon says its kind in a header, with an address after a colon."""
        error, head = self._page or self._parts.error, self._head
        if error is None or head is None:
            return error
        kind = head.header("x-amzn-errortype")
        if error.type is None and kind is not None:
            error = replace(error, type=kind.partition(":")[0])
        return with_retry_after(error, head)


def request_id_of(head: ResponseHead | None) -> str | None:
    """The provider's own id of a call, from the headers of its answer."""
    if head is None:
        return None
    found = (head.header(name) for name in _REQUEST_ID_HEADERS)
    return next((value for value in found if value is not None), None)
