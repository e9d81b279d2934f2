"""`inbond student`: the trainer's commands, and the entry of a run in the ledger.

The trainer is found by name when a command needs it: the proxy never imports torch (style §3.12),
and the trainer imports nothing of the proxy but its ledger.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
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
from proxy.keys import keys_of
from proxy.ledger.bundle import read_bundle
from proxy.ledger.entry import DatasetEntry, RunEntry
from proxy.settings import FILE_NAME, Settings
from proxy.store.log import Pending

if TYPE_CHECKING:  # the trainer is found by name, when a command needs it
    from student.record import Verified

__all__ = ["student"]


_OURS = {
    "record": "proxy.cli.student",
    "release": "proxy.cli.release",
    "approve": "proxy.cli.release",
    "verify": "proxy.cli.release",
}
"""The commands that are not the trainer's, and the modules they are in."""


class _Student(click.Group):
    """The trainer's group, with ours beside it; `train` goes on record where its ledger is."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["train", "evaluate", "show", "report", "record", "release", "approve", "verify"]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OURS:
            found: click.Command = getattr(import_module(_OURS[cmd_name]), cmd_name)
            return found
        if cmd_name not in self.list_commands(ctx):
            return None
        trainer = import_module("student.cli").student
        command: click.Command = trainer.commands[cmd_name]
        match cmd_name:
            case "train":
                return _recorded(command)
            case "show" | "report":
                return _named(command)
            case _:
                return command


@click.group(cls=_Student)
def student() -> None:
    """Train students on sealed datasets, and say what is in them."""


def _recorded(train: click.Command) -> click.Command:
    """`train`, whose finished run goes on record if it ran in the workspace of its dataset."""
    callback = train.callback
    assert callback is not None  # noqa: S101 - every command has one

    def train_and_record(**options: Any) -> None:
        datasets = options["datasets"]
        ours = _sealed_here(datasets) if any(map(_is_ours, options["vkeys"])) else 0
        if ours:
            _refuse_taken_back(datasets)
            options["declaration"] = options["declaration"] or _declaration(datasets)
        callback(**options)
        if ours == len(datasets):
            _append(options["out"])
        elif ours:
            note("hint: no ledger sealed all of these datasets, so the run goes on record in none")
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
        "dataset, the student must still be declared as it was then, and the run goes on record.",
    )


def _named(command: click.Command) -> click.Command:
    """A command of a run directory that also takes the name of a student or a run."""
    callback = command.callback
    assert callback is not None  # noqa: S101 - every command has one

    def with_directory(run_dir: Path, **options: Any) -> None:
        workspace = click.get_current_context().find_root().obj
        if (
            not run_dir.exists()
            and isinstance(workspace, Path)
            and (workspace / FILE_NAME).exists()
        ):
            run_dir = _run_directory(str(run_dir))
        callback(run_dir=run_dir, **options)

    return click.Command(
        name=command.name,
        params=command.params,
        callback=with_directory,
        help=f"{command.help}\n\nIn a workspace RUN_DIR may be the name of a student, for its newest "
        "run below `students/`, or of a run.",
    )


@with_settings
def _run_directory(settings: Settings, name: str) -> Path:
    """The newest run below `students/` that is of a student, or that is a run, of this name."""
    found = []
    for path in sorted(settings.students_directory.glob("*/run.json")):
        header = json.loads(path.read_text())
        if name in {header.get("student"), header.get("run")}:
            found.append((str(header.get("started_at")), path.parent))
    if not found:
        raise LedgerError(
            f"`{name}` is no run directory, and no run below `students/` bears the name",
            help="give the directory that `student train` wrote with `--out`",
            where=str(settings.students_directory),
            code="no-run",
        )
    return max(found)[1]


def _is_ours(vkey: str) -> bool:
    """Whether the log of the workspace that this runs in, if it does, is the one of a key."""
    workspace = click.get_current_context().find_root().obj
    if not isinstance(workspace, Path) or not (workspace / FILE_NAME).exists():
        return False
    return _log_key() == vkey.strip()


@with_settings
def _refuse_taken_back(settings: Settings, paths: Sequence[Path]) -> None:
    """Ask the ledger itself what datasets are worth; a trainer elsewhere needs a status for that."""
    from proxy.store.queries import datasets
    from proxy.store.recalls import last_status

    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        for path, entry in _ours((item.entry for item in datasets(connection)), paths):
            said = last_status(connection, entry.dataset)
            if said is not None and said.entry.state != "good":
                status = said.entry
                raise LedgerError(
                    f"the dataset `{status.dataset}` is {status.state} since {status.at}: "
                    f"{status.reason}",
                    help=f"see `inbond dataset status {status.dataset}`, and build another",
                    where=str(path),
                    code="taken-back",
                )


@with_settings
def _declaration(settings: Settings, paths: Sequence[Path]) -> Path:
    """The file that declares the student of these datasets today."""
    from proxy.store.queries import datasets

    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        ours = _ours((item.entry for item in datasets(connection)), paths)
        students = {entry.student for _, entry in ours}
    for path in sorted((settings.policies_directory / "students").glob("*.yaml")):
        declared = re.search(r"^student:[ \t]*[\"']?([^\s\"'#]+)", path.read_text(), re.MULTILINE)
        if declared is not None and declared[1] in students:
            return path
    raise LedgerError(
        f"no file below `policies/students/` declares {', '.join(f'`{each}`' for each in students)}",
        help="declare the student that the dataset was built for, or leave it untrained",
        where=str(settings.policies_directory / "students"),
        code="not-declared",
    )


@with_settings
def _sealed_here(settings: Settings, paths: Sequence[Path]) -> int:
    """How many of some datasets this ledger sealed."""
    from proxy.store.queries import datasets

    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        return len([*_ours((item.entry for item in datasets(connection)), paths)])


def _ours(
    entries: Iterable[DatasetEntry], paths: Sequence[Path]
) -> Iterator[tuple[Path, DatasetEntry]]:
    """Those of some datasets that this ledger sealed, with their entries."""
    known = {entry.id: entry for entry in entries}
    for path in paths:
        try:
            with read_bundle(path) as bundle:
                sealed = bundle.about().get("subject")
        except BundleError:
            continue  # the trainer says what is wrong with it
        if isinstance(sealed, str) and sealed in known:
            yield path, known[sealed]


@with_settings
def _log_key(settings: Settings) -> str:
    return keys_of(settings).log.verifier.to_text()


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
