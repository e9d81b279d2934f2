"""Answers of Cohere beyond the transcripts: what is unknown is never admitted."""

import json

import pytest

from proxy.exchange import Answer, RequestHead, ResponseHead
from proxy.wire.cohere import Cohere


def answer(doc: object, *, version: str = "v2", kind: str = "application/json") -> Answer:
    """What a body or one event reads as."""
    body = json.dumps(doc).encode()
    reader = Cohere("v2" if version == "v2" else "v1").reader(RequestHead(method="POST", path="/"))
    reader.respond(ResponseHead(status=200, headers=(("content-type", kind),)))
    reader.feed(b"data: " + body + b"\n\n" if kind == "text/event-stream" else body + b"\n")
    return reader.finish(is_clean=True).answer


@pytest.mark.parametrize("part", [{"type": "image", "url": "x"}, {"type": "hologram"}])
def test_an_unknown_part_is_a_problem(part: object) -> None:
    """A kind of content that nobody reads keeps the whole answer out."""
    doc = {
        "id": "x",
        "message": {"role": "assistant", "content": [part]},
        "finish_reason": "COMPLETE",
    }
    assert answer(doc).problem == "unread-part"


def test_an_unknown_event_is_a_problem() -> None:
    """So does an event of a kind that nobody knows, in both versions."""
    assert answer({"type": "novelty"}, kind="text/event-stream").problem is not None
    lines = "application/stream+json"
    assert answer({"event_type": "novelty"}, version="v1", kind=lines).problem is not None


def test_an_error_in_a_stream_is_an_error() -> None:
    """A body of an error where an event should be."""
    found = answer({"message": "too many requests"}, kind="text/event-stream")
    assert found.error is not None
    assert (found.error.message, found.is_complete) == ("too many requests", False)


def test_counts_are_kept_apart() -> None:
    """Tokens are the usage, billed units stay beside them; absent is not zero."""
    doc = {"id": "x", "message": {"content": []}, "usage": {"billed_units": {"output_tokens": 1}}}
    usage = answer(doc).usage
    assert usage is not None
    assert (usage.input, usage.output, usage.raw) == (
        None,
        None,
        {"billed_units": {"output_tokens": 1}},
    )
