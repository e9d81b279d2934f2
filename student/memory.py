"""What to change where a run needs more memory than there is."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from student.config import Config
from student.errors import TrainingError

__all__ = ["within_memory"]

_SIGNS = ("can't allocate memory", "out of memory", "not enough memory", "bad allocation")
"""What torch says of memory on a CPU, in an error that has no kind of its own."""


@contextmanager
def within_memory(config: Config) -> Iterator[None]:
    """Work that ends with what to change if there is not enough memory for it.

    Raises:
        TrainingError: there is not.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        raise TrainingError(
            f"there is not enough memory: {_said(error)}",
            help=_advice(config),
            where="row_tokens",
            code="no-memory",
        ) from error


def _is_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error).lower() for sign in _SIGNS)


def _said(error: Exception) -> str:
    """The last line of an error, where torch says how much was asked for."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else "none is left"


def _advice(config: Config) -> str:
    """What holds the most, first: a batch goes row by row, so its own size costs nothing."""
    ways = [f"lower `--row-tokens` (now {config.row_tokens}) with `--length truncate` or `drop`"]
    if config.device == "cuda":
        ways.append("start more processes with `torchrun`, which share the weights out")
    if not config.lora_rank:
        ways.append(
            "learn an adapter (`lora_rank`), which needs no optimiser state for the weights"
        )
    return "; ".join([*ways, "or choose a smaller student"])
