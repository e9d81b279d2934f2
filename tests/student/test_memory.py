"""A run that needs more memory than there is says what to change; other errors stay what they are."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from student.config import Config
from student.errors import TrainingError
from student.memory import within_memory

_TOO_MUCH = 1 << 50


@pytest.mark.parametrize("take", [torch.empty, bytearray])
def test_too_little_memory_says_what_to_change(take: Callable[[int], object]) -> None:
    """Whoever finds that memory is short, the knobs that hold it are named with their values."""
    with (
        pytest.raises(TrainingError, match="not enough memory") as caught,
        within_memory(Config(row_tokens=2048)),
    ):
        take(_TOO_MUCH)
    assert "`--row-tokens` (now 2048)" in caught.value.help
    assert "lora_rank" in caught.value.help
    assert "\n" not in caught.value.message


def test_what_is_done_already_is_not_advised() -> None:
    """With an adapter another one is no way out; on GPUs, more of them are."""
    config = replace(Config(lora_rank=8), device="cuda")
    with pytest.raises(TrainingError) as caught, within_memory(config):
        torch.empty(_TOO_MUCH)
    assert "lora_rank" not in caught.value.help
    assert "torchrun" in caught.value.help


def test_other_errors_pass() -> None:
    """An error that is not of memory is not taken for one."""
    with pytest.raises(RuntimeError, match="shape"), within_memory(Config()):
        torch.zeros(3) @ torch.zeros(2, 2)
