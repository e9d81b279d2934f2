"""`inbond terms`: from a text to the rules that must be read again."""

import json
from pathlib import Path

import pytest

from tests.proxy.cli.conftest import Inbond

SOURCE = "openai-api/services-agreement"
TEXT = "3.3 Customer will not: (a) resell; (b) x; (c) x; (d) x; (e) build {what}; and (f) scrape.\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text on disk."""
    path = tmp_path / "terms.md"
    path.write_text(TEXT.format(what="rivals"))
    return path


def take(inbond: Inbond, text: Path, day: str) -> dict[str, object]:
    """Import the text as of a day."""
    result = inbond("terms", "import", SOURCE, "--file", str(text), "--taken", day, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)  # type: ignore[no-any-return] # an object, checked by its use


def test_a_change_that_lasted_names_the_rules_to_read_again(inbond: Inbond, text: Path) -> None:
    """Import, change, wait, status, diff, review: exit 1 while a changed clause waits, then 0."""
    assert take(inbond, text, "2026-03-01")["new"] == 1
    assert inbond("terms", "status").exit_code == 0
    text.write_text(TEXT.format(what="anything"))
    take(inbond, text, "2026-03-02")
    suspected = inbond("terms", "status", "--json")
    assert (suspected.exit_code, json.loads(suspected.stdout.splitlines()[0])["state"]) == (
        0,
        "suspected",
    )
    take(inbond, text, "2026-03-09")
    status = inbond("terms", "status")
    assert status.exit_code == 1
    assert "openai-api/no-competing-models" in status.stderr
    diff = inbond("terms", "diff", SOURCE)
    assert diff.exit_code == 1
    assert "- build rivals; and" in diff.stdout
    assert "+ build anything; and" in diff.stdout
    assert inbond("terms", "review", SOURCE, "--reason", "read it").exit_code == 0
    assert inbond("terms", "status").exit_code == 0
    assert inbond("terms", "diff", SOURCE).exit_code == 0


def test_a_changed_clause_changes_no_verdict(inbond: Inbond, text: Path) -> None:
    """The bundle is the same before and after: terms are followed, rules are written by people."""
    before = json.loads(inbond("policy", "check", "--json").stdout.splitlines()[-1])["bundle"]
    for day, what in (("2026-03-01", "rivals"), ("2026-03-02", "all"), ("2026-03-20", "all")):
        text.write_text(TEXT.format(what=what))
        take(inbond, text, day)
    after = json.loads(inbond("policy", "check", "--json").stdout.splitlines()[-1])["bundle"]
    assert before == after


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one place to read the text from is needed"),
        (["--fetch", "--archive", "."], "one place to read the text from is needed"),
        (["--url", "http://example.org/"], "over https only"),
        (["--file", "TEXT", "--taken", "2999-01-01"], "cannot have been seen in the future"),
    ],
)
def test_a_wrong_import_says_what_to_do(
    inbond: Inbond, text: Path, words: list[str], message: str
) -> None:
    """No place, two places, an open line, a day that has not come."""
    given = [str(text) if word == "TEXT" else word for word in words]
    result = inbond("terms", "import", SOURCE, *given)
    assert result.exit_code != 0
    assert message in result.stderr
    assert "help:" in result.stderr


def test_an_unknown_source(inbond: Inbond, text: Path) -> None:
    """The nearest one is offered, by each command that takes a source."""
    for words in (("import", "--file", str(text)), ("diff",), ("review", "--reason", "x")):
        result = inbond("terms", words[0], "openai-api/service-agreement", *words[1:])
        assert "error[unknown-source]" in result.stderr
        assert "did you mean `openai-api/services-agreement`?" in result.stderr
