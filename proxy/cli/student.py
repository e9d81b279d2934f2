"""`inbond student`: the trainer's commands, and the entry of a run in the ledger.

The trainer is found by name when a command needs it: the proxy never imports torch (style §3.12),
and the trainer imports nothing of the proxy but its ledger.
"""

import json
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import actor, with_settings
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import BundleError, LedgerError, ProxyError
from proxy.keys import load_keys
from proxy.ledger.bundle import read_bundle
from proxy.ledger.entry import RunEntry
from proxy.settings import FILE_NAME, Settings
from proxy.store.log import Pending

if TYPE_CHECKING:  # the trainer is found by name, when a command needs it
    from student.record import Verified

__all__ = ["student"]


class _Student(click.Group):
    """The trainer's group, with `record` beside it; `train` goes on record where its ledger is."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["train", "evaluate", "show", "record"]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "record":
            return record
        if cmd_name not in self.list_commands(ctx):
            return None
        trainer = import_module("student.cli").student
        command: click.Command = trainer.commands[cmd_name]
        return _recorded(command) if cmd_name == "train" else command


@click.group(cls=_Student)
def student() -> None:
    """Train students on sealed datasets, and say what is in them."""


def _recorded(train: click.Command) -> click.Command:
    """`train`, whose finished run goes on record if it ran in the workspace of its dataset."""
    callback = train.callback
    assert callback is not None  # noqa: S101 - every command has one

    def train_and_record(**options: Any) -> None:
        is_ours = _is_ours(options["vkey"])
        if is_ours:
            _refuse_taken_back(options["dataset"])
        callback(**options)
        if is_ours:
            _append(options["out"])
        else:
            note(
                f"hint: run `inbond student record {options['out']}` in the workspace that sealed "
                "the dataset"
            )

    return click.Command(
        name=train.name,
        params=train.params,
        callback=train_and_record,
        help=f"{train.help}\n\nIn the workspace that sealed it, the ledger is asked what became of the "
        "dataset, and the run goes on record.",
    )


def _is_ours(vkey: str) -> bool:
    """Whether the log of the workspace that this runs in, if it does, is the one of a key."""
    workspace = click.get_current_context().find_root().obj
    if not isinstance(workspace, Path) or not (workspace / FILE_NAME).exists():
        return False
    return _log_key() == vkey.strip()


@with_settings
def _refuse_taken_back(settings: Settings, dataset: Path) -> None:
    """Ask the ledger itself what the dataset is worth; a trainer elsewhere needs a status for that."""
    from proxy.store.queries import datasets
    from proxy.store.recalls import last_status

    try:
        with read_bundle(dataset) as bundle:
            sealed = bundle.about().get("subject")
    except BundleError:
        return  # the trainer says what is wrong with it
    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        names = [item.entry.dataset for item in datasets(connection) if item.entry.id == sealed]
        said = [last_status(connection, name) for name in names]
    for status in (each.entry for each in said if each is not None):
        if status.state != "good":
            raise LedgerError(
                f"the dataset `{status.dataset}` is {status.state} since {status.at}: {status.reason}",
                help=f"see `inbond dataset status {status.dataset}`, and build another",
                where=str(dataset),
                code="taken-back",
            )


@with_settings
def _log_key(settings: Settings) -> str:
    return load_keys(settings.keys_directory).log.verifier.to_text()


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
@with_settings
def record(settings: Settings, run_dir: Path, *, is_json: bool) -> None:
    """Check the signed record of RUN_DIR and put the run on record in the ledger."""
    entry = _put_on_record(settings, run_dir)
    print_record(
        {"run": entry.run, "student": entry.student, "steps": entry.steps}, is_json=is_json
    )


@with_settings
def _append(settings: Settings, run_dir: Path) -> None:
    try:
        entry = _put_on_record(settings, run_dir)
    except ProxyError:
        note(
            f"hint: the student is trained; put the run on record with `inbond student record {run_dir}`"
        )
        raise
    note(f"the run `{entry.run}` is on record in the ledger")


def _put_on_record(settings: Settings, run_dir: Path) -> RunEntry:
    """The `run` entry of a finished run, appended unless it is there already."""
    from proxy.store.queries import datasets, runs

    entry = _entry(import_module("student.record").verify_record(run_dir, None), run_dir)
    with open_ledger(settings) as ledger:
        with ledger.database.read() as connection:
            known = {item.entry.run: item.entry for item in runs(connection)}
            roots = {item.entry.root for item in datasets(connection)}
        before = known.get(entry.run)
        if before is not None and before.record == entry.record:
            return before
        _refuse_foreign(entry, before, roots, run_dir)
        ledger.log.append([Pending(entry)])
        ledger.signer.sign()
    return entry


def _entry(verified: "Verified", run_dir: Path) -> RunEntry:
    header = verified.header
    finished = [line.values for line in verified.lines if line.kind == "finished"]
    if not finished:
        raise LedgerError(
            f"the run `{header['run']}` is not finished: it made no student yet",
            help="go on with `inbond student train … --resume`",
            where=str(run_dir),
            code="run-unfinished",
        )
    return RunEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor=actor(),
        run=header["run"],
        student=header["student"],
        datasets=[dataset["root"] for dataset in header["datasets"]],
        record=verified.head,
        weights=dict(finished[-1]["weights"]),
        base=_digest(header["base"]),
        steps=sum(line.kind == "step" for line in verified.lines),
        nonce=new_nonce(),
    )


def _refuse_foreign(
    entry: RunEntry, before: RunEntry | None, roots: set[str], run_dir: Path
) -> None:
    if before is not None:
        raise LedgerError(
            f"the run `{entry.run}` is on record with another end",
            help="ask who changed the run directory",
            where=str(run_dir),
            code="run-changed",
        )
    for root in entry.datasets:
        if root not in roots:
            raise LedgerError(
                f"the run learned from a dataset that this ledger did not seal: root `{root}`",
                help="put it on record in the workspace that sealed the dataset",
                where=str(run_dir),
                code="other-ledger",
            )


def _digest(base: dict[str, Any]) -> str:
    return sha256(json.dumps(base, sort_keys=True).encode()).hexdigest()
