"""`inbond reconcile`: a provider's own usage export against the ledger: what went around the proxy."""

from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.errors import SettingsError
from proxy.settings import Settings

__all__ = ["reconcile"]

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument(
    "files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE…",
    nargs=-1,
    required=True,
)
@click.option(
    "--provider",
    type=click.Choice(["openai", "anthropic", "google", "csv"]),
    required=True,
    help="Whose export it is; `csv` for any other, with `--route`.",
)
@click.option("--since", type=_DAY, help="The first day, UTC; else the export's first.")
@click.option("--until", type=_DAY, help="The last day, UTC; else the export's last.")
@click.option("--route", "routes", multiple=True, help="The contracts it is of, by their routes.")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="KEY=ACCOUNT",
    help="The account here of the provider's own id of a key. Without any, keys are not told apart.",
)
@click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="The column of day, model, key, calls, input or output in a generic CSV.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 100),
    default=0,
    show_default=True,
    metavar="PERCENT",
    help="How much more the provider may have seen.",
)
@click.option("--record", "is_recorded", is_flag=True, help="Put the result on record, for audits.")
@json_option
@with_settings
@click.pass_context
def reconcile(  # noqa: PLR0913 - one parameter for each option
    ctx: click.Context,
    settings: Settings,
    files: tuple[Path, ...],
    *,
    provider: str,
    since: datetime | None,
    until: datetime | None,
    routes: tuple[str, ...],
    accounts: tuple[str, ...],
    columns: tuple[str, ...],
    tolerance: float,
    is_recorded: bool,
    is_json: bool,
) -> None:
    """Compare the usage export in FILE… with the ledger, per day, model and key.

    Exits with 1 where the provider saw more than went through the proxy.
    """
    from proxy.reconcile import State, compare, put_on_record, scope_of
    from proxy.registry import registry_of
    from proxy.usage_export import FIELDS, digest_of, provider_named, read_exports

    named = provider_named(provider)
    rows = read_exports(named, files, _pairs(columns, "--map", FIELDS))
    scope = scope_of(registry_of(settings), named, routes, _pairs(accounts, "--account", ()))
    with open_ledger(settings) as ledger:
        compared = compare(
            ledger.database,
            scope,
            rows,
            since=_day(since),
            until=_day(until),
            tolerance=Fraction(str(tolerance)) / 100,
        )
        if is_recorded:
            entry = put_on_record(
                ledger.log, scope, compared, export=digest_of(files), actor=actor()
            )
            note(f"on record as `{entry.id}`")
    print_rows(
        [
            {
                "day": line.day.isoformat(),
                "model": line.model,
                "key": line.key or None,
                "state": line.state.value,
                "provider_calls": line.provider_calls,
                "recorded_calls": line.recorded_calls,
                "provider_input": line.provider_input,
                "recorded_input": line.recorded_input,
                "provider_output": line.provider_output,
                "recorded_output": line.recorded_output,
                "without_usage": line.silent,
            }
            for line in compared.lines
        ],
        is_json=is_json,
    )
    around = compared.of(State.AROUND)
    if around:
        note(
            f"hint: in {len(around)} of {len(compared.lines)} rows the provider saw more than went "
            "through the proxy: look for a key that is used elsewhere, and see `inbond doctor`"
        )
        ctx.exit(1)


def _pairs(words: tuple[str, ...], option: str, known: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value or (known and name not in known):
            fix = f"write NAME=VALUE{f' with a name of: {", ".join(known)}' if known else ''}"
            raise SettingsError(f"`{option} {word}` says nothing", help=fix, code="usage")
        found[name] = value
    return found


def _day(at: datetime | None) -> date | None:
    return None if at is None else at.date()
