"""README.md is true: its commands run in order, and what it only names exists.

A line `$ command` in a `console` block is run; a here-document goes on to its end. A command whose
comment begins with `elsewhere:` needs a network, a teacher or minutes: of it only the target is
checked. `# in another terminal` starts it in the background until the end.
"""

import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from proxy.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDED_S = 60


@dataclass(frozen=True, slots=True)
class Step:
    """One command as the reader types it."""

    command: str
    remark: str

    @property
    def is_elsewhere(self) -> bool:
        """Whether it needs what a test has not got."""
        return self.remark.startswith("elsewhere:")

    @property
    def is_background(self) -> bool:
        """Whether it goes on running."""
        return self.remark == "in another terminal"


def steps_of(text: str) -> Iterator[Step]:
    """The commands of a text, in order."""
    for block in BLOCK.findall(text):
        lines = iter(block.splitlines())
        for line in lines:
            assert line.startswith("$ "), f"`{line}` is no command"
            command, _, remark = line.removeprefix("$ ").partition("  # ")
            if here := re.search(r"<<'(\w+)'$", command):
                for inner in lines:
                    command += f"\n{inner}"
                    if inner == here[1]:
                        break
            yield Step(command, remark)


STEPS = tuple(steps_of(README.read_text(encoding="utf-8")))


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def script_of(steps: tuple[Step, ...]) -> str:
    """One shell script of all commands that can run here; it ends what it started."""
    parts = ["set -euo pipefail"]
    for step in steps:
        if step.is_elsewhere:
            continue
        parts.append(f"echo {shlex.quote(step.command.splitlines()[0])} >&2")
        if step.is_background:
            parts.append(
                f"{step.command} & trap 'kill %1; wait %1' EXIT\n"
                "until inbond status > /dev/null 2>&1; do kill -0 $!; sleep 0.1; done"
            )
        else:
            parts.append(step.command)
    return "\n".join(parts) + "\n"


@pytest.mark.slow
def test_commands_run(tmp_path: Path) -> None:
    """The commands of the README run one after the other, as they stand."""
    listen, console = free_ports(2)
    environ = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "INBOND_LISTEN": f"127.0.0.1:{listen}",
        "INBOND_CONSOLE": f"127.0.0.1:{console}",
    }
    done = subprocess.run(
        ["bash", "-c", script_of(STEPS)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDED_S * 5,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"calls go by 127.0.0.1:{listen}" in done.stdout
    assert "policies fine" in done.stdout
    assert "the log extends the checkpoint" in done.stdout


@pytest.mark.parametrize(
    "step", [step for step in STEPS if step.is_elsewhere], ids=lambda step: step.command
)
def test_what_is_named_exists(step: Step) -> None:
    """A command that runs elsewhere names a target that is there."""
    match shlex.split(step.command):
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["uv", "sync", "--no-dev", *options]:
            assert set(options[1::2]) <= extras()
        case ["docker", "build", "--target", target, *_]:
            assert f"AS {target}\n" in (ROOT / "Dockerfile").read_text()
        case ["inbond", *words]:
            check_words(words)
        case _:
            pytest.fail(f"nobody checks `{step.command}`")


def extras() -> set[str]:
    """The extras of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


def check_words(words: list[str]) -> None:
    """The words parse as a command of ours, without running it."""
    command: click.Command = main
    context = click.Context(main, info_name="inbond")
    while isinstance(command, click.Group):
        word, *words = words
        found = command.get_command(context, word)
        assert found is not None, word
        context = click.Context(found, info_name=word, parent=context)
        command = found
    command.parse_args(context, list(words))


def test_every_reader_has_a_screen() -> None:
    """Engineer, counsel, auditor and platform engineer each find a section, none beyond 60 lines."""
    sections = re.split(r"^## ", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    screens = {part.partition(":")[0]: len(part.splitlines()) for part in sections}
    readers = ("ML engineer", "counsel", "auditor", "platform engineer")
    assert all(screens[f"For the {r}" if r != "counsel" else "For counsel"] <= 60 for r in readers)
