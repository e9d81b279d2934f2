"""`inbond erase`: destroy what opens stored bodies; every proof keeps working."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from proxy.cli.confirm import confirmed, consent_options
from proxy.cli.openledger import Ledger, notary_of, open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import actor, with_settings
from proxy.clock import stamp, utc_now
from proxy.errors import SettingsError
from proxy.settings import Settings

if TYPE_CHECKING:  # the command imports it when it runs
    from proxy.erasure import Erased, Eraser, Plan, Request

__all__ = ["erase", "eraser_of", "instant"]


@click.command()
@click.argument("exchanges", nargs=-1, metavar="EXCHANGE…")
@click.option("--key", help="Only calls made with this client key, by its id.")
@click.option("--project", help="Only calls of this project.")
@click.option("--provider", help="Only calls to this provider, by its name or route.")
@click.option("--before", metavar="DATE", help="Only calls made before this date or instant.")
@click.option(
    "--matching",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Only exchanges that hold the exact text in this file.",
)
@click.option(
    "--ground",
    type=click.Choice(["person", "provider"]),
    default="person",
    show_default=True,
    help="Whose right or demand it is.",
)
@click.option("--reason", default="", help="Why; it goes on record, so name nobody.")
@click.option("--reference", default="", help="An opaque reference, such as a ticket.")
@click.option(
    "--with-descendants", is_flag=True, help="Also what says that it was made from these."
)
@click.option("--except-held", is_flag=True, help="Leave out what is under a hold.")
@click.option("--finish", is_flag=True, help="Complete the erasures that are on record already.")
@consent_options
@json_option
@with_settings
def erase(  # noqa: PLR0913 - one parameter for each option
    settings: Settings,
    exchanges: tuple[str, ...],
    *,
    key: str | None,
    project: str | None,
    provider: str | None,
    before: str | None,
    matching: Path | None,
    ground: Literal["person", "provider"],
    reason: str,
    reference: str,
    with_descendants: bool,
    except_held: bool,
    finish: bool,
    dry_run: bool,
    yes: bool,
    is_json: bool,
) -> None:
    """Erase what was asked and answered: of the exchanges named, or of all that the options mean.

    Shows first what holds it: datasets and audits with their recipients, and training runs. Datasets
    that hold it are deleted here and their roots withdrawn. What was decided stays on record.
    """
    from proxy.erasure import Request
    from proxy.hold import routes_of
    from proxy.registry import registry_of
    from proxy.searching import Needle
    from proxy.store.recalls import Asked

    with open_ledger(settings) as ledger:
        eraser = eraser_of(settings, ledger)
        if finish:
            print_record({"erased": eraser.finish(), "finished": True}, is_json=is_json)
            return
        _refuse_everything(exchanges, key, project, provider, before, matching)
        registry = registry_of(settings)
        asked = Asked(
            exchanges=exchanges or None,
            key=key,
            project=project,
            routes=None if provider is None else routes_of(registry, provider),
            before=None if before is None else instant(before),
        )
        request = Request(
            asked=asked,
            ground=ground,
            reason=reason,
            reference=reference,
            needle=None if matching is None else Needle.of(_text(matching)),
            with_descendants=with_descendants,
            except_held=except_held,
        )
        _carry_out(eraser, request, dry_run=dry_run, yes=yes, is_json=is_json)


def _carry_out(
    eraser: "Eraser", request: "Request", *, dry_run: bool, yes: bool, is_json: bool
) -> None:
    note("looking for what holds it…")
    plan = eraser.plan(request)
    print_record(_shown(plan), is_json=is_json)
    if confirmed("erase all this for good?", dry_run=dry_run, yes=yes, is_json=is_json):
        print_record(_done(eraser.carry_out(plan, request)), is_json=is_json)
    else:
        note("nothing was erased")


def eraser_of(settings: Settings, ledger: Ledger) -> "Eraser":
    """Who erases in a workspace."""
    from proxy.erasure import Eraser
    from proxy.registry import registry_of

    return Eraser(
        notary=notary_of(ledger),
        registry=registry_of(settings),
        workspace=settings.directory,
        datasets=settings.datasets_directory,
        at=utc_now(),
        actor=actor(),
        backup_days=settings.retention.backup_days,
    )


def instant(text: str) -> str:
    """The ledger's stamp of a date or an instant; one without a zone is UTC.

    Raises:
        SettingsError: the text is neither.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"`{text}` is no date",
            help="write `2026-11-24`, or `2026-11-24T12:00:00Z`",
            code="usage",
        ) from error
    return stamp(at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def _refuse_everything(*asked: object) -> None:
    if not any(asked):
        raise SettingsError(
            "nothing says what to erase",
            help="name exchanges, or give `--key`, `--project`, `--provider`, `--before` or "
            "`--matching`",
            code="usage",
        )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise SettingsError(
            "the text to look for is not UTF-8",
            help="save the file as UTF-8",
            where=str(path),
            code="not-text",
        ) from error


def _shown(plan: "Plan") -> dict[str, object]:
    """The blast radius."""
    copies = {copy.entry.id: copy for copy in plan.radius.copies}
    return {
        "exchanges": list(plan.exchanges),
        "of_batches": list(plan.carriers),
        "held": {exchange: hold.hold for exchange, hold in plan.held},
        "under_way": list(plan.under_way),
        "erased_before": list(plan.erased_before),
        "made_from_them": list(plan.radius.descendants),
        "datasets": {c.entry.id: c.entry.recipient for c in copies.values() if c.root is not None},
        "audits": {c.entry.id: c.entry.recipient for c in copies.values() if c.root is None},
        "perhaps": [name for name, copy in copies.items() if not copy.is_sure],
        "deleted_here": [path for paths in plan.copies_here.values() for path in paths],
        "runs": [run.run for run in plan.radius.runs],
    }


def _done(erased: "Erased") -> dict[str, object]:
    return {
        "erasure": erased.erasure,
        "exchanges": erased.exchanges,
        "bodies": erased.salts,
        "withdrawn": list(erased.withdrawn),
        "deleted_here": list(erased.deleted),
        "backups_gone_by": erased.gone_by,
        "receipt": erased.receipt,
    }
