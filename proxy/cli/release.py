"""`inbond student release | approve | verify`: let a student go, with what its duties need."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.openledger import Ledger, notary_of, open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.clock import utc_now
from proxy.errors import BundleError
from proxy.settings import Settings

if TYPE_CHECKING:  # the command imports it when it runs
    from proxy.ledger.report import Report
    from proxy.release import Outlook, Releaser
    from proxy.release_duties import Offer
    from proxy.release_obstacles import Made

__all__ = ["approve", "release", "verify"]

_FOLDER = click.Path(path_type=Path, file_okay=False)


def _takes_student[F: Any](command: F) -> F:
    """What `release` and `approve` have in common."""
    for option in (
        click.argument("student", metavar="STUDENT"),
        click.option("--run-dir", "run_dirs", multiple=True, type=_FOLDER,
                     help="Where a run's directory lies; else below `students/`."),
        click.option("--licence", help="What it is released under: an SPDX or a `LicenseRef-…` id."),
        click.option("--papers", type=_FOLDER, help="The papers to supply; else `papers/`."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("release")
@_takes_student
@click.option("--out", type=_FOLDER, help="The folder to write; else `releases/RUN`.")
@click.option("--dry-run", is_flag=True, help="Say how it stands, and change nothing.")
@json_option
@with_settings
@click.pass_context
def release(  # noqa: PLR0913 - one parameter for each option
    ctx: click.Context,
    settings: Settings,
    *,
    student: str,
    run_dirs: tuple[Path, ...],
    licence: str | None,
    papers: Path | None,
    out: Path | None,
    dry_run: bool,
    is_json: bool,
) -> None:
    """Release STUDENT (its last run on record, or a run by its name), if today's policies permit it.

    Decides again on all that it and its ancestors learned from, checks each duty and writes what it
    needs. Exits with 1, and lists what is open, where something stands against it.
    """
    with open_ledger(settings) as ledger:
        releaser, runs, offer = _prepared(settings, ledger, student, run_dirs, papers, licence)
        outlook = releaser.look(runs, offer)
        _show(outlook, is_json=is_json)
        run, against = outlook.prospect.run.run, outlook.against()
        told: dict[str, object] = {
            "student": outlook.prospect.student.id,
            "run": run,
            "verdict": outlook.prospect.record.verdict,
            "examples": outlook.prospect.examples,
            "bases": list(outlook.prospect.bases),
            "against": len(against),
        }
        if against or dry_run:
            print_record({**told, "released": False}, is_json=is_json)
            note("nothing was released")
            ctx.exit(1 if against else 0)
        released = releaser.release(outlook, out or settings.directory / "releases" / run)
    print_record(
        {
            **told,
            "released": True,
            "release": released.entry.release,
            "path": released.path,
            "files": len(released.files),
            "is_self_approved": released.entry.is_self_approved,
        },
        is_json=is_json,
    )


@click.command("approve")
@_takes_student
@click.option("--reason", required=True, help="Why; it goes on record.")
@json_option
@with_settings
def approve(  # noqa: PLR0913 - one parameter for each option
    settings: Settings,
    *,
    student: str,
    run_dirs: tuple[Path, ...],
    licence: str | None,
    papers: Path | None,
    reason: str,
    is_json: bool,
) -> None:
    """Let what the organisation's rules ask a person about pass for the release of STUDENT."""
    with open_ledger(settings) as ledger:
        releaser, runs, offer = _prepared(settings, ledger, student, run_dirs, papers, licence)
        entry = releaser.approve(releaser.look(runs, offer), reason)
        ledger.signer.sign()
    print_record(
        {
            "approved": entry.run,
            "student": entry.student,
            "clears": list(entry.clears),
            "is_self_approved": entry.is_self_approved,
        },
        is_json=is_json,
    )
    if entry.is_self_approved:
        note("hint: you approved what you trained yourself; the ledger says so")


@click.command("verify")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--key", "vkey", required=True, metavar="VKEY", help="The log key you pinned.")
@click.option(
    "--release",
    "notice",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The `release.json` of the release, where the folder has only weights.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context, folder: Path, *, vkey: str, notice: Path | None, is_json: bool
) -> None:
    """Say offline if the weights in FOLDER are released ones: exits 0 if so, 1 if not, 2 if untold."""
    from proxy.ledger.report import render

    report = _report(folder, vkey, notice)
    if is_json:
        print_record({**asdict(report), "exit_code": report.exit_code}, is_json=True)
    else:
        click.echo(render(report))
    ctx.exit(report.exit_code)


def _report(folder: Path, vkey: str, notice: Path | None) -> "Report":
    from proxy.ledger.release import (
        NOTICE_FILE,
        SIGNATURE_FILE,
        verify_release,
        verify_weights,
    )
    from proxy.ledger.report import Report
    from proxy.release_files import digests_in

    report = Report()
    try:
        found = digests_in(folder)
    except BundleError as error:
        report.note(error, where=str(folder), is_false=False)
        return report
    if notice is not None:
        return verify_weights(notice.read_bytes(), found, vkey)
    absent = {NOTICE_FILE, SIGNATURE_FILE} - found.keys()
    if absent:
        message = f"the folder has no `{min(absent, key=len)}`: it is not one that was released"
        fix = "say where the `release.json` of its release is, with `--release`"
        report.note(BundleError(message, help=fix), where=str(folder), is_false=False)
        return report
    data, signature = ((folder / name).read_bytes() for name in (NOTICE_FILE, SIGNATURE_FILE))
    return verify_release(data, signature, found, vkey)


def _prepared(
    settings: Settings,
    ledger: Ledger,
    student: str,
    run_dirs: tuple[Path, ...],
    papers: Path | None,
    licence: str | None,
) -> "tuple[Releaser, tuple[Made, ...], Offer]":
    from proxy.declared import declared_in
    from proxy.inforce import put_in_force, workspace_bundle
    from proxy.release import Releaser
    from proxy.release_runs import RunShelf, run_named
    from proxy.store.queries import runs as runs_on_record

    with ledger.database.read() as connection:
        known = [item.entry for item in runs_on_record(connection)]
    shelf = RunShelf(
        folders=[*run_dirs, settings.students_directory],
        check=lambda folder: import_module("student.record").verify_record(folder, None),
    )
    made = shelf.with_ancestors(run_named(known, student), known)
    bundle = workspace_bundle(settings, ledger.database)
    put_in_force(ledger.log, bundle, actor())
    note("deciding on every row again…")
    releaser = Releaser(
        notary=notary_of(ledger),
        bundle=bundle,
        datasets=settings.datasets_directory,
        declared=declared_in(settings).organisation,
        at=utc_now(),
        actor=actor(),
    )
    return releaser, made, _offer(settings, ledger, releaser, made, papers, licence)


def _offer(
    settings: Settings,
    ledger: Ledger,
    releaser: "Releaser",
    made: "tuple[Made, ...]",
    papers: Path | None,
    licence: str | None,
) -> "Offer":
    from proxy.release_duties import Offer
    from proxy.release_files import papers_in, shipped_licences, texts_on_record
    from proxy.terms import snapshots

    declared = releaser.bundle.students.get(made[0].entry.student)
    name = None if declared is None else declared.facts.get("student.name")
    sources = [
        f"{policy.id}/{source}" for policy in releaser.bundle.policies for source in policy.sources
    ]
    return Offer(
        name=name if isinstance(name, str) else None,
        licence=licence,
        papers=papers_in(papers or settings.directory / "papers"),
        texts=texts_on_record(snapshots(ledger.database), settings.directory / "terms", sources),
        licences=shipped_licences(),
    )


def _show(outlook: "Outlook", *, is_json: bool) -> None:
    """Each duty and where it stands, then all else that stands against it."""
    duties = [
        {
            "duty": each.owed.kind,
            "asks": each.owed.value,
            "state": each.state.value,
            "by": each.by,
            "fix": each.fix,
            "from": list(each.owed.rules),
        }
        for each in outlook.settled
    ]
    print_rows(duties, is_json=is_json, empty="no duty comes with what it learned")
    others = [
        {"code": each.code, "against": each.what, "fix": each.fix}
        for each in outlook.against()
        if not each.code.startswith("duty-")
    ]
    print_rows(others, is_json=is_json, empty="nothing else stands against it")
