"""Files of examples: what is read of a line, and which lines are refused."""

import json
from pathlib import Path

import pytest

from proxy import import_lines
from proxy.errors import LedgerError
from proxy.import_lines import read_lines, survey

ASK = {"role": "user", "content": "What colour is grass?"}
SAY = {"role": "assistant", "content": "Green."}


def written(path: Path, *lines: object) -> Path:
    """A file with these lines."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_a_chat_is_split_before_its_last_turn(tmp_path: Path) -> None:
    """All but the last message is the prompt; what else the line holds is sealed with it."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    system = {"role": "system", "content": "Be brief."}
    line = {"messages": [system, ASK, SAY], "tools": tools, "note": 7, "finish_reason": "stop"}
    (found,) = read_lines(written(tmp_path / "x.jsonl", line), model="gpt-5.1")
    request, answer = found.exchange.request, found.exchange.answer
    assert [message.text for message in request.messages] == ["Be brief.", "What colour is grass?"]
    assert (request.tools, request.model_asked, request.has_system) == (tools, "gpt-5.1", True)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Green.", "stop")
    assert (answer.model_served, answer.is_complete) == ("gpt-5.1", True)
    assert json.loads(found.data) == line


def test_a_turn_may_call_tools_alone(tmp_path: Path) -> None:
    """A last turn without text is learned for its calls."""
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    line = {"messages": [ASK, {"role": "assistant", "content": None, "tool_calls": [call]}]}
    (found,) = read_lines(written(tmp_path / "x.jsonl", line))
    assert found.exchange.answer.choices[0].tool_calls[0].name == "look"
    assert found.exchange.answer.model_served is None


def test_what_a_filter_or_a_refusal_left_is_known(tmp_path: Path) -> None:
    """A line that says so is on record as such: no example is made of it (promise P5)."""
    filtered = {"messages": [ASK, SAY], "finish_reason": "content_filter"}
    refused = {"messages": [ASK, {**SAY, "refusal": "I can't."}], "finish_reason": "stop"}
    path = written(tmp_path / "x.jsonl", filtered, refused, {"messages": [ASK, SAY]})
    said = [line.exchange.answer.choices[0] for line in read_lines(path)]
    assert [each.is_models_own for each in said] == [False, True, True]
    assert [each.refusal for each in said] == [None, "I can't.", None]


def test_blank_lines_are_no_examples(tmp_path: Path) -> None:
    """Lines are counted as editors count them, examples as they come."""
    path = tmp_path / "x.jsonl"
    path.write_text(f"\n{json.dumps({'messages': [ASK, SAY]})}\r\n\n")
    assert survey(path).lines == 1
    assert [line.number for line in read_lines(path)] == [2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"messages": [ASK, ASK]}, "the last message is no turn of an assistant"),
        ({"messages": [ASK, {"role": "assistant", "content": ""}]}, "the last message is no turn"),
        ({"messages": [SAY]}, "no turn before the one to learn"),
        ({"prompt": "x", "completion": "y"}, "messages"),
        ([1], "should be an object"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
                    SAY,
                ]
            },
            "more than text",
        ),
        ({"messages": [ASK, SAY], "finish_reason": 7}, "finish_reason"),
    ],
)
def test_a_line_that_teaches_nothing_is_refused_with_its_place(
    tmp_path: Path, line: object, message: str
) -> None:
    """The error names file and line, and shows what a line looks like."""
    path = written(tmp_path / "x.jsonl", {"messages": [ASK, SAY]}, line)
    with pytest.raises(LedgerError, match=message) as caught:
        survey(path)
    assert caught.value.where == f"{path}:2"
    assert '"messages"' in caught.value.help


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """A file without an example is no import."""
    path = tmp_path / "x.jsonl"
    path.write_text("\n")
    with pytest.raises(LedgerError, match="holds no example"):
        survey(path)


def test_a_line_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer line is refused, not read into memory."""
    monkeypatch.setattr(import_lines, "MAX_LINE_BYTES", 20)
    with pytest.raises(LedgerError, match="longer than 20 bytes"):
        survey(written(tmp_path / "x.jsonl", {"messages": [ASK, SAY]}))
