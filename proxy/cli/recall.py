"""`inbond recall`: take back what was sealed and may be learned from no more."""

from typing import TYPE_CHECKING

import click

from proxy.cli.confirm import confirmed, consent_options
from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.clock import utc_now
from proxy.errors import SettingsError
from proxy.settings import Settings

if TYPE_CHECKING:  # the command imports it when it runs
    from proxy.recall import Found

__all__ = ["recall"]


@click.command()
@click.option("--grant", help="What rests on this grant, by its name.")
@click.option("--terms", metavar="POLICY/SOURCE", help="What rests on a source that rules cite.")
@click.option("--exchange", "exchanges", multiple=True, help="What an exchange went into.")
@click.option("--policies", is_flag=True, help="Whatever today's policies refuse.")
@click.option("--reason", required=True, help="Why; it goes on record.")
@consent_options
@json_option
@with_settings
def recall(  # noqa: PLR0913 - one parameter for each option
    settings: Settings,
    *,
    grant: str | None,
    terms: str | None,
    exchanges: tuple[str, ...],
    policies: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    is_json: bool,
) -> None:
    """Withdraw the datasets of which today's policies refuse a row, or which hold an exchange.

    Revoke the grant or mend the policy first: rows that are still permitted stay. Shows first which
    datasets, recipients, examples and runs are concerned.
    """
    from proxy.inforce import put_in_force, workspace_bundle
    from proxy.recall import Ground, Recall

    if sum((grant is not None, terms is not None, bool(exchanges), policies)) != 1:
        raise SettingsError(
            "a recall has one ground",
            help="give one of `--grant`, `--terms`, `--exchange` and `--policies`",
            code="usage",
        )
    with open_ledger(settings) as ledger:
        bundle = workspace_bundle(settings, ledger.database)
        put_in_force(ledger.log, bundle, actor())
        made = Recall(
            log=ledger.log,
            bundle=bundle,
            datasets=settings.datasets_directory,
            at=utc_now(),
            ground=Ground(
                grant=grant,
                source=None if terms is None else _source(terms),
                exchanges=frozenset(exchanges),
            ),
            reason=reason,
        )
        note("deciding on every row again…")
        found = made.look()
        _show(found, is_json=is_json)
        if not found.withdrawals and not found.rejected:
            note("no dataset is concerned: nothing was withdrawn")
        elif confirmed("withdraw all this for good?", dry_run=dry_run, yes=yes, is_json=is_json):
            made.carry_out(found, actor())
            ledger.signer.sign()
            print_record(_done(found), is_json=is_json)
        else:
            note("nothing was withdrawn")


def _show(found: "Found", *, is_json: bool) -> None:
    """The blast radius: a row for each dataset, then what else is concerned."""
    rows = [
        {
            "dataset": each.dataset.dataset,
            "student": each.dataset.student,
            "recipient": each.dataset.recipient,
            "rows": each.dataset.rows,
            "affected": [f"{one.exchange} ({one.reason})" for one in each.affected],
        }
        for each in found.withdrawals
    ]
    if rows or is_json:
        print_rows(rows, is_json=is_json)
    print_record(
        {
            "to_withdraw": len(rows),
            "still_permitted": [entry.dataset for entry in found.resting],
            "runs": {run.run: run.student for run in found.runs},
            "to_reject": list(found.rejected),
        },
        is_json=is_json,
    )


def _done(found: "Found") -> dict[str, object]:
    return {
        "withdrawn": [each.dataset.dataset for each in found.withdrawals],
        "rejected": list(found.rejected),
    }


def _source(text: str) -> tuple[str, str]:
    policy, slash, source = text.rpartition("/")
    if not slash or not policy or not source:
        raise SettingsError(
            f"`{text}` names no source of a policy",
            help="write POLICY/SOURCE, as `inbond terms list` does",
            code="usage",
        )
    return policy, source
