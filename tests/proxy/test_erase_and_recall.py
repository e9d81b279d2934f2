"""docs/guides/erase-and-recall.md is true: what it shows works, in the order in which it shows it."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from tests.proxy.workshop import NOW, Asked, Workshop

GUIDE = Path(__file__).parents[2] / "docs/guides/erase-and-recall.md"
FENCED = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = tuple(FENCED.findall(GUIDE.read_text(encoding="utf-8")))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with answers to three people, in a dataset, a year later."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        made.calls = made.ask(Asked(prompt="I am Anna"), Asked(), Asked(project="shed"))
        made.record("dataset", "build", "--student", "gardener")
        (tmp_path / "text.txt").write_text("I am Anna\n")
    with time_machine.travel(NOW + timedelta(days=20), tick=True):
        yield made


def newest(here: Workshop, *noun: str) -> str:
    """The id that `inbond NOUN list` names last."""
    result = here.inbond(*noun, "list", "--json")
    return str(json.loads(result.stdout.splitlines()[-1])[noun[0]])


def test_a_reader_follows_it(here: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command ends well, but for the status of the dataset, which is withdrawn by then."""
    monkeypatch.chdir(here.directory.parent)
    settings = here.directory / "inbond.yaml"
    before = settings.read_text()
    ended: dict[str, int] = {}
    for kind, block in STEPS:
        if kind == "yaml":
            settings.write_text(f"{before}\n{block}")
            continue
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ inbond "))
            known = {"EXCHANGE": lambda: here.calls[1], "HOLD": lambda: newest(here, "hold"),
                     "DATASET": lambda: newest(here, "dataset")}  # fmt: skip
            result = here.inbond(*(known[word]() if word in known else word for word in words))
            ended[" ".join(words)] = result.exit_code
            assert result.exit_code in (0, 1), line + result.stderr
    assert [line for line, code in ended.items() if code] == ["dataset status DATASET"]
    assert len(ended) == 11
