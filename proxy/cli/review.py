"""`inbond review`: what waits for a person, and what the person says."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from policies.diagnostics import nearest
from policies.facts import CATALOGUE, FactType, spec_of
from policies.model import Fact
from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.errors import SettingsError
from proxy.settings import Settings

if TYPE_CHECKING:
    from proxy.review import Outlook

__all__ = ["review"]


@click.group()
def review() -> None:
    """See and clear what waits for a person."""


@review.command("list")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most."
)
@click.option("--after", default=-1, help="Those after this place in the log.")
@json_option
@with_settings
def list_(settings: Settings, *, limit: int, after: int, is_json: bool) -> None:
    """List the exchanges that wait, oldest first."""
    from proxy.review import held
    from proxy.store.queries import review_items

    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        items = [held(item) for item in review_items(connection, after=after, limit=limit)]
    rows = [
        {
            "exchange": one.item.exchange.entry.id,
            "seq": one.item.seq,
            "gate": one.item.gate,
            "at": one.item.exchange.entry.at,
            "project": one.item.call.entry.facts.get("project"),
            "model": one.item.exchange.entry.facts.get("model.id")
            or one.item.call.entry.facts.get("model.asked"),
            "rules": list(one.record.by),
            "missing": list(one.record.missing),
        }
        for one in items
    ]
    print_rows(rows, is_json=is_json, empty="nothing waits for review")


@review.command()
@click.argument("exchange")
@json_option
@with_settings
def show(settings: Settings, exchange: str, *, is_json: bool) -> None:
    """Show what a held exchange waits for, and what you could say about it.

    The rules that hold it come with their clauses, and the facts that are missing with who supplies
    them.
    """
    from proxy.inforce import bundle_in_force
    from proxy.review import look

    with open_ledger(settings) as ledger:
        found = look(ledger.database, bundle_in_force(ledger.database), exchange)
    rules, missing = _rules(found), _missing(found)
    record = {
        "exchange": exchange,
        "gate": found.held.gate.value,
        "at": found.held.item.call.entry.at,
        "verdict": found.decision.verdict.value,
        "cleared": found.after.verdict.value,
    }
    facts = dict(sorted(found.held.facts.items()))
    if is_json:
        print_record({**record, "rules": rules, "missing": missing, "facts": facts}, is_json=True)
        return
    print_record(record, is_json=False)
    print_rows(rules, is_json=False, empty="no rule holds it")
    print_rows(missing, is_json=False, empty="no fact is missing")
    print_record(facts, is_json=False)


def _rules(found: "Outlook") -> list[dict[str, object]]:
    """The rules that set the verdict, and whether a clearance lifts them."""
    return [
        {
            "rule": hit.rule,
            "effect": hit.effect.value,
            "clauses": [f"{cite.source} {cite.clause}" for cite in hit.cites],
            "because": hit.because,
            "fix": hit.fix,
            "liftable": hit.rule in found.clears,
        }
        for hit in found.decision.hits
        if hit.rule in found.decision.by
    ]


def _missing(found: "Outlook") -> list[dict[str, object]]:
    return [
        {
            "fact": missing.fact,
            "supplied_by": missing.supplied_by,
            "suppliable": found.may_supply(missing.fact),
        }
        for missing in found.decision.missing
    ]


@review.command()
@click.argument("exchange")
@click.option("--reason", required=True, help="Why it may pass; it goes on record.")
@click.option("--fact", "facts", multiple=True, metavar="NAME=VALUE", help="A missing fact.")
@json_option
@with_settings
def clear(
    settings: Settings, exchange: str, *, reason: str, facts: tuple[str, ...], is_json: bool
) -> None:
    """Let a held exchange pass. A provider's rule cannot be lifted this way."""
    from proxy.inforce import bundle_in_force
    from proxy.review import clear as clear_on_record

    supplied = _facts(facts)
    with open_ledger(settings) as ledger:
        bundle = bundle_in_force(ledger.database)
        decision = clear_on_record(
            ledger.log, bundle, exchange, actor=actor(), reason=reason, supplied=supplied
        )
    print_record(
        {"exchange": exchange, "gate": decision.gate.value, "verdict": decision.verdict.value},
        is_json=is_json,
    )


@review.command()
@click.argument("exchange")
@click.option("--reason", required=True, help="Why it stays out; it goes on record.")
@json_option
@with_settings
def reject(settings: Settings, exchange: str, *, reason: str, is_json: bool) -> None:
    """Say that a held exchange stays out."""
    from proxy.review import reject as reject_on_record

    with open_ledger(settings) as ledger:
        reject_on_record(ledger.log, exchange, actor=actor(), reason=reason)
    print_record({"exchange": exchange, "action": "reject"}, is_json=is_json)


def _facts(given: Iterable[str]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(
                f"`{text}` is not a fact", help="write `--fact NAME=VALUE`", code="usage"
            )
        facts[name] = _value(name, value)
    return facts


def _value(name: str, text: str) -> Fact:
    spec = spec_of(name)
    if spec is None:
        raise SettingsError(
            f"`{name}` is not a fact",
            help=nearest(name, CATALOGUE)
            or "`inbond review list` names the facts that are missing",
            code="unknown-fact",
        )
    match spec.type:
        case FactType.BOOL if text in {"true", "false"}:
            return text == "true"
        case FactType.NUMBER if text.isascii() and text.isdecimal():
            return int(text)
        case FactType.SET:
            return frozenset(part for part in text.split(",") if part)
        case FactType.TEXT:
            return text
        case FactType.CHOICE if text in spec.values:
            return text
        case _:
            raise SettingsError(
                f"`{text}` is not a value of `{name}`",
                help="see the catalogue of facts: true or false, a number, a listed choice, or a,b",
                code="usage",
            )
