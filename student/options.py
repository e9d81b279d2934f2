"""Options of the commands that open datasets, and what a run is ordered with from them."""

import os
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from student.config import Config, Length, Order, Reasoning, Source
from student.errors import ConfigError

__all__ = ["config_of", "order_of", "takes_datasets", "takes_run"]

_DEFAULTS = Config()
_KNOBS = {
    "row_tokens": "row_tokens",
    "held_out": "held_out_share",
    "kl_share": "kl_share",
    "steps": "steps",
    "epochs": "epochs",
    "batch_tokens": "batch_tokens",
    "lr": "learning_rate",
    "seed": "seed",
    "snapshot_steps": "snapshot_steps",
    "measure_steps": "measure_steps",
    "lora_rank": "lora_rank",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "device": "device",
    "compute": "compute",
}
"""Options that are a knob as they stand, and its name."""
_LISTS = ("teacher_tokenizers", "kl_shares", "raw_logprobs", "scaled_logprobs", "lora_targets")
"""Options that are given once for each part of a knob."""

_OBJECTIVE = (
    click.option("--reasoning", type=click.Choice([each.value for each in Reasoning]),
                 default=_DEFAULTS.reasoning.value, show_default=True,
                 help="What becomes of what a teacher thought before its answer."),
    click.option("--teacher-tokenizer", "teacher_tokenizers", multiple=True, metavar="MODEL=DIR",
                 help="Learn a teacher's log-probabilities too; its tokenizer must be the student's."),
    click.option("--kl-share", default=_DEFAULTS.kl_share, show_default=True,
                 help="Share of the KL in the loss of a token whose log-probabilities came."),
    click.option("--kl-shares", multiple=True, metavar="[MODEL][@TEMPERATURE]=SHARE",
                 help="Another share for a teacher, a temperature or both; the first that fits."),
    click.option("--raw-logprobs", multiple=True, metavar="MODEL",
                 help="A teacher that states them from before the temperature."),
    click.option("--scaled-logprobs", multiple=True, metavar="MODEL",
                 help="A teacher that states them from after it; else only 1 is learned."),
)  # fmt: skip
"""Options of what is learned of an answer."""
_DATASETS = (
    click.argument("datasets", type=click.Path(path_type=Path), nargs=-1, required=True,
                   metavar="DATASET..."),
    click.option("--key", "vkeys", required=True, multiple=True, metavar="VKEY",
                 help="The log key to trust: one for all datasets, or one for each."),
    click.option("--weight", "weights", type=float, multiple=True,
                 help="How often an epoch learns each example: one for each dataset."),
    click.option("--status", "statuses", type=click.Path(path_type=Path), multiple=True,
                 metavar="FILE",
                 help="What `inbond dataset status` issued since a dataset was sealed."),
    click.option("--student", "for_student", metavar="ID", help="Refuse any other's dataset."),
    click.option("--declaration", type=click.Path(path_type=Path), metavar="FILE",
                 help="The student as declared today; refuse a dataset built for another."),
    click.option("--row-tokens", default=_DEFAULTS.row_tokens, show_default=True,
                 help="Tokens of a packed row, and of the longest example."),
    click.option("--length", type=click.Choice([each.value for each in Length]),
                 default=_DEFAULTS.length.value, show_default=True,
                 help="What becomes of an example longer than a row."),
    click.option("--held-out", default=_DEFAULTS.held_out_share, show_default=True,
                 help="Share of the exchanges that are only measured on."),
    *_OBJECTIVE,
    click.option("--cache", type=click.Path(path_type=Path), default=None,
                 help="Folder of tokens and unpacked models; it may be removed at any time."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
)  # fmt: skip
"""Options of all commands that open datasets and tokenise them."""
_RUN = (
    click.option("--base", required=True, metavar="DIR|package:NAME",
                 help="A folder of a causal model, or a distribution that ships a GGUF file."),
    click.option("--out", required=True, type=click.Path(path_type=Path),
                 help="The run directory."),
    click.option("--steps", type=int, default=None, help="Optimiser steps; else --epochs counts."),
    click.option("--epochs", default=_DEFAULTS.epochs, show_default=True,
                 help="Passes over the data."),
    click.option("--batch-tokens", default=_DEFAULTS.batch_tokens, show_default=True,
                 help="Tokens of a global batch."),
    click.option("--lr", default=_DEFAULTS.learning_rate, show_default=True,
                 help="The highest learning rate."),
    click.option("--seed", default=_DEFAULTS.seed, show_default=True,
                 help="Of the order of examples."),
    click.option("--snapshot-steps", default=_DEFAULTS.snapshot_steps, show_default=True,
                 help="Steps between snapshots."),
    click.option("--measure-steps", default=_DEFAULTS.measure_steps, show_default=True,
                 help="Steps between measurements on what is held out."),
    click.option("--lora-rank", default=_DEFAULTS.lora_rank, show_default=True,
                 help="Rank of low-rank adapters that learn in place of the weights; 0: none."),
    click.option("--lora-alpha", default=_DEFAULTS.lora_alpha, show_default=True,
                 help="An adapter counts alpha through rank times."),
    click.option("--lora-dropout", default=_DEFAULTS.lora_dropout, show_default=True,
                 help="Share of what an adapter sees that is left out by chance."),
    click.option("--lora-targets", multiple=True, default=[_DEFAULTS.lora_targets],
                 show_default=True, metavar="LAYER", help="Linear layers with an adapter."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default=_DEFAULTS.device,
                 show_default=True, help="What it runs on."),
    click.option("--compute", type=click.Choice(["auto", "fp32", "bf16"]),
                 default=_DEFAULTS.compute, show_default=True,
                 help="What matrices are multiplied in; weights are kept in fp32."),
    click.option("--resume", "is_resumed", is_flag=True,
                 help="Go on with the run in --out, exactly."),
    click.option("--tensorboard", "is_plotted", is_flag=True,
                 help="Write for TensorBoard too."),
)  # fmt: skip
"""Options of a run."""


def takes_datasets[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Give a command the options with which datasets are opened and tokenised."""
    return _with(command, _DATASETS)


def takes_run[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Give a command the options of a run."""
    return _with(command, _RUN)


def order_of(options: dict[str, Any], *, out: Path, base: str) -> Order:
    """What is ordered with the options of a command, now.

    Raises:
        ConfigError: keys or weights do not fit the datasets.
    """
    return Order(
        sources=_sources(options["datasets"], options["vkeys"], options["weights"]),
        student=options["for_student"],
        base=base,
        out=out,
        cache=options["cache"] or _cache_folder(),
        now=datetime.fromtimestamp(time.time(), UTC),
        seed=os.urandom(32),
        statuses=options["statuses"],
        declaration=options["declaration"],
        is_resumed=options.get("is_resumed", False),
        is_plotted=options.get("is_plotted", False),
    )


def config_of(options: dict[str, Any]) -> Config:
    """The knobs that the options of a command set.

    Raises:
        ConfigError: a value cannot work.
    """
    knobs: dict[str, Any] = {"length": Length(options["length"])}
    knobs["reasoning"] = Reasoning(options["reasoning"])
    knobs |= {knob: options[name] for name, knob in _KNOBS.items() if name in options}
    knobs |= {name: ",".join(options[name]) for name in _LISTS if name in options}
    return Config(**knobs)


def _with[**P](
    command: Callable[P, None], options: Iterable[Callable[[Any], Any]]
) -> Callable[P, None]:
    for option in reversed([*options]):
        command = option(command)
    return command


def _sources(
    paths: tuple[Path, ...], vkeys: tuple[str, ...], weights: tuple[float, ...]
) -> tuple[Source, ...]:
    count = len(paths)
    for name, values, may_be in (("--key", vkeys, {1, count}), ("--weight", weights, {0, count})):
        if len(values) not in may_be:
            raise ConfigError(
                f"there are {count} datasets, and `{name}` is given {len(values)} times",
                help=f"give `{name}` once for each dataset, in their order",
                where=name,
            )
    keys = vkeys if len(vkeys) == count else vkeys * count
    shares = weights or (1.0,) * count
    return tuple(
        Source(path=path, vkey=vkey, weight=weight)
        for path, vkey, weight in zip(paths, keys, shares, strict=True)
    )


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inbond"
