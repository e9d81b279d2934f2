"""`inbond reconcile`: its table, its exit status, and the answer of an audit to question 13."""

import json
from pathlib import Path

import pytest
import time_machine

from tests.proxy.importing import bring_log, brought, chats
from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with two calls, and an imported log of three of the same day."""
    folder = tmp_path_factory.mktemp("reconcile")
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(folder / "work")
        made.ask(Asked(), Asked())
        brought(bring_log(made, chats(folder), "--answered", "2026-11-24"))
    return made


@time_machine.travel(NOW, tick=True)
def test_an_export_that_agrees_is_fine(shop: Workshop, tmp_path: Path) -> None:
    """Exit 0 and a row that matches; programs read one object a line."""
    path = tmp_path / "usage.csv"
    path.write_text("when,name,n\n2026-11-24,smollm2,2\n")
    words = ("--provider", "csv", "--route", "self-hosted")
    columns = ("--map", "day=when", "--map", "model=name", "--map", "calls=n")
    (line,) = shop.inbond("reconcile", path, *words, *columns, "--json").stdout.splitlines()
    row = json.loads(line)
    assert (row["state"], row["provider_calls"], row["recorded_calls"]) == ("matched", 2, 2)
    assert row["provider_input"] is None


@time_machine.travel(NOW, tick=True)
def test_what_went_around_fails_and_is_told_to_auditors(shop: Workshop, tmp_path: Path) -> None:
    """Exit 1 with a hint; on record, an audit answers question 13 with it."""
    path = tmp_path / "usage.csv"
    path.write_text("day,model,calls,input,output\n2026-11-24,smollm2,9,6,8\n")
    words = ("--provider", "csv", "--route", "self-hosted", "--record")
    result = shop.inbond("reconcile", path, *words)
    assert (result.exit_code, "around" in result.stdout) == (1, True)
    assert "in 1 of 1 rows the provider saw more" in result.stderr
    answer = shop.inbond("audit", "ask", "13")
    assert [line.split()[4] for line in answer.stdout.splitlines() if "smollm2" in line] == ["2"]
    assert (
        "csv from 2026-11-24 to 2026-11-24: 0 rows agree, of 1 the provider saw more (7 calls"
        in (" ".join(answer.output.split()))
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--map", "day"), "`--map day` says nothing"),
        (("--map", "hour=x"), "with a name of: day"),
        (("--account", "=x"), "`--account =x` says nothing"),
    ],
)
@time_machine.travel(NOW, tick=True)
def test_wrong_words_are_wrong_use(
    shop: Workshop, tmp_path: Path, more: tuple[str, str], message: str
) -> None:
    """Exit 2, and what to write."""
    path = tmp_path / "usage.csv"
    path.write_text("day,model\n2026-11-24,m\n")
    result = shop.inbond("reconcile", path, "--provider", "csv", *more)
    assert (result.exit_code, message in result.stderr) == (2, True)
