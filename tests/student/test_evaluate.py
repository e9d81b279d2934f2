"""How near a student is to its teachers: equal to each token's own figure, on held-out answers."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from student.config import Config, Order
from student.errors import IntakeError
from student.evaluate import HeldOut, evaluate, measure
from student.intake import Turn
from student.mixture import mix
from student.model import Student
from student.tasks import Task
from student.trainer import carry_out
from tests.student.datasets import LESSONS, NOW, Lesson, Sealed, admit, seal_dataset

_CONFIG = Config(row_tokens=128, batch_tokens=128, held_out_share=0.3, device="cpu")
_TASK = Task(
    name="sums", prompt=(Turn(role="user", text="2 + 2?"),), answers=frozenset({"4"}), where="x"
)


def test_figures_are_over_target_tokens(student: Student, tmp_path: Path) -> None:
    """Packed and chunked, loss and agreement are those of each example asked alone."""
    admitted = [admit(tmp_path / "dataset")]
    tokens = mix(admitted, student.tokenizer, _CONFIG, tmp_path, weights=[1.0])
    student.model.train()
    found = measure(student.model, tokens, range(len(tokens)), replace(_CONFIG, head_chunk=5))
    assert student.model.training
    total, count, agreed = 0.0, 0, 0
    for index in range(len(tokens)):
        example = tokens[index]
        ids = torch.tensor(example.ids.astype(np.int64))
        with torch.no_grad():
            logits = student.model(input_ids=ids[None]).logits[0, :-1].double()
        each = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
        is_target = torch.tensor(example.is_target[1:])
        total += float(each[is_target].sum())
        agreed += int((logits.argmax(-1) == ids[1:])[is_target].sum())
        count += int(example.is_target.sum())
    assert found is not None
    assert (found.tokens, found.examples, found.agreed) == (count, len(LESSONS), agreed)
    assert found.loss == pytest.approx(total / count, abs=1e-4)


def test_perplexity_and_agreement_are_derived() -> None:
    """They are not measured again."""
    found = HeldOut(loss=2.0, tokens=4, examples=1, agreed=3)
    assert (found.perplexity, found.agreement) == (math.exp(2.0), 0.75)


def _order(sealed: Sealed, base: Path, cache: Path) -> Order:
    return Order(
        sources=(sealed.source,), base=str(base), out=cache / "run", cache=cache,
        now=NOW, seed=bytes(32),
    )  # fmt: skip


def test_a_folder_is_measured_on_a_proven_dataset(base: Path, tmp_path: Path) -> None:
    """Any student can be measured on what a dataset holds out, and on tasks."""
    order = _order(seal_dataset(tmp_path / "dataset"), base, tmp_path)
    (found,) = evaluate(order, _CONFIG, [str(base)], [_TASK])
    assert found.held_out is not None
    assert (found.held_out.examples, found.held_out.loss > 0) == (2, True)
    assert [(each.name, each.asked) for each in found.tasks] == [("sums", 1)]


def test_a_trained_student_is_nearer_to_its_teacher(base: Path, tmp_path: Path) -> None:
    """Before and after side by side: what was never learned from is predicted better all the same.

    The run's own figures are those that measuring its weights again gives.
    """
    lessons = [
        Lesson(prompt=(("user", f"Is {n} a number?"),), answers=(f"Yes, {n} is.",))
        for n in range(20)
    ]
    order = _order(seal_dataset(tmp_path / "dataset", lessons), base, tmp_path)
    config = replace(_CONFIG, steps=25, learning_rate=1e-2, batch_tokens=512)
    result = carry_out(order, config)
    before, after = evaluate(order, config, [str(base), str(order.out / "model")])
    assert before.held_out is not None
    assert after.held_out is not None
    assert (before.held_out, after.held_out) == (result.before, result.after)
    assert after.held_out.loss < before.held_out.loss / 2
    assert after.held_out.agreement > before.held_out.agreement + 0.3


def test_nothing_to_measure_on_is_refused(base: Path, tmp_path: Path) -> None:
    """A dataset of one exchange holds nothing out; with tasks there is something to ask."""
    order = _order(seal_dataset(tmp_path / "dataset", [Lesson()]), base, tmp_path)
    with pytest.raises(IntakeError, match="holds nothing out"):
        evaluate(order, _CONFIG, [str(base)])
    (found,) = evaluate(order, _CONFIG, [str(base)], [_TASK])
    assert found.held_out is None
    assert found.tasks[0].asked == 1
