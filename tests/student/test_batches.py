"""Batches come one ahead, in order, shared out among processes without changing what they hold."""

import threading
from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from student.batches import Batch, Batches
from student.config import Config
from student.mixture import mix
from student.model import Student
from student.parallel import Team
from student.plan import Plan
from tests.student.datasets import admit


@pytest.fixture
def batches(student: Student, tmp_path: Path) -> Batches:
    """Batches of up to three rows of a small dataset, for one process."""
    admitted = [admit(tmp_path / "dataset")]
    config = Config(batch_tokens=256, row_tokens=70)
    mixture = mix(admitted, student.tokenizer, config, tmp_path / "cache", weights=[1.0])
    indices = mixture.split(share=0.1, seed=0).train
    return Batches(
        plan=Plan(
            lengths=[mixture.lengths[index] for index in indices], seed=0, batch=256, budget=70
        ),
        indices=indices,
        mixture=mixture,
        names=mixture.examples,
        team=Team(),
    )


def test_a_batch_holds_what_its_step_plans(batches: Batches) -> None:
    """Each example of the step is in one row, and the figures are those of the rows."""
    batch = batches.make(1)
    planned = [batches.indices[i] for i in batches.plan.step(1).examples]
    assert Counter(batch.examples) == Counter(batches.names[index] for index in planned)
    assert batch.tokens == sum(batches.mixture.lengths[index] for index in planned)
    assert batch.tokens == sum(len(row.ids) for row in batch.rows)
    assert batch.targets == sum(len(row.targets) for row in batch.rows)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_processes_take_as_many_passes_and_teach_the_same(batches: Batches, size: int) -> None:
    """Shared out, each process has as many rows, and together they teach what one would teach."""
    whole = batches.make(0)
    names = [each.name for each in fields(Batches)]
    parts = [
        Batches(
            **{name: getattr(batches, name) for name in names if name != "team"},
            team=Team(rank=rank, size=size),
        ).make(0)
        for rank in range(size)
    ]
    assert {len(part.rows) for part in parts} == {-(-len(whole.rows) // size)}
    targets = sorted(tuple(row.targets) for part in parts for row in part.rows)
    empty = [row for row in targets if not row]
    assert targets[len(empty) :] == sorted(tuple(row.targets) for row in whole.rows)
    assert len(empty) == size * len(parts[0].rows) - len(whole.rows)
    assert {(part.tokens, part.targets, part.examples) for part in parts} == {
        (whole.tokens, whole.targets, whole.examples)
    }


def test_batches_come_in_order_and_one_ahead(batches: Batches) -> None:
    """While a batch is used, the one after it is made elsewhere; what comes is what was planned."""
    made: list[int] = []
    threads: set[int] = set()

    class Watched(Batches):
        def make(self, number: int) -> "Batch":
            made.append(number)
            threads.add(threading.get_ident())
            return Batches.make(self, number)

    watched = Watched(**{each.name: getattr(batches, each.name) for each in fields(Batches)})
    for count, batch in enumerate(watched.ahead(range(4, 9))):
        assert batch.number == 4 + count
        assert len(made) >= min(5, count + 1)
        assert len(made) <= count + 2
        expected = batches.make(batch.number)
        assert batch.examples == expected.examples
        pairs = zip(batch.rows, expected.rows, strict=True)
        assert all(np.array_equal(a.ids, b.ids) for a, b in pairs)
    assert made == [4, 5, 6, 7, 8]
    assert threading.get_ident() not in threads


def test_no_steps_make_no_batches(batches: Batches) -> None:
    """A run that is done asks for nothing."""
    assert list(batches.ahead(range(3, 3))) == []
