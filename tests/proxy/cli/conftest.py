"""What tests of commands share: a workspace of their own, and the command line called in process."""

from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.cli.init import make_workspace


class Inbond(Protocol):
    """Runs `inbond` in a workspace."""

    def __call__(self, *args: str, env: dict[str, str | None] | None = None) -> Result:
        """What `inbond ARGS` gave: `exit_code`, `stdout`, `stderr`."""


STUDENT = """\
inbond: 1
student: {name}
owner: ml@example.org
purpose: eval
task: generate
competes_with: []
release: internal
commercial: false
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A fresh workspace with two declared students, `s1` and `s2`."""
    directory = make_workspace(tmp_path / "work", organisation="Acme").directory
    for name in ("s1", "s2"):
        (directory / f"policies/students/{name}.yaml").write_text(STUDENT.format(name=name))
    return directory


@pytest.fixture
def inbond(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Inbond:
    """The command line, in the fresh workspace."""
    for name in ("INBOND_KEY", "INBOND_WORKSPACE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: str, env: dict[str, str | None] | None = None) -> Result:
        return CliRunner().invoke(main, ["-C", str(workspace), *args], env=env)

    return run
