"""Questions with known answers, from a local file: does the student say exactly that?

One JSON object a line: `prompt` (a text) or `messages` (a list of `role` and `content`), `answer`
(a text, or a list of texts that all count), and perhaps `task`, a name under which lines are
counted together. A student answers greedily; blanks at the ends and runs of blanks do not matter.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from student.chat import ChatTokenizer
from student.errors import ConfigError
from student.intake import Turn

__all__ = ["Task", "TaskResult", "answer_tasks", "read_tasks"]

_KEYS = frozenset({"answer", "messages", "prompt", "task"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One question; `answers` are the texts that count as right, their blanks made even."""

    name: str
    prompt: tuple[Turn, ...]
    answers: frozenset[str]
    where: str
    """File and line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """How many questions of one name were answered exactly."""

    name: str
    right: int
    asked: int

    @property
    def share(self) -> float:
        """Right answers over all."""
        return self.right / self.asked


def read_tasks(path: Path) -> tuple[Task, ...]:
    """The questions of a file.

    Raises:
        ConfigError: it cannot be read, holds none, or a line is no question; `where` names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no text"
        raise _bad(f"the tasks cannot be read: {reason.lower()}", str(path)) from error
    tasks = tuple(
        _task(line, path.stem, f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    )
    if not tasks:
        raise _bad("the file holds no task", str(path))
    return tasks


def answer_tasks(
    model: PreTrainedModel, tokenizer: ChatTokenizer, tasks: Iterable[Task], most_tokens: int
) -> tuple[TaskResult, ...]:
    """Let a student answer each question with at most `most_tokens` tokens; results by name.

    Raises:
        ConfigError: a question does not fit the student's context.
        RowError: the chat template refuses a question.
    """
    right: dict[str, list[bool]] = {}
    was_training = model.training
    model.train(mode=False)
    for task in tasks:
        said = _answer(model, tokenizer, task, most_tokens)
        right.setdefault(task.name, []).append(_even(said) in task.answers)
    model.train(was_training)
    return tuple(
        TaskResult(name=name, right=sum(each), asked=len(each)) for name, each in right.items()
    )


@torch.no_grad()
def _answer(model: PreTrainedModel, tokenizer: ChatTokenizer, task: Task, most_tokens: int) -> str:
    ids = tokenizer.encode(tokenizer.render(task.prompt, None, opens_answer=True))
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and len(ids) + most_tokens > context:
        raise ConfigError(
            f"the question has {len(ids)} tokens, and with {most_tokens} for the answer the "
            f"student's context of {context} is too short",
            help="shorten the question, or lower `--answer-tokens`",
            where=task.where,
            code="task-too-long",
        )
    prompt = torch.tensor([ids], device=model.device)
    ends = sorted(tokenizer.ends)
    generator: Any = model  # its types leave generation out
    found = generator.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        generation_config=GenerationConfig(
            do_sample=False, max_new_tokens=most_tokens, eos_token_id=ends, pad_token_id=ends[0]
        ),
    )
    said = found[0, len(ids) :].tolist()
    end = next((at for at, token in enumerate(said) if token in tokenizer.ends), len(said))
    return str(tokenizer.backend.decode(said[:end], skip_special_tokens=True))


def _task(line: str, name: str, where: str) -> Task:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise _bad("this line is not JSON", where) from error
    if not isinstance(fields, dict):
        raise _bad("this line is not a JSON object", where)
    if unknown := sorted(fields.keys() - _KEYS):
        raise _bad(f"unknown key `{unknown[0]}`", where)
    answers = fields.get("answer")
    answers = [answers] if isinstance(answers, str) else answers
    if not isinstance(answers, list) or not answers or not _are_texts(answers):
        raise _bad("`answer` is no text and no list of texts", where)
    return Task(
        name=str(fields.get("task", name)),
        prompt=_prompt(fields, where),
        answers=frozenset(map(_even, answers)),
        where=where,
    )


def _prompt(fields: Mapping[str, Any], where: str) -> tuple[Turn, ...]:
    match fields:
        case {"prompt": str(text)} if "messages" not in fields:
            return (Turn(role="user", text=text),)
        case {"messages": [*messages]} if messages and "prompt" not in fields:
            return tuple(_turn(message, where) for message in messages)
    raise _bad("give either `prompt`, a text, or `messages`, a list", where)


def _turn(message: object, where: str) -> Turn:
    match message:
        case {"role": str(role), "content": str(text), **rest} if not rest:
            return Turn(role=role, text=text)
    raise _bad("a message has a `role` and a `content`, both texts, and nothing else", where)


def _are_texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)


def _even(text: str) -> str:
    return " ".join(text.split())


def _bad(message: str, where: str) -> ConfigError:
    return ConfigError(
        message,
        help='a line is like `{"prompt": "What is 2 + 2?", "answer": ["4", "four"]}`',
        where=where,
        code="tasks",
    )
