"""The reader of calls about batches, whatever their format: it holds no text of a teacher."""

from dataclasses import dataclass, field

from proxy.errors import WireError
from proxy.exchange import Answer, Exchange, Request, RequestHead, ResponseHead, TeacherError
from proxy.wire.batch import Asked, BatchFormat, Door, Notice, Result, fit
from proxy.wire.document import Object, compact, read_object
from proxy.wire.error_page import BOM, is_page, page_error
from proxy.wire.openai_error import error_of
from proxy.wire.reading import NO_RESPONSE, request_id_of

__all__ = ["MAX_LINE_BYTES", "BatchReader", "ByDoors", "Lines"]

MAX_LINE_BYTES = 16 * 2**20
"""One line of a file of requests or results: above every provider's own limit for a request."""


class Lines:
    """Cuts bytes into lines, however they come; blank lines are passed over."""

    def __init__(self, *, limit_bytes: int = MAX_LINE_BYTES) -> None:
        self._rest = bytearray()
        self._limit_bytes = limit_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole now.

        Raises:
            WireError: a line is longer than is read.
        """
        if b"\n" not in chunk:
            self._rest += chunk
            self._check(self._rest)
            return []
        *whole, rest = (bytes(self._rest) + chunk).split(b"\n")
        self._rest = bytearray(rest)
        for line in (*whole, rest):
            self._check(line)
        return [line.strip() for line in whole if line.strip()]

    def finish(self) -> list[bytes]:
        """The last line, where no line feed ended it."""
        line = bytes(self._rest).strip()
        self._rest.clear()
        return [line] if line else []

    def _check(self, line: bytes | bytearray) -> None:
        if len(line) > self._limit_bytes:
            raise WireError(
                f"a line is longer than {self._limit_bytes} bytes",
                code="line-too-long",
                help="send one request a line, each small enough to be sent alone",
            )


@dataclass(slots=True)
class BatchReader:
    """Reads one call about batches (`proxy.wire.format.Reader`): it holds no text of a teacher.

    Results are handed on line by line by `drain`, and read by `result`.
    """

    form: BatchFormat
    door: Door
    head: RequestHead
    asked: Asked = field(default_factory=Asked)
    notice: Notice = field(default_factory=Notice)
    _request: Request = field(init=False)
    _answer: ResponseHead | None = None
    _body: bytearray = field(default_factory=bytearray)
    _lines: Lines = field(default_factory=Lines)
    _ready: list[bytes] = field(default_factory=list)
    _error: TeacherError | None = None
    _problem: str | None = None
    _is_read: bool = False

    def __post_init__(self) -> None:
        self._request = Request(
            wire_format=self.form.name,
            operation=self.door.operation,
            model_asked=None,
            is_streamed=False,
        )

    @property
    def subject(self) -> str | None:
        """The batch or file that the path names."""
        found = self.door.subject(self.head.path)
        return None if found is None else self.form.named(found)

    def part(self, query: str) -> str | None:  # noqa: ARG002 - most hosts give all results at once
        """Which of the batch's outputs a call with this query brings, in the words of a notice."""
        return self.subject

    def request(self, body: bytes) -> Request:
        """Read the whole request body.

        Raises:
            WireError: a create call whose requests cannot be read.
        """
        if self.door.does == "create":
            self.asked = self.form.asked(read_object(body, of="the request body"), self.head)
        return self._request

    def respond(self, head: ResponseHead) -> None:
        """Take note of the response's head."""
        self._answer = head

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes of the answer.

        Raises:
            WireError: a line is longer than is read.
        """
        if self._is_read:
            return
        if self._is_lines:
            try:
                self._ready += self._lines.feed(chunk)
            except WireError as error:
                self._problem, self._is_read = error.code, True
                raise
        else:
            self._body += chunk

    def drain(self) -> list[bytes]:
        """The results that came since the last time, each as one JSON object."""
        ready, self._ready = self._ready, []
        return ready

    def result(self, line: bytes) -> Result:
        """One result that `drain` gave.

        Raises:
            WireError: it is no result of this format.
        """
        return self.form.result(read_object(line.removeprefix(BOM), of="the result"))

    @property
    def is_terminal(self) -> bool:
        """Whether the whole of a JSON body was read."""
        if not self._is_read and not self._is_lines and self._body.rstrip().endswith(b"}"):
            try:
                doc = read_object(self._whole_body(), of="the answer")
            except WireError:
                return False
            self._take(doc)
        return self._is_read and self._problem is None and not self._is_lines

    def finish(self, *, is_clean: bool = False) -> Exchange:
        """Give what was read: an answer without choices, its `response_id` the batch or file."""
        if not self._is_read:
            self._end(is_clean=is_clean)
            self._is_read = True
        status = self._status
        is_sound = self._problem is None and self._error is None and 200 <= status < 300
        is_ended = is_clean or not self._is_lines
        return Exchange(
            request=self._request,
            answer=Answer(
                status=status,
                response_id=self.notice.batch or self.notice.input,
                error=self._error,
                is_complete=is_sound and is_ended,
                problem="no-response" if self._answer is None else self._problem,
            ),
            provider_request_id=request_id_of(self._answer),
        )

    @property
    def _is_lines(self) -> bool:
        return self.door.is_lines and 200 <= self._status < 300

    @property
    def _status(self) -> int:
        return NO_RESPONSE if self._answer is None else self._answer.status

    def _end(self, *, is_clean: bool) -> None:
        """Read what is left; the last line of a file that was cut is no line."""
        if self._answer is None:
            return
        if self._is_lines:
            self._ready += self._lines.finish() if is_clean else []
            return
        body = self._whole_body()
        if self._status >= 400 and is_page(body):
            self._error = page_error(body)
        elif body.strip() not in {b"", b"null"}:  # xAI's word for "taken"
            try:
                self._take(read_object(body, of="the answer"))
            except WireError as error:
                self._problem = error.code

    def _take(self, doc: Object) -> None:
        self._is_read = True
        if self._status >= 400:
            self._error = error_of(doc)
            return
        try:
            self.notice = self.form.notice(doc)
            self._ready += [compact(one).encode() for one in self.form.results(doc)]
        except WireError as error:
            self._problem = error.code

    def _whole_body(self) -> bytes:
        return bytes(self._body).removeprefix(BOM)


class ByDoors(BatchFormat):
    """What the formats share: a call is theirs by its method and path alone."""

    operation = "batch"

    def claims(self, head: RequestHead) -> str | None:
        """The operation, for what goes through one of the doors."""
        return None if fit(self, head) is None else self.operation

    def reader(self, head: RequestHead) -> BatchReader:
        """A fresh reader for one call."""
        return BatchReader(self, fit(self, head) or self.doors[0], head)

    def named(self, subject: str) -> str:
        """The id as it is."""
        return subject
