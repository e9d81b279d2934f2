"""`inbond doctor` as a user runs it: real clients of this machine, and the running proxy."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Workspace

pytestmark = pytest.mark.slow


async def test_the_doctor_tells_through_from_around(template: Path, tmp_path: Path) -> None:
    """Under `inbond run` every library goes through; without its variables, every one around."""
    workspace = Workspace.copy(template, tmp_path / "workspace")
    path = str(Path(sys.executable).parent)
    words = ("-m", "proxy.cli", "-C", str(workspace.directory), "doctor", "--json")
    async with workspace.running():
        under = await workspace.said(
            *("run", "--via", "proxy", "--key", workspace.key, "--", sys.executable, *words),
            is_child=True,
            PATH=path,
        )
        nothing: dict[str, Any] = dict.fromkeys(_VARIABLES, "")
        bare = await workspace.said("doctor", **nothing, PATH=path)
    through, around = _calls(under.out), _calls(bare.out)
    bare_aiohttp = through.pop("aiohttp without trust_env")
    assert bare_aiohttp == "hint"
    assert {"urllib", "httpx", "requests", "aiohttp", "grpc"} <= set(through)
    assert set(through.values()) == {"ok"}, under.out
    assert set(around.values()) <= {"around", "hint"}, bare.out
    assert bare.status == 1
    assert workspace.records() == []


_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


def _calls(out: str) -> dict[str, str]:
    """The outcomes of the calls, by library."""
    rows = [json.loads(line) for line in out.splitlines()]
    python = os.fspath(Path(sys.executable).parent)
    return {
        row["check"].partition(" by ")[2].partition(" ")[2]: row["outcome"]
        for row in rows
        if row["check"].startswith(f"call by {python}")
    }
