"""`inbond import`: what people and programs read of it."""

import json
from pathlib import Path

import pytest
import time_machine

from tests.proxy.importing import bring_log, brought, chats
from tests.proxy.workshop import NOW, Workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with logs of a teacher, of two lines and of one."""
    folder = tmp_path_factory.mktemp("imports")
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(folder / "work")
        brought(bring_log(made, chats(folder, 2)))
        other = chats(folder, 1, name="gone.jsonl")
        brought(bring_log(made, other, "--source", "gone-log"))
    return made


def imported(shop: Workshop) -> dict[str, dict[str, object]]:
    """The imports of a workspace, by source."""
    lines = shop.inbond("import", "list", "--json").stdout.splitlines()
    return {row["source"]: row for row in map(json.loads, lines)}


@time_machine.travel(NOW, tick=True)
def test_an_import_is_listed_and_shown(shop: Workshop, tmp_path: Path) -> None:
    """The list says how each stands; one is shown with what is declared of it and its papers."""
    listed = imported(shop)["old-log"]
    assert (listed["source"], listed["lines"], listed["problem"]) == ("old-log", 2, "not-confirmed")
    shown = shop.record("import", "show", listed["import"], "--papers", tmp_path / "papers")
    assert shown["declared"] == {
        "model.asked": "smollm2",
        "model.id": "smollm2-135m-instruct",
        "route": "self-hosted",
    }
    assert (shown["recorded"], shown["answered_at"]) == (2, "2026-11-20T00:00:00.000Z")
    (paper,) = (tmp_path / "papers").iterdir()
    assert [paper.name] == shown["evidence"]


@time_machine.travel(NOW, tick=True)
def test_people_are_told_what_is_missing(shop: Workshop, tmp_path: Path) -> None:
    """A forbidden licence, and a log, come with what to do about it."""
    paper = tmp_path / "paper.txt"
    paper.write_text("found on a page")
    said = shop.inbond(
        "import", chats(tmp_path, 1), "--source", "page", "--licence", "LicenseRef-none",
        "--project", "garden", "--student", "gardener", "--evidence", paper, "--reason", "found",
    )  # fmt: skip
    assert said.exit_code == 0
    assert "verdicts  forbid=1" in said.stdout
    assert "hint: nothing is learned from what no policy permits" in said.stderr


@time_machine.travel(NOW, tick=True)
def test_words_on_an_import_go_on_record(shop: Workshop) -> None:
    """Vouched for, then taken back; an import that there is not is an error."""
    batch = imported(shop)["gone-log"]["import"]
    assert shop.record("import", "confirm", batch, "--reason", "compared")["action"] == "confirm"
    assert shop.record("import", "withdraw", batch, "--reason", "wrong")["action"] == "withdraw"
    gone = shop.inbond("import", "withdraw", "none", "--reason", "wrong")
    assert (gone.exit_code, "error[unknown-import]" in gone.stderr) == (1, True)


def test_a_file_that_is_not_there_is_wrong_use(shop: Workshop) -> None:
    """The first word is taken for a file unless it is a verb."""
    result = shop.inbond("import", "nowhere.jsonl", "--source", "x")
    assert result.exit_code == 2
    assert "nowhere.jsonl" in result.stderr
