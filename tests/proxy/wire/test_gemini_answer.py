"""Answers of Google's interface beyond the transcripts."""

import pytest

from proxy.wire.document import Object
from proxy.wire.gemini_answer import GeminiAssembly


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (1, "STOP"),
        (9, "MALFORMED_FUNCTION_CALL"),
        (99, "99"),
        (0, None),
        ("SAFETY", "SAFETY"),
        ("", None),
    ],
)
def test_reasons_in_numbers_and_words(reason: int | str, said: str | None) -> None:
    """A number nobody defined stays a number, and none is no reason."""
    parts = GeminiAssembly()
    doc: Object = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": reason}]}
    parts.document(doc)
    assert [choice.finish_reason for choice in parts.choices()] == [said]
    assert parts.is_finished is (said is not None)


def test_counts_of_the_last_piece_count() -> None:
    """Each piece repeats them; they are replaced and never added."""
    parts = GeminiAssembly()
    for number in (1, 5):
        parts.document({"usageMetadata": {"candidatesTokenCount": number}})
    usage = parts.usage()
    assert usage is not None
    assert usage.output == 5
