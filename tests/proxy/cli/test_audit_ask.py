"""`inbond audit ask`, `trace`, `prove` and `tables`, on a workspace and on a bundle."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workspace with one example, and an audit of one project beside it."""
    folder = tmp_path_factory.mktemp("ask")
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(folder / "work")
        made.calls = made.ask(Asked(), Asked(project="shed"))
        made.record("dataset", "build", "--student", "gardener")
        made.record("audit", "export", folder / "audit", "--project", "shed")
        yield made


def test_a_scoped_audit_verifies_and_holds_no_more(shop: Workshop) -> None:
    """Of two projects, the audit of one holds its exchange alone, and is closed."""
    path = shop.directory.parent / "audit"
    result = shop.inbond("audit", "verify", path, "--key", shop.key)
    assert result.exit_code == 0, result.stdout
    text = (path / "entries.jsonl").read_text(encoding="utf-8")
    assert shop.calls[1] in text
    assert shop.calls[0] not in text
    assert json.loads((path / "export.json").read_bytes())["query"]["project"] == "shed"


@pytest.mark.parametrize("word", [str(number) for number in range(1, 16)])
def test_every_question_is_answered(shop: Workshop, word: str) -> None:
    """Each is answered in the workspace, as a table and as JSON lines."""
    result = shop.inbond("audit", "ask", word)
    assert (result.exit_code, result.exception) == (0, None)
    lines = shop.inbond("audit", "ask", word, "--json").stdout.splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_a_bundle_is_asked_without_a_workspace(shop: Workshop, tmp_path: Path) -> None:
    """A stranger asks the audit; it knows of one project only."""
    stranger = Workshop(directory=tmp_path)
    path = shop.directory.parent / "audit"
    result = stranger.inbond("audit", "ask", "traffic", "--bundle", path, "--json")
    assert [json.loads(line)["calls"] for line in result.stdout.splitlines()] == [1]
    assert shop.inbond("audit", "ask", "traffic", "--json").stdout.count('"calls": 2') == 1


def test_one_exchange_is_asked_about(shop: Workshop) -> None:
    """Narrowed to one exchange, the receipt's command names it."""
    found = shop.record("audit", "ask", "receipt", "--exchange", shop.calls[0])
    assert found["exchange"] == shop.calls[0]


def test_an_unknown_question_lists_those_there_are(shop: Workshop) -> None:
    """`list` names all fifteen, and a wrong name is an error."""
    assert len(shop.inbond("audit", "ask", "list", "--json").stdout.splitlines()) == 15
    result = shop.inbond("audit", "ask", "16")
    assert (result.exit_code, "no question `16`" in result.stderr) == (1, True)


def test_a_trace_is_text_and_picture(shop: Workshop, tmp_path: Path) -> None:
    """Of a student, and of one example of it."""
    picture = tmp_path / "x.svg"
    whole = shop.inbond("audit", "trace", "gardener", "--svg", picture)
    one = shop.inbond("audit", "trace", f"{shop.calls[0]}#0")
    assert whole.stdout.count("(2 exchanges)") == 2
    assert one.stdout.count("(1 exchange)") == 2
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    edges = shop.inbond("audit", "trace", "--json").stdout.splitlines()
    assert {"from", "to", "examples"} == json.loads(edges[0]).keys()


def test_a_receipt_is_made_and_verified(shop: Workshop, tmp_path: Path) -> None:
    """The receipt verifies under the key, and under another it cannot be told."""
    path = tmp_path / "x.tlog-proof"
    made = shop.record("audit", "prove", shop.calls[0], "--out", path)
    assert made["opened"] == 0
    assert shop.inbond("audit", "verify", path, "--key", shop.key).exit_code == 0
    path.write_text(path.read_text().replace("index ", "index 1"))
    assert shop.inbond("audit", "verify", path, "--key", shop.key).exit_code == 1


def test_tables_are_plain_files(shop: Workshop, tmp_path: Path) -> None:
    """Of a scope, in a new folder; a taken one is refused."""
    made = shop.record("audit", "tables", tmp_path / "t", "--format", "csv", "--project", "shed")
    assert (made["exchanges"], made["examples"]) == (1, 1)
    result = shop.inbond("audit", "tables", tmp_path / "t")
    assert (result.exit_code, "error[path-taken]" in result.stderr) == (1, True)
