"""Tokens: the answer and its end are the targets, nothing else is, and what does not fit is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers.normalizers import Replace

from student import tokens as tokens_module
from student.chat import ChatTokenizer
from student.config import Length, Reasoning
from student.errors import ConfigError, IntakeError, RowError
from student.intake import AdmittedExample
from student.model import Student, load_student
from student.token_cache import Tokens
from student.tokens import MadeRow, RowPolicy, make_row, tokenise
from tests.student.datasets import LESSONS, Lesson, admit
from tests.student.students import CHATML, write_student

_TOOL: dict[str, Any] = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
_WITH_TOOLS = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}"
    "{% for call in message.tool_calls or [] %}<call>{{ call.function | tojson }}</call>{% endfor %}"
    "{{ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _example(path: Path, lesson: Lesson) -> AdmittedExample:
    (example,) = admit(path / "dataset", [lesson]).examples
    return example


def _tokenizer(path: Path, template: str) -> ChatTokenizer:
    return load_student(str(write_student(path / "model", template=template)), path).tokenizer


def _make(
    example: AdmittedExample,
    tokenizer: ChatTokenizer,
    length: Length = Length.REFUSE,
    row_tokens: int = 500,
) -> MadeRow:
    return make_row(example, tokenizer, RowPolicy(length=length, row_tokens=row_tokens))


def _said(made: MadeRow, tokenizer: ChatTokenizer) -> str:
    row = made.example
    return str(tokenizer.backend.decode(row.ids[row.is_target].tolist()))


def _read(made: MadeRow, tokenizer: ChatTokenizer) -> str:
    row = made.example
    return str(tokenizer.backend.decode(row.ids[~row.is_target].tolist()))


def test_targets_are_the_answer_and_its_end(student: Student, tmp_path: Path) -> None:
    """The teacher's words and the end of the turn are targets, the prompt is not."""
    made = _make(_example(tmp_path, LESSONS[0]), student.tokenizer)
    assert _said(made, student.tokenizer) == "It is green.<|im_end|>"
    assert _read(made, student.tokenizer) == (
        "<|im_start|>user\nWhat colour is grass?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_end_is_a_target_though_it_is_the_padding(student: Student, tmp_path: Path) -> None:
    """Where padding and the end of a turn are one id, the end is still learned."""
    backend = student.tokenizer.backend
    made = _make(_example(tmp_path, LESSONS[0]), student.tokenizer)
    assert backend.pad_token_id == backend.eos_token_id == made.example.ids[-1]
    assert made.example.is_target[-1]


def test_earlier_turns_are_read_not_learned(student: Student, tmp_path: Path) -> None:
    """In a conversation only the proven answer is learned."""
    lesson = Lesson(
        prompt=(("user", "Hi."), ("assistant", "Hello."), ("user", "Bye?")), answers=("Bye.",)
    )
    made = _make(_example(tmp_path, lesson), student.tokenizer)
    assert _said(made, student.tokenizer) == "Bye.<|im_end|>"
    assert "Hello." in _read(made, student.tokenizer)


def test_an_answer_cut_off_does_not_teach_to_stop(student: Student, tmp_path: Path) -> None:
    """What a limit cut off has no end of turn among its targets."""
    lesson = Lesson(answers=("Once upon a",), finish="length")
    made = _make(_example(tmp_path, lesson), student.tokenizer)
    assert made.is_cut
    assert _said(made, student.tokenizer) == "Once upon a"


def test_tool_calls_are_learned_where_the_template_shows_them(tmp_path: Path) -> None:
    """With a template for tools, the call is among the targets and the tools among what is read."""
    tokenizer = _tokenizer(tmp_path, _WITH_TOOLS)
    lesson = Lesson(answers=("",), tools=[_TOOL], tool_calls=(("look_up", '{"word": "tea"}'),))
    made = _make(_example(tmp_path, lesson), tokenizer)
    assert '<call>{"name": "look_up", "arguments": {"word": "tea"}}</call>' in _said(
        made, tokenizer
    )
    assert "look_up" in _read(made, tokenizer)


def test_arguments_that_are_no_json_stay_text(tmp_path: Path) -> None:
    """Arguments cut short are shown as they came."""
    tokenizer = _tokenizer(tmp_path, _WITH_TOOLS)
    lesson = Lesson(answers=("",), tools=[_TOOL], tool_calls=(("look_up", '{"wo'),))
    said = _said(_make(_example(tmp_path, lesson), tokenizer), tokenizer)
    assert '{\\"wo' in said


@pytest.mark.parametrize(
    ("lesson", "template", "reason"),
    [
        (Lesson(answers=(" ",)), CHATML, "empty"),
        (Lesson(has_images=True), CHATML, "other-parts"),
        (Lesson(answers=("a<|im_end|>b",)), CHATML, "control-token"),
        (Lesson(prompt=(("user", "<|im_start|>system"),)), CHATML, "control-token"),
        (Lesson(answers=("",), tool_calls=(("f", "{}"),)), CHATML, "not-in-template"),
        (Lesson(tools=[_TOOL]), CHATML, "tools-not-in-template"),
        (Lesson(), CHATML.replace("<|im_end|>", ""), "end-of-turn"),
        (Lesson(answers=("",), tool_calls=(("", "{}"),)), CHATML, "empty"),
        (
            Lesson(),
            CHATML.replace("+ message['content'] ", "").replace(
                "+ '<|im_end|>'", "+ '<|im_end|>' + message['content']"
            ),
            "not-in-template",
        ),
        (Lesson(), "<|im_end|>" + CHATML.replace("assistant\n", "x"), "prefix"),
        (Lesson(), "<|im_start|>" + CHATML, "doubled-bos"),
        (Lesson(), "{{ raise_exception('no') }}", "template"),
        (Lesson(finish="length"), CHATML.replace("+ message['content']", ""), "not-in-template"),
    ],
)
def test_what_cannot_be_taught_is_refused_with_its_reason(
    tmp_path: Path, lesson: Lesson, template: str, reason: str
) -> None:
    """Each way in which a row would teach something else than the answer has a reason of its own."""
    with pytest.raises(RowError) as caught:
        _make(_example(tmp_path, lesson), _tokenizer(tmp_path, template))
    assert caught.value.code == reason


def test_merging_over_the_boundary_is_refused(student: Student, tmp_path: Path) -> None:
    """Where prompt and answer share a token, no mask is right, so the row is refused."""
    example = _example(tmp_path, Lesson(answers=("Yes.",)))
    backend = student.tokenizer.backend.backend_tokenizer
    backend.normalizer = Replace("assistant\nYes", "assistant Yes")
    with pytest.raises(RowError) as caught:
        _make(example, student.tokenizer)
    assert caught.value.code == "prefix"


def test_results_of_tools_are_read(student: Student, tmp_path: Path) -> None:
    """What a tool gave back stands in the prompt, and is no target."""
    lesson = Lesson(prompt=(("user", "Look it up."), ("tool", "It is tea.")), answers=("Tea.",))
    made = _make(_example(tmp_path, lesson), student.tokenizer)
    assert "tool\nIt is tea." in _read(made, student.tokenizer)
    assert _said(made, student.tokenizer) == "Tea.<|im_end|>"


_LONG = Lesson(
    prompt=(
        ("system", "Be brief."),
        ("user", "first question " * 3),
        ("assistant", "first answer"),
        ("user", "second question"),
    ),
    answers=("second answer",),
)


def test_truncation_leaves_out_the_oldest_turns(student: Student, tmp_path: Path) -> None:
    """Instructions and the answer stay; the oldest exchange of the prompt goes."""
    made = _make(_example(tmp_path, _LONG), student.tokenizer, Length.TRUNCATE, 130)
    assert made.is_truncated
    assert "first" not in _read(made, student.tokenizer)
    assert "Be brief." in _read(made, student.tokenizer)
    assert _said(made, student.tokenizer) == "second answer<|im_end|>"


@pytest.mark.parametrize("length", list(Length))
def test_an_answer_is_never_cut_to_fit(student: Student, tmp_path: Path, length: Length) -> None:
    """What does not fit even with its last question alone is refused by every policy."""
    with pytest.raises(RowError, match="a row holds 20") as caught:
        _make(_example(tmp_path, _LONG), student.tokenizer, length, 20)
    assert caught.value.code == "too-long"


def _tokenise(path: Path, student: Student, lessons: list[Lesson], length: Length) -> Tokens:
    folder = path / f"dataset-{len(list(path.glob('dataset-*')))}"
    policy = RowPolicy(length=length, row_tokens=130)
    return tokenise(admit(folder, lessons), student.tokenizer, policy, path / "cache")


def test_what_is_left_out_is_counted(student: Student, tmp_path: Path) -> None:
    """Every example is kept or counted under a reason, and truncation and cuts are counted too."""
    lessons = [
        *LESSONS,
        _LONG,
        Lesson(answers=("",)),
        Lesson(answers=("x" * 200,)),
        Lesson(answers=("Once",), finish="length"),
    ]
    tokens = _tokenise(tmp_path, student, lessons, Length.TRUNCATE)
    assert dict(tokens.counts) == {
        "cut": 1,
        "kept": len(LESSONS) + 2,
        "left out: empty": 1,
        "left out: too-long": 1,
        "truncated": 1,
    }
    assert len(tokens) == len(tokens.lengths) == len(tokens.examples) == tokens.counts["kept"]


def test_a_long_example_stops_the_run_by_default(student: Student, tmp_path: Path) -> None:
    """Under `refuse`, the first example longer than a row is named with what to do."""
    with pytest.raises(ConfigError, match=r"is too long: 2\d\d tokens, a row holds 130") as caught:
        _tokenise(tmp_path, student, [*LESSONS, Lesson(answers=("x" * 200,))], Length.REFUSE)
    assert "--length drop" in caught.value.help


def test_nothing_to_learn_is_refused_with_the_reasons(student: Student, tmp_path: Path) -> None:
    """Where no example is left, the run does not start and the reasons are counted."""
    with pytest.raises(IntakeError, match="2 left out: empty"):
        _tokenise(tmp_path, student, [Lesson(answers=("", " "))], Length.DROP)


def test_the_cache_gives_the_same_tokens(student: Student, tmp_path: Path) -> None:
    """What was made once is read again, memory-mapped, and is the same."""
    first = _tokenise(tmp_path / "a", student, list(LESSONS), Length.DROP)
    admitted = admit(tmp_path / "b", LESSONS)
    policy = RowPolicy(length=Length.DROP, row_tokens=130)
    again = tokenise(admitted, student.tokenizer, policy, tmp_path / "a/cache")
    assert again.digest == first.digest
    assert isinstance(again.ids, np.memmap)
    assert len(list((tmp_path / "a/cache").iterdir())) == 1
    assert all(np.array_equal(again[i].ids, first[i].ids) for i in range(len(first)))


def test_two_processes_may_make_the_same_tokens(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second takes what the first wrote, and leaves nothing behind."""
    real = tokens_module._make_all

    def raced(*args: Any) -> Any:
        monkeypatch.undo()
        _tokenise(tmp_path / "other", student, list(LESSONS), Length.DROP)
        (tmp_path / "other/cache").rename(tmp_path / "cache")
        return real(*args)

    monkeypatch.setattr(tokens_module, "_make_all", raced)
    tokens = _tokenise(tmp_path, student, list(LESSONS), Length.DROP)
    assert len(tokens) == len(LESSONS)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_an_unreadable_cache_is_refused(student: Student, tmp_path: Path) -> None:
    """A cache that cannot be read is an error, with what to do."""
    _tokenise(tmp_path, student, list(LESSONS), Length.DROP)
    (path,) = (tmp_path / "cache").glob("*/tokens.json")
    path.write_text("{")
    with pytest.raises(IntakeError, match="cached tokens") as caught:
        _tokenise(tmp_path, student, list(LESSONS), Length.DROP)
    assert "remove the folder" in caught.value.help


@pytest.mark.parametrize("file", ["ids.npy", "is_target.npy", "offsets.npy", "tokens.json"])
def test_a_changed_cache_is_refused(student: Student, tmp_path: Path, file: str) -> None:
    """Tokens that are not those written are an error and never learned."""
    _tokenise(tmp_path, student, list(LESSONS), Length.DROP)
    (path,) = (tmp_path / "cache").glob(f"*/{file}")
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    admitted = admit(tmp_path / "again", LESSONS)
    policy = RowPolicy(length=Length.DROP, row_tokens=130)
    with pytest.raises(IntakeError, match="cached tokens"):
        tokenise(admitted, student.tokenizer, policy, tmp_path / "cache")


_WITH_REASONING = CHATML.replace(
    "+ message['content'] ",
    "+ ('<think>' + message['reasoning_content'] + '</think>' if message['reasoning_content'] "
    "else '') + message['content'] ",
)


@pytest.mark.parametrize(
    ("reasoning", "said"),
    [
        (Reasoning.KEEP, "<think>Snow is white.</think>White.<|im_end|>"),
        (Reasoning.DROP, "White.<|im_end|>"),
    ],
)
def test_reasoning_is_kept_or_dropped(tmp_path: Path, reasoning: Reasoning, said: str) -> None:
    """What the teacher thought is learned with its answer where that is configured."""
    tokenizer = _tokenizer(tmp_path, _WITH_REASONING)
    example = _example(tmp_path, Lesson(answers=("White.",), reasoning="Snow is white."))
    policy = RowPolicy(length=Length.REFUSE, row_tokens=500, reasoning=reasoning)
    assert _said(make_row(example, tokenizer, policy), tokenizer) == said


def test_reasoning_that_the_template_leaves_out_is_not_kept(
    student: Student, tmp_path: Path
) -> None:
    """A template without a place for reasoning cannot teach it, and the row says so."""
    example = _example(tmp_path, Lesson(reasoning="I think."))
    policy = RowPolicy(length=Length.REFUSE, row_tokens=500, reasoning=Reasoning.KEEP)
    with pytest.raises(RowError) as caught:
        make_row(example, student.tokenizer, policy)
    assert caught.value.code == "reasoning-not-in-template"
