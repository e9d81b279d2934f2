"""`inbond hold`: keep what is evidence, whatever erasure or retention says."""

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.errors import SettingsError
from proxy.settings import Settings

__all__ = ["hold"]

_NAMED = ("exchange", "project", "student", "provider", "dataset")


@click.group()
def hold() -> None:
    """Keep what is evidence, whatever erasure or retention says."""


@hold.command()
@click.option("--exchange", help="One exchange, by its id.")
@click.option("--project", help="All calls of a project.")
@click.option("--student", help="All calls for a student, and the rows of its datasets.")
@click.option("--provider", help="All calls to a provider, by its name or route.")
@click.option("--dataset", help="The rows of a dataset.")
@click.option("--everything", is_flag=True, help="All there is, and all to come.")
@click.option("--reason", required=True, help="Why it must be kept; it goes on record.")
@json_option
@with_settings
def place(
    settings: Settings, /, *, reason: str, is_json: bool, **scopes: str | bool | None
) -> None:
    """Put a hold on record: nothing in its scope can be erased until it is lifted."""
    from proxy.hold import place as place_on_record
    from proxy.registry import registry_of

    given = [(name, str(scopes[name] or "")) for name in _NAMED if scopes[name] is not None]
    if scopes["everything"]:
        given.append(("everything", ""))
    if len(given) != 1:
        raise SettingsError(
            f"a hold has one scope, and {len(given)} are given",
            help="give one of `--exchange`, `--project`, `--student`, `--provider`, `--dataset` and "
            "`--everything`; place several holds for several",
            code="usage",
        )
    ((scope, subject),) = given
    with open_ledger(settings) as ledger:
        entry = place_on_record(
            ledger.log,
            scope,  # type: ignore[arg-type] # one of the names above
            subject,
            registry=registry_of(settings),
            actor=actor(),
            reason=reason,
        )
    print_record(
        {"hold": entry.hold, "scope": entry.scope, "subject": entry.subject}, is_json=is_json
    )


@hold.command()
@click.argument("hold_id", metavar="HOLD")
@click.option("--reason", required=True, help="Why it need be kept no more; it goes on record.")
@json_option
@with_settings
def lift(settings: Settings, hold_id: str, *, reason: str, is_json: bool) -> None:
    """End the hold HOLD: what it covered can be erased again."""
    from proxy.hold import lift as lift_on_record

    with open_ledger(settings) as ledger:
        entry = lift_on_record(ledger.log, hold_id, actor=actor(), reason=reason)
    print_record({"hold": entry.hold, "action": "lift"}, is_json=is_json)


@hold.command("list")
@json_option
@with_settings
def list_(settings: Settings, *, is_json: bool) -> None:
    """List the holds in force, oldest first."""
    from proxy.store.recalls import holds

    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        found = [item.entry for item in holds(connection)]
    rows = [
        {
            "hold": entry.hold,
            "at": entry.at,
            "scope": entry.scope,
            "subject": entry.subject,
            "actor": entry.actor,
            "reason": entry.reason,
        }
        for entry in found
    ]
    print_rows(rows, is_json=is_json, empty="no hold is in force")
