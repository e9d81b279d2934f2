"""`inbond ledger`: verify the ledger itself, sign it now, migrate or rebuild its database."""

from typing import TYPE_CHECKING

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import with_settings
from proxy.settings import Settings

if TYPE_CHECKING:
    from proxy.keys import Keys
    from proxy.store.session import Database
    from proxy.store.verify import Finding

__all__ = ["ledger"]

_TELL_EVERY = 50_000


@click.group()
def ledger() -> None:
    """Verify, sign, migrate and rebuild the ledger."""


@ledger.command()
@json_option
@with_settings
@click.pass_context
def verify(ctx: click.Context, settings: Settings, *, is_json: bool) -> None:
    """Compute everything again from the leaves; exits with 1 where something is not as it was."""
    from proxy.keys import keys_of
    from proxy.store.session import open_database
    from proxy.store.verify import verify_store

    keys = keys_of(settings)
    database = open_database(settings.database, directory=settings.directory)
    try:
        note("computing every hash again…")
        report = verify_store(database, keys.log.verifier, on_progress=_tell_progress)
        findings = [*map(_row, report.findings)] or _forks(settings, database, keys)
    finally:
        database.close()
    if findings:
        print_rows(findings, is_json=is_json)
        ctx.exit(1)
    record = {
        "entries": report.entries,
        "root": report.root.hex(),
        "checkpoints": report.checkpoints,
        "bodies": report.bodies,
        "erased": report.erased,
    }
    print_record(record, is_json=is_json)


def _tell_progress(entries: int) -> None:
    if entries % _TELL_EVERY == 0:
        note(f"{entries} entries…")


def _row(finding: "Finding") -> dict[str, object]:
    return {
        "code": finding.code,
        "seq": finding.seq,
        "message": finding.message,
        "help": finding.help,
    }


def _forks(settings: Settings, database: "Database", keys: "Keys") -> list[dict[str, object]]:
    """What the last checkpoint says, which lies beside the key and outside the database."""
    from proxy.errors import ForkError
    from proxy.store.checkpoints import Signer
    from proxy.store.log import Log

    log = Log(database, settings.lock_path)
    try:
        Signer(log, keys.log, settings.last_checkpoint_path).check()
    except ForkError as error:
        return [{"code": error.code, "seq": None, "message": error.message, "help": error.help}]
    return []


@ledger.command()
@json_option
@with_settings
def checkpoint(settings: Settings, *, is_json: bool) -> None:
    """Sign the log as it is now and print the checkpoint: keep it where the operator cannot reach."""
    with open_ledger(settings) as opened:
        signed = opened.signer.sign()
    if is_json:
        print_record({"checkpoint": signed}, is_json=True)
    else:
        click.echo(signed, nl=False)


@ledger.command()
@json_option
@with_settings
def migrate(settings: Settings, *, is_json: bool) -> None:
    """Bring the database of an older version up to date."""
    from proxy.store.session import open_database

    open_database(settings.database, directory=settings.directory, migrate=True).close()
    print_record({"database": "up to date"}, is_json=is_json)


@ledger.command()
@click.option("--to", "url", required=True, help="an empty database: its URL, without a password")
@json_option
@with_settings
def copy(settings: Settings, *, url: str, is_json: bool) -> None:
    """Copy the ledger into another database, whole and checked; the old one takes no entry any more."""
    from proxy.store.copying import copy_ledger
    from proxy.store.session import open_database

    with open_ledger(settings) as opened:
        target = open_database(url, directory=settings.directory)
        try:
            note("copying every entry and body…")
            copied = copy_ledger(opened.log, target, on_progress=_tell_copied)
        finally:
            target.close()
    note("hint: name the other database in the setting `database`, and start inbond again")
    record = {"entries": copied.entries, "root": copied.root.hex(), "rows": copied.rows}
    print_record(record, is_json=is_json)


def _tell_copied(rows: int) -> None:
    if rows % _TELL_EVERY == 0:
        note(f"{rows} rows…")


@ledger.command()
@json_option
@with_settings
def rebuild(settings: Settings, *, is_json: bool) -> None:
    """Make the views again from the leaves: all that `verify` finds wrong with a view."""
    from proxy.store.views import rebuild_views

    with open_ledger(settings) as opened, opened.log.exclusive():
        rebuild_views(opened.database)
        size = opened.log.size
    print_record({"views": "rebuilt", "entries": size}, is_json=is_json)
