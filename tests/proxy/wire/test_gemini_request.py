"""Requests of Google's interface, in the case that each client writes."""

import json

import pytest

from proxy.errors import WireError
from proxy.exchange import Request
from proxy.wire.document import Object
from proxy.wire.gemini_request import either, read_generate, read_silent

BLANK = Request(
    wire_format="gemini.generateContent", operation="chat", model_asked="m", is_streamed=False
)


def test_both_cases_are_one_field() -> None:
    """Either is read; a request that gives both is refused, for readers differ in which counts."""
    snake: Object = {"system_instruction": 1}
    assert either(snake, "systemInstruction") == {"systemInstruction": 1}
    assert either(snake, "tools") == snake
    with pytest.raises(WireError) as caught:
        either({"systemInstruction": 1, "system_instruction": 2}, "systemInstruction")
    assert caught.value.code == "duplicate-key"


def test_snake_case_is_read() -> None:
    """As some clients write it."""
    doc = {
        "contents": {"role": "user", "parts": [{"inline_data": {"mime_type": "image/png"}}]},
        "generation_config": {"max_output_tokens": 3, "candidate_count": 2},
        "cached_content": "x",
    }
    request = read_generate(json.dumps(doc).encode(), BLANK)
    assert (request.n, request.max_tokens, request.has_images, request.is_whole) == (
        2,
        3,
        True,
        False,
    )


@pytest.mark.parametrize("doc", [{}, {"contents": []}])
def test_a_request_without_contents(doc: object) -> None:
    """It is refused, with what is missing."""
    with pytest.raises(WireError) as caught:
        read_generate(json.dumps(doc).encode(), BLANK)
    assert (caught.value.code, caught.value.where) == ("missing-messages", "$.contents")


def _asked(**fields: object) -> Request:
    doc = {"contents": [{"parts": [{"text": "Hi"}]}], **fields}
    return read_generate(json.dumps(doc).encode(), BLANK)


def test_one_alone_needs_no_list() -> None:
    """As Google's own examples write contents, parts and tools."""
    request = _asked(contents={"parts": {"text": "Hi"}}, tools={"googleSearch": {}})
    assert [message.text for message in request.messages] == ["Hi"]
    assert request.tools == [{"googleSearch": {}}]


@pytest.mark.parametrize("name", ["fileData", "file_data"])
def test_a_file_elsewhere_is_not_whole(name: str) -> None:
    """Of a file only the address is on the wire."""
    part = {name: {"fileUri": "files/x", "mimeType": "image/png"}}
    request = _asked(contents=[{"parts": [part]}])
    assert (request.is_whole, request.has_images) == (False, True)


def test_thoughts_that_come_back_are_no_text() -> None:
    """What a model thought before is not what it said."""
    request = _asked(contents=[{"role": "model", "parts": [{"text": "Hm", "thought": True}]}])
    assert (request.messages[0].text, request.messages[0].has_other_parts) == ("", True)


def test_a_limit_may_have_a_fraction_of_zero() -> None:
    """Clients in some languages write every number so."""
    assert _asked(generationConfig={"maxOutputTokens": 5.0}).max_tokens == 5


@pytest.mark.parametrize(
    "doc",
    [
        {"contents": [{"parts": [{"text": "Hi"}]}]},
        {"generateContentRequest": {"contents": [{"parts": [{"text": "Hi"}]}]}},
        {"content": {"parts": [{"text": "Hi"}]}},
        {"requests": [{"content": {"parts": [{"text": "Hi"}]}}]},
    ],
)
def test_what_is_counted_or_embedded_is_read(doc: object) -> None:
    """It leaves for the provider as any prompt does."""
    request = read_silent(json.dumps(doc).encode(), BLANK)
    assert [message.text for message in request.messages] == ["Hi"]
