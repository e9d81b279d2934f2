"""`inbond source`: imported data that prompts are made of, and what may be learned from it."""

from pathlib import Path

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.settings import Settings

__all__ = ["source"]


@click.group()
def source() -> None:
    """Declare imported data that prompts are made of."""


@source.command()
@click.argument("name")
@click.option("--licence", required=True, help="An SPDX identifier, or a `LicenseRef-…`.")
@click.option(
    "--may-train/--may-not-train",
    required=True,
    help="Whether a student may learn from answers to it.",
)
@click.option("--duty", "duties", multiple=True, metavar="KIND=VALUE", help="What follows from it.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The data itself: its digest goes on record, it does not.",
)
@click.option("--reason", required=True, help="On what the declaration rests; it goes on record.")
@json_option
@with_settings
def add(  # noqa: PLR0913 - one parameter for each option
    settings: Settings,
    name: str,
    *,
    licence: str,
    may_train: bool,
    duties: tuple[str, ...],
    file: Path | None,
    reason: str,
    is_json: bool,
) -> None:
    """Declare the source NAME: calls name it in `x-inbond-source` from then on."""
    import hashlib

    from proxy.sources import Declared, declare

    digest = None
    if file is not None:
        with file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
    with open_ledger(settings) as ledger:
        said = Declared(
            name=name, licence=licence, may_train=may_train, duties=duties, digest=digest
        )
        entry = declare(ledger.log, said, actor=actor(), reason=reason)
    print_record(
        {"source": name, "entry": entry.id, "may_train": may_train, "digest": digest},
        is_json=is_json,
    )


@source.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why it may be used no more; it goes on record.")
@json_option
@with_settings
def withdraw(settings: Settings, name: str, *, reason: str, is_json: bool) -> None:
    """Say that nobody may learn any more from answers to the source NAME."""
    from proxy.sources import withdraw as withdraw_on_record

    with open_ledger(settings) as ledger:
        entry = withdraw_on_record(ledger.log, name, actor=actor(), reason=reason)
    print_record({"source": name, "entry": entry.id, "action": "withdraw"}, is_json=is_json)


@source.command("list")
@json_option
@with_settings
def list_(settings: Settings, *, is_json: bool) -> None:
    """List the sources and the last word on each."""
    from proxy.sources import last_words

    with open_ledger(settings) as ledger:
        found = last_words(ledger.log)
    rows = [
        {
            "source": entry.source,
            "at": entry.at,
            "action": entry.action,
            "licence": entry.licence,
            "may_train": entry.may_train,
            "duties": entry.duties,
            "digest": entry.digest,
        }
        for entry in found
    ]
    print_rows(rows, is_json=is_json, empty="no source is declared")
