"""Claims on operations without a teacher's words: recorded, and never a source of text."""

import pytest

from proxy.errors import WireError
from proxy.exchange import Headers, Request, RequestHead, ResponseHead, TeacherError
from proxy.wire.dialects import format_for
from proxy.wire.plain import ModelCall, Plain
from proxy.wire.reading import NO_RESPONSE

MODELS = Plain("models", method="GET", suffixes=("/models", "/models/*"))


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/models/gpt-4o", "models"),
        ("GET", "/v1/models/", None),
        ("GET", "/v1/models/a/b", None),
        ("GET", "/v1/supermodel", None),
        ("DELETE", "/v1/models/ft", None),
    ],
)
def test_claims(method: str, path: str, operation: str | None) -> None:
    """An operation is claimed by its method and its paths, one segment for a star."""
    assert MODELS.claims(RequestHead(method=method, path=path)) == operation


def _read(status: int | None, *, is_clean: bool) -> tuple[int, bool, str | None]:
    reader = MODELS.reader(RequestHead(method="GET", path="/v1/models"))
    assert reader.request(b"") == Request(
        wire_format="plain", operation="models", model_asked=None, is_streamed=False
    )
    if status is not None:
        reader.respond(ResponseHead(status=status))
    reader.feed(b'{"choices": [{"message": {"content": "no"}}]}')
    assert not reader.is_terminal
    exchange = reader.finish(is_clean=is_clean)
    assert exchange.answer.choices == ()
    return exchange.answer.status, exchange.answer.is_complete, exchange.answer.problem


def test_answers_hold_no_choices() -> None:
    """Whatever an answer holds, no choice is read; a clean success is complete."""
    assert _read(200, is_clean=True) == (200, True, None)
    assert _read(200, is_clean=False) == (200, False, None)
    assert _read(404, is_clean=True) == (404, False, None)
    assert _read(None, is_clean=True) == (NO_RESPONSE, False, "no-response")


def test_a_body_is_read_where_there_is_one() -> None:
    """An operation with a prompt reads it, so that the request gate knows what leaves."""
    asked = Request(wire_format="plain", operation="count", model_asked="m", is_streamed=False)
    count = Plain("count", method="POST", suffixes=("/count",), read=lambda _: asked)
    reader = count.reader(RequestHead(method="POST", path="/count"))
    assert reader.request(b"{}") == asked
    assert reader.finish().request == asked


IMAGES = ModelCall("openai.images", "image", suffixes=("/images/edits",))
FORM = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n--b--'
FORM_TYPE = (("content-type", "multipart/form-data; boundary=b"),)


def _asked(body: bytes, *, path: str = "/v1/images/edits", headers: Headers = ()) -> Request:
    return IMAGES.reader(RequestHead(method="POST", path=path, headers=headers)).request(body)


def test_the_model_of_a_call_is_read() -> None:
    """The model asked for an image or a voice is read from JSON or a form, and nothing else is."""
    asked = Request(
        wire_format="openai.images", operation="image", model_asked="m", is_streamed=False
    )
    assert _asked(b'{"model": "m", "prompt": "A lake"}') == asked
    assert _asked(FORM % (b"model", b"m"), headers=FORM_TYPE) == asked
    assert _asked(FORM % (b"image", b"m"), headers=FORM_TYPE).model_asked is None
    assert _asked(b"{}").model_asked is None
    assert _asked(b'{"stream": true}').is_streamed
    assert _asked(FORM % (b"stream", b"true"), headers=FORM_TYPE).is_streamed


def test_the_deployment_of_a_call_is_read() -> None:
    """A deployment in the path is asked, whatever the body names."""
    path = "/openai/deployments/d/images/edits"
    assert _asked(b'{"model": "m"}', path=path).model_asked == "d"
    reader = IMAGES.reader(RequestHead(method="POST", path=path))
    assert reader.finish().request.model_asked == "d"


def test_a_call_that_names_two_models_is_refused() -> None:
    """A form with a field twice is two requests to two readers."""
    part = FORM % (b"model", b"m")
    with pytest.raises(WireError, match="`model` twice") as caught:
        _asked(
            part.removesuffix(b"--") + b"\r\n" + part.removeprefix(b"--b\r\n"), headers=FORM_TYPE
        )
    assert (caught.value.code, caught.value.where) == ("duplicate-key", "$.model")


def test_a_body_that_cannot_be_read_is_refused() -> None:
    """What names its model in a way that cannot be read is not passed on."""
    for body, headers in ((b"model=m", ()), (b"", FORM_TYPE), (b'{"model": 3}', ())):
        with pytest.raises(WireError):
            _asked(body, headers=headers)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b'{"error": {"message": "no", "type": "t", "code": "c"}}',
            TeacherError(type="t", code="c", message="no"),
        ),
        (b'[{"error": {"code": 404, "message": "no"}}]', TeacherError(code="404", message="no")),
        (b'{"id": "x", "message": "no"}', TeacherError(message="no")),
        (b"<html><title>Bad gateway</title>", TeacherError(message="Bad gateway")),
        (b"{", TeacherError(message="{")),
        (b"", TeacherError()),
        (b"x" * 100_000, TeacherError(message="x" * 500)),
    ],
    ids=["openai", "google", "cohere", "page", "cut", "empty", "long"],
)
def test_errors_are_read(body: bytes, said: TeacherError) -> None:
    """What went wrong is kept, in whatever of the usual shapes it comes."""
    reader = MODELS.reader(RequestHead(method="GET", path="/v1/models"))
    reader.respond(ResponseHead(status=404))
    for start in range(0, len(body), 1000):
        reader.feed(body[start : start + 1000])
    assert reader.finish(is_clean=True).answer.error == said


def test_an_answer_with_words_is_unread() -> None:
    """Where a good answer may hold words, nobody takes it for silence, nor for complete."""
    door = Plain("other", method="GET", suffixes=("/x",), name="acme.stored", has_words=True)
    reader = door.reader(RequestHead(method="GET", path="/x"))
    assert reader.finish().answer.problem == "no-response"
    reader = door.reader(RequestHead(method="GET", path="/x"))
    reader.respond(ResponseHead(status=200))
    exchange = reader.finish(is_clean=True)
    assert exchange.request.wire_format == "acme.stored"
    assert (exchange.answer.problem, exchange.answer.is_complete) == ("unread-answer", False)


@pytest.mark.parametrize(
    ("name", "path", "operation"),
    [
        ("cohere.v2", "/v2/embed", "embedding"),
        ("cohere.v2", "/v1/rerank", "rerank"),
        ("cohere.v2", "/v1/tokenize", "count-tokens"),
        ("ollama.chat", "/api/embed", "embedding"),
        ("ollama.chat", "/api/embeddings", "embedding"),
    ],
)
def test_figures_are_asked_of_a_model(name: str, path: str, operation: str) -> None:
    """Rules can look at its name, though nothing of the answer is read."""
    head = RequestHead(method="POST", path=path)
    found = format_for(head, [name])
    assert found is not None
    request = found.reader(head).request(b'{"model": "small-1"}')
    assert (request.model_asked, request.operation) == ("small-1", operation)
