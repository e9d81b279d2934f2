"""Gemini's batches: one model's requests, told by their metadata or by their place."""

from typing import Any

import pytest

from proxy.errors import WireError
from proxy.exchange import RequestHead
from proxy.wire.batch_gemini import GeminiBatches

FORM = GeminiBatches()
HEAD = RequestHead(method="POST", path="/v1beta/models/m-1:batchGenerateContent")


def _batch(*requests: object, key: str = "inputConfig") -> Any:
    return {"batch": {key: {"requests": {"requests": list(requests)}}}}


@pytest.mark.parametrize(
    ("method", "path", "does"),
    [
        ("POST", "/v1beta/models/m:batchGenerateContent", "create"),
        ("GET", "/v1beta/batches", "read"),
        ("GET", "/v1beta/batches/b", "read"),
        ("POST", "/v1beta/batches/b:cancel", "read"),
        ("DELETE", "/v1beta/batches/b", "read"),
        ("GET", "/v1/batches/b", None),
        ("POST", "/v1beta/models/m:generateContent", None),
    ],
)
def test_calls_about_batches_are_claimed(method: str, path: str, does: str | None) -> None:
    """Google's paths alone: others have batches under other versions."""
    head = RequestHead(method=method, path=path)
    assert FORM.claims(head) == (None if does is None else "batch")
    assert does is None or FORM.reader(head).door.does == does
    assert FORM.named("b") == "batches/b"


@pytest.mark.parametrize("key", ["inputConfig", "input_config"])
def test_requests_are_told_by_metadata_or_place(key: str) -> None:
    """As results repeat it: whatever stands in it, in any order of its keys."""
    doc = _batch(
        {"request": {"contents": []}, "metadata": {"b": 1, "a": "é"}},
        {"request": {"contents": [1]}},
        key=key,
    )
    first, second = FORM.asked(doc, HEAD).asks
    assert first.path == "/v1beta/models/m-1:generateContent"
    assert (first.custom_id, second.custom_id) == ('{"a":"é","b":1}', "#1")
    inlined = [{"metadata": {"a": "é", "b": 1}, "response": {}}, {"response": {"id": "x"}}]
    held = {"inlinedResponses": {"inlinedResponses": inlined}}
    answers: list[Any] = [{"response": held}, {"output": held}, {"metadata": {"output": held}}]
    for doc in answers:
        found = [FORM.result(one) for one in FORM.results(doc)]
        assert [one.custom_id for one in found] == [first.custom_id, second.custom_id]
        assert found[1].body == {"id": "x"}


@pytest.mark.parametrize(
    ("doc", "code"),
    [
        ({"batch": {"inputConfig": {"fileName": "files/x"}}}, "unread-batch"),
        ({"batch": {"input_config": {"file_name": "files/x"}}}, "unread-batch"),
        (
            {"batch": {"inputConfig": {"fileName": None, "file_name": "files/x"}}},
            "unread-batch",
        ),
        (
            {"batch": {"inputConfig": {"requests": {}}, "input_config": {"file_name": "files/x"}}},
            "duplicate-key",
        ),
        ({"batch": {**_batch({"request": {}})["batch"], "model": "models/m-2"}}, "two-models"),
        (_batch({"request": {"model": "models/m-2"}}), "two-models"),
        (_batch({"request": {"model": ["m-1"]}}), "two-models"),
        (_batch({"metadata": {}}), "wrong-type"),
        (
            _batch({"request": {}, "metadata": {"a": 1}}, {"request": {}, "metadata": {"a": 1}}),
            "duplicate-custom-id",
        ),
    ],
)
def test_what_is_not_read_does_not_leave(doc: Any, code: str) -> None:
    """Requests in a file, a request that is none, two that look alike."""
    with pytest.raises(WireError) as caught:
        FORM.asked(doc, HEAD)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("BATCH_STATE_PENDING", "open"),
        ("JOB_STATE_RUNNING", "open"),
        ("BATCH_STATE_SUCCEEDED", "ended"),
        ("JOB_STATE_CANCELLED", "ended"),
        ("BATCH_STATE_EXPIRED", "ended"),
        ("BATCH_STATE_FAILED", "ended"),
        (None, None),
    ],
)
def test_an_answer_says_how_a_batch_stands(word: str | None, state: str | None) -> None:
    """An operation that wraps the batch, or the batch itself."""
    wrapped: list[Any] = [{"metadata": {"state": word}}, {"state": word}]
    for doc in wrapped:
        notice = FORM.notice({"name": "batches/b", **doc})
        assert (notice.batch, notice.state) == ("batches/b", state)
    assert FORM.notice({"name": "files/x"}).batch is None
    assert FORM.results({"name": "batches/b"}) == []


def test_a_result_may_be_an_error_or_nothing() -> None:
    """In Google's own words, or without any."""
    error: Any = {"code": 400, "message": "no"}
    assert FORM.result({"place": 0, "error": error}).body == {"error": error}
    assert FORM.result({"place": 0, "error": error}).is_error
    assert FORM.result({"place": 0}).reason == "no-result"
    assert FORM.result({}).custom_id == "#-1"


@pytest.mark.parametrize(
    ("stats", "told"),
    [({}, "#0"), ({"batchStats": {"requestCount": "1"}}, "#0"), ({"batchStats": {}}, "#0"),
     ({"batchStats": {"requestCount": "2"}}, "#-1")],
)  # fmt: skip
def test_places_tell_nothing_where_results_are_missing(stats: Any, told: str) -> None:
    """One result of two may be anybody's: only its metadata could tell."""
    held: Any = {"inlinedResponses": {"inlinedResponses": [{"response": {}}]}}
    (one,) = FORM.results({"name": "batches/b", "metadata": stats, "response": held})
    assert FORM.result(one).custom_id == told


def test_a_model_may_be_named_as_in_the_path() -> None:
    """As Google's SDKs write it."""
    assert len(FORM.asked(_batch({"request": {"model": "models/m-1"}}), HEAD).asks) == 1


def test_an_answer_beside_an_error_is_an_error() -> None:
    """Nobody says that it is whole."""
    assert FORM.result({"place": 0, "response": {}, "error": {"code": 499}}).is_error
