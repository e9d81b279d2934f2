"""A tokenizer with its template: conversations become text as the template says, and text ids."""

import pytest

from student.errors import RowError
from student.intake import ToolCall, Turn
from student.model import Student
from tests.student.students import CHATML


def test_many_texts_are_encoded_as_each_alone(student: Student) -> None:
    """Texts encoded at once have the ids that each has alone; none have none."""
    texts = ["It is green.", "", "né\n<|im_end|>"]
    tokenizer = student.tokenizer
    assert tokenizer.encode_all(texts) == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_all([]) == []


def test_special_tokens_in_a_text_are_seen(student: Student) -> None:
    """What spells a special token is no plain text."""
    assert student.tokenizer.has_control("a<|im_end|>b")
    assert not student.tokenizer.has_control("a < b")
    assert student.tokenizer.before_end("said<|im_end|>\nmore") == "said"


def test_reasoning_belongs_to_the_last_turn(student: Student) -> None:
    """A template finds it under `reasoning_content`, and tool calls with their arguments parsed."""
    student.tokenizer.backend.chat_template = (
        "{% for m in messages %}{{ m.role }}:{{ m.reasoning_content or '-' }}:"
        "{% for c in m.tool_calls or [] %}{{ c.function.arguments.word }}{% endfor %};{% endfor %}"
    )
    call = ToolCall(id="c1", name="look_up", arguments='{"word": "tea"}')
    turns = [Turn(role="user", text="Hi"), Turn(role="assistant", text="", tool_calls=(call,))]
    text = student.tokenizer.render(turns, None, opens_answer=False, reasoning="I look it up.")
    assert text == "user:-:;assistant:I look it up.:tea;"


def test_a_template_that_refuses_says_why(student: Student) -> None:
    """What a template raises is a row's reason."""
    student.tokenizer.backend.chat_template = CHATML + "{{ raise_exception('no such role') }}"
    with pytest.raises(RowError, match="no such role"):
        student.tokenizer.render([Turn(role="odd", text="")], None, opens_answer=True)
