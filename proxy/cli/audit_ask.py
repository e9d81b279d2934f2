"""`inbond audit ask`, `trace`, `prove` and `tables`: answers without an audit to hand over."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.audit_scope import chosen_in, holding_of, scope_of, scope_options
from proxy.cli.openledger import notary_of, open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.settings import Settings

if TYPE_CHECKING:  # it costs more than a command that needs it not
    from proxy.audit.evidence import Evidence
    from proxy.audit.holding import Holding
    from proxy.audit.scope import Scope

__all__ = ["ask", "prove", "tables", "trace"]

_BUNDLE = click.option(
    "--bundle",
    type=click.Path(path_type=Path, exists=True),
    help="An audit or dataset to ask instead of this workspace; verify it first.",
)


@with_settings
def _settings(settings: Settings) -> Settings:
    return settings


@click.command()
@click.argument("word", metavar="QUESTION")
@click.option("--exchange", metavar="ID", help="Only this exchange.")
@scope_options
@_BUNDLE
@json_option
def ask(*, word: str, bundle: Path | None, is_json: bool, **given: Any) -> None:
    """Answer QUESTION, one of the fifteen of an audit, by number or name; `list` names them."""
    from proxy.audit.questions import QUESTIONS, question

    if word == "list":
        rows = [{"number": each.number, "name": each.name, "asks": each.asks} for each in QUESTIONS]
        print_rows(rows, is_json=is_json)
        return
    asked = question(word)
    with holding_of(_settings, bundle) as holding:
        answer = asked.answer(_gathered(holding, scope_of(given)))
    if is_json:
        print_rows(answer.records(), is_json=True, empty=answer.says)
    else:
        note(f"{asked.asks}\n{answer.says}")
        print_rows(answer.records(), is_json=False)
    for missing in answer.not_recorded:
        note(f"not covered: {missing}")


@click.command()
@click.argument("word", metavar="NAME", required=False)
@click.option("--svg", type=click.Path(path_type=Path), help="Write a picture to this file.")
@_BUNDLE
@json_option
def trace(*, word: str | None, svg: Path | None, bundle: Path | None, is_json: bool) -> None:
    """Walk the lineage of NAME both ways: an exchange, dataset, student, provider, run or terms."""
    from proxy.audit.picture import standalone
    from proxy.audit.scope import Scope
    from proxy.audit.trace import trace as traced
    from proxy.audit.trace import trace_text

    with holding_of(_settings, bundle) as holding:
        exchange = None if word is None else word.partition("#")[0]
        one = _gathered(holding, Scope(exchange=exchange)) if exchange else None
        if one is not None and one.exchanges:
            found = traced(one)
        else:
            found = traced(_gathered(holding, Scope()), word)
    if svg is not None:
        svg.write_text(standalone(found), encoding="utf-8")
        note(f"the picture is in `{svg}`")
    if is_json:
        rows = [
            {
                "from": f"{edge.start.kind}:{edge.start.id}",
                "to": f"{edge.end.kind}:{edge.end.id}",
                "examples": count,
            }
            for edge, count in found.edges.items()
        ]
        print_rows(rows, is_json=True)
    else:
        click.echo(trace_text(found), nl=False)


@click.command()
@click.argument("exchange")
@click.option(
    "--out", "target", type=click.Path(path_type=Path), help="The file; else EXCHANGE.tlog-proof."
)
@click.option("--open", "is_open", is_flag=True, help="Disclose its texts; the ledger keeps that.")
@click.option("--recipient", default="the auditor", show_default=True, help="Who gets the texts.")
@json_option
@with_settings
def prove(
    settings: Settings,
    exchange: str,
    *,
    target: Path | None,
    is_open: bool,
    recipient: str,
    is_json: bool,
) -> None:
    """Write the receipt of one EXCHANGE: its entry, proof and checkpoint (C2SP tlog-proof)."""
    from proxy.audit.receipts import prove as proven

    path = (target or Path(f"{exchange.partition('#')[0]}.tlog-proof")).absolute()
    with open_ledger(settings) as ledger:
        made = proven(
            notary_of(ledger),
            exchange,
            path,
            actor=actor(),
            recipient=recipient if is_open else None,
        )
    print_record(
        {
            "exchange": made.exchange,
            "path": made.path,
            "place": made.place,
            "size": made.size,
            "opened": made.openings,
        },
        is_json=is_json,
    )


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    default="jsonl",
    show_default=True,
    help="How to write them.",
)
@scope_options
@_BUNDLE
@json_option
def tables(*, target: Path, form: Any, bundle: Path | None, is_json: bool, **given: Any) -> None:
    """Write exchanges, decisions, examples and papers as plain tables to the directory TARGET.

    They are for reading and prove nothing: an audit does.
    """
    from proxy.audit.plain import write_tables
    from proxy.notary import refuse_taken

    refuse_taken(target)
    with holding_of(_settings, bundle) as holding:
        counts = write_tables(holding, chosen_in(holding, scope_of(given)), target, form)
    print_record({"path": target.absolute(), **counts}, is_json=is_json)


def _gathered(holding: "Holding", scope: "Scope") -> "Evidence":
    """The evidence within a scope."""
    from proxy.audit.evidence import gather
    from proxy.audit.operators import operators

    chosen = chosen_in(holding, scope)
    leaves = (leaf for leaf in holding.leaves() if chosen is None or leaf in chosen)
    examples = (row for row in holding.examples() if chosen is None or chosen.has_example(row))
    return gather(holding, leaves, examples, operators())
