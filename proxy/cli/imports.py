"""`inbond import`: examples that did not come through the proxy, with the same trail as answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, override

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.clock import utc_now
from proxy.settings import Settings

__all__ = ["import_"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class _Import(click.Group):
    """`inbond import FILE …` is `inbond import add FILE …`."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_file = bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        return super().parse_args(ctx, ["add", *args] if is_file else args)


@click.group("import", cls=_Import)
def import_() -> None:
    """Bring in examples of other origin, on evidence. `import FILE` is short for `import add FILE`."""


@import_.command()
@click.argument("file", type=_FILE)
@click.option("--source", required=True, help="The name of the data: a source, declared if new.")
@click.option(
    "--origin",
    type=click.Choice(["own", "open", "licensed", "teacher"]),
    help="Whose it is: ours, openly licensed, under a contract, or answers of a model. "
    "Else `teacher` with `--teacher`, and `open` without.",
)
@click.option("--licence", required=True, help="An SPDX identifier, or a `LicenseRef-…`.")
@click.option(
    "--evidence",
    type=_FILE,
    multiple=True,
    help="A paper it rests on: licence text, contract, consent. Kept beside the log.",
)
@click.option("--project", required=True, help="On whose behalf.")
@click.option("--student", help="The declared student to stamp; else that of the project's key.")
@click.option("--duty", "duties", multiple=True, metavar="KIND=VALUE", help="What follows from it.")
@click.option("--teacher", metavar="CONTRACT:MODEL", help="Who answered, as the log says.")
@click.option(
    "--answered",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day on which the teacher answered: the terms of that day count, and today's.",
)
@click.option("--reason", required=True, help="On what the import rests; it goes on record.")
@json_option
@with_settings
def add(  # noqa: PLR0913 - one parameter for each option
    settings: Settings,
    file: Path,
    *,
    source: str,
    origin: str | None,
    licence: str,
    evidence: tuple[Path, ...],
    project: str,
    student: str | None,
    duties: tuple[str, ...],
    teacher: str | None,
    answered: datetime | None,
    reason: str,
    is_json: bool,
) -> None:
    """Put the chats in FILE on record: JSONL of `messages` that end with an assistant's turn."""
    from proxy.declared import declared_in
    from proxy.detectors import load_detectors
    from proxy.import_standing import bad_import
    from proxy.imports import Importer, Offer, origin_of, teacher_named
    from proxy.inforce import put_in_force, workspace_bundle
    from proxy.registry import registry_of

    if (teacher is None) != (answered is None):
        fix = "give both for answers of a teacher, and neither for other data"
        raise bad_import("`--teacher` and `--answered` belong together", fix)
    said = None
    if teacher is not None and answered is not None:
        day = answered.replace(tzinfo=UTC)
        if day > utc_now():
            raise bad_import("the day of the answers is still to come", "give the day they have")
        said = teacher_named(registry_of(settings), teacher, day)
    offer = Offer(
        origin=origin_of(origin or ("teacher" if teacher else "open")),
        file=file,
        source=source,
        licence=licence,
        evidence=evidence,
        project=project,
        student=student,
        duties=duties,
        teacher=said,
        reason=reason,
    )
    detectors = load_detectors(settings.detectors)
    try:
        with open_ledger(settings) as ledger:
            bundle = workspace_bundle(settings, ledger.database)
            put_in_force(ledger.log, bundle, actor())
            note("reading, sealing and deciding on every line…")
            brought = Importer(
                log=ledger.log,
                bundle=bundle,
                detectors=detectors,
                organisation=declared_in(settings).organisation,
                actor=actor(),
                at=utc_now(),
            ).bring(offer)
    finally:
        detectors.close()
    decision = brought.decision
    print_record(
        {
            "import": brought.entry.batch,
            "source": source,
            "origin": brought.entry.origin,
            "licence": licence,
            "lines": brought.entry.lines,
            "recorded": brought.recorded,
            "verdicts": brought.verdicts,
            "by": decision.by,
            "silent": [layer.value for layer in decision.silent],
            "missing": [missing.fact for missing in decision.missing],
            "evidence": brought.entry.evidence,
        },
        is_json=is_json,
    )
    for hint in _hints(brought.entry.origin, brought.entry.batch, brought.verdicts):
        note(f"hint: {hint}")


def _hints(origin: str, batch: str, verdicts: Mapping[str, int]) -> list[str]:
    hints = []
    if origin == "teacher":
        hints.append(
            f"a teacher's answers are somebody's word until a person vouches for them: "
            f"`inbond import confirm {batch} --reason …`"
        )
    if verdicts.keys() - {"permit"}:
        hints.append(
            "nothing is learned from what no policy permits: write what its licence or contract allows "
            "as a policy for the route `imported`"
        )
    return hints


@import_.command()
@click.argument("batch", metavar="IMPORT")
@click.option("--reason", required=True, help="How you know; it goes on record.")
@json_option
@with_settings
def confirm(settings: Settings, batch: str, *, reason: str, is_json: bool) -> None:
    """Vouch for what IMPORT declares of a teacher's answers: who answered, when, under which terms."""
    _settle(settings, batch, "confirm", reason, is_json=is_json)


@import_.command()
@click.argument("batch", metavar="IMPORT")
@click.option("--reason", required=True, help="Why it may be used no more; it goes on record.")
@json_option
@with_settings
def withdraw(settings: Settings, batch: str, *, reason: str, is_json: bool) -> None:
    """Take IMPORT back for good: nothing of it is in a dataset from then on."""
    _settle(settings, batch, "withdraw", reason, is_json=is_json)
    note(
        "hint: `inbond recall` withdraws the datasets that hold it; `inbond dataset status` says which"
    )


@import_.command("list")
@json_option
@with_settings
def list_(settings: Settings, *, is_json: bool) -> None:
    """List the imports and how they stand."""
    from proxy.import_standing import standings

    with open_ledger(settings) as ledger:
        found = standings(ledger.log)
    rows = [
        {
            "import": each.entry.batch,
            "at": each.entry.at,
            "source": each.entry.name,
            "origin": each.entry.origin,
            "licence": each.entry.licence,
            "project": each.entry.project,
            "lines": each.entry.lines,
            "problem": each.problem or None,
        }
        for each in found
    ]
    print_rows(rows, is_json=is_json, empty="nothing was imported yet")


@import_.command()
@click.argument("batch", metavar="IMPORT")
@click.option(
    "--papers",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder to write the evidence to, each paper under its digest.",
)
@json_option
@with_settings
def show(settings: Settings, batch: str, *, papers: Path | None, is_json: bool) -> None:
    """Say what is on record of IMPORT; `--papers` writes its evidence out."""
    from proxy.import_standing import papers_of, progress_of, standing_of

    with open_ledger(settings) as ledger:
        found = standing_of(ledger.log, batch)
        recorded = progress_of(ledger.log, found.entry)
        written = papers_of(ledger.log, found.entry) if papers is not None else {}
    if papers is not None:
        papers.mkdir(parents=True, exist_ok=True)
        for digest, content in written.items():
            (papers / digest).write_bytes(content)
    entry = found.entry
    print_record(
        {
            "import": entry.batch,
            "at": entry.at,
            "by": entry.actor,
            "source": entry.name,
            "origin": entry.origin,
            "licence": entry.licence,
            "project": entry.project,
            "student": entry.student,
            "declared": entry.facts,
            "answered_at": entry.answered_at,
            "file": entry.digest,
            "lines": entry.lines,
            "recorded": recorded,
            "evidence": entry.evidence,
            "problem": found.problem or None,
            "reason": entry.reason,
        },
        is_json=is_json,
    )


def _settle(
    settings: Settings,
    batch: str,
    action: Literal["confirm", "withdraw"],
    reason: str,
    *,
    is_json: bool,
) -> None:
    from proxy.import_standing import settle

    with open_ledger(settings) as ledger:
        entry = settle(ledger.log, batch, action, actor=actor(), reason=reason, at=utc_now())
    print_record(
        {"import": batch, "entry": entry.id, "action": action, "at": entry.at},
        is_json=is_json,
    )
