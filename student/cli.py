"""`inbond student`: train, evaluate, show, report. Results on stdout, everything else on stderr."""

import functools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from student.config import Config, Order
from student.errors import ConfigError, StudentError
from student.options import config_of, order_of, takes_datasets, takes_run
from student.summary import contents_lines, evaluation_lines, example_lines, result_lines

if TYPE_CHECKING:  # torch takes seconds to import: only the command that needs it pays
    from student.evaluate import Evaluation
    from student.trainer import Progress, RunResult

__all__ = ["run_training", "student"]


def run_training(order: Order, config: Config, *, is_quiet: bool = False) -> "RunResult":
    """A finished run with its report page, and progress on stderr: what `train` does.

    Raises:
        StudentError: the run cannot start, or was stopped.
    """
    _prepare()
    from student.metrics import Meter
    from student.report import write_report
    from student.trainer import carry_out

    meter = Meter(
        folder=order.out,
        say=lambda line: None if is_quiet else click.echo(line, err=True),
        is_plotted=order.is_plotted,
    )

    def tell(progress: "Progress") -> None:
        meter.tell(progress)

    try:
        result = carry_out(order, config, tell)
    finally:
        meter.close()
    write_report(order.out, result.vkey)
    return result


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


@click.group()
def student() -> None:
    """Train students on sealed datasets, and say what is in them."""


@student.command()
@takes_datasets
@takes_run
@_reports_errors
def train(**options: Any) -> None:
    """Verify every DATASET under VKEY and train a student on them."""
    order = order_of(options, out=options["out"], base=options["base"])
    config = config_of(options)
    result = run_training(order, config)
    if options["as_json"]:
        _print_json({**asdict(result), "folder": str(result.folder)})
    else:
        _say(result_lines(result))


@student.command()
@takes_datasets
@click.option("--model", required=True, metavar="DIR|package:NAME", help="The student to measure.")
@click.option(
    "--against", metavar="DIR|package:NAME", help="Another to measure first: before and after."
)
@click.option(
    "--tasks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Questions with known answers, one JSON object a line.",
)
@click.option(
    "--answer-tokens",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="The most that a student says to one question.",
)
@click.option(
    "--seed", default=0, show_default=True, help="The run's, where weights were fractions."
)
@_reports_errors
def evaluate(**options: Any) -> None:
    """Measure a student on what every DATASET holds out: how near is it to its teachers?"""
    _prepare()
    from student.evaluate import evaluate as measured
    from student.tasks import read_tasks

    tasks = () if options["tasks"] is None else read_tasks(options["tasks"])
    specs = [each for each in (options["against"], options["model"]) if each is not None]
    order = order_of(options, out=Path(), base=options["model"])
    config = config_of(options)
    found = measured(order, config, specs, tasks, answer_tokens=options["answer_tokens"])
    if options["as_json"]:
        _print_json(_evaluations(found))
    else:
        _say(evaluation_lines(found))


@student.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--key", "vkey", default=None, metavar="VKEY", help="The run key to trust.")
@click.option("--examples", "is_listed", is_flag=True, help="List the examples behind it.")
@click.option("--teacher", type=int, metavar="N", help="Of the examples, list those of teacher N.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_reports_errors
def show(
    run_dir: Path, vkey: str | None, *, is_listed: bool, teacher: int | None, as_json: bool
) -> None:
    """Say what is in the student of RUN_DIR: teachers, licences, clauses, duties, counts."""
    from student.contents import contents

    found = contents(run_dir, vkey)
    is_listed = is_listed or teacher is not None
    if teacher is not None and not 1 <= teacher <= len(found.teachings):
        raise ConfigError(
            f"there is no teacher {teacher}",
            help=f"give a number from 1 to {len(found.teachings)}, as `show` lists them",
            where="--teacher",
        )
    if as_json:
        document = asdict(found) | {"fates": found.fates}
        if not is_listed:
            del document["roll"]
        _print_json(document)
    elif is_listed:
        _say(example_lines(found, teacher))
    else:
        _say(contents_lines(found))


@student.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--key", "vkey", default=None, metavar="VKEY", help="The run key to trust.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to; else `report.html` in RUN_DIR.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_reports_errors
def report(run_dir: Path, vkey: str | None, out: Path | None, *, as_json: bool) -> None:
    """Write the report page of RUN_DIR: curves, who taught what, what was left out and why."""
    from student.report import write_report

    path = write_report(run_dir, vkey, out)
    if as_json:
        _print_json({"report": str(path)})
    else:
        click.echo(f"report    {path}")


def _prepare() -> None:
    """Set what torch and transformers read once, when they are imported; fetch nothing, ever."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Threads that wait spinning cost 3 times the CPU and the time where cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from transformers.utils import logging

    # The progress on stderr is ours.
    logging.disable_progress_bar()


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def _evaluations(found: "Sequence[Evaluation]") -> dict[str, Any]:
    return {
        "students": [
            {
                "student": each.student,
                "held_out": None
                if each.held_out is None
                else asdict(each.held_out)
                | {"perplexity": each.held_out.perplexity, "agreement": each.held_out.agreement},
                "tasks": [asdict(task) | {"share": task.share} for task in each.tasks],
            }
            for each in found
        ]
    }


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
