"""Tokens on disk come back as they were, and are never read when they were changed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from student.errors import IntakeError
from student.packing import Example, Tops
from student.token_cache import read_tokens, write_tokens


@st.composite
def _examples(draw: st.DrawFn) -> Example:
    ids = np.array(draw(st.lists(st.integers(0, 500), min_size=2, max_size=9)), dtype=np.int32)
    first = draw(st.integers(1, len(ids) - 1))
    told = draw(st.integers(0, len(ids) - first))
    width = draw(st.integers(1, 3))
    tops = Tops(
        ids=np.arange(told * width, dtype=np.int64).reshape(told, width),
        logprobs=-np.arange(told * width, dtype=np.float32).reshape(told, width),
        share=np.full(told, 0.25, dtype=np.float32),
        temperature=np.full(told, 0.5, dtype=np.float32),
    )
    return Example(ids=ids, is_target=np.arange(len(ids)) >= first, tops=tops if told else None)


def _write(folder: Path, rows: list[Example]) -> None:
    names = [str(at) for at in range(len(rows))]
    write_tokens(folder, rows, examples=names, exchanges=names, counts={}, left_out={"x": "empty"})


@given(rows=st.lists(_examples(), min_size=1, max_size=4))
@settings(max_examples=20)
def test_every_example_comes_back(
    rows: list[Example], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ids, targets and what teachers told are those of each example, in order."""
    folder = tmp_path_factory.mktemp("cache") / "tokens"
    _write(folder, rows)
    tokens = read_tokens(folder)
    assert len(tokens) == len(rows)
    assert dict(tokens.left_out) == {"x": "empty"}
    for at, row in enumerate(rows):
        found = tokens[at]
        assert np.array_equal(found.ids, row.ids)
        assert np.array_equal(found.is_target, row.is_target)
        assert (found.tops is None) == (row.tops is None)
        if found.tops is not None and row.tops is not None:
            assert np.array_equal(found.tops.ids, row.tops.ids)
            assert np.array_equal(found.tops.logprobs, row.tops.logprobs)
            assert np.array_equal(found.tops.share, row.tops.share)
            assert np.array_equal(found.tops.temperature, row.tops.temperature)


@pytest.mark.parametrize("name", ["top_ids", "top_logprobs", "top_shapes", "top_weights"])
def test_what_teachers_told_cannot_be_changed(tmp_path: Path, name: str) -> None:
    """A changed byte of what was told is found as one of the tokens is."""
    tops = Tops(
        ids=np.array([[4, 5]]),
        logprobs=np.array([[-0.5, -1.5]], dtype=np.float32),
        share=np.array([0.5], dtype=np.float32),
        temperature=np.array([1.0], dtype=np.float32),
    )
    is_target = np.array([False, True])
    _write(
        tmp_path / "tokens",
        [Example(ids=np.array([1, 2], dtype=np.int32), is_target=is_target, tops=tops)],
    )
    path = tmp_path / "tokens" / f"{name}.npy"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntakeError, match="not those that were written"):
        read_tokens(tmp_path / "tokens")
