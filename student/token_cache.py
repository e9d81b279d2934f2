"""Tokens on disk: flat memory-mapped arrays, whole or not there, and never read when changed."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from student import digest
from student.errors import IntakeError
from student.packing import Example, Tops

__all__ = ["Tokens", "read_tokens", "write_tokens"]

_ARRAYS = (
    "ids", "is_target", "offsets", "top_ids", "top_logprobs", "top_shapes", "top_weights",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The examples of a dataset as tokens. Shapes: ids[N]; is_target[N]; offsets[E + 1].

    `examples` and `exchanges` name the E examples kept; `counts` says how many were kept, truncated,
    cut and left out by reason; `digest` is the sha256 (hex) over the arrays and names.

    What teachers told of their choice lies flat, example by example: top_ids[M], top_logprobs[M];
    top_shapes[E, 2] are positions and tokens at each, both 0 where nothing was told; top_weights[E, 2]
    are share and temperature.
    """

    ids: NDArray[np.int32]
    is_target: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    examples: tuple[str, ...]
    exchanges: tuple[str, ...]
    counts: Mapping[str, int]
    digest: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why each example that was not kept is not."""
    top_ids: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    top_logprobs: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    top_shapes: NDArray[np.int32] | None = None
    top_weights: NDArray[np.float32] | None = None
    _top_starts: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shapes = np.zeros((0, 2)) if self.top_shapes is None else self.top_shapes
        sizes = shapes.astype(np.int64).prod(axis=1)
        object.__setattr__(self, "_top_starts", np.concatenate([[0], sizes.cumsum()]))

    def __getitem__(self, index: int) -> Example:
        start, end = int(self.offsets[index]), int(self.offsets[index + 1])
        return Example(
            ids=self.ids[start:end], is_target=self.is_target[start:end], tops=self._tops(index)
        )

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        lengths: list[int] = np.diff(self.offsets).tolist()
        return lengths

    def _tops(self, index: int) -> Tops | None:
        if self.top_shapes is None or self.top_weights is None:
            return None
        count, width = map(int, self.top_shapes[index])
        if not count:
            return None
        start = int(self._top_starts[index])
        part = slice(start, start + count * width)
        share, temperature = self.top_weights[index]
        return Tops(
            ids=self.top_ids[part].reshape(count, width).astype(np.int64),
            logprobs=np.array(self.top_logprobs[part]).reshape(count, width),
            share=np.full(count, share, dtype=np.float32),
            temperature=np.full(count, temperature, dtype=np.float32),
        )


def write_tokens(
    folder: Path,
    rows: Sequence[Example],
    *,
    examples: Sequence[str],
    exchanges: Sequence[str],
    counts: Mapping[str, int],
    left_out: Mapping[str, str],
) -> None:
    """Write the tokens of examples into a new folder, all or nothing.

    Of two processes that write the same, the second leaves what the first wrote.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "ids": np.concatenate([row.ids for row in rows]),
        "is_target": np.concatenate([row.is_target for row in rows]),
        "offsets": np.cumsum([0, *(len(row.ids) for row in rows)], dtype=np.int64),
        **_top_arrays([row.tops for row in rows]),
    }
    meta = {
        "examples": [*examples],
        "exchanges": [*exchanges],
        "counts": {name: count for name, count in sorted(counts.items()) if count},
        "left_out": dict(left_out),
    }
    written = {**meta, "digest": _digest(arrays.values(), meta)}
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".tokens-"))
    for name, array in arrays.items():
        np.save(temporary / f"{name}.npy", array)
    (temporary / "tokens.json").write_text(json.dumps(written, indent=1))
    try:
        temporary.rename(folder)
    except OSError:  # another process made the same tokens first
        shutil.rmtree(temporary)


def read_tokens(folder: Path) -> Tokens:
    """The tokens of a folder.

    Raises:
        IntakeError: they are not those that were written.
    """
    try:
        meta = json.loads((folder / "tokens.json").read_text())
        arrays: dict[str, Any] = {name: _mapped(folder / f"{name}.npy") for name in _ARRAYS}
    except (OSError, ValueError) as error:
        raise _damaged(folder) from error
    written = meta.pop("digest", None)
    if written != _digest(arrays.values(), meta):
        raise _damaged(folder)
    return Tokens(
        **arrays,
        examples=tuple(meta["examples"]),
        exchanges=tuple(meta["exchanges"]),
        counts=meta["counts"],
        digest=written,
        left_out=meta["left_out"],
    )


def _top_arrays(tops: Sequence[Tops | None]) -> dict[str, NDArray[np.generic]]:
    told = [each for each in tops if each is not None]
    return {
        "top_ids": np.concatenate([np.zeros(0), *(each.ids.ravel() for each in told)]).astype(
            np.int32
        ),
        "top_logprobs": np.concatenate(
            [np.zeros(0, np.float32), *(each.logprobs.ravel() for each in told)]
        ),
        "top_shapes": np.array(
            [(0, 0) if each is None else each.ids.shape for each in tops], dtype=np.int32
        ),
        "top_weights": np.array(
            [(0, 1) if each is None else (each.share[0], each.temperature[0]) for each in tops],
            dtype=np.float32,
        ),
    }


def _mapped(path: Path) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        array = np.load(path, allow_pickle=False)  # an empty file cannot be mapped
    return array


def _damaged(folder: Path) -> IntakeError:
    return IntakeError(
        "the cached tokens are not those that were written",
        help="remove the folder: they are made again from the dataset",
        where=str(folder),
        code="token-cache",
    )


def _digest(arrays: Iterable[NDArray[np.generic]], meta: Mapping[str, object]) -> str:
    parts = [digest.of_bytes(np.ascontiguousarray(array).tobytes()) for array in arrays]
    return digest.of_value([meta, parts])
