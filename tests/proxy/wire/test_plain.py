"""Claims on operations without a teacher's words: recorded, and never a source of text."""

import pytest

from proxy.exchange import Request, RequestHead, ResponseHead
from proxy.wire.plain import Plain
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
