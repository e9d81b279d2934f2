"""Held-out loss: on what the dataset's root keeps away, and equal to each token's own loss."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from student.config import Config, Order
from student.errors import IntakeError
from student.evaluate import HeldOut, evaluate_dataset, measure, split
from student.model import Student
from student.tokens import Tokens, tokenise
from tests.student.datasets import LESSONS, NOW, Lesson, Sealed, admit, seal_dataset

_CONFIG = Config(row_tokens=128, batch_tokens=128, held_out_share=0.3, device="cpu")


def _tokens(exchanges: list[str]) -> Tokens:
    return Tokens(
        ids=np.zeros(len(exchanges), dtype=np.int32),
        is_target=np.zeros(len(exchanges), dtype=np.bool_),
        offsets=np.arange(len(exchanges) + 1),
        examples=tuple(f"{exchange}#{at}" for at, exchange in enumerate(exchanges)),
        exchanges=tuple(exchanges),
        counts={},
        digest="",
    )


@given(
    exchanges=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30),
    root=st.text("0123456789abcdef", min_size=4, max_size=4),
    share=st.floats(0, 0.99),
)
def test_no_exchange_is_on_both_sides(exchanges: list[str], root: str, share: float) -> None:
    """Every example is on one side, and all choices of one exchange are on the same."""
    parts = split(_tokens(exchanges), root, share=share)
    assert sorted([*parts.train, *parts.held_out]) == list(range(len(exchanges)))
    sides = [{exchanges[index] for index in side} for side in (parts.train, parts.held_out)]
    assert not sides[0] & sides[1]
    assert sides[0]
    assert bool(sides[1]) == (share > 0 and len(set(exchanges)) > 1)


def test_the_root_fixes_the_split() -> None:
    """The same root gives the same split whatever the order of rows; another gives another."""
    exchanges = [str(number) for number in range(40)]
    tokens = _tokens(exchanges)
    turned = _tokens(exchanges[::-1])
    first = {exchanges[i] for i in split(tokens, "ab", share=0.25).held_out}
    again = {exchanges[::-1][i] for i in split(turned, "ab", share=0.25).held_out}
    other = {exchanges[i] for i in split(tokens, "cd", share=0.25).held_out}
    assert first == again != other
    assert len(first) == 10


def test_the_loss_is_the_mean_over_target_tokens(student: Student, tmp_path: Path) -> None:
    """Packed and chunked, the figure is that of each example asked alone."""
    tokens = tokenise(
        admit(tmp_path / "dataset"), student.tokenizer,
        length=_CONFIG.length, row_tokens=128, cache=tmp_path,
    )  # fmt: skip
    student.model.train()
    found = measure(student.model, tokens, range(len(tokens)), replace(_CONFIG, head_chunk=5))
    assert student.model.training
    total, count = 0.0, 0
    for index in range(len(tokens)):
        example = tokens[index]
        ids = torch.tensor(example.ids.astype(np.int64))
        with torch.no_grad():
            logits = student.model(input_ids=ids[None]).logits[0, :-1].double()
        each = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
        total += float(each[torch.tensor(example.is_target[1:])].sum())
        count += int(example.is_target.sum())
    assert found is not None
    assert (found.tokens, found.examples) == (count, len(LESSONS))
    assert found.loss == pytest.approx(total / count, abs=1e-4)


def test_perplexity_is_e_to_the_loss() -> None:
    """Perplexity is derived, not measured again."""
    assert HeldOut(loss=2.0, tokens=1, examples=1).perplexity == math.exp(2.0)


def _order(sealed: Sealed, base: Path, cache: Path) -> Order:
    return Order(
        dataset=sealed.path, vkey=sealed.vkey, base=str(base), out=Path(), cache=cache,
        now=NOW, seed=b"",
    )  # fmt: skip


def test_a_folder_is_measured_on_a_proven_dataset(base: Path, tmp_path: Path) -> None:
    """Any student can be measured on what a dataset holds out."""
    sealed = seal_dataset(tmp_path / "dataset")
    found = evaluate_dataset(_order(sealed, base, tmp_path), _CONFIG)
    assert (found.examples, found.loss > 0) == (2, True)


def test_nothing_held_out_is_refused(base: Path, tmp_path: Path) -> None:
    """A dataset of one exchange has nothing to measure on."""
    sealed = seal_dataset(tmp_path / "dataset", [Lesson()])
    with pytest.raises(IntakeError, match="holds nothing out"):
        evaluate_dataset(_order(sealed, base, tmp_path), _CONFIG)
