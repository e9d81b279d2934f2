"""`inbond policy facts | schema`: the vocabulary, for people, programs and editors."""

import json

from click.testing import CliRunner

from policies.facts import CATALOGUE
from policies.schema import dump, schema
from proxy.cli import main


def test_every_fact_is_in_the_table() -> None:
    """The table names every fact and every value of a choice, and counters as one row."""
    result = CliRunner().invoke(main, ["policy", "facts"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == len(CATALOGUE) + 2
    for spec in CATALOGUE.values():
        row = next(line for line in lines if line.split()[0] == spec.name)
        assert spec.doc in row
        assert all(value in row for value in spec.values)
    assert lines[-1].startswith("counter.NAME")


def test_programs_get_one_fact_a_line() -> None:
    """With --json each fact is an object with its type, values, first gate and supplier."""
    result = CliRunner().invoke(main, ["policy", "facts", "--json"])
    found = {each["fact"]: each for each in map(json.loads, result.stdout.splitlines())}
    assert found.keys() == {*CATALOGUE, "counter.NAME"}
    assert found["student.release"] == {
        "fact": "student.release",
        "type": "choice",
        "values": ["internal", "service", "open-weights"],
        "gate": "request",
        "asserter": "declared",
        "supplied_by": "the declaration of the student",
        "standing": "choice",
        "doc": "Who gets the student.",
    }


def test_the_schema_is_the_one_that_ships() -> None:
    """The command prints the text of `schema.json`, and with --json the same on one line."""
    shown = CliRunner().invoke(main, ["policy", "schema"])
    assert (shown.exit_code, shown.stdout) == (0, dump())
    (line,) = CliRunner().invoke(main, ["policy", "schema", "--json"]).stdout.splitlines()
    assert json.loads(line) == schema()
