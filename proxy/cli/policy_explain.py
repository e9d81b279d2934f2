"""`inbond policy explain`: why a decision is what it is, and what it turns on."""

import re
import sys
from pathlib import Path

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import with_settings
from proxy.settings import Settings

__all__ = ["explain_command"]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GATES = ("request", "response", "dataset", "release")
_STDIN = "-"


@click.command("explain")
@click.argument("subject", metavar="EXCHANGE|FACTS")
@click.option(
    "--gate",
    type=click.Choice(_GATES),
    help="Where to decide; else the last gate an exchange reached, and `dataset` for facts.",
)
@json_option
@with_settings
def explain_command(settings: Settings, *, subject: str, gate: str | None, is_json: bool) -> None:
    """Say why, why not, and what would change it: of an exchange on record, or of facts.

    EXCHANGE is an id; it is decided again with the policies in force then, and with today's. FACTS is
    a YAML or JSON file of `fact: value` lines, with `at:` as test cases have it, or `-`; it is
    decided with the policies of the workspace as they lie there.
    """
    if subject != _STDIN and _ID.fullmatch(subject) and not Path(subject).exists():
        _explain_exchange(settings, subject, gate, is_json=is_json)
    else:
        _explain_facts(settings, subject, gate or "dataset", is_json=is_json)


def _explain_exchange(settings: Settings, id_: str, gate: str | None, *, is_json: bool) -> None:
    from policies.model import Gate
    from proxy.cli.explained import (
        explained_json,
        explained_text,
        near_json,
        near_text,
        retraced_text,
    )
    from proxy.clock import utc_now
    from proxy.inforce import bundle_in_force
    from proxy.nearing import near_exchange
    from proxy.retrace import retrace

    now = utc_now()
    with open_ledger(settings) as ledger:
        found = retrace(ledger.database, id_, Gate(gate) if gate else None, now)
        near = near_exchange(ledger.database, bundle_in_force(ledger.database), id_, now)
    if is_json:
        recorded = found.recorded
        today = found.today
        record = {
            "exchange": found.exchange,
            **explained_json(found.explanation),
            "recorded": None if recorded is None else recorded.verdict,
            "is_as_recorded": found.is_as_recorded,
            "counted": near_json(near),
            "today": {
                "bundle": today.bundle,
                "verdict": today.verdict.value,
                "by": list(today.by),
                "is_same": found.is_same_today,
            },
        }
        print_record(record, is_json=True)
        return
    click.echo(f"exchange {found.exchange}")
    for line in [*explained_text(found.explanation), *near_text(near), *retraced_text(found)]:
        click.echo(line)
    if not found.is_as_recorded:
        note("hint: deciding again does not give what is on record; run `inbond ledger verify`")


def _explain_facts(settings: Settings, subject: str, gate: str, *, is_json: bool) -> None:
    from policies.decision import Moment
    from policies.explain import explain
    from policies.given import read_given
    from policies.model import Gate
    from proxy.cli.explained import explained_json, explained_text, near_json, near_text
    from proxy.clock import utc_now
    from proxy.inforce import workspace_bundle
    from proxy.nearing import near_now

    data = _read(subject)
    name = "(standard input)" if subject == _STDIN else subject
    now = utc_now()
    with open_ledger(settings) as ledger:
        bundle = workspace_bundle(settings, ledger.database)
        counters = {name for policy in bundle.policies for name in policy.counters}
        given = read_given(name, data, counters)
        near = near_now(ledger.database, bundle, given.facts, now)
    exchange = Moment(at=given.exchange or now, facts=given.facts)
    today = Moment(at=given.today or now, facts=given.facts)
    found = explain(bundle, Gate(gate), exchange, today)
    if is_json:
        print_record({**explained_json(found), "counted": near_json(near)}, is_json=True)
        return
    for line in [*explained_text(found), *near_text(near)]:
        click.echo(line)


def _read(subject: str) -> bytes:
    """The bytes of FACTS.

    Raises:
        SettingsError: there is no such file, or it cannot be read.
    """
    from proxy.errors import SettingsError

    if subject == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(subject).read_bytes()
    except FileNotFoundError as error:
        raise SettingsError(
            f"`{subject}` is neither the id of an exchange nor a file",
            help="give the id that `x-inbond-exchange` of an answer names, or a file of facts",
            code="usage",
        ) from error
    except OSError as error:
        raise SettingsError(
            f"`{subject}` cannot be read: {(error.strerror or 'no reason given').lower()}",
            help="check that it is a file and that its mode lets you read it",
            code="unreadable",
        ) from error
