"""What a real teacher tells is learned where nothing has to be guessed, else the words alone are."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from student.config import Config, Length, Order
from student.errors import ConfigError
from student.mixture import mix
from student.model import Student
from student.objective import objective_of
from student.packing import Tops
from student.teacher_logprobs import Teachers, load_teachers
from student.tokens import MadeRow, RowPolicy, make_row
from student.trainer import carry_out
from tests.student.datasets import NOW, STUDENT, Lesson, admit, seal_dataset
from tests.student.students import write_student
from tests.student.teacher import ASKED, Teacher

_MODEL = "acme-large"
_QUESTION, _ANSWER = "What colour is snow?", "It is white."


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    """Another random model of the same vocabulary as the student."""
    folder = write_student(tmp_path_factory.mktemp("teacher"), seed=7)
    return Teacher(folder)


def _teachers(student: Student, folder: Path, **knobs: Any) -> Teachers:
    objective = objective_of(
        **{
            "kl_share": 0.5,
            "kl_shares": "",
            "teacher_tokenizers": f"{_MODEL}={folder}",
            "raw_logprobs": "",
            "scaled_logprobs": "",
            **knobs,
        }
    )
    return load_teachers(objective, student.tokenizer.backend)


def _made(lesson: Lesson, student: Student, teachers: Teachers, path: Path) -> MadeRow:
    (example,) = admit(path / "dataset", [lesson]).examples
    policy = RowPolicy(length=Length.REFUSE, row_tokens=500, teachers=teachers)
    return make_row(example, student.tokenizer, policy)


def _told(lesson: Lesson, student: Student, teachers: Teachers, path: Path) -> Tops:
    made = _made(lesson, student, teachers, path)
    assert made.words_alone == ""
    assert made.example.tops is not None
    return made.example.tops


def test_what_a_teacher_tells_is_learned_token_by_token(
    student: Student, teacher: Teacher, base: Path, tmp_path: Path
) -> None:
    """Each token of the answer has the teacher's likeliest ids; the end of the turn has none."""
    lesson = teacher.lesson(_QUESTION, _ANSWER, top=5)
    made = _made(lesson, student, _teachers(student, base), tmp_path)
    tops = made.example.tops
    assert tops is not None
    words = made.example.ids[made.example.is_target]
    assert len(tops.ids) == len(words) - 1
    with torch.no_grad():
        logits = teacher.model(torch.from_numpy(made.example.ids.astype(np.int64))[None]).logits[0]
    first = len(made.example.ids) - len(words) - 1
    expected = logits.log_softmax(-1)[first : first + len(tops.ids)].numpy()
    for at, (ids, logprobs) in enumerate(zip(tops.ids, tops.logprobs, strict=True)):
        known = np.isfinite(logprobs)
        assert np.allclose(expected[at][ids[known]], logprobs[known], atol=1e-5)
        assert words[at] in ids
        assert len(set(ids[known])) == known.sum() >= 5
    assert set(tops.share) == {np.float32(0.5)}
    assert set(tops.temperature) == {1.0}


def test_gemini_tells_the_same(
    student: Student, teacher: Teacher, base: Path, tmp_path: Path
) -> None:
    """The same tokens in Gemini's words, in two pieces of a stream, give the same."""
    lesson = teacher.lesson(_QUESTION, _ANSWER, top=2)
    entries: Any = lesson.logprobs[0]

    def named(entry: dict[str, Any]) -> dict[str, Any]:
        text = bytes(entry["bytes"]).decode("latin-1")
        return {"token": text, "logProbability": entry["logprob"]}

    pieces: Any = [
        {
            "chosenCandidates": [named(entry) for entry in part],
            "topCandidates": [
                {"candidates": [named(each) for each in entry["top_logprobs"]
                                if each["bytes"] < [128]]} for entry in part
            ],
        }
        for part in (entries[:3], entries[3:])
    ]  # fmt: skip
    for entry in entries:
        entry["top_logprobs"] = [each for each in entry["top_logprobs"] if each["bytes"] < [128]]
    asked = {**lesson.asked, "wire_format": "gemini.generateContent"}
    teachers = _teachers(student, base)
    ours = _told(lesson, student, teachers, tmp_path / "a")
    theirs = _told(
        replace(lesson, logprobs=(pieces,), asked=asked), student, teachers, tmp_path / "b"
    )
    assert np.array_equal(ours.logprobs, theirs.logprobs)
    assert np.array_equal(ours.ids, theirs.ids)


@pytest.mark.parametrize(
    ("asked", "knobs", "temperature"),
    [
        ({"temperature": 0.7}, {"raw_logprobs": _MODEL}, 1.0),
        ({"temperature": 0}, {"raw_logprobs": _MODEL}, 1.0),
        ({"temperature": 0.7, "bent_by": ["top_p"]}, {"raw_logprobs": _MODEL}, 1.0),
        ({"temperature": 0.5}, {"scaled_logprobs": _MODEL}, 0.5),
    ],
)
def test_a_known_temperature_is_learned(  # noqa: PLR0917 - the fixtures and the case
    student: Student,
    teacher: Teacher,
    base: Path,
    tmp_path: Path,
    asked: dict[str, Any],
    knobs: dict[str, str],
    temperature: float,
) -> None:
    """What a teacher states from before or after the temperature is compared in kind."""
    lesson = teacher.lesson(_QUESTION, _ANSWER, **asked)
    tops = _told(lesson, student, _teachers(student, base, **knobs), tmp_path)
    assert set(tops.temperature) == {np.float32(temperature)}


def _entry(text: str, logprob: float = -0.1, **more: Any) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, **more}


_NO_TOPS = [[_entry(letter) for letter in _ANSWER]]
_STRANGE = [[_entry(letter, -1.0, top_logprobs=[_entry("nonsense", -2.0)]) for letter in _ANSWER]]
_TOO_LIKELY = [[_entry(letter, 0.0, top_logprobs=[_entry("z", -0.5)]) for letter in _ANSWER]]
_NAN = [[_entry(letter, top_logprobs=[_entry("z", float("nan"))]) for letter in _ANSWER]]
_SHORT = [[_entry("It", top_logprobs=[_entry("z", -3.0)])]]


@pytest.mark.parametrize(
    ("changed", "knobs", "reason"),
    [
        ({"logprobs": ()}, {}, "asked-none-came"),
        ({"model": "acme-small"}, {}, "tokenizer-unknown"),
        ({"asked": {"temperature": None}}, {}, "temperature-unknown"),
        ({"asked": {"bent_by": None}}, {}, "temperature-unknown"),
        ({"asked": {"temperature": 0.7}}, {}, "temperature-unclear"),
        ({"asked": {"temperature": 0}}, {"scaled_logprobs": _MODEL}, "greedy"),
        ({"asked": {"bent_by": ["top_p"]}}, {}, "bent"),
        ({"asked": {"bent_by": ["frequency_penalty"]}}, {"raw_logprobs": _MODEL}, "bent"),
        ({"asked": {"wire_format": "cohere.v2"}}, {}, "format-unread"),
        ({"asked": {"wire_format": None}}, {}, "format-unread"),
        ({"logprobs": [[{"text": "It"}]]}, {}, "unreadable"),
        ({"logprobs": [[]]}, {}, "no-top-logprobs"),
        ({"logprobs": _NO_TOPS}, {}, "no-top-logprobs"),
        ({"logprobs": _TOO_LIKELY}, {}, "no-distribution"),
        ({"logprobs": _NAN}, {}, "no-distribution"),
        ({"logprobs": _SHORT}, {}, "tokens-differ"),
        ({"logprobs": _STRANGE}, {}, "token-unknown"),
        ({"finish": "length", "answers": ("It is whit",)}, {}, "tokens-differ"),
    ],
)
def test_a_row_that_does_not_qualify_is_learned_by_its_words(  # noqa: PLR0917 - as above
    student: Student,
    teacher: Teacher,
    base: Path,
    tmp_path: Path,
    changed: dict[str, Any],
    knobs: dict[str, str],
    reason: str,
) -> None:
    """Each thing that would have to be guessed has a reason of its own; the words are learned."""
    lesson = teacher.lesson(_QUESTION, _ANSWER)
    asked = {**lesson.asked, **changed.get("asked", {})}
    made = _made(
        replace(lesson, **{**changed, "asked": asked}),
        student, _teachers(student, base, **knobs), tmp_path,
    )  # fmt: skip
    assert made.words_alone == reason
    assert made.example.tops is None
    assert made.example.is_target.any()


def test_nobody_asked_is_no_reason(student: Student, base: Path, tmp_path: Path) -> None:
    """Where no log-probabilities were asked for, none are missed."""
    made = _made(Lesson(asked={**ASKED, "wants_logprobs": False}), student,
                 _teachers(student, base), tmp_path)  # fmt: skip
    assert (made.words_alone, made.example.tops) == ("", None)


def test_a_share_of_nothing_is_no_reason(
    student: Student, teacher: Teacher, base: Path, tmp_path: Path
) -> None:
    """A teacher whose share is 0 teaches by its words, as configured."""
    teachers = _teachers(student, base, kl_shares=f"{_MODEL}=0")
    made = _made(teacher.lesson(_QUESTION, _ANSWER), student, teachers, tmp_path)
    assert (made.words_alone, made.example.tops) == ("", None)


def test_the_end_of_the_turn_may_be_told(
    student: Student, teacher: Teacher, base: Path, tmp_path: Path
) -> None:
    """A teacher that tells of the end of its turn teaches that too."""
    lesson = teacher.lesson(_QUESTION, _ANSWER)
    entries: Any = lesson.logprobs[0]
    end = _entry("<|im_end|>", -0.2, top_logprobs=[_entry("z", -3.0)])
    told = replace(lesson, logprobs=([*entries, end],))
    tops = _told(told, student, _teachers(student, base), tmp_path)
    assert student.tokenizer.backend.eos_token_id in tops.ids[-1]
    assert len(tops.ids) == len(_ANSWER) + 1


def test_another_tokenizer_is_not_learned_from(
    student: Student, teacher: Teacher, base: Path, tmp_path: Path
) -> None:
    """A teacher whose tokenizer has one token more is another's."""
    other = AutoTokenizer.from_pretrained(base)
    other.add_tokens(["<new>"])
    other.save_pretrained(tmp_path / "other")
    teachers = _teachers(student, tmp_path / "other")
    made = _made(teacher.lesson(_QUESTION, _ANSWER), student, teachers, tmp_path)
    assert made.words_alone == "tokenizer-differs"


def test_a_folder_without_a_tokenizer_is_refused(student: Student, tmp_path: Path) -> None:
    """The message names folder and teacher, and what to give."""
    with pytest.raises(ConfigError, match="holds no tokenizer of `acme-large`") as caught:
        _teachers(student, tmp_path)
    assert "tokenizer.json" in caught.value.help


def test_a_run_learns_the_teachers_distribution(
    teacher: Teacher, base: Path, tmp_path: Path
) -> None:
    """With the teacher's likeliest tokens a run comes nearer to its distribution than by words."""
    lessons = [
        teacher.lesson(f"What colour is thing {at}?", f"It is {colour}.", top=20)
        for at, colour in enumerate(("red", "blue", "green", "black", "white", "pink"))
    ]
    sealed = seal_dataset(tmp_path / "dataset", lessons)
    distances = {}
    for share in (0.0, 1.0):
        order = Order(
            sources=(sealed.source,),
            student=STUDENT,
            base=str(base),
            out=tmp_path / f"run-{share}",
            cache=tmp_path / "cache",
            now=NOW + timedelta(0),
            seed=bytes(32),
        )
        config = Config(
            steps=12, batch_tokens=512, row_tokens=256, learning_rate=1e-2, device="cpu",
            kl_share=share, teacher_tokenizers=f"{_MODEL}={base}",
        )  # fmt: skip
        result = carry_out(order, config)
        distances[share] = _distance(Teacher(result.folder / "model"), teacher)
        header = json.loads((result.folder / "run.json").read_text())
        assert header["counts"].get("by log-probabilities", 0) == (6 if share else 0)
    assert distances[1.0] < 0.8 * distances[0.0]


def _distance(one: Teacher, other: Teacher) -> float:
    """Mean KL in nats between two models on an answer that neither learned."""
    ids = torch.tensor([other.tokenizer("It is brown.", add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        p, q = (each.model(ids).logits[0].log_softmax(-1) for each in (other, one))
    return float((p.exp() * (p - q)).sum(-1).mean())


def test_tokens_are_made_anew_for_another_share(
    student: Student, teacher: Teacher, base: Path, tmp_path: Path
) -> None:
    """The cache keeps what a run with other knobs made apart, and gives the same back."""
    admitted = admit(tmp_path / "dataset", [teacher.lesson(_QUESTION, _ANSWER), Lesson()])
    found = []
    for share in (0.5, 0.25, 0.5):
        config = Config(kl_share=share, teacher_tokenizers=f"{_MODEL}={base}")
        tokens = mix([admitted], student.tokenizer, config, tmp_path / "cache", weights=[1.0])
        found.append((tokens.digest, tokens[0].tops, tokens[1].tops))
    assert found[0][0] == found[2][0] != found[1][0]
    assert found[1][1] is not None
    assert found[1][1].share[0] == 0.25
    assert found[0][2] is None
