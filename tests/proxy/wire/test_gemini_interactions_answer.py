"""Answers of interactions beyond the transcripts: what is unknown is never admitted."""

import json

import pytest

from proxy.wire.gemini_interactions_answer import InteractionAssembly
from proxy.wire.sse import Event

TEXT: dict[str, object] = {"type": "text", "text": "Hi"}


def _played(*events: dict[str, object]) -> InteractionAssembly:
    parts = InteractionAssembly()
    for event in events:
        parts.event(Event("", json.dumps(event), ""))
    return parts


def _start(step: dict[str, object], index: int = 0) -> dict[str, object]:
    return {"event_type": "step.start", "index": index, "step": step}


def _delta(delta: dict[str, object], index: int = 0) -> dict[str, object]:
    return {"event_type": "step.delta", "index": index, "delta": delta}


def _end(**fields: object) -> dict[str, object]:
    interaction = {"id": "x", "status": "completed", **fields}
    return {"event_type": "interaction.completed", "interaction": interaction}


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([_start({"type": "hologram"})], "unread-part"),
        ([_start({"type": "model_output", "content": [{"type": "audio"}]})], "unread-part"),
        ([_start({"type": "thought", "summary": [{"type": "image"}]})], "unread-part"),
        ([_start({"type": "model_output"}), _delta({"type": "novelty"})], "unread-part"),
        ([{"event_type": "novelty"}], "unread-part"),
        ([_start({"type": "thought"}), _start({"type": "thought"})], "out-of-order"),
        ([_delta(TEXT)], "missing-beginning"),
        (
            [
                _start({"type": "model_output"}),
                _delta(TEXT),
                _end(steps=[{"type": "model_output", "content": [{"type": "text", "text": "Ho"}]}]),
            ],
            "text-changed",
        ),
        (
            [
                _start({"type": "model_output"}),
                _delta(TEXT),
                _end(steps=[{"type": "model_output", "content": [TEXT]}]),
            ],
            None,
        ),
        ([_start({"type": "url_context_call"}), _delta({"type": "url_context_call"})], None),
    ],
)
def test_what_cannot_be_read_is_a_problem(
    events: list[dict[str, object]], problem: str | None
) -> None:
    """A step, a piece or an event of an unknown kind, and an end that contradicts its pieces."""
    assert _played(*events).problem == problem


@pytest.mark.parametrize(
    ("status", "is_over"),
    [
        ("completed", True),
        ("requires_action", True),
        ("incomplete", True),
        ("in_progress", False),
        ("failed", False),
        ("cancelled", False),
        ("budget_exceeded", False),
    ],
)
def test_only_what_is_over_counts(status: str, is_over: bool) -> None:  # noqa: FBT001 - a case of the table
    """An interaction that fails, stops or goes on is no whole answer."""
    parts = _played(_end(status=status))
    assert (parts.is_terminal, parts.is_over) == (True, is_over)


def test_what_the_client_gave_is_no_answer() -> None:
    """Steps that repeat the input, or the result of a client's function, bring no words."""
    parts = InteractionAssembly()
    given = [
        {"type": "user_input", "content": [TEXT]},
        {"type": "function_result", "call_id": "c", "result": "x"},
    ]
    document = json.loads(json.dumps({"status": "completed", "steps": given}))
    parts.document(document)
    choice = parts.choices()[0]
    assert (choice.text, choice.server_tools, parts.problem) == ("", (), None)


def test_a_call_of_the_first_revision_comes_whole() -> None:
    """Its arguments are an object, beside a name and an id."""
    call: dict[str, object] = {"type": "function_call", "id": "c", "name": "f"}
    parts = _played(_start({"type": "function_call"}), _delta({**call, "arguments": {"a": 1}}))
    found = parts.choices()[0].tool_calls[0]
    assert (found.id, found.name, found.arguments) == ("c", "f", '{"a":1}')


def test_a_failed_interaction_says_why() -> None:
    """An error inside an interaction is an error."""
    error = _played(_end(status="failed", error={"message": "x"})).error
    assert error is not None
    assert error.message == "x"
