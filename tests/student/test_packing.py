"""Packing: every token once, no row above its budget, no row crosses examples."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from student.packing import Example, Tops, join, pack

_BUDGET = 64
_lengths = st.lists(st.integers(1, _BUDGET), max_size=60)


def _example(ids: list[int], first_target: int) -> Example:
    is_target = np.arange(len(ids)) >= first_target
    return Example(ids=np.array(ids, dtype=np.int32), is_target=is_target)


@st.composite
def _examples(draw: st.DrawFn) -> Example:
    ids = draw(st.lists(st.integers(0, 500), min_size=2, max_size=12))
    return _example(ids, draw(st.integers(1, len(ids) - 1)))


@given(lengths=_lengths)
def test_each_index_is_in_one_row_and_no_row_is_over_budget(lengths: list[int]) -> None:
    """Every example is in exactly one row, and each row keeps to the budget."""
    rows = pack(lengths, _BUDGET)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= _BUDGET for row in rows)


@given(lengths=_lengths)
def test_no_two_rows_would_fit_into_one(lengths: list[int]) -> None:
    """At most one row is half empty or emptier: two such rows would have been one."""
    rows = pack(lengths, _BUDGET)
    assert sum(2 * sum(lengths[i] for i in row) <= _BUDGET for row in rows) <= 1


def test_the_fullest_row_with_room_is_taken() -> None:
    """Best fit: a short example goes where it leaves the least room."""
    assert pack([6, 7, 3], 10) == ((1, 2), (0,))


@pytest.mark.parametrize("length", [0, _BUDGET + 1])
def test_a_length_outside_the_budget_is_refused(length: int) -> None:
    """Nothing is cut to fit: a length outside 1..budget raises."""
    with pytest.raises(ValueError, match="does not fit"):
        pack([1, length], _BUDGET)


@given(examples=st.lists(_examples(), min_size=1, max_size=5))
def test_joined_rows_hold_every_token_once_and_positions_restart(examples: list[Example]) -> None:
    """A row is its examples one after the other; each begins at position 0."""
    row = join(examples)
    assert row.ids.tolist() == [token for example in examples for token in example.ids]
    assert row.positions.tolist() == [at for example in examples for at in range(len(example.ids))]


@given(examples=st.lists(_examples(), min_size=1, max_size=5))
def test_targets_follow_their_places_inside_one_example(examples: list[Example]) -> None:
    """Each supervised place precedes its target in the same example, and all targets are there."""
    row = join(examples)
    assert row.targets.tolist() == row.ids[row.supervised + 1].tolist()
    assert (row.positions[row.supervised + 1] == row.positions[row.supervised] + 1).all()
    assert row.targets.tolist() == [t for e in examples for t in e.ids[e.is_target]]


def test_a_first_token_cannot_be_a_target() -> None:
    """A target that nothing precedes would be predicted from another example, so it raises."""
    with pytest.raises(ValueError, match="first token"):
        join([_example([1, 2], 1), _example([3, 4], 0)])


def _tops(told: int, width: int, first: int) -> Tops:
    ids = np.arange(first, first + told * width).reshape(told, width)
    return Tops(
        ids=ids,
        logprobs=np.full((told, width), -1.0, dtype=np.float32),
        share=np.full(told, 0.5, dtype=np.float32),
        temperature=np.ones(told, dtype=np.float32),
    )


def test_what_teachers_told_stands_last_and_is_widened() -> None:
    """Targets that are told of come last, in order; where fewer tokens are known, places are empty."""
    first = replace(_example([1, 2, 3, 4], 1), tops=_tops(2, 1, 100))
    second = _example([5, 6], 1)
    third = replace(_example([7, 8, 9], 2), tops=_tops(1, 3, 200))
    row = join([first, second, third])
    assert row.targets.tolist() == [4, 6, 2, 3, 9]
    assert row.targets.tolist() == row.ids[row.supervised + 1].tolist()
    assert row.tops is not None
    assert row.tops.ids.tolist() == [[100, 100, 100], [101, 101, 101], [200, 201, 202]]
    assert row.tops.logprobs.tolist() == [[-1, -np.inf, -np.inf]] * 2 + [[-1, -1, -1]]
    assert row.tops.share.tolist() == [0.5] * 3
    assert row.tops.temperature.tolist() == [1.0] * 3
