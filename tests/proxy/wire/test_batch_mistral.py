"""Mistral's batch jobs: requests in the body or in files, results inside the poll."""

from typing import Any

import pytest

from proxy.errors import WireError
from proxy.exchange import RequestHead
from proxy.wire.batch_mistral import MistralBatches

FORM = MistralBatches()
HEAD = RequestHead(method="POST", path="/v1/batch/jobs")
ENDPOINT = {"endpoint": "/v1/chat/completions"}


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/batch/jobs", "batch"),
        ("GET", "/v1/batch/jobs", "batch"),
        ("GET", "/v1/batch/jobs/j", "batch"),
        ("POST", "/v1/batch/jobs/j/cancel", "batch"),
        ("DELETE", "/v1/batch/jobs/j", "batch"),
        ("POST", "/v1/batches", None),
    ],
)
def test_calls_about_jobs_are_claimed(method: str, path: str, operation: str | None) -> None:
    """Each call of the reference, and no other provider's."""
    head = RequestHead(method=method, path=path)
    assert FORM.claims(head) == operation
    assert FORM.reader(head).form.name == "mistral.batches"
    assert FORM.named("j") == "j"


def test_the_jobs_model_stands_for_one_that_is_not_named() -> None:
    """Of two models nobody knows which answers."""
    doc: Any = {
        **ENDPOINT,
        "model": "m",
        "requests": [
            {"custom_id": "a", "body": {}},
            {"custom_id": "b", "body": {"model": "m"}},
        ],
    }
    asks = FORM.asked(doc, HEAD).asks
    assert [(ask.path, ask.body["model"]) for ask in asks] == [
        ("/v1/chat/completions", "m"),
        ("/v1/chat/completions", "m"),
    ]
    doc["requests"][1]["body"]["model"] = "own"
    with pytest.raises(WireError, match="another model than its job"):
        FORM.asked(doc, HEAD)


def test_files_are_read_by_the_jobs_endpoint() -> None:
    """Their lines name neither path nor model."""
    asked = FORM.asked({**ENDPOINT, "model": "m", "input_files": ["f", "g"]}, HEAD)
    assert asked.files == ("f", "g")
    assert asked.line is not None
    assert asked.line({"custom_id": "a", "body": {}}).body == {"model": "m"}


@pytest.mark.parametrize(
    "doc",
    [
        {"requests": []},
        {**ENDPOINT, "agent_id": "ag-1", "requests": [{"custom_id": "a", "body": {}}]},
        {**ENDPOINT, "input_files": "f"},
        {**ENDPOINT, "input_files": [1]},
        {**ENDPOINT, "requests": [{"custom_id": "a"}]},
        {**ENDPOINT, "requests": [{"body": {}}]},
        {**ENDPOINT, "requests": [{"custom_id": "a", "body": {}}] * 2},
    ],
)
def test_what_cannot_be_read_is_refused(doc: Any) -> None:
    """No endpoint, no list of files, a request without id or body, two of one id."""
    with pytest.raises(WireError):
        FORM.asked(doc, HEAD)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("QUEUED", "open"),
        ("RUNNING", "open"),
        ("CANCELLATION_REQUESTED", "open"),
        ("SUCCESS", "ended"),
        ("FAILED", "ended"),
        ("TIMEOUT_EXCEEDED", "ended"),
        ("CANCELLED", "ended"),
    ],
)
def test_an_answer_says_how_a_job_stands(status: str, state: str) -> None:
    """Where its results stand inside, they are not in its files as well."""
    doc: Any = {"object": "batch", "id": "j", "status": status, "output_file": "o"}
    notice = FORM.notice(doc)
    assert (notice.batch, notice.state, notice.outputs) == ("j", state, ("o",))
    inside = {**doc, "outputs": [{"custom_id": "a"}]}
    assert FORM.notice(inside).outputs == ()
    assert FORM.results(inside) == [{"custom_id": "a"}]
    assert FORM.result({"custom_id": "a"}).reason == "no-result"
    assert FORM.notice({"object": "list"}).batch is None
