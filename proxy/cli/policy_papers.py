"""`inbond policy propose | approve | revoke`: papers that take effect once somebody else agreed."""

from pathlib import Path

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import actor, with_settings
from proxy.settings import Settings

__all__ = ["approve", "propose", "revoke"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_REASON = click.option("--reason", required=True, help="Why; it goes on record.")


@click.command("propose")
@click.argument("file", type=_FILE)
@_REASON
@json_option
@with_settings
def propose(settings: Settings, file: Path, *, reason: str, is_json: bool) -> None:
    """Put FILE on record for somebody else to approve: a grant, a student, an override."""
    from proxy import approval

    paper = approval.read_paper(file, settings.directory)
    with open_ledger(settings) as ledger:
        approval.propose(ledger.log, paper, actor=actor(), reason=reason)
    print_record({"proposed": paper.name, "digest": paper.digest}, is_json=is_json)


@click.command("approve")
@click.argument("file", type=_FILE)
@_REASON
@json_option
@with_settings
def approve(settings: Settings, file: Path, *, reason: str, is_json: bool) -> None:
    """Let FILE take effect from the next start of the proxy, and in the next dataset."""
    from proxy import approval

    paper = approval.read_paper(file, settings.directory)
    with open_ledger(settings) as ledger:
        is_own = approval.approve(ledger.log, paper, actor=actor(), reason=reason)
    record = {"approved": paper.name, "digest": paper.digest, "is_self_approved": is_own}
    print_record(record, is_json=is_json)
    if is_own:
        note("hint: you approved what you proposed yourself; the ledger says so")


@click.command("revoke")
@click.argument("file", type=_FILE)
@_REASON
@json_option
@with_settings
def revoke(settings: Settings, file: Path, *, reason: str, is_json: bool) -> None:
    """Take the approval of FILE back: what rests on it is in no dataset built from now on."""
    from proxy import approval

    paper = approval.read_paper(file, settings.directory)
    with open_ledger(settings) as ledger:
        approval.revoke(ledger.log, paper, actor=actor(), reason=reason)
    print_record({"revoked": paper.name, "digest": paper.digest}, is_json=is_json)
