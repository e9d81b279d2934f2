"""xAI's batches: filled by a call of their own, asked in two shapes and answered in one."""

import json
from typing import Any

import pytest

from proxy.errors import WireError
from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.batch_xai import XaiBatches

FORM = XaiBatches()
HEAD = RequestHead(method="POST", path="/v1/batches/b/requests")


def _add(**request: object) -> Any:
    return {"batch_requests": [{"batch_request_id": "a", "batch_request": request}]}


@pytest.mark.parametrize(
    ("method", "path", "does"),
    [
        ("POST", "/v1/batches", "read"),
        ("GET", "/v1/batches", "read"),
        ("POST", "/v1/batches/b/requests", "create"),
        ("GET", "/v1/batches/b/requests", "read"),
        ("GET", "/v1/batches/b/results", "results"),
        ("GET", "/v1/batches/b", "read"),
        ("POST", "/v1/batches/b:cancel", "read"),
    ],
)
def test_calls_about_batches_are_claimed(method: str, path: str, does: str) -> None:
    """A batch is made empty: requests leave with the call that adds them."""
    head = RequestHead(method=method, path=path)
    assert FORM.claims(head) == "batch"
    assert FORM.reader(head).door.does == does
    assert FORM.claims(RequestHead(method="PUT", path=path)) is None
    assert FORM.named("b") == "b"


@pytest.mark.parametrize(
    ("kind", "path"),
    [("responses", "/v1/responses"), ("chat_get_completion", "/v1/chat/completions")],
)
def test_requests_are_asked_in_two_shapes(kind: str, path: str) -> None:
    """Each reads as the interface that takes it alone."""
    (ask,) = FORM.asked(_add(**{kind: {"model": "m"}}), HEAD).asks
    assert (ask.custom_id, ask.path, ask.body) == ("a", path, {"model": "m"})


@pytest.mark.parametrize(
    "doc",
    [
        _add(),
        _add(images={}),
        _add(responses={}, chat_get_completion={}),
        {"batch_requests": [{"batch_request": {"responses": {}}}]},
        {"batch_requests": "x"},
    ],
)
def test_other_shapes_are_refused(doc: Any) -> None:
    """What nobody can read alone does not leave."""
    with pytest.raises(WireError):
        FORM.asked(doc, HEAD)


@pytest.mark.parametrize(
    ("state", "said", "outputs"),
    [
        ({"num_requests": 0, "num_pending": 0}, None, ()),
        ({"num_requests": 2, "num_pending": 1}, "open", ()),
        ({"num_requests": 2, "num_pending": 0}, "ended", ("b/1",)),
        ({}, None, ()),
        (None, None, ()),
    ],
)
def test_an_answer_says_how_a_batch_stands(
    state: Any, said: str | None, outputs: tuple[str, ...]
) -> None:
    """An empty batch has not ended: requests are still to come."""
    notice = FORM.notice({"batch_id": "b", "state": state})
    assert (notice.batch, notice.state, notice.outputs) == ("b", said, outputs)


def _read(query: str, token: str | None) -> tuple[str | None, tuple[str, ...]]:
    reader = FORM.reader(RequestHead(method="GET", path="/v1/batches/b/results"))
    reader.respond(ResponseHead(status=200))
    reader.feed(json.dumps({"results": [], "pagination_token": token}).encode())
    assert reader.finish(is_clean=True).answer.is_complete
    return reader.part(query), reader.notice.outputs


def test_pages_name_the_next() -> None:
    """What a page names is what the call that fetches it brings; the last one names none."""
    part, (second,) = _read("limit=1", "t/=")
    assert part == "b/1"
    assert _read("limit=1&pagination_token=t%2F%3D", "u") == (second, _read("", "u")[1])
    assert _read("pagination_token=u", None)[1] == ()
    assert len({part, second, _read("", "u")[1][0]}) == 3


def test_pages_hold_results() -> None:
    """A page says nothing of its batch but them."""
    assert FORM.notice({"results": []}).batch is None
    assert FORM.results({"results": [{"batch_request_id": "a"}]}) == [{"batch_request_id": "a"}]


@pytest.mark.parametrize(
    ("rest", "body", "is_error", "reason"),
    [
        (
            {"batch_result": {"response": {"chat_get_completion": {"id": "c"}}}},
            {"id": "c"},
            False,
            None,
        ),
        ({"batch_result": {"error": "no"}}, {"error": "no"}, True, None),
        ({"error": {"message": "no"}}, {"error": {"message": "no"}}, True, None),
        ({"batch_result": {"response": {}}}, None, False, "no-result"),
        ({}, None, False, "no-result"),
    ],
)
def test_answers_come_as_chat(
    *, rest: dict[str, Any], body: Any, is_error: bool, reason: str | None
) -> None:
    """Whatever shape was asked in."""
    found = FORM.result({"batch_request_id": "a", **rest})
    assert (found.body, found.is_error, found.reason) == (body, is_error, reason)
    assert found.path == (None if body is None else "/v1/chat/completions")


def test_a_batch_is_made_empty() -> None:
    """What else the call says could bring requests that nobody read."""
    reader = FORM.reader(RequestHead(method="POST", path="/v1/batches"))
    assert reader.request(b'{"name": "n"}').operation == "batch"
    for body in (b'{"name": "n", "input_file_id": "f"}', b'{"batch_requests": []}', b"x"):
        with pytest.raises(WireError):
            reader.request(body)


@pytest.mark.parametrize("inside", [True, False])
def test_an_answer_beside_an_error_is_an_error(*, inside: bool) -> None:
    """Nobody says that it is whole."""
    held: Any = {"response": {"chat_get_completion": {"id": "c"}}}
    error = {"error": "stopped"}
    doc = {"batch_result": {**held, **error}} if inside else {"batch_result": held, **error}
    assert FORM.result({"batch_request_id": "a", **doc}).is_error
