"""`inbond demo` for real: a teacher nobody here wrote, two modes, a student, an audit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def _children_of(marker: str) -> list[str]:
    """Command lines of running processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in line:
            found.append(line)
    return found


def test_the_demo_takes_one_answer_through_the_whole_journey(tmp_path: Path) -> None:
    """Answers in both modes, a refusal, a review, a dataset, a falling loss, an audit, no leftovers."""
    home = tmp_path / "home"
    home.mkdir()
    place = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli", "demo", str(place), "--json"],
        env={**os.environ, "HOME": str(home), "HTTPS_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told["answered"]) == {"proxy", "base-url"}
    assert all(told["answered"].values())
    assert told["refused"]["raised"] == "PermissionDeniedError"
    assert "openai-api/no-competing-models" in told["refused"]["message"]
    assert told["dataset"]["rows"] == sum(told["answered"].values()) + 1
    first, last = told["run"]["losses"]
    assert last < first
    before, after = told["held_out"]["losses"]
    assert after < before
    assert "Loss by step" in (Path(told["run"]["path"]) / "report.html").read_text()
    assert (told["audit"]["verifies"], told["forgery"]["verifies"]) == (True, False)
    for path, status in (
        (told["dataset"]["path"], 0),
        (told["audit"]["path"], 0),
        (told["forgery"]["path"], 1),
    ):
        command = [sys.executable, "-m", "proxy.cli", "audit", "verify", path]
        verdict = subprocess.run(
            [*command, "--key", told["log_key"]], capture_output=True, check=False
        )
        assert verdict.returncode == status, verdict.stdout
    assert _children_of(str(place)) == []
    assert Path(told["workspace"]).is_relative_to(place)
