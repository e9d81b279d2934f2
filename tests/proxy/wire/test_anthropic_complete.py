"""Claims on `anthropic.complete`: what it claims and how its versions stream; the rest in transcripts."""

import json

import pytest

from proxy.exchange import Message, Request, RequestHead, ResponseHead
from proxy.wire.anthropic_complete import AnthropicComplete

FORMAT = AnthropicComplete()
PIECES = (("Par", None), ("is", None), ("", "stop_sequence"))
SO_FAR = (("Par", None), ("Paris", None), ("Paris", "stop_sequence"))


def _head(version: str | None = None) -> RequestHead:
    headers = () if version is None else (("anthropic-version", version),)
    return RequestHead(method="POST", path="/v1/complete", headers=headers)


def test_it_claims_completions_alone() -> None:
    """Only a POST to `/v1/complete` is of this format."""
    assert FORMAT.claims(_head()) == "completion"
    assert FORMAT.claims(RequestHead(method="GET", path="/v1/complete")) is None
    assert FORMAT.claims(RequestHead(method="POST", path="/v1/messages")) is None


def test_a_request() -> None:
    """The prompt is one message, turns and all."""
    body = {"model": "c", "prompt": "\n\nHuman: Hi", "max_tokens_to_sample": 9, "temperature": 1}
    assert FORMAT.reader(_head()).request(json.dumps(body).encode()) == Request(
        wire_format="anthropic.complete",
        operation="completion",
        model_asked="c",
        is_streamed=False,
        messages=(Message(role="user", text="\n\nHuman: Hi"),),
        max_tokens=9,
        temperature=1.0,
    )


@pytest.mark.parametrize(
    ("version", "events"), [(None, PIECES), ("2023-06-01", PIECES), ("2023-01-01", SO_FAR)]
)
def test_versions(version: str | None, events: tuple[tuple[str, str | None], ...]) -> None:
    """The first version repeats the text so far in each event; the next brings what is new."""
    reader = FORMAT.reader(_head(version))
    reader.respond(ResponseHead(status=200, headers=(("content-type", "text/event-stream"),)))
    for words, reason in events:
        doc = {"completion": words, "stop_reason": reason, "model": "c", "log_id": "l"}
        assert not reader.is_terminal
        reader.feed(f"data: {json.dumps(doc)}\r\n\r\n".encode())
    answer = reader.finish().answer
    assert (answer.choices[0].text, answer.response_id, answer.is_complete) == ("Paris", "l", True)


def test_a_cut_stream_is_not_complete() -> None:
    """Without a reason to stop a stream is cut, however cleanly it ended."""
    reader = FORMAT.reader(_head())
    reader.respond(ResponseHead(status=200, headers=(("content-type", "text/event-stream"),)))
    reader.feed(b'data: {"completion": "Par"}\n\n')
    assert not reader.finish(is_clean=True).answer.is_complete
