"""Requests of Google's interface, in the case that each client writes."""

import json

import pytest

from proxy.errors import WireError
from proxy.exchange import Request
from proxy.wire.document import Object
from proxy.wire.gemini_request import either, read_generate

BLANK = Request(
    wire_format="gemini.generateContent", operation="chat", model_asked="m", is_streamed=False
)


def test_both_cases_are_one_field() -> None:
    """Its own name counts where both are given."""
    assert either({"system_instruction": 1}, "systemInstruction") == {"systemInstruction": 1}
    both: Object = {"systemInstruction": 1, "system_instruction": 2}
    assert either(both, "systemInstruction") == both


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
