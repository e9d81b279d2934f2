"""`inbond policy check`: whether the policies load, say what they should, and are tested."""

import gc
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from policies.bundle import LIBRARY, Bundle, load_bundle
from policies.checking import Checked, check
from policies.diagnostics import Diagnostic, PolicyError, render
from policies.mutants import Mutation
from policies.sarif import sarif
from proxy.cli.render import json_option, note, print_record
from proxy.clock import utc_now
from proxy.store.records import Approvals

if TYPE_CHECKING:
    from proxy.cli.policy_record import Recorded

__all__ = ["check_command"]

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_MOST_SURVIVORS = 20
"""As many as somebody reads; `--json` and `--sarif` give all."""


@click.command("check")
@click.argument("path", required=False, type=_DIRECTORY)
@click.option("--organisation", help="Who runs the installation; else the settings say.")
@click.option("--library", "is_library", is_flag=True, help="Check the shipped library alone.")
@click.option("--quick", "is_quick", is_flag=True, help="Leave the mutation score out.")
@click.option("--sarif", "is_sarif", is_flag=True, help="Print a SARIF log, to annotate changes.")
@json_option
def check_command(
    path: Path | None,
    organisation: str | None,
    *,
    is_library: bool,
    is_quick: bool,
    is_sarif: bool,
    is_json: bool,
) -> None:
    """Load, lint and test the policies of the workspace, or of the one at PATH.

    The mutation score says how many small changes of the rules the tests would notice. It is that
    of the workspace's own policies, or of the library where there are none.
    """
    if is_json and is_sarif:
        raise click.UsageError("`--json` and `--sarif` exclude each other")
    if is_library and (path or organisation):
        raise click.UsageError("`--library` is checked without a workspace and an organisation")
    directory = None if is_library else path or _workspace()
    checked = _check(directory, organisation, is_mutated=not is_quick)
    if is_sarif:
        _print_sarif(checked, directory)
    elif is_json:
        _print_json(checked)
    else:
        _print_text(checked)
    click.get_current_context().exit(0 if checked.is_fine else 1)


def _check(directory: Path | None, organisation: str | None, *, is_mutated: bool) -> Checked:
    with _no_collector():
        try:
            bundle = _load(directory, organisation)
        except PolicyError as error:
            return Checked(findings=error.diagnostics)
        at = utc_now()
        told = _on_record(bundle, directory, at)
        checked = check(bundle, on=at, is_mutated=is_mutated, resting=told.resting)
    if not told.findings:
        return checked
    found = (*checked.findings, *told.findings)
    ordered = sorted(found, key=lambda each: (each.place.file, each.place.line))
    return replace(checked, findings=tuple(ordered))


def _on_record(bundle: Bundle, directory: Path | None, at: datetime) -> "Recorded":
    """What the workspace's ledger says of its policies."""
    from proxy.cli.policy_record import Recorded, on_record

    return Recorded() if directory is None else on_record(bundle, directory, at)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Leave cycles alone: what is read lives until the command ends, and most of its time went there."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _load(directory: Path | None, organisation: str | None) -> Bundle:
    if directory is None:
        return load_bundle(None, organisation="")
    known = _approvals(directory)
    return load_bundle(
        directory,
        organisation=organisation or _organisation(directory),
        approvals=known.approved,
        revoked=known.revoked,
    )


def _workspace() -> Path:
    directory = click.get_current_context().find_root().obj
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


def _print_text(checked: Checked) -> None:
    survivors = 0
    for finding in checked.findings:
        survivors += finding.code == "survivor"
        if finding.code != "survivor" or survivors <= _MOST_SURVIVORS:
            click.echo(render(finding))
    if survivors > _MOST_SURVIVORS:
        click.echo(
            f"and {survivors - _MOST_SURVIVORS:,} more changes that no test case notices; "
            "`--json` lists them all\n"
        )
    for line in _summary(checked):
        click.echo(line)


def _print_json(checked: Checked) -> None:
    for finding in checked.findings:
        print_record(finding.as_json(), is_json=True)
    print_record(
        {"bundle": checked.bundle and checked.bundle.digest, **_counts(checked)}, is_json=True
    )


def _print_sarif(checked: Checked, directory: Path | None) -> None:
    located = [_located(finding, directory) for finding in checked.findings]
    click.echo(json.dumps(sarif(located, version=version("inbond")), ensure_ascii=False, indent=2))
    for line in _summary(checked):
        note(line)


def _located(finding: Diagnostic, directory: Path | None) -> Diagnostic:
    """A finding whose file is named as seen from the current directory, where annotations look."""
    file = finding.span.file
    top = LIBRARY.parent
    if directory is not None and not file.startswith(f"{LIBRARY.name}/"):
        top = directory / "policies"
    path, here = (top / file).resolve(), Path.cwd()
    if not path.is_relative_to(here):
        return finding
    return replace(finding, span=replace(finding.span, file=path.relative_to(here).as_posix()))


def _counts(checked: Checked) -> dict[str, int | float | None]:
    bundle, report, mutation = checked.bundle, checked.report, checked.mutation
    return {
        "rules": len(bundle.rules) if bundle else 0,
        "grants": len(bundle.grants) if bundle else 0,
        "cases": len(report.results) if report else 0,
        "failures": len(report.failures) if report else 0,
        "errors": checked.errors,
        "warnings": len(checked.findings) - checked.errors,
        "reached": len(report.hit_rules) if report else 0,
        "changes": mutation.total if mutation else None,
        "survivors": len(mutation.survivors) if mutation else None,
        "score": round(mutation.score, 4) if mutation else None,
    }


def _summary(checked: Checked) -> Iterable[str]:
    """What is said at the end, in one or two lines."""
    counts = _counts(checked)
    named = ", ".join(
        f"{counts[name]} {name}"
        for name in ("rules", "grants", "cases", "failures", "errors", "warnings")
    )
    yield f"policies {'fine' if checked.is_fine else 'not fine'}: {named}"
    if checked.report is not None:
        reached = f"the tests reach {counts['reached']} of {counts['rules']} rules"
        yield reached if checked.mutation is None else f"{reached}; {_score(checked.mutation)}"


def _score(mutation: Mutation) -> str:
    noticed = mutation.total - len(mutation.survivors)
    return (
        f"mutation score {mutation.score * 100:.1f} %: "
        f"they notice {noticed:,} of {mutation.total:,} small changes"
    )
