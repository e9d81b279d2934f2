"""`inbond retain`: erase what is older than the settings keep it."""

import click

from proxy.cli.erase import eraser_of
from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import with_settings
from proxy.settings import Settings

__all__ = ["retain"]


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what is due, and erase nothing.")
@json_option
@with_settings
def retain(settings: Settings, *, dry_run: bool, is_json: bool) -> None:
    """Erase the bodies that the classes in `retention` keep no longer; run it every day.

    What is under a hold stays, and what a dataset holds too unless its class says otherwise.
    """
    from proxy.retention import Retention

    with open_ledger(settings) as ledger:
        retention = Retention(
            eraser=eraser_of(settings, ledger), classes=settings.retention.classes
        )
        due = retention.due()
        rows = [
            {
                "class": each.name,
                "due": len(each.exchanges),
                "held": each.held,
                "in_datasets": each.learned,
            }
            for each in due
        ]
        print_rows(rows, is_json=is_json, empty="`retention` in inbond.yaml has no classes")
        if dry_run:
            note("nothing was erased")
            return
        for erased in retention.apply(due):
            print_record(
                {
                    "erasure": erased.erasure,
                    "exchanges": erased.exchanges,
                    "receipt": erased.receipt,
                },
                is_json=is_json,
            )
