"""Options become knobs and orders as they stand, and every knob of a run can be set."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from student.config import Config, Length, Reasoning, Source
from student.errors import ConfigError
from student.options import config_of, order_of, takes_datasets, takes_run

_INSIDE = {
    "beta1", "beta2", "clip_norm", "epsilon", "final_share", "head_chunk", "keep_snapshots",
    "probe_tolerance", "warmup_share", "weight_decay",
}  # fmt: skip
"""Knobs that no option sets: what works is known, and the record states them."""


def _options(*words: str) -> dict[str, Any]:
    taken: dict[str, Any] = {}

    @click.command()
    @takes_datasets
    @takes_run
    def command(**options: Any) -> None:
        taken.update(options)

    asked = ["data", "--key", "vkey", "--base", "base", "--out", "run", *words]
    result = CliRunner().invoke(command, asked, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return taken


def test_without_options_the_knobs_are_the_defaults() -> None:
    """A command line that says nothing of a knob leaves it as it is."""
    assert config_of(_options()) == Config()


def test_each_option_sets_its_knob() -> None:
    """No option goes to another knob, and no knob is forgotten."""
    values: dict[str, Any] = {
        "steps": 7, "epochs": 2, "batch_tokens": 512, "row_tokens": 128, "learning_rate": 0.01,
        "seed": 3, "length": Length.DROP, "reasoning": Reasoning.KEEP, "kl_share": 0.25,
        "kl_shares": "a=0.5,@0=0", "teacher_tokenizers": "a=x,b=y", "raw_logprobs": "a,b",
        "scaled_logprobs": "c", "held_out_share": 0.2, "snapshot_steps": 9, "measure_steps": 8,
        "lora_rank": 4, "lora_alpha": 8.0, "lora_dropout": 0.1, "lora_targets": "q_proj,v_proj",
        "device": "cpu", "compute": "bf16",
    }  # fmt: skip
    names = {"learning_rate": "lr", "held_out_share": "held-out",
             "teacher_tokenizers": "teacher-tokenizer"}  # fmt: skip
    words: list[str] = []
    for knob, value in values.items():
        option = f"--{names.get(knob, knob.replace('_', '-'))}"
        for part in str(value).split(","):
            words += [option, part]
    assert config_of(_options(*words)) == replace(Config(), **values)
    assert values.keys() | _INSIDE == {each.name for each in fields(Config)}


def test_an_order_names_each_dataset_with_its_key_and_weight() -> None:
    """One key is for all datasets; keys and weights are otherwise taken in their order."""
    order = order_of(_options("more", "--weight", "1", "--weight", "0.5"), out=Path(), base="b")
    assert order.sources == (
        Source(path=Path("data"), vkey="vkey", weight=1.0),
        Source(path=Path("more"), vkey="vkey", weight=0.5),
    )
    order = order_of(_options("more", "--key", "other"), out=Path(), base="b")
    assert [each.vkey for each in order.sources] == ["vkey", "other"]
    assert (order.now.tzinfo is not None, len(order.seed)) == (True, 32)


def test_what_does_not_fit_the_datasets_is_refused() -> None:
    """Which key or weight belongs to which dataset is never guessed."""
    with pytest.raises(ConfigError, match="there are 2 datasets, and `--weight` is given 1 times"):
        order_of(_options("more", "--weight", "1"), out=Path(), base="b")


def test_flags_and_files_come_with_the_order() -> None:
    """Resuming, TensorBoard, statuses, declaration and cache are as they were given."""
    order = order_of(
        _options("--resume", "--tensorboard", "--status", "a", "--status", "b",
                 "--declaration", "c", "--cache", "d", "--student", "e"),
        out=Path("run"), base="b",
    )  # fmt: skip
    assert (order.is_resumed, order.is_plotted, order.student) == (True, True, "e")
    assert (order.statuses, order.declaration) == ((Path("a"), Path("b")), Path("c"))
    assert (order.cache, order.out) == (Path("d"), Path("run"))
