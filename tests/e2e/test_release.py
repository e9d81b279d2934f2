"""A released student, checked by software that we did not write."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from tests.outsiders.environments import python_command
from tests.proxy.grown import grow
from tests.proxy.workshop import NOW

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a release."""
    with time_machine.travel(NOW, tick=True):
        made = grow(tmp_path_factory.mktemp("released") / "work")
        yield Path(str(made.record("student", "release", "gardener")["path"]))


def verified(folder: Path) -> "subprocess.CompletedProcess[str]":
    """What model-signing's own command says of a folder."""
    words = ("verify", "key", folder, "--signature", folder / "model.sig")
    key = ("--public_key", folder / "keys/export.pem")
    command = python_command("with_model_signing", command=["model_signing", *words, *key])
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_model_signing_reads_the_signature(released: Path) -> None:
    """The genuine command verifies the folder, and refuses it with a file more."""
    good = verified(released)
    assert (good.returncode, "Verification succeeded" in good.stdout) == (0, True), good.stderr
    (released / "more.txt").write_text("added")
    assert verified(released).returncode == 1
