"""Knobs: each refused where it cannot work, settled once, and told apart by digest."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pytest

from student.config import Config, Length, Order
from student.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_tokens", 0),
        ("row_tokens", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("clip_norm", 0.0),
        ("held_out_share", 1.0),
        ("held_out_share", -0.1),
        ("warmup_share", 1.5),
        ("beta2", 1.0),
        ("steps", 0),
        ("head_chunk", 0),
        ("snapshot_steps", 0),
    ],
)
def test_a_value_that_cannot_work_is_refused(name: str, value: Any) -> None:
    """The knob and its value are named, and what would do."""
    with pytest.raises(ConfigError, match=f"`{name}` is `{value}`") as caught:
        replace(Config(), **{name: value})
    assert caught.value.where == name
    assert caught.value.help


def test_a_row_longer_than_a_batch_is_refused() -> None:
    """A batch holds at least one row."""
    with pytest.raises(ConfigError, match="is more than `batch_tokens`"):
        Config(row_tokens=2048, batch_tokens=1024)


@pytest.mark.parametrize(
    ("has_gpu", "asked", "device", "compute"),
    [
        (False, "auto", "cpu", "fp32"),
        (True, "auto", "cuda", "bf16"),
        (True, "cpu", "cpu", "fp32"),
        (True, "cuda", "cuda", "bf16"),
    ],
)
def test_device_and_compute_are_settled_once(
    *, has_gpu: bool, asked: Literal["auto", "cpu", "cuda"], device: str, compute: str
) -> None:
    """A GPU is used where there is one, in bf16; a CPU in fp32."""
    settled = replace(Config(), device=asked).settled(has_gpu=has_gpu)
    assert (settled.device, settled.compute) == (device, compute)


def test_a_stated_compute_stays() -> None:
    """What the user chose is not chosen again."""
    assert Config(compute="fp32").settled(has_gpu=True).compute == "fp32"


def test_a_gpu_that_is_not_there_is_refused() -> None:
    """A run never falls back to a CPU in silence."""
    with pytest.raises(ConfigError, match="there is no GPU"):
        Config(device="cuda").settled(has_gpu=False)


def test_every_knob_is_in_the_document_and_the_digest() -> None:
    """A record names every knob, and any other value is another digest."""
    config = Config()
    assert set(config.document()) == {field.name for field in fields(config)}
    assert config.digest() == Config().digest()
    assert config.digest() != replace(config, length=Length.DROP).digest()


def test_a_start_is_stamped_as_the_ledger_stamps() -> None:
    """Times are written in UTC with milliseconds and `Z`, wherever the clock stands."""
    here = datetime(2026, 11, 24, 14, 30, 1, 123_456, tzinfo=timezone(timedelta(hours=2)))
    order = Order(sources=(), base="", out=Path(), cache=Path(), now=here, seed=bytes(32))
    assert order.started_at == "2026-11-24T12:30:01.123Z"
    assert replace(order, now=here.astimezone(UTC)).started_at == order.started_at
