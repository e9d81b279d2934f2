"""`inbond policy`: what the policies say, and whether they may take effect."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import click

from policies.bundle import Bundle, bundle_of, load_bundle
from policies.diagnostics import Diagnostic, PolicyError, Severity, render
from policies.lint import lint
from policies.testing import CaseResult, run_suites
from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import actor, with_settings
from proxy.clock import utc_now
from proxy.settings import Settings
from proxy.store.records import Approvals

__all__ = ["Checked", "check", "policy"]

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_LIBRARY = "library/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found; `bundle` is None where the files make none."""

    bundle: Bundle | None
    diagnostics: tuple[Diagnostic, ...]
    cases: tuple[CaseResult, ...] = ()

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """The test cases that fail."""
        return tuple(case for case in self.cases if not case.passed)

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong; warnings alone are fine."""
        errors = any(each.severity is Severity.ERROR for each in self.diagnostics)
        return self.bundle is not None and not errors and not self.failures


def check(
    workspace: Path | None,
    organisation: str,
    *,
    on: datetime,
    approvals: frozenset[str] = frozenset(),
    revoked: frozenset[str] = frozenset(),
) -> Checked:
    """Load, lint and test the policies of a workspace, as of an instant.

    The library's tests run against the library alone: house rules may be stricter than they expect.
    """
    try:
        bundle = load_bundle(
            workspace, organisation=organisation, approvals=approvals, revoked=revoked
        )
        alone = bundle_of(_library(bundle), organisation=organisation)
    except PolicyError as error:
        return Checked(bundle=None, diagnostics=error.diagnostics)
    own = [suite for suite in bundle.suites if not suite.where.file.startswith(_LIBRARY)]
    reports = run_suites(alone), run_suites(replace(bundle, suites=tuple(own)))
    untested = {rule.id for rule in bundle.rules} - reports[0].hit_rules - reports[1].hit_rules
    diagnostics = lint(bundle, on=on, untested=untested)
    return Checked(
        bundle=bundle,
        diagnostics=_in_order((*bundle.warnings, *diagnostics)),
        cases=tuple(case for report in reports for case in report.results),
    )


def _library(bundle: Bundle) -> dict[str, str]:
    return {path: text for path, text in bundle.documents.items() if path.startswith(_LIBRARY)}


def _in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(diagnostics, key=lambda each: (each.place.file, each.place.line)))


@click.group()
def policy() -> None:
    """Check policies, and say which of them may take effect."""


@policy.command("check")
@click.argument("path", required=False, type=_DIRECTORY)
@click.option("--organisation", help="Who runs the installation; else the settings say.")
@json_option
@click.pass_context
def check_(
    ctx: click.Context, path: Path | None, organisation: str | None, *, is_json: bool
) -> None:
    """Load, lint and test the policies of the workspace, or of the one at PATH."""
    directory = path or _workspace(ctx)
    known = _approvals(directory)
    checked = check(
        directory,
        organisation or _organisation(directory),
        on=utc_now(),
        approvals=known.approved,
        revoked=known.revoked,
    )
    _print(checked, is_json=is_json)
    ctx.exit(0 if checked.is_fine else 1)


def _workspace(ctx: click.Context) -> Path:
    directory = ctx.find_root().obj
    assert isinstance(directory, Path)  # noqa: S101 - the group sets it
    return directory


def _organisation(directory: Path) -> str:
    import os

    from proxy.route import TeacherSettings
    from proxy.settings import load_settings

    return load_settings(directory, os.environ, TeacherSettings).organisation


def _approvals(directory: Path) -> Approvals:
    """What the workspace's ledger says of approvals; nothing where there is no workspace."""
    import os

    from proxy.route import TeacherSettings
    from proxy.settings import FILE_NAME, load_settings
    from proxy.store.queries import approvals
    from proxy.store.session import open_database

    if not (directory / FILE_NAME).exists():
        return Approvals(approved=frozenset(), revoked=frozenset())
    settings = load_settings(directory, os.environ, TeacherSettings)
    database = open_database(settings.database, directory=settings.directory)
    try:
        with database.read() as connection:
            return approvals(connection)
    finally:
        database.close()


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_REASON = click.option("--reason", required=True, help="Why; it goes on record.")


@policy.command("propose")
@click.argument("file", type=_FILE)
@_REASON
@json_option
@with_settings
def propose_(settings: Settings, file: Path, *, reason: str, is_json: bool) -> None:
    """Put FILE on record for somebody else to approve: a grant, a student, an override."""
    from proxy.approval import propose, read_paper

    paper = read_paper(file, settings.directory)
    with open_ledger(settings) as ledger:
        propose(ledger.log, paper, actor=actor(), reason=reason)
    print_record({"proposed": paper.name, "digest": paper.digest}, is_json=is_json)


@policy.command("approve")
@click.argument("file", type=_FILE)
@_REASON
@json_option
@with_settings
def approve_(settings: Settings, file: Path, *, reason: str, is_json: bool) -> None:
    """Let FILE take effect from the next start of the proxy, and in the next dataset."""
    from proxy.approval import approve, read_paper

    paper = read_paper(file, settings.directory)
    with open_ledger(settings) as ledger:
        is_own = approve(ledger.log, paper, actor=actor(), reason=reason)
    record = {"approved": paper.name, "digest": paper.digest, "is_self_approved": is_own}
    print_record(record, is_json=is_json)
    if is_own:
        note("hint: you approved what you proposed yourself; the ledger says so")


@policy.command("revoke")
@click.argument("file", type=_FILE)
@_REASON
@json_option
@with_settings
def revoke_(settings: Settings, file: Path, *, reason: str, is_json: bool) -> None:
    """Take the approval of FILE back: what rests on it is in no dataset built from now on."""
    from proxy.approval import read_paper, revoke

    paper = read_paper(file, settings.directory)
    with open_ledger(settings) as ledger:
        revoke(ledger.log, paper, actor=actor(), reason=reason)
    print_record({"revoked": paper.name, "digest": paper.digest}, is_json=is_json)


def _print(checked: Checked, *, is_json: bool) -> None:
    if is_json:
        for finding in checked.diagnostics:
            print_record(finding.as_json(), is_json=True)
        for case in checked.failures:
            print_record(_case(case), is_json=True)
    else:
        for finding in checked.diagnostics:
            click.echo(render(finding))
        for case in checked.failures:
            click.echo(f"{case}\n")
    _print_summary(checked, is_json=is_json)


def _case(case: CaseResult) -> dict[str, str | int]:
    return {
        "code": "test-failed",
        "severity": Severity.ERROR.value,
        "message": f"`{case.case.name}`: {case.difference}",
        "file": case.where.file,
        "line": case.where.line,
        "column": case.where.column,
    }


def _print_summary(checked: Checked, *, is_json: bool) -> None:
    errors = sum(each.severity is Severity.ERROR for each in checked.diagnostics)
    bundle = checked.bundle
    record = {
        "bundle": bundle.digest if bundle else None,
        "rules": len(bundle.rules) if bundle else 0,
        "grants": len(bundle.grants) if bundle else 0,
        "cases": len(checked.cases),
        "failures": len(checked.failures),
        "errors": errors,
        "warnings": len(checked.diagnostics) - errors,
    }
    if is_json:
        print_record(record, is_json=True)
        return
    counts = ", ".join(f"{record[name]} {name}" for name in list(record)[1:])
    click.echo(f"policies {'fine' if checked.is_fine else 'not fine'}: {counts}")
