"""Invoke beyond the transcripts: chunks that hold nothing readable."""

import base64
import json

import pytest

from proxy.errors import WireError
from proxy.exchange import Request
from proxy.wire.bedrock_invoke import InvokeAssembly, read_invoke
from proxy.wire.sse import Event

BLANK = Request(wire_format="bedrock.invoke", operation="chat", model_asked="m", is_streamed=True)


def chunk(held: bytes) -> Event:
    """A chunk that holds these bytes."""
    return Event("chunk", json.dumps({"bytes": base64.b64encode(held).decode(), "p": "x"}), "")


@pytest.mark.parametrize(
    "event",
    [Event("chunk", '{"bytes": "*"}', ""), chunk(b"\xff"), chunk(b"[]"), Event("chunk", "x", "")],
)
def test_a_chunk_that_cannot_be_read(event: Event) -> None:
    """It is an error of the wire, whatever is wrong with it."""
    with pytest.raises(WireError):
        InvokeAssembly().event(event)


def test_metrics_alone_end_a_stream() -> None:
    """A last chunk with nothing but counts is the end, and no answer of a vendor."""
    parts = InvokeAssembly()
    parts.event(chunk(b'{"generation": "Hi", "stop_reason": "stop"}'))
    parts.event(chunk(b'{"amazon-bedrock-invocationMetrics": {"inputTokenCount": 2}}'))
    usage = parts.usage()
    assert usage is not None
    assert (parts.is_terminal, usage.input, usage.output) == (True, 2, None)
    assert [choice.text for choice in parts.choices()] == ["Hi"]


@pytest.mark.parametrize(
    ("doc", "texts"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"image": 1}]}]}, ["a"]),
        ({"system": [{"text": "s"}], "messages": [{"content": "a"}, 7]}, ["s", "a"]),
        ({"inputText": "a"}, ["a"]),
        ({"inputs": "a"}, ["a"]),
        ({}, []),
    ],
)  # fmt: skip
def test_prompts_of_every_vendor(doc: object, texts: list[str]) -> None:
    """Whatever key the vendor keeps it under."""
    request = read_invoke(json.dumps(doc).encode(), BLANK)
    assert [message.text for message in request.messages] == texts


@pytest.mark.parametrize("kind", [{"input_tokens": 3}, [], 7, None])
def test_a_type_that_is_no_word_is_no_vendors(kind: object) -> None:
    """Fuzzing found that an object under `type` raised something else than an error of the wire."""
    parts = InvokeAssembly()
    parts.document(json.loads(json.dumps({"i": "", "type": kind})))
    assert parts.problem == "unread-part"
