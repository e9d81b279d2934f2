"""`inbond terms`: the texts that policies cite, kept and followed clause by clause."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from policies.bundle import Bundle
from proxy.cli.openledger import Ledger, open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.clock import utc_now
from proxy.errors import SettingsError
from proxy.settings import Settings
from proxy.terms import Change, Shelf, Standing, source_named
from proxy.texts import Version

__all__ = ["terms"]

_FINDINGS = 1
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DAY = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.group()
def terms() -> None:
    """Keep the texts that policies cite, and see which cited clauses changed.

    A changed clause never changes a verdict: it puts the rules that cite it up for review.
    """


@terms.command("import")
@click.argument("source")
@click.option("--file", type=_FILE, help="A text, Markdown or HTML file.")
@click.option("--taken", type=_DAY, help="The day the file's text was seen (UTC); else today.")
@click.option("--fetch", is_flag=True, help="Fetch the address that the policy names.")
@click.option("--url", help="Fetch this address instead.")
@click.option("--archive", type=_FOLDER, help="A git repository that keeps versions of the text.")
@click.option("--path", help="The file inside the archive; else the one that the policy names.")
@click.option("--vantage", help="From where it was seen, such as `berlin`; each is a series.")
@json_option
@with_settings
def import_(  # noqa: PLR0913 - options of one command
    settings: Settings,
    source: str,
    *,
    file: Path | None,
    taken: datetime | None,
    fetch: bool,
    url: str | None,
    archive: Path | None,
    path: str | None,
    vantage: str | None,
    is_json: bool,
) -> None:
    """Put the text of SOURCE (`POLICY/SOURCE`) on record, from one of four places."""
    from proxy.terms import import_versions

    with open_ledger(settings) as ledger:
        named = source_named(_bundle(settings, ledger), source)
        places = [file is not None, fetch or url is not None, archive is not None]
        if sum(places) != 1:
            raise SettingsError(
                "one place to read the text from is needed",
                help="give `--file`, `--fetch`, `--url` or `--archive`",
                code="usage",
            )
        if file is not None:
            versions, seen_from = _from_file(file, taken), "file"
        elif archive is not None:
            versions, seen_from = _from_archive(archive, path, named.record), "archive"
        else:
            versions, seen_from = _fetched(url or named.url), ""
        if not (vantage or seen_from):
            raise SettingsError(
                "a page may read differently elsewhere, so where it was seen is part of the record",
                help="add `--vantage PLACE`, always the same for the same place",
                code="usage",
            )
        count = import_versions(
            ledger.log,
            _shelf(settings),
            source,
            versions,
            vantage=vantage or seen_from,
            actor=actor(),
        )
    record = {
        "source": source,
        "vantage": vantage or seen_from,
        "read": len(versions),
        "new": count,
    }
    print_record(record, is_json=is_json)


def _from_file(path: Path, taken: datetime | None) -> tuple[Version, ...]:
    from proxy.texts import from_file

    at = utc_now() if taken is None else taken.replace(tzinfo=UTC)
    if at > utc_now():
        raise SettingsError(
            "the text cannot have been seen in the future",
            help="give the day it was seen with `--taken`",
            code="usage",
        )
    return (from_file(path, taken_at=at),)


def _fetched(url: str) -> tuple[Version, ...]:
    from proxy.texts import fetch

    return (fetch(url, now=utc_now()),)


def _from_archive(folder: Path, path: str | None, record: str) -> tuple[Version, ...]:
    import json

    from proxy.texts import from_archive

    inside = path or json.loads(record).get("archive", {}).get("path")
    if not inside:
        raise SettingsError(
            "the policy names no file in an archive for this source",
            help="name it by its path inside the repository, with `--path`",
            code="usage",
        )
    return from_archive(folder, inside)


@terms.command()
@click.option("--all", "is_all", is_flag=True, help="Show clauses that did not change, too.")
@json_option
@with_settings
@click.pass_context
def status(ctx: click.Context, settings: Settings, *, is_all: bool, is_json: bool) -> None:
    """Say where each cited clause stands; exits 1 if a changed one waits to be read."""
    from proxy.terms import snapshots, standings

    with open_ledger(settings) as ledger:
        bundle = _bundle(settings, ledger)
        found = standings(bundle, snapshots(ledger.database), _shelf(settings))
    shown = [one for one in found if is_all or one.state in {"suspected", "confirmed"}]
    print_rows(map(_row, shown), is_json=is_json, empty="no cited clause has changed")
    if not is_json:
        _sum_up(found)
    ctx.exit(_FINDINGS if any(one.needs_review for one in found) else 0)


def _row(one: Standing) -> dict[str, object]:
    drift = one.drift
    return {
        "source": one.cited.source,
        "clause": one.cited.clause,
        "vantage": one.vantage or None,
        "state": one.state,
        "since": drift.since if drift else None,
        "flaps": drift.flaps if drift else None,
        "followed": None if drift is None else "clause" if one.is_found else "whole text",
        "rules": list(one.cited.rules),
    }


def _sum_up(found: Iterable[Standing]) -> None:
    counts: dict[str, int] = {}
    rules: set[str] = set()
    for one in found:
        counts[one.state] = counts.get(one.state, 0) + 1
        rules |= set(one.cited.rules) if one.needs_review else set()
    note(
        ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "nothing cited"
    )
    if rules:
        note(f"read again: {', '.join(sorted(rules))}")
        note(
            "hint: `inbond terms diff SOURCE` shows what changed, `inbond terms review` records it"
        )


@terms.command()
@click.argument("source")
@click.option("--vantage", default="", help="As seen from here; else from where it was seen last.")
@click.option("--cited", "is_cited", is_flag=True, help="Only clauses that rules cite.")
@json_option
@with_settings
@click.pass_context
def diff(
    ctx: click.Context,
    settings: Settings,
    source: str,
    *,
    vantage: str,
    is_cited: bool,
    is_json: bool,
) -> None:
    """Show what the newest text of SOURCE says differently; exits 1 if a cited clause changed."""
    from proxy.terms import changes, snapshots

    with open_ledger(settings) as ledger:
        bundle = _bundle(settings, ledger)
        source_named(bundle, source)
        taken = snapshots(ledger.database)
        found = changes(bundle, source, taken, _shelf(settings), vantage=vantage)
    shown = [one for one in found if one.rules or not is_cited]
    if is_json:
        print_rows(map(_change, shown), is_json=True)
    else:
        _print_changes(shown)
    ctx.exit(_FINDINGS if any(one.rules for one in found) else 0)


def _change(one: Change) -> dict[str, object]:
    return {
        "clause": one.label,
        "before": one.before,
        "after": one.after,
        "rules": list(one.rules),
    }


def _print_changes(shown: Iterable[Change]) -> None:
    is_empty = True
    for one in shown:
        is_empty = False
        cited = f"  cited by {', '.join(one.rules)}" if one.rules else ""
        click.echo(click.style(f"{one.label or '(before the first clause)'}{cited}", bold=True))
        for sign, words, colour in (("-", one.before, "red"), ("+", one.after, "green")):
            if words:
                text = "".join(char if char.isprintable() else " " for char in words)
                click.echo(click.style(f"  {sign} {text}", fg=colour))
    if is_empty:
        note("nothing changed since the text was last read")


@terms.command()
@click.argument("source")
@click.option("--reason", required=True, help="What the change means; it goes on record.")
@json_option
@with_settings
def review(settings: Settings, source: str, *, reason: str, is_json: bool) -> None:
    """Say that the newest text of SOURCE was read, and its rules with it."""
    from proxy.terms import review as review_on_record

    with open_ledger(settings) as ledger:
        source_named(_bundle(settings, ledger), source)
        count = review_on_record(ledger.log, source, actor=actor(), reason=reason)
    print_record({"source": source, "action": "review", "vantages": count}, is_json=is_json)


def _bundle(settings: Settings, ledger: Ledger) -> Bundle:
    from proxy.inforce import workspace_bundle

    return workspace_bundle(settings, ledger.database)


def _shelf(settings: Settings) -> Shelf:
    return Shelf(settings.directory / "terms")
