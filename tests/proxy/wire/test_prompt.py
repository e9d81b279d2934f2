"""Claims on what all request bodies share: a model, messages, content in parts."""

import pytest

from proxy.errors import WireError
from proxy.exchange import Json
from proxy.wire.prompt import content_parts, entries_of, holds_file, model_of, role_of, texts_of

TEXT: Json = {"type": "text", "text": "a"}


def test_what_a_body_names() -> None:
    """Model, messages and roles are given as they stand."""
    assert model_of({"model": "m"}) == "m"
    assert entries_of({"messages": [{"role": "user"}]}) == [{"role": "user"}]
    assert role_of({"role": "user"}, "$.messages[0]") == "user"


@pytest.mark.parametrize("doc", [{}, {"model": None}, {"model": ""}])
def test_a_missing_model(doc: dict[str, Json]) -> None:
    """A body without a model says which key is missing and why it matters."""
    with pytest.raises(WireError) as caught:
        model_of(doc)
    error = caught.value
    assert (error.code, error.where) == ("missing-model", "$.model")
    assert error.message == "the request names no `model`"
    assert error.help == "name the teacher: without it no licence can be looked up"


def test_missing_messages_and_roles() -> None:
    """A body without messages, or a message without a role, is refused by its path."""
    with pytest.raises(WireError) as caught:
        entries_of({"messages": []})
    assert (caught.value.code, caught.value.where) == ("missing-messages", "$.messages")
    with pytest.raises(WireError) as caught:
        role_of({}, "$.messages[2]")
    assert (caught.value.code, caught.value.where) == ("missing-role", "$.messages[2].role")
    assert caught.value.message == "`$.messages[2]` has no `role`"


def test_content_is_text_or_parts() -> None:
    """Content may be absent, text, or parts; text is one part."""
    assert content_parts({}, "content", "$") == []
    assert content_parts({"content": "a"}, "content", "$") == [TEXT]
    assert content_parts({"content": [TEXT]}, "content", "$") == [TEXT]
    with pytest.raises(WireError) as caught:
        content_parts({"content": 1}, "content", "$.messages[0]")
    assert caught.value.message == "`$.messages[0].content` should be text or a list of parts"


def test_texts_of_parts() -> None:
    """Only parts of type text count as text; one without its text is empty."""
    parts: list[dict[str, Json]] = [
        {"type": "text", "text": "a"},
        {"type": "image"},
        {"type": "text"},
    ]
    assert texts_of(parts, "$.content") == ["a", ""]


@pytest.mark.parametrize(
    ("content", "is_held"),
    [
        (None, False),
        ("file_id", False),
        ([1, TEXT], False),
        ([{"type": "file", "file_id": "f"}], True),
        ([{"type": "file", "file_id": None}], False),
        ([TEXT, {"type": "file", "file": {"file_id": "f"}}], True),
        ([{"type": "tool_result", "content": [{"source": {"file_id": "f"}}]}], True),
        ([{"type": "tool_result", "content": "f"}], False),
    ],
)
def test_files_that_lie_with_the_provider(content: Json, is_held: bool) -> None:  # noqa: FBT001 - a case
    """A file by id, in a part or within it, is not on the wire."""
    assert holds_file(content) is is_held
