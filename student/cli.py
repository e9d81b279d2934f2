"""`inbond student`: train, evaluate, show. Results on stdout, everything else on stderr."""

import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from student.config import Config, Length, Order
from student.errors import StudentError

if TYPE_CHECKING:  # torch takes seconds to import: only the command that needs it pays
    from student.contents import Contents
    from student.evaluate import HeldOut
    from student.trainer import Progress, RunResult

__all__ = ["run_training", "student"]

_DEFAULTS = Config()
_ONE = {"clauses": "clause", "grants": "grant", "duties": "duty"}


def run_training(order: Order, config: Config, *, is_quiet: bool = False) -> "RunResult":
    """A finished run, with progress on stderr: what `train` does, for a caller that keeps a ledger.

    Raises:
        StudentError: the run cannot start, or was stopped.
    """
    _prepare()
    from student.trainer import carry_out

    return carry_out(order, config, (lambda _: None) if is_quiet else _Meter().tell)


def _reports_errors[**P](command: Callable[P, None]) -> Callable[P, None]:
    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except StudentError as error:
            click.echo(f"error[{error.code}]: {error.message}", err=True)
            if error.where:
                click.echo(f" --> {error.where}", err=True)
            if error.help:
                click.echo(f"  = help: {error.help}", err=True)
            raise SystemExit(error.exit_status) from error

    return guarded


def _takes_dataset[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Options of the commands that open a dataset and tokenise it."""
    for option in (
        click.argument("dataset", type=click.Path(path_type=Path)),
        click.option("--key", "vkey", required=True, metavar="VKEY", help="The log key to trust."),
        click.option("--status", type=click.Path(path_type=Path), default=None, metavar="FILE",
                     help="What `inbond dataset status` issued since the dataset was sealed."),
        click.option("--student", "for_student", metavar="ID", help="Refuse any other's dataset."),
        click.option("--row-tokens", default=_DEFAULTS.row_tokens, show_default=True,
                     help="Tokens of a packed row, and of the longest example."),
        click.option("--length", type=click.Choice([each.value for each in Length]),
                     default=_DEFAULTS.length.value, show_default=True,
                     help="What becomes of an example longer than a row."),
        click.option("--held-out", default=_DEFAULTS.held_out_share, show_default=True,
                     help="Share of the exchanges that are only measured on."),
        click.option("--cache", type=click.Path(path_type=Path), default=None,
                     help="Folder of tokens and unpacked models; it may be removed at any time."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def student() -> None:
    """Train students on sealed datasets, and say what is in them."""


@student.command()
@_takes_dataset
@click.option(
    "--base",
    required=True,
    metavar="DIR|package:NAME",
    help="A folder of a causal model, or a distribution that ships a GGUF file.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The run directory.")
@click.option("--steps", type=int, default=None, help="Optimiser steps; else --epochs counts.")
@click.option("--epochs", default=_DEFAULTS.epochs, show_default=True, help="Passes over the data.")
@click.option(
    "--batch-tokens",
    default=_DEFAULTS.batch_tokens,
    show_default=True,
    help="Tokens of a global batch.",
)
@click.option(
    "--lr", default=_DEFAULTS.learning_rate, show_default=True, help="The highest learning rate."
)
@click.option("--seed", default=_DEFAULTS.seed, show_default=True, help="Of the order of examples.")
@click.option(
    "--snapshot-steps",
    default=_DEFAULTS.snapshot_steps,
    show_default=True,
    help="Steps between snapshots.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, exactly.")
@_reports_errors
def train(**options: Any) -> None:
    """Verify DATASET under VKEY and train a student on it."""
    order = _order(options, out=options["out"], base=options["base"], is_resumed=options["resume"])
    config = _config(
        options,
        steps=options["steps"],
        epochs=options["epochs"],
        batch_tokens=options["batch_tokens"],
        learning_rate=options["lr"],
        seed=options["seed"],
        snapshot_steps=options["snapshot_steps"],
    )
    result = run_training(order, config)
    if options["as_json"]:
        _print_json({**asdict(result), "folder": str(result.folder)})
    else:
        _print_result(result)


@student.command()
@_takes_dataset
@click.option("--model", required=True, metavar="DIR|package:NAME", help="The student to measure.")
@_reports_errors
def evaluate(**options: Any) -> None:
    """Measure a student's loss on the held-out answers of DATASET."""
    _prepare()
    from student.evaluate import evaluate_dataset

    order = _order(options, out=Path(), base=options["model"], is_resumed=False)
    found = evaluate_dataset(order, _config(options))
    if options["as_json"]:
        _print_json({**asdict(found), "perplexity": found.perplexity})
    else:
        click.echo(_held_out(found))


@student.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--key", "vkey", default=None, metavar="VKEY", help="The run key to trust.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_reports_errors
def show(run_dir: Path, vkey: str | None, *, as_json: bool) -> None:
    """Say what is in the student of RUN_DIR: teachers, licences, clauses, duties, counts."""
    from student.contents import contents

    found = contents(run_dir, vkey)
    if as_json:
        _print_json(asdict(found))
    else:
        _print_contents(found)


def _prepare() -> None:
    """Set what torch and transformers read once, when they are imported; fetch nothing, ever."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Threads that wait spinning cost 3 times the CPU and the time where cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from transformers.utils import logging

    # The progress on stderr is ours.
    logging.disable_progress_bar()


def _order(options: dict[str, Any], *, out: Path, base: str, is_resumed: bool) -> Order:
    return Order(
        dataset=options["dataset"],
        vkey=options["vkey"],
        student=options["for_student"],
        base=base,
        out=out,
        cache=options["cache"] or _cache_folder(),
        now=datetime.fromtimestamp(time.time(), UTC),
        seed=os.urandom(32),
        is_resumed=is_resumed,
        status=options["status"],
    )


def _config(options: dict[str, Any], **knobs: Any) -> Config:
    return Config(
        row_tokens=options["row_tokens"],
        length=Length(options["length"]),
        held_out_share=options["held_out"],
        **knobs,
    )


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inbond"


class _Meter:
    """Progress on stderr: a line per step on a terminal, else about a line every two seconds."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._tokens = 0

    def tell(self, progress: "Progress") -> None:
        """Say how far the run is."""
        now = time.monotonic()
        self._tokens += progress.tokens
        is_last = progress.step == progress.steps
        if not is_last and now - self._last < 2 and progress.step > 1:
            return
        self._last = now
        speed = self._tokens / max(now - self._began, 1e-9)
        click.echo(
            f"step {progress.step}/{progress.steps}  loss {progress.loss:.4f}  "
            f"rate {progress.rate:.2e}  {speed:,.0f} tokens/s",
            err=True,
        )


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def _held_out(found: "HeldOut | None") -> str:
    if found is None:
        return "nothing was held out"
    return (
        f"{found.loss:.4f} nats per token (perplexity {found.perplexity:.2f}) "
        f"on {found.tokens} tokens of {found.examples} examples"
    )


def _print_result(result: "RunResult") -> None:
    click.echo(f"run       {result.run}: {result.steps} steps on student `{result.student}`")
    click.echo(f"before    {_held_out(result.before)}")
    click.echo(f"after     {_held_out(result.after)}")
    click.echo(f"weights   {result.folder / 'model'}")
    click.echo(f"record    {result.record}")
    click.echo(f"run key   {result.vkey}")


def _print_contents(found: "Contents") -> None:
    click.echo(
        f"student   {found.student}, run {found.run}, {found.steps} of {found.planned} steps"
    )
    click.echo(f"base      {found.base} (licence {found.base_licence or 'not stated'})")
    for dataset in found.datasets:
        click.echo(f"dataset   {dataset['dataset']}, root {dataset['root']}")
    for name, count in found.counts.items():
        click.echo(f"examples  {count} {name}")
    for teaching in found.teachings:
        click.echo(f"teacher   {teaching['model']} by {teaching['provider']}")
        click.echo(f"          {teaching['examples']} examples, licence {teaching['licence']}")
        for words, word in _ONE.items():
            for line in teaching[words]:
                click.echo(f"          {word}: {line}")
    signed = "pinned key" if found.is_pinned else "its own key: whose it is is not shown"
    click.echo(f"signed    by {signed}; {found.unsigned} lines after the last signature")
