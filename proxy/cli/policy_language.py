"""`inbond policy facts | schema`: what policies may say, for people, programs and editors."""

import json
from collections.abc import Iterator

import click

from policies.facts import CATALOGUE, COUNTER_PREFIX, FactSpec, spec_of
from policies.schema import dump, schema
from proxy.cli.render import json_option, print_rows

__all__ = ["facts", "print_schema"]


@click.command("facts")
@json_option
def facts(*, is_json: bool) -> None:
    """Show the facts that a condition may ask about: the whole catalogue."""
    specs = _facts()
    print_rows(map(_as_json if is_json else _as_row, specs), is_json=is_json)


def _facts() -> Iterator[FactSpec]:
    yield from CATALOGUE.values()
    counter = spec_of(f"{COUNTER_PREFIX}NAME")
    assert counter is not None  # noqa: S101 - every name makes a counter
    yield counter


def _as_row(spec: FactSpec) -> dict[str, object]:
    return {
        "fact": spec.name,
        "takes": spec.values or spec.type.value,
        "known from": spec.gate.value,
        "supplied by": spec.supplied_by,
        "says": spec.doc,
    }


def _as_json(spec: FactSpec) -> dict[str, object]:
    return {
        "fact": spec.name,
        "type": spec.type.value,
        "values": list(spec.values),
        "gate": spec.gate.value,
        "asserter": spec.asserter.value,
        "supplied_by": spec.supplied_by,
        "standing": spec.standing,
        "doc": spec.doc,
    }


@click.command("schema")
@json_option
def print_schema(*, is_json: bool) -> None:
    """Print the JSON Schema of policy files, for editors: completion, hover help, squiggles."""
    click.echo(json.dumps(schema(), ensure_ascii=False) if is_json else dump(), nl=is_json)
