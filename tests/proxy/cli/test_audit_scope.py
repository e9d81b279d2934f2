"""The options of a scope are read, and what cannot be is refused before anything is on record."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from proxy.cli.audit_scope import scope_of, scope_options
from tests.proxy.workshop import Workshop


@click.command()
@scope_options
def shown(**given: str | None) -> None:
    """Print what the options became."""
    click.echo(json.dumps(scope_of(given).query))


@pytest.mark.parametrize(
    ("day", "stamp"),
    [
        ("2026-11-24", "2026-11-24T00:00:00.000Z"),
        ("2026-11-24T05:00+02:00", "2026-11-24T03:00:00.000Z"),
    ],
)
def test_a_day_is_its_first_moment_in_utc(day: str, stamp: str) -> None:
    """Days and moments become ledger stamps, a provider its contracts."""
    result = CliRunner().invoke(shown, ["--since", day, "--provider", "self-hosted"])
    query = json.loads(result.stdout)
    assert (query["since"], query["routes"]) == (stamp, "self-hosted")


def test_what_is_no_date_is_wrong_use(tmp_path: Path) -> None:
    """A date that cannot be read ends with 2 and says how to write one."""
    result = Workshop(directory=tmp_path).inbond("audit", "ask", 1, "--since", "yesterday")
    assert (result.exit_code, "write 2026-11-24" in result.stderr) == (2, True)
