"""`inbond dataset`: seal what a student may learn from, and say what is in it."""

from pathlib import Path

import click

from proxy.cli.openledger import notary_of, open_ledger
from proxy.cli.render import json_option, note, print_record, print_rows
from proxy.cli.workspace import actor, with_settings
from proxy.clock import utc_now
from proxy.errors import SettingsError
from proxy.settings import Settings

__all__ = ["dataset"]


@click.group()
def dataset() -> None:
    """Seal what may be learned from."""


@dataset.command()
@click.option("--student", required=True, help="Whom it is for: a declared student.")
@click.option("--from-project", "project", help="Only exchanges of this project.")
@click.option("--source", help="Only what this source was imported as, or prompts made of it.")
@click.option("--recipient", default="the trainer", show_default=True, help="Who gets it.")
@json_option
@with_settings
def build(
    settings: Settings,
    *,
    student: str,
    project: str | None,
    source: str | None,
    recipient: str,
    is_json: bool,
) -> None:
    """Decide again today on every exchange, and seal those that are permitted."""
    from policies.diagnostics import nearest
    from proxy.dataset import choose, seal_dataset
    from proxy.inforce import put_in_force, workspace_bundle
    from proxy.registry import registry_of

    with open_ledger(settings) as ledger:
        bundle = workspace_bundle(settings, ledger.database)
        declared = bundle.students.get(student)
        if declared is None:
            raise SettingsError(
                f"no student `{student}` is declared in `policies/students/`",
                help=nearest(student, bundle.students) or "declare it, then build again",
                code="unknown-student",
            )
        put_in_force(ledger.log, bundle, actor())
        note("deciding on every exchange…")
        chosen = choose(
            ledger.database,
            bundle,
            registry_of(settings),
            declared,
            project=project,
            source=source,
            at=utc_now(),
        )
        sealed = seal_dataset(
            chosen,
            notary_of(ledger),
            settings.datasets_directory,
            actor=actor(),
            recipient=recipient,
        )
    print_record(
        {
            "dataset": sealed.dataset,
            "path": sealed.path,
            "student": student,
            "rows": sealed.rows,
            "considered": len(chosen.manifest),
            "left_out": chosen.left_out(),
            "root": sealed.root,
            "valid_until": sealed.valid_until,
        },
        is_json=is_json,
    )


@dataset.command("list")
@json_option
@with_settings
def list_(settings: Settings, *, is_json: bool) -> None:
    """List the datasets that were sealed, oldest first."""
    from proxy.store.queries import datasets

    with open_ledger(settings) as ledger, ledger.database.read() as connection:
        found = datasets(connection)
    rows = [
        {
            "dataset": item.entry.dataset,
            "at": item.entry.at,
            "student": item.entry.student,
            "rows": item.entry.rows,
            "valid_until": item.entry.valid_until,
            "recipient": item.entry.recipient,
        }
        for item in found
    ]
    print_rows(rows, is_json=is_json, empty="no dataset was sealed yet")


@dataset.command()
@click.argument("dataset_id", metavar="DATASET")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; else `datasets/DATASET.status.json`.",
)
@json_option
@with_settings
@click.pass_context
def status(
    ctx: click.Context, settings: Settings, dataset_id: str, *, out: Path | None, is_json: bool
) -> None:
    """Decide again on every row of DATASET and sign what it is worth today, for `student train`.

    Exits with 1 where it is not good.
    """
    from proxy.inforce import put_in_force, workspace_bundle
    from proxy.withdrawal import Registrar, dataset_named

    with open_ledger(settings) as ledger:
        bundle = workspace_bundle(settings, ledger.database)
        put_in_force(ledger.log, bundle, actor())
        with ledger.database.read() as connection:
            entry = dataset_named(connection, dataset_id)
        registrar = Registrar(
            notary=notary_of(ledger),
            bundle=bundle,
            datasets=settings.datasets_directory,
            at=utc_now(),
            actor=actor(),
        )
        target = out or settings.datasets_directory / f"{entry.dataset}.status.json"
        issued = registrar.issue(entry, target)
    print_record(
        {
            "dataset": entry.dataset,
            "state": issued.entry.state,
            "cause": issued.entry.cause,
            "until": issued.entry.until,
            "affected": {each.exchange: each.reason for each in issued.affected},
            "file": issued.path,
        },
        is_json=is_json,
    )
    if issued.entry.state != "good":
        ctx.exit(1)


@dataset.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@json_option
def show(path: Path, *, is_json: bool) -> None:
    """Say what is in the dataset bundle at PATH: teachers, licences, clauses. Verifies nothing."""
    from collections import Counter

    from proxy.ledger.bundle import read_bundle

    with read_bundle(path) as bundle:
        rows = bundle.examples()
        about = bundle.about()
    groups = Counter(
        (row.provider, row.model, row.licence, row.clauses, row.grants, row.duties) for row in rows
    )
    taught = [
        {
            "provider": provider,
            "model": model,
            "licence": licence,
            "clauses": list(clauses),
            "grants": list(grants),
            "duties": list(duties),
            "examples": count,
        }
        for (provider, model, licence, clauses, grants, duties), count in groups.most_common()
    ]
    print_rows(taught, is_json=is_json, empty="the dataset is empty")
    counts = {name: about.get(name) for name in ("considered", "left_out")}
    print_record({"dataset": about.get("subject"), "rows": len(rows), **counts}, is_json=is_json)
    note(f"hint: nothing was verified; `inbond audit verify {path} --key VKEY` does")
