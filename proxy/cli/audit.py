"""`inbond audit`: export what the ledger says, and verify what somebody was given."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.audit_ask import ask, prove, tables, trace
from proxy.cli.audit_scope import scope_of, scope_options
from proxy.cli.openledger import notary_of, open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import actor, with_settings
from proxy.clock import stamp, utc_now
from proxy.errors import ProofError, SettingsError
from proxy.settings import Settings

if TYPE_CHECKING:
    from proxy.ledger.anchored import Trusted

__all__ = ["audit"]


@click.group()
def audit() -> None:
    """Export and verify audits."""


for command in (ask, trace, prove, tables):
    audit.add_command(command)


@audit.command()
@click.argument("target", type=click.Path(path_type=Path))
@scope_options
@click.option("--metadata-only", is_flag=True, help="Disclose no text.")
@click.option("--recipient", default="the auditor", show_default=True, help="Who gets it.")
@click.option("--zip", "is_zip", is_flag=True, help="Pack the bundle into TARGET.zip as well.")
@json_option
@with_settings
def export(
    settings: Settings,
    /,
    target: Path,
    *,
    metadata_only: bool,
    recipient: str,
    is_zip: bool,
    is_json: bool,
    **given: Any,
) -> None:
    """Write an audit to the directory TARGET; the ledger keeps what was disclosed, and to whom.

    Without an option that narrows it, it is of the whole log.
    """
    from proxy.audit.export import export_audit
    from proxy.ledger.bundle import zip_bundle
    from proxy.notary import refuse_taken

    target = target.absolute()
    packed = target.with_name(f"{target.name}.zip") if is_zip else None
    if packed is not None:
        refuse_taken(packed)
    scope = scope_of(given, is_metadata_only=metadata_only)
    note("collecting entries…")
    with open_ledger(settings) as ledger:
        exported = export_audit(
            scope,
            notary_of(ledger),
            datasets=settings.datasets_directory,
            target=target,
            actor=actor(),
            recipient=recipient,
        )
    if packed is not None:
        zip_bundle(exported.path, packed)
    for dataset in exported.absent:
        note(f"hint: `datasets/{dataset}` is not here, so its examples are not in this audit")
    print_record(
        {
            "export": exported.export,
            "path": exported.path,
            "zip": packed,
            "entries": exported.entries,
            "examples": exported.examples,
            "opened": exported.openings,
            "absent_datasets": list(exported.absent),
        },
        is_json=is_json,
    )


@audit.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--key", "vkey", required=True, metavar="VKEY", help="The log key you pinned.")
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An older checkpoint that you kept; may be given more than once.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="VKEY",
    help="The key of a witness that you trust; may be given more than once.",
)
@click.option(
    "--tsa-ca",
    "authorities",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The certificates (PEM) of time-stamping authorities that you trust.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    path: Path,
    *,
    vkey: str,
    checkpoints: tuple[Path, ...],
    is_json: bool,
    **given: Any,
) -> None:
    """Check an audit, dataset or receipt at PATH offline: exits 0 if true, 1 if false, 2 if untold."""
    from proxy.ledger.anchored import check_cosigned
    from proxy.ledger.receipt import is_receipt, verify_receipt
    from proxy.ledger.report import render
    from proxy.ledger.verify import verify as verify_bundle

    # A checkpoint that is no text is no checkpoint: the verifier says so.
    notes = [kept.read_text(encoding="utf-8", errors="replace") for kept in checkpoints]
    trusted = _trusted(given["witnesses"], given["authorities"])
    if is_receipt(path):
        text = path.read_text(encoding="utf-8", errors="replace")
        report = verify_receipt(text, vkey)
        check_cosigned(text, trusted, report)
    else:
        report = verify_bundle(
            path,
            vkey,
            checkpoints=notes,
            now=stamp(utc_now()),
            trusted=trusted,
            processes=os.cpu_count() or 1,
        )
    if is_json:
        print_record({**asdict(report), "exit_code": report.exit_code}, is_json=True)
    else:
        click.echo(render(report))
    ctx.exit(report.exit_code)


def _trusted(witnesses: Sequence[str], authorities: Path | None) -> "Trusted":
    """Whose word is taken beside the log's own."""
    from proxy.ledger.anchored import trusted_of

    try:
        return trusted_of(witnesses, b"" if authorities is None else authorities.read_bytes())
    except ProofError as error:
        raise SettingsError(error.message, help=error.help, code=error.code) from error
