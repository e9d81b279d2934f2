"""A clause that reads differently puts the rules that cite it up for review, and flips no verdict."""

import json
from pathlib import Path

import pytest

from tests.proxy.cli.conftest import Inbond

SOURCE = "openai-api/services-agreement"
TEXT = "3.3 Customer will not: (a) resell; (b) x; (c) x; (d) x; (e) build {what}; and (f) scrape.\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text on disk."""
    return tmp_path / "terms.md"


def take(inbond: Inbond, text: Path, day: str, what: str, *more: str) -> None:
    """Import the text as it reads on a day."""
    text.write_text(TEXT.format(what=what))
    words = ("terms", "import", SOURCE, "--file", str(text), "--taken", day)
    assert inbond(*words, *more).exit_code == 0


def drifted(inbond: Inbond) -> list[dict[str, object]]:
    """What the check says of clauses, and it passes whatever that is."""
    result = inbond("policy", "check", "--quick", "--json")
    assert result.exit_code == 0, result.stdout
    records = [json.loads(line) for line in result.stdout.splitlines()]
    return [record for record in records if record.get("code") == "drifted"]


def test_rules_of_a_moved_clause_are_named_where_they_stand(inbond: Inbond, text: Path) -> None:
    """Nothing at first; suspected, confirmed after seven days, and nothing once it was read."""
    assert drifted(inbond) == []
    take(inbond, text, "2026-03-01", "rivals")
    assert drifted(inbond) == []
    take(inbond, text, "2026-03-02", "anything")
    suspected = drifted(inbond)
    assert suspected
    for record in suspected:
        assert record["severity"] == "warning"
        assert "seems to read differently since 2026-03-02" in str(record["message"])
    take(inbond, text, "2026-03-09", "anything")
    confirmed = drifted(inbond)
    assert len(confirmed) == len(suspected)
    assert all("` reads differently since" in str(record["message"]) for record in confirmed)
    shown = inbond("policy", "check", "--quick").stdout
    assert "warning[drifted]: the clause `3.3(e)" in shown
    assert f"inbond terms diff {SOURCE}" in shown
    assert "library/hosts/openai-api.yaml:" in shown
    assert inbond("terms", "review", SOURCE, "--reason", "read it").exit_code == 0
    assert drifted(inbond) == []


def test_of_two_vantages_the_graver_word_counts(inbond: Inbond, text: Path) -> None:
    """One finding for each rule and clause, however many offices saw it."""
    for vantage in ("berlin", "austin"):
        take(inbond, text, "2026-03-01", "rivals", "--vantage", vantage)
        take(inbond, text, "2026-03-02", "anything", "--vantage", vantage)
    once = drifted(inbond)
    take(inbond, text, "2026-03-09", "anything", "--vantage", "austin")
    found = drifted(inbond)
    assert len(found) == len(once)
    assert all("as seen from `austin`" in str(record["message"]) for record in found)


def test_a_lost_text_stops_no_check(inbond: Inbond, text: Path, workspace: Path) -> None:
    """Where a text is gone the check says that it did not look, and does all the rest."""
    take(inbond, text, "2026-03-01", "rivals")
    for file in (workspace / "terms").iterdir():
        file.unlink()
    result = inbond("policy", "check", "--quick")
    assert result.exit_code == 0
    assert "were not looked at" in result.stderr
