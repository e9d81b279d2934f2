"""Questions with known answers: read strictly, answered greedily, counted exactly."""

import json
from pathlib import Path

import pytest
import torch

from student.errors import ConfigError
from student.intake import Turn
from student.model import Student
from student.tasks import Task, TaskResult, answer_tasks, read_tasks


def _file(folder: Path, *lines: object) -> Path:
    path = folder / "sums.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts))
    return path


def test_a_file_gives_its_questions(tmp_path: Path) -> None:
    """Prompts, conversations, several answers and names are read; empty lines are passed over."""
    path = _file(
        tmp_path,
        {"prompt": "What is 2 + 2?", "answer": " 4 "},
        "",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Capital of France?"},
            ],
            "answer": ["Paris", "It is\nParis."],
            "task": "capitals",
        },
    )
    first, second = read_tasks(path)
    assert first == Task(
        name="sums",
        prompt=(Turn(role="user", text="What is 2 + 2?"),),
        answers=frozenset({"4"}),
        where=f"{path}:1",
    )
    assert (second.name, second.where) == ("capitals", f"{path}:3")
    assert [turn.role for turn in second.prompt] == ["system", "user"]
    assert second.answers == {"Paris", "It is Paris."}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "this line is not JSON"),
        ("[]", "this line is not a JSON object"),
        ({"prompt": "x", "answer": "y", "answr": "y"}, "unknown key `answr`"),
        ({"prompt": "x"}, "`answer` is no text and no list of texts"),
        ({"prompt": "x", "answer": []}, "`answer` is no text and no list of texts"),
        ({"prompt": "x", "answer": " "}, "`answer` is no text and no list of texts"),
        ({"answer": "y"}, "give either `prompt`, a text, or `messages`, a list"),
        ({"prompt": "x", "messages": [], "answer": "y"}, "give either `prompt`"),
        ({"messages": [], "answer": "y"}, "give either `prompt`"),
        ({"messages": [{"role": "user"}], "answer": "y"}, "a message has a `role` and a `content`"),
    ],
)
def test_what_is_no_question_is_named_by_its_line(
    tmp_path: Path, line: object, message: str
) -> None:
    """The message says what is wrong, where, and what a line is like."""
    path = _file(tmp_path, {"prompt": "x", "answer": "y"}, line)
    with pytest.raises(ConfigError) as caught:
        read_tasks(path)
    assert message in caught.value.message
    assert (caught.value.code, caught.value.where) == ("tasks", f"{path}:2")
    assert '"prompt"' in caught.value.help


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the tasks cannot be read: no such file or directory"),
        (b"\xff", "the tasks cannot be read: no text"),
        (b"\n\n", "the file holds no task"),
    ],
)
def test_what_is_no_file_of_questions_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """An absent file, one that is no text and an empty one are each wrong use."""
    path = tmp_path / "tasks.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_tasks(path)
    assert (caught.value.message, caught.value.exit_status) == (message, 2)


def _greedy(student: Student, prompt: str, most: int) -> str:
    """What the student says, by asking for one token after the other without any cache."""
    tokenizer = student.tokenizer
    turns = (Turn(role="user", text=prompt),)
    ids = tokenizer.encode(tokenizer.render(turns, None, opens_answer=True))
    said: list[int] = []
    for _ in range(most):
        with torch.no_grad():
            logits = student.model(input_ids=torch.tensor([ids + said])).logits[0, -1]
        token = int(logits.argmax())
        if token in tokenizer.ends:
            break
        said.append(token)
    return str(tokenizer.backend.decode(said, skip_special_tokens=True))


def test_an_answer_is_right_when_it_is_exactly_that(student: Student) -> None:
    """What greedy decoding gives counts, another text does not; results are counted by name."""
    said = _greedy(student, "Say something.", 6)
    assert said.strip()

    def ask(name: str, answer: str) -> Task:
        prompt = (Turn(role="user", text="Say something."),)
        return Task(
            name=name, prompt=prompt, answers=frozenset({" ".join(answer.split())}), where="x"
        )

    student.model.train()
    part = said.strip()[:-1]  # right as far as it goes, and not the answer
    tasks = [ask("one", said), ask("two", said + " more"), ask("one", said), ask("one", part)]
    results = answer_tasks(student.model, student.tokenizer, tasks, 6)
    assert student.model.training
    assert results == (
        TaskResult(name="one", right=2, asked=3),
        TaskResult(name="two", right=0, asked=1),
    )
    assert results[0].share == 2 / 3


def test_a_question_longer_than_the_context_is_refused(student: Student) -> None:
    """A question is never cut: the message says how long it is and what there is room for."""
    task = Task(
        name="long", prompt=(Turn(role="user", text="a" * 600),), answers=frozenset("a"),
        where="sums.jsonl:7",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="student's context of 512 is too short") as caught:
        answer_tasks(student.model, student.tokenizer, [task], 8)
    assert (caught.value.code, caught.value.where) == ("task-too-long", "sums.jsonl:7")
