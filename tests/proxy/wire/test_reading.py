"""Claims on the reader that all JSON formats share: framing, truncation, completeness."""

from dataclasses import replace

import pytest

from proxy.errors import WireError
from proxy.exchange import (
    Choice,
    Exchange,
    Request,
    RequestHead,
    ResponseHead,
    TeacherError,
    Usage,
)
from proxy.wire.document import Object, text
from proxy.wire.reading import NO_RESPONSE, ExchangeReader
from proxy.wire.sse import Event

ASKED = Request(wire_format="echo", operation="chat", model_asked="m", is_streamed=True)
JSON = ResponseHead(status=200, headers=(("content-type", "application/json"),))
STREAM = ResponseHead(status=200, headers=(("content-type", "Text/Event-Stream; charset=utf-8"),))


class Echo:
    """A format of one text: `{"say": …}` as a whole, or in events that end in `stop`."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self.said: list[str] = []
        self.is_terminal = False

    @property
    def is_finished(self) -> bool:
        """Whether anything was said."""
        return bool(self.said)

    def event(self, event: Event) -> None:
        """Take a word, or the end."""
        if event.data == "bad":
            raise WireError("bad", code="bad")
        self.is_terminal = event.data == "stop"
        if not self.is_terminal:
            self.said.append(event.data)

    def document(self, doc: Object) -> None:
        """Take the whole text."""
        self.said.append(text(doc, "say") or "")
        self.problem = text(doc, "problem")

    def choices(self) -> tuple[Choice, ...]:
        """The one choice."""
        return (Choice(index=0, text=" ".join(self.said)),) if self.said else ()

    def usage(self) -> Usage | None:
        """Nothing is counted."""
        return None


def _read(body: bytes) -> Request:
    if not body:
        raise WireError("empty", code="empty")
    return ASKED


def _reader() -> ExchangeReader:
    blank = Request(wire_format="echo", operation="chat", model_asked=None, is_streamed=False)
    return ExchangeReader(blank, _read, Echo())


def _played(head: ResponseHead, *chunks: bytes, is_clean: bool = False) -> Exchange:
    reader = _reader()
    reader.request(b"x")
    reader.respond(head)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish(is_clean=is_clean)


def _text(exchange: Exchange) -> str:
    return "".join(choice.text for choice in exchange.answer.choices)


def test_a_json_body_is_read_whole() -> None:
    """A JSON answer is complete when the whole object was read."""
    exchange = _played(JSON, b'{"say": ', b'"hi"}')
    assert _text(exchange) == "hi"
    assert exchange.answer.is_complete
    assert exchange.request == ASKED


def test_a_cut_json_body_keeps_nothing() -> None:
    """A JSON answer that was cut says so, keeps nothing, and is not complete."""
    answer = _played(JSON, b'{"say": "hi"', is_clean=True).answer
    assert (answer.choices, answer.is_complete, answer.problem) == ((), False, "malformed-json")


def test_a_json_body_of_another_shape_is_a_problem() -> None:
    """A whole object that is no answer of the format is not complete."""
    answer = _played(JSON, b'{"say": 1}').answer
    assert (answer.is_complete, answer.problem) == (False, "wrong-type")


def test_json_is_terminal_once_whole() -> None:
    """The end of a JSON answer is known from its bytes, before the transport ends it."""
    reader = _reader()
    reader.respond(JSON)
    reader.feed(b'{"say": {}')
    assert not reader.is_terminal
    reader = _reader()
    reader.respond(JSON)
    reader.feed(b'{"say": "hi"}\n')
    assert reader.is_terminal
    assert reader.is_terminal
    reader.feed(b"more")
    assert _text(reader.finish()) == "hi"


def test_a_body_that_is_no_answer_is_never_terminal() -> None:
    """A whole object of another shape does not end an answer well."""
    reader = _reader()
    reader.respond(JSON)
    reader.feed(b'{"say": 1}')
    assert not reader.is_terminal
    assert reader.finish().answer.problem == "wrong-type"


def test_a_stream_ends_at_its_terminal_frame() -> None:
    """What follows the terminal frame, in the same chunk or a later one, changes nothing."""
    after = b"data: more\n\n"
    exchange = _played(STREAM, b"data: hi\n\ndata: stop\n\n" + after, after, b"\xff\n")
    assert _text(exchange) == "hi"
    assert exchange.answer.is_complete


def test_a_stream_is_terminal_after_its_frame() -> None:
    """The terminal frame is known as soon as it was read."""
    reader = _reader()
    reader.respond(STREAM)
    reader.feed(b"data: stop\n")
    assert not reader.is_terminal
    reader.feed(b"\n")
    assert reader.is_terminal


@pytest.mark.parametrize("is_clean", [True, False])
def test_a_stream_without_its_frame_needs_a_clean_end(is_clean: bool) -> None:  # noqa: FBT001 - a case of the table
    """Without a terminal frame only a clean end of a finished stream is a whole answer."""
    exchange = _played(STREAM, b"data: hi\n\n", is_clean=is_clean)
    assert exchange.answer.is_complete == is_clean
    assert not _played(STREAM, is_clean=is_clean).answer.is_complete


def test_the_last_event_may_lack_its_blank_line() -> None:
    """A stream whose last blank line is missing is read to its end."""
    exchange = _played(STREAM, b"data: hi\n\ndata: stop")
    assert exchange.answer.is_complete


def test_a_stream_cut_inside_an_event() -> None:
    """An event that was cut is not read; those before it are kept, and the answer is not whole."""
    answer = _played(STREAM, b"data: hi\n\ndata: bad", is_clean=True).answer
    assert (answer.choices[0].text, answer.problem) == ("hi", "cut-frame")
    assert not answer.is_complete


def test_an_event_that_cannot_be_read_spends_the_reader() -> None:
    """After an unreadable event nothing more is read; what was read stays, marked incomplete."""
    reader = _reader()
    reader.respond(STREAM)
    with pytest.raises(WireError):
        reader.feed(b"data: hi\n\ndata: bad\n\n")
    reader.feed(b"data: stop\n\n")
    assert not reader.is_terminal
    answer = reader.finish(is_clean=True).answer
    assert (answer.choices[0].text, answer.problem, answer.is_complete) == ("hi", "bad", False)


def test_an_error_of_the_framing_waits_for_its_place() -> None:
    """A broken line after good events is found at the end too."""
    answer = _played(STREAM, b"data: hi\n\n: \xff\n").answer
    assert (answer.choices[0].text, answer.problem) == ("hi", "not-utf-8")


def test_a_problem_of_the_format_is_kept() -> None:
    """What the format could not read as text makes a whole answer incomplete."""
    answer = _played(JSON, b'{"say": "hi", "problem": "unread-part"}').answer
    assert (answer.problem, answer.is_complete) == ("unread-part", False)


@pytest.mark.parametrize("status", [199, 300, 404, 500])
def test_only_success_is_complete(status: int) -> None:
    """An answer outside 200 to 299 is never complete."""
    head = ResponseHead(status=status, headers=JSON.headers)
    assert not _played(head, b'{"say": "hi"}').answer.is_complete


def test_no_response() -> None:
    """Where no head ever came, the exchange says so."""
    exchange = _reader().finish(is_clean=True)
    assert (exchange.answer.status, exchange.answer.problem) == (NO_RESPONSE, "no-response")
    assert exchange.provider_request_id is None
    assert exchange.request.model_asked is None


def test_a_bad_request_is_refused() -> None:
    """A request that is not of the format raises, and the blank request stands."""
    reader = _reader()
    with pytest.raises(WireError):
        reader.request(b"")
    assert reader.finish().request.model_asked is None


def test_finish_can_be_called_again() -> None:
    """Finishing twice gives the same exchange."""
    reader = _reader()
    reader.respond(JSON)
    reader.feed(b'{"say": "hi"}')
    assert reader.finish() == reader.finish()


@pytest.mark.parametrize("name", ["x-request-id", "request-id", "apim-request-id"])
def test_the_providers_request_id(name: str) -> None:
    """The provider's own id for the call is kept from its header."""
    head = ResponseHead(status=200, headers=((name, "req_1"),))
    assert _played(head).provider_request_id == "req_1"


@pytest.mark.parametrize(
    ("header", "said", "served"),
    [
        ("x-ms-served-model", "our-word", "m-0125"),
        ("x-ms-served-model", None, "m-0125"),
        ("openai-model", "m", "m"),
        ("openai-model", None, "m-0125"),
    ],
)
def test_a_header_may_name_who_answered(header: str, said: str | None, served: str) -> None:
    """Azure's header knows better than the body; another stands in for a body that says nothing."""
    parts = Echo()
    parts.model = said
    for status, wanted in ((200, served), (400, said)):
        reader = ExchangeReader(ASKED, _read, parts)
        content_type = ("content-type", "application/json")
        reader.respond(ResponseHead(status=status, headers=(content_type, (header, "m-0125"))))
        reader.feed(b'{"say": "Hi"}')
        assert reader.finish().answer.model_served == wanted


def _tried(said: str | None) -> RequestHead:
    headers = () if said is None else (("x-stainless-retry-count", said),)
    return RequestHead(method="POST", path="/v1/chat/completions", headers=headers)


@pytest.mark.parametrize(
    ("said", "retries"),
    [(None, None), ("0", 0), ("2", 2), ("", None), ("-1", None), ("two", None), ("1" * 9, None)],
)
def test_retries_are_those_the_sdk_counts(said: str | None, retries: int | None) -> None:
    """The count of an SDK's header is kept, before the body is read and after; else it is unknown."""
    reader = ExchangeReader(ASKED, _read, Echo(), head=_tried(said))
    assert reader.finish().request.retries == retries
    reader = ExchangeReader(ASKED, _read, Echo(), head=_tried(said))
    assert reader.request(b"x") == replace(ASKED, retries=retries)


@pytest.mark.parametrize(
    ("body", "header", "upstream"),
    [("Acme", "groq", "Acme"), (None, "groq", "groq"), ("Acme", None, "Acme"), (None, None, None)],
)
def test_who_ran_the_model(body: str | None, header: str | None, upstream: str | None) -> None:
    """A router names its upstream in the body of the answer or, for want of that, in a header."""
    headers = () if header is None else (("x-inference-provider", header),)
    reader = ExchangeReader(ASKED, _read, Echo(), served_by=lambda: body)
    reader.respond(ResponseHead(status=200, headers=headers))
    assert reader.finish().answer.served_by == upstream


@pytest.mark.parametrize("status", [200, 302, 399, 400, 503])
def test_a_page_is_an_error_where_the_status_says_so(status: int) -> None:
    """Text that is no JSON tells an error of an error's status; of any other it cannot be read."""
    reader = ExchangeReader(ASKED, _read, Echo())
    reader.respond(ResponseHead(status=status))
    reader.feed(b"busy")
    answer = reader.finish(is_clean=True).answer
    is_error = status >= 400
    assert answer.error == (TeacherError(message="busy") if is_error else None)
    assert answer.problem == (None if is_error else "malformed-json")
    assert not answer.is_complete


def test_a_list_is_an_error_of_an_errors_status_only() -> None:
    """The first object of a list is the body of an error; a good answer is never a list."""
    for status, problem in ((200, "wrong-type"), (400, "odd")):
        reader = ExchangeReader(ASKED, _read, Echo())
        reader.respond(ResponseHead(status=status))
        reader.feed(b'[{"problem": "odd"}]')
        assert reader.finish().answer.problem == problem


def test_amazon_names_the_kind_of_an_error_in_a_header() -> None:
    """Where a body does not say what kind of error it is, the header does, without its address."""
    parts = Echo()
    parts.error = TeacherError(message="slow down")
    reader = ExchangeReader(ASKED, _read, parts)
    kind = "ThrottlingException:http://internal.amazon.com/"
    reader.respond(ResponseHead(status=429, headers=(("x-amzn-errortype", kind),)))
    reader.feed(b"{}")
    assert reader.finish().answer.error == TeacherError(
        type="ThrottlingException", message="slow down"
    )


def test_the_head_says_how_long_to_wait() -> None:
    """The wait that an error's head asks for is kept with the error."""
    reader = ExchangeReader(ASKED, _read, Echo())
    reader.respond(ResponseHead(status=503, headers=(("retry-after", "8"),)))
    reader.feed(b"busy")
    assert reader.finish().answer.error == TeacherError(message="busy", retry_after_s=8.0)
