"""docs/guides/import-and-reconcile.md is true: what it shows works, in the order in which it shows it."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from tests.proxy.importing import chats
from tests.proxy.workshop import NOW, Asked, Workshop

GUIDE = Path(__file__).parents[2] / "docs/guides/import-and-reconcile.md"
FENCED = re.compile(r"^```(yaml|console|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = tuple(FENCED.findall(GUIDE.read_text(encoding="utf-8")))
FILES = ("tickets.jsonl", "articles.jsonl", "log.jsonl")
PAPERS = ("licence.txt", "statement.txt", "contract.txt")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with one call, the files of the guide, and an export that counts two."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        made.ask(Asked())
        for name in FILES:
            chats(tmp_path, 2, name=name, finish_reason="stop")
        for name in PAPERS:
            (tmp_path / name).write_text(f"The text of {name}.\n")
        (tmp_path / "usage.csv").write_text("date,model,requests\n2026-11-24,smollm2,2\n")
        yield made


def newest(here: Workshop, noun: str) -> str:
    """The id that `inbond NOUN list` names last."""
    result = here.inbond(noun, "list", "--json")
    return str(json.loads(result.stdout.splitlines()[-1])[noun])


def test_a_reader_follows_it(here: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command ends well, but for the comparison, as the provider counts a call more."""
    monkeypatch.chdir(here.directory.parent)
    ended: dict[str, int] = {}
    for kind, block in STEPS:
        if kind == "text":
            Path("wiki.jsonl").write_text(block)
        if kind == "yaml":
            (here.directory / "policies/hosts").mkdir(exist_ok=True)
            (here.directory / "policies/hosts/publisher-contract.yaml").write_text(block)
        for line in block.splitlines() if kind == "console" else ():
            words = shlex.split(line.removeprefix("$ inbond "))
            known = {"IMPORT": "import", "DATASET": "dataset"}
            result = here.inbond(*(newest(here, known[w]) if w in known else w for w in words))
            ended[line] = result.exit_code
            assert result.exit_code in (0, 1), line + result.stderr
            if words[:2] == ["import", "add"]:
                assert "permit=" in result.stdout, line + result.stdout
    assert [line for line, code in ended.items() if code] == [
        line for line in ended if line.startswith("$ inbond reconcile")
    ]
    assert len(ended) == 11
    assert "(1 calls" in " ".join(here.inbond("audit", "ask", "13").output.split())
