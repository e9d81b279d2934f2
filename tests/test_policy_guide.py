"""docs/guides/write-a-policy.md is true: whoever follows it word for word gets a policy and a grant."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_readme import ENDED_S, ROOT, Step, check_words, free_ports, script_of, steps_of

GUIDE = ROOT / "docs" / "guides" / "write-a-policy.md"
FENCED = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.yaml)\n")


def followed(text: str) -> Iterator[Step]:
    """What a reader does, in order: files are written as shown, and commands are typed."""
    for kind, block in FENCED.findall(text):
        if kind == "console":
            yield from steps_of(f"```console\n{block}```")
        elif (name := NAMED.match(block)) is not None:
            yield Step(f"cat > {name[1]} <<'END'\n{block}END", "")


STEPS = tuple(followed(GUIDE.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_a_newcomer_follows_it(tmp_path: Path) -> None:
    """In a fresh workspace each file is sound where it is shown, and each command ends well."""
    listen, console = free_ports(2)
    environ = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "INBOND_LISTEN": f"127.0.0.1:{listen}",
        "INBOND_CONSOLE": f"127.0.0.1:{console}",
    }
    script = "inbond init work --organisation Acme\ncd work\nmkdir -p policies/hosts\n" + script_of(
        STEPS
    )
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDED_S * 5,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checks = [line for line in done.stdout.splitlines() if line.startswith("policies ")]
    assert len(checks) == 3
    assert all(line.startswith("policies fine: ") for line in checks), checks
    assert ", 0 grants" in checks[0]
    assert ", 1 grants" in checks[1]
    assert "dataset gate: hold back (review)" in done.stdout


@pytest.mark.parametrize(
    "step", [step for step in STEPS if step.is_elsewhere], ids=lambda step: step.command
)
def test_what_is_only_shown_is_a_command(
    step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that waits for an occasion is one of ours all the same."""
    inbond, *words = shlex.split(step.command)
    assert inbond == "inbond"
    for named in (tmp_path / word for word in words if word.endswith(".yaml")):
        named.parent.mkdir(parents=True)
        named.touch()
    monkeypatch.chdir(tmp_path)
    check_words(words)
