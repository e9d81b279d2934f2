"""Message Batches: what is asked, what an answer says, and how one result reads."""

from typing import Any

import pytest

from proxy.errors import WireError
from proxy.exchange import RequestHead
from proxy.wire.batch_anthropic import AnthropicBatches

FORM = AnthropicBatches()
HEAD = RequestHead(method="POST", path="/v1/messages/batches")


@pytest.mark.parametrize(
    ("method", "path", "does"),
    [
        ("POST", "/v1/messages/batches", "create"),
        ("GET", "/v1/messages/batches", "read"),
        ("GET", "/v1/messages/batches/b", "read"),
        ("POST", "/v1/messages/batches/b/cancel", "read"),
        ("DELETE", "/v1/messages/batches/b", "read"),
        ("GET", "/anthropic/v1/messages/batches/b/results", "results"),
    ],
)
def test_calls_about_batches_are_claimed(method: str, path: str, does: str) -> None:
    """Each call of the reference goes through a door of its own."""
    head = RequestHead(method=method, path=path)
    assert FORM.claims(head) == "batch"
    assert FORM.reader(head).door.does == does


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/batches", "/v1/messages/batches/b/x"])
def test_other_calls_are_not(path: str) -> None:
    """Messages themselves, other providers' batches and unknown paths are not read here."""
    assert FORM.claims(RequestHead(method="POST", path=path)) is None


def test_requests_read_as_messages() -> None:
    """Each is what the Messages API takes alone."""
    doc: Any = {"requests": [{"custom_id": "a", "params": {"model": "m"}}]}
    (ask,) = FORM.asked(doc, HEAD).asks
    with pytest.raises(WireError, match="`file` is not known of a batch"):
        FORM.asked({**doc, "file": "f"}, HEAD)
    assert (ask.custom_id, ask.path, ask.body) == ("a", "/v1/messages", {"model": "m"})


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([{"params": {}}], "no-custom-id"),
        ([{"custom_id": "", "params": {}}], "no-custom-id"),
        ([{"custom_id": "a"}], "wrong-type"),
        ("x", "wrong-type"),
        ([{"custom_id": "a", "params": {}}] * 2, "duplicate-custom-id"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(requests: Any, code: str) -> None:
    """A request needs an id of its own and its parameters."""
    with pytest.raises(WireError) as caught:
        FORM.asked({"requests": requests}, HEAD)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("status", "url", "state", "outputs"),
    [
        ("in_progress", None, "open", ()),
        ("canceling", None, "open", ()),
        ("ended", "https://x/r", "ended", ("b",)),
        ("ended", None, "ended", ()),
        (None, None, None, ()),
    ],
)
def test_an_answer_says_how_a_batch_stands(
    status: str | None, url: str | None, state: str | None, outputs: tuple[str, ...]
) -> None:
    """Results are under the batch's own id, once it has ended and as long as they are kept."""
    notice = FORM.notice(
        {"type": "message_batch", "id": "b", "processing_status": status, "results_url": url}
    )
    assert (notice.batch, notice.state, notice.outputs) == ("b", state, outputs)
    assert FORM.notice({"type": "message_batch_deleted", "id": "b"}).batch is None
    assert FORM.results({}) == []


@pytest.mark.parametrize(
    ("result", "body", "is_error", "reason"),
    [
        ({"type": "succeeded", "message": {"id": "m"}}, {"id": "m"}, False, None),
        ({"type": "succeeded"}, None, False, "no-result"),
        ({"type": "errored", "error": {"type": "error"}}, {"type": "error"}, True, None),
        ({"type": "canceled"}, None, False, "batch-cancelled"),
        ({"type": "expired"}, None, False, "batch-expired"),
        ({"type": "other"}, None, False, "unknown-result"),
        ({}, None, False, "unknown-result"),
    ],
)
def test_results_read_by_their_type(
    *, result: dict[str, Any], body: Any, is_error: bool, reason: str | None
) -> None:
    """An answer, an error in the provider's own words, or why there is neither."""
    found = FORM.result({"custom_id": "a", "result": result})
    assert (found.custom_id, found.body, found.is_error, found.reason) == (
        "a",
        body,
        is_error,
        reason,
    )


def test_a_result_without_an_id_is_nobodys() -> None:
    """It could end no call."""
    with pytest.raises(WireError):
        FORM.result({"result": {"type": "expired"}})
