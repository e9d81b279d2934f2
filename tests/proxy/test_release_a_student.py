"""docs/guides/release-a-student.md is true: what it shows works, in the order in which it shows it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from tests.proxy.grown import LLAMA, grow
from tests.proxy.workshop import NOW, Workshop

GUIDE = Path(__file__).parents[2] / "docs/guides/release-a-student.md"
FENCED = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = tuple(FENCED.findall(GUIDE.read_text(encoding="utf-8")))
SHOWN_FILE = re.compile(r"# (policies/\S+\.yaml)\n")
LICENCE = "licences/LicenseRef-scancode-llama-3.1-license-2024.txt"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace whose student was trained, with the paper that it will be asked for."""
    with time_machine.travel(NOW, tick=True):
        made = grow(tmp_path / "work", LLAMA, release="open-weights")
        path = made.directory / "papers" / LICENCE
        path.parent.mkdir(parents=True)
        path.write_text("the terms\n")
        yield made


def test_a_reader_follows_it(here: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command ends as the guide says: open at first, then held for nobody, then released."""
    monkeypatch.chdir(here.directory)
    ended: list[int] = []
    for kind, block in STEPS:
        if kind == "yaml":
            match = SHOWN_FILE.match(block)
            assert match is not None
            (here.directory / match[1]).write_text(block)
            continue
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ "))
            if words[0] == "inbond":
                known = {"VKEY": here.key}
                result = here.inbond(*(known.get(word, word) for word in words[1:]))
                ended.append(result.exit_code)
                assert result.exit_code in (0, 1), line + result.stderr
    assert ended == [1, 0, 0, 0, 0, 0]
    assert "Llama-Gardener-1" in Path("released/README.md").read_text()
