"""Claims on items of `openai.responses`: a grown item reads as the item it would have been."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import Choice, ToolCall
from proxy.wire.document import Object
from proxy.wire.openai_responses_items import GrowingItem, Output


def _choice(*items: Object) -> Choice:
    output = Output()
    for item in items:
        output.add(item, "$")
    assert not output.has_unread
    return output.choice("completed", is_models_own=True)


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "computer_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "shell_call_output",
        "compaction",
        "host:clock",
    ],
)
def test_what_is_done_beside_speaking_is_told_by_its_kind(kind: str) -> None:
    """An item that is neither words nor a call of the client's tools is named by its kind."""
    assert _choice({"type": kind}) == Choice(
        index=0, finish_reason="completed", server_tools=(kind,)
    )


@pytest.mark.parametrize(
    "item",
    [
        {"type": "song"},
        {},
        {"type": "message", "role": "user", "content": []},
        {"type": "message", "content": [{"type": "output_audio"}]},
        {"type": "message", "content": [{}]},
    ],
)
def test_an_unknown_kind_is_unread(item: Object) -> None:
    """What nobody knows may be words of the model, or of somebody else: it is never passed over."""
    output = Output()
    output.add(item, "$")
    assert output.has_unread


def test_words_stand_in_the_order_of_their_items() -> None:
    """Texts, thoughts and refusals of several items are joined in order."""
    said: Object = {"type": "message", "content": [
        {"type": "reasoning_text", "text": "c"},
        {"type": "output_text", "text": "A", "annotations": [{"type": "file_citation"}]},
        {"type": "refusal", "refusal": "No."},
    ]}  # fmt: skip
    thought: Object = {"type": "reasoning", "summary": [{"text": "a"}], "content": [{"text": "b"}]}
    assert _choice(thought, said, {"type": "message", "content": "B"}) == Choice(
        index=0,
        text="AB",
        reasoning="abc",
        refusal="No.",
        finish_reason="completed",
        has_citations=True,
    )


PIECES = st.lists(st.text(max_size=5), max_size=5)


@given(pieces=PIECES, is_stated=st.booleans(), is_ended=st.booleans())
def test_a_text_grows(pieces: list[str], is_stated: bool, is_ended: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Pieces in order make the text, stated before or not, and whether or not its end repeats it."""
    item = GrowingItem(0)
    if is_stated:
        item.state({"type": "message", "role": "assistant", "content": []}, is_done=False)
    for piece in pieces:
        item.add("text", 0, piece, [])
    if is_ended and pieces:
        item.end("text", 0, "".join(pieces), [])
    assert item.spoken == "".join(pieces)
    if pieces:
        assert _choice(item.whole()).text == "".join(pieces)


def test_texts_of_an_item_stand_by_their_index() -> None:
    """Pieces of two texts may take turns."""
    item = GrowingItem(0)
    for index, piece in ((1, "c"), (0, "a"), (1, "d"), (0, "b")):
        item.add("text", index, piece, [])
    item.cite(1)
    assert item.spoken == "abcd"
    assert _choice(item.whole()).text == "abcd"
    assert _choice(item.whole()).has_citations


@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        ("refusal", Choice(index=0, refusal="ab")),
        ("summary", Choice(index=0, reasoning="ab")),
        ("content", Choice(index=0, reasoning="ab")),
        ("arguments", Choice(index=0, tool_calls=(ToolCall(id=None, name=None, arguments="ab"),))),
        ("input", Choice(index=0, tool_calls=(ToolCall(id=None, name=None, arguments="ab"),))),
    ],
)
def test_every_text_of_an_item_grows(family: str, wanted: Choice) -> None:
    """Each kind of text makes the item it belongs to."""
    item = GrowingItem(0)
    item.add(family, 0, "a", [])
    item.add(family, 0, "b", [])
    output = Output()
    output.add(item.whole(), "$")
    assert output.choice(None, is_models_own=True) == wanted


def test_an_item_that_ended_is_what_its_end_says() -> None:
    """The end of an item says all of it; before that its pieces are more than its beginning."""
    item = GrowingItem(3)
    assert (item.key, item.whole(), item.is_of("message")) == (3, {}, True)
    item.state({"type": "function_call", "call_id": "c", "arguments": ""}, is_done=False)
    item.add("arguments", 0, '{"q', [])
    assert item.whole() == {"type": "function_call", "call_id": "c", "arguments": '{"q'}
    item.state({"type": "function_call", "call_id": "c", "arguments": '{"q": 1}'}, is_done=True)
    assert item.whole()["arguments"] == '{"q": 1}'
    assert (item.is_of("message"), item.is_of("function_call")) == (False, True)


def test_logprobs_grow_or_are_stated_at_the_end() -> None:
    """Log-probabilities come with pieces, or with the whole text in their place."""
    item = GrowingItem(0)
    item.add("text", 0, "a", [{"token": "a"}])
    item.add("text", 0, "b", [{"token": "b"}])
    assert item.logprobs == [{"token": "a"}, {"token": "b"}]
    item.end("text", 0, "ab", [])
    assert item.logprobs == [{"token": "a"}, {"token": "b"}]
    item.end("text", 0, "ab", [{"token": "ab"}])
    assert _choice(item.whole()).logprobs == [{"token": "ab"}]
