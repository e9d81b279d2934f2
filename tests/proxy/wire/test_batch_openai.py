"""OpenAI's batches and files: lines of files, and what answers say of both."""

from typing import Any

import pytest

from proxy.errors import WireError
from proxy.exchange import RequestHead
from proxy.wire.batch_openai import OpenAIBatches, OpenAIFiles, ask_of, result_of

BATCHES = OpenAIBatches()
FILES = OpenAIFiles()
HEAD = RequestHead(method="POST", path="/v1/batches")
LINE: dict[str, Any] = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "m"},
}


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/batches", "batch"),
        ("GET", "/openai/v1/batches/b", "batch"),
        ("POST", "/openai/batches/b/cancel", "batch"),
        ("GET", "/v1/batches", "batch"),
        ("POST", "/v1/files", "file"),
        ("GET", "/v1/files/f", "file"),
        ("GET", "/v1/files/f/content", "file"),
        ("DELETE", "/v1/files/f", "file"),
        ("POST", "/v1/messages/batches", None),
        ("POST", "/v1/messages/batches/b/cancel", None),
        ("POST", "/v1/files/f/x", None),
    ],
)
def test_calls_are_claimed_by_path(method: str, path: str, operation: str | None) -> None:
    """Batches and files, on any host's prefix; Anthropic's batches are none of these."""
    head = RequestHead(method=method, path=path)
    assert (BATCHES.claims(head) or FILES.claims(head)) == operation
    form = FILES if operation == "file" else BATCHES
    if operation is not None:
        assert form.reader(head).door.operation == operation


def test_a_batch_names_the_file_of_its_requests() -> None:
    """Without a file there is nothing that could be read before it leaves."""
    asked = BATCHES.asked({"input_file_id": "f"}, HEAD)
    assert (asked.files, asked.asks, asked.line) == (("f",), (), ask_of)
    with pytest.raises(WireError) as caught:
        BATCHES.asked({"endpoint": "/v1/chat/completions"}, HEAD)
    with pytest.raises(WireError, match="`input_blob` is not known of a batch"):
        BATCHES.asked({"input_file_id": "f", "input_blob": "https://a.example/x"}, HEAD)
    assert caught.value.code == "no-input-file"
    assert FILES.asked({}, HEAD).files == ()


def test_a_line_reads_as_the_call_it_would_be() -> None:
    """Its url is the path, its body the body."""
    ask = ask_of(LINE)
    assert (ask.custom_id, ask.path, ask.body) == ("a", "/v1/chat/completions", {"model": "m"})


@pytest.mark.parametrize(
    "change",
    [
        {"custom_id": None},
        {"body": None},
        {"method": "GET"},
        {"url": "https://x/y?z"},
        {"url": None},
    ],
)
def test_a_line_that_is_no_call_is_refused(change: dict[str, Any]) -> None:
    """Each field is needed to read it alone."""
    with pytest.raises(WireError):
        ask_of(LINE | change)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("validating", "open"),
        ("finalizing", "open"),
        ("cancelling", "open"),
        ("completed", "ended"),
        ("failed", "ended"),
        ("expired", "ended"),
        ("cancelled", "ended"),
        (None, None),
    ],
)
def test_an_answer_says_how_a_batch_stands(status: str | None, state: str | None) -> None:
    """Its files are those that there are."""
    doc: Any = {"object": "batch", "id": "b", "status": status, "input_file_id": "f"}
    notice = BATCHES.notice({**doc, "output_file_id": "o", "error_file_id": None})
    assert (notice.batch, notice.state, notice.input, notice.outputs) == ("b", state, "f", ("o",))
    assert BATCHES.notice({"object": "list", "data": [doc]}).batch is None
    assert FILES.notice({"object": "file", "id": "f"}).input == "f"
    assert FILES.notice({"object": "list"}).input is None
    assert BATCHES.results(doc) == FILES.results(doc) == []


@pytest.mark.parametrize(
    ("rest", "status", "body", "is_error", "reason"),
    [
        ({"response": {"status_code": 200, "body": {"id": "c"}}}, 200, {"id": "c"}, False, None),
        ({"response": {"status_code": 400, "body": {"e": 1}}}, 400, {"e": 1}, True, None),
        ({"error": {"code": "batch_expired"}}, None, None, False, "batch-expired"),
        ({"error": {"code": "batch_cancelled"}}, None, None, False, "batch-cancelled"),
        ({"error": {"code": "x"}}, None, {"error": {"code": "x"}}, True, None),
        ({"error": "words"}, None, {"error": "words"}, True, None),
        ({"response": {"status_code": 200}}, None, None, False, "no-result"),
        ({}, None, None, False, "no-result"),
    ],
)
def test_a_line_of_results_reads_by_what_it_holds(
    *, rest: dict[str, Any], status: int | None, body: Any, is_error: bool, reason: str | None
) -> None:
    """An answer with its status, an error, or why there is neither."""
    for read in (result_of, BATCHES.result, FILES.result):
        found = read({"custom_id": "a", **rest})
        assert (found.status, found.body, found.is_error, found.reason) == (
            status,
            body,
            is_error,
            reason,
        )


def test_ids_are_as_answers_write_them() -> None:
    """A path names a batch or file by the same word."""
    assert BATCHES.named("b") == FILES.named("b") == "b"


def test_an_answer_beside_an_error_is_an_error() -> None:
    """Nobody says that it is whole."""
    answer: Any = {"status_code": 200, "body": {"id": "c"}}
    found = result_of({"custom_id": "a", "response": answer, "error": {"code": "content_filter"}})
    assert (found.is_error, found.choices) == (True, 0)
    assert not result_of({"custom_id": "a", "response": answer, "error": None}).is_error
