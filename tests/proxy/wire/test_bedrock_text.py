"""Bare text of vendors: pieces, several texts, and what is no text."""

import pytest

from proxy.wire.bedrock_text import TextAssembly
from proxy.wire.document import Object


def test_pieces_are_joined_until_a_reason_is_given() -> None:
    """A stream is finished when every text has its reason."""
    parts = TextAssembly()
    docs: list[Object] = [
        {"generation": "a"},
        {"generation": "b", "stop_reason": None},
        {"generation": "", "stop_reason": "stop", "generation_token_count": 2},
    ]
    finished = []
    for doc in docs:
        parts.document(doc)
        finished.append(parts.is_finished)
    assert finished == [False, False, True]
    assert [(c.text, c.finish_reason) for c in parts.choices()] == [("ab", "stop")]


@pytest.mark.parametrize("doc", [{}, {"novelty": 1}, {"results": [{}]}])
def test_what_has_no_text_is_a_problem(doc: Object) -> None:
    """It is never taken for an empty answer."""
    parts = TextAssembly()
    parts.document(doc)
    assert parts.problem == "unread-part"


def test_counts_may_be_missing() -> None:
    """Absent is unknown."""
    parts = TextAssembly()
    parts.document({"completion": "a", "stop_reason": "stop_sequence"})
    assert parts.usage() is None
