"""Tests of proxy.cli.workspace."""

import os
from pathlib import Path

from proxy.cli.workspace import actor
from tests.proxy.cli.conftest import Inbond


def test_the_actor_is_an_opaque_id() -> None:
    """Who acts is a number of the system, no name."""
    assert actor() == f"user:{os.getuid()}"


def test_mistakes_in_teachers_are_found_with_their_place(workspace: Path, inbond: Inbond) -> None:
    """Commands read the registry entries of the settings too, and say where one is wrong."""
    with (workspace / "inbond.yaml").open("a") as file:
        file.write("teachers: [{idd: x}]\n")
    result = inbond("key", "list")
    assert result.exit_code == 2
    assert "unknown key `idd` in `teachers[0]`" in result.stderr
    assert "did you mean `id`?" in result.stderr
