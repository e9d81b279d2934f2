"""A release is of the run that is meant, and its ancestors are found by their weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import LedgerError
from proxy.ledger.entry import RunEntry
from proxy.release_runs import RunShelf, run_named
from tests.proxy.ledger.sample import AT, NONCE


def entry(run: str, weights: str, student: str = "s") -> RunEntry:
    """A run on record that made one file of weights."""
    fields = {"id": run, "at": AT, "actor": "user:1", "run": run, "student": student, "base": "b"}
    more = {"datasets": [], "record": "bb" * 32, "steps": 1, "nonce": NONCE}
    files = {"model.safetensors": weights * 64, "config.json": "0" * 64}
    return RunEntry.model_validate(fields | more | {"weights": files})


@dataclass(frozen=True, slots=True)
class Record:
    """What a checked record says."""

    header: Mapping[str, Any]
    head: str = "bb" * 32


def directory(folder: Path, run: str, base: str = "", licence: str | None = None) -> None:
    """A directory of a run that began with these weights."""
    path = folder / run
    path.mkdir(parents=True)
    files = {"model.safetensors": base * 64, "config.json": "0" * 64} if base else {}
    said = {
        "run": run,
        "base": {"origin": "o", "licence": licence, "files": files},
        "teachings": [{"duties": ["display: b", "display: a"]}, {"duties": ["display: a"]}],
    }
    (path / "run.json").write_text(json.dumps(said))


def shelf(folder: Path, head: str = "bb" * 32) -> RunShelf:
    """Directories below one folder, each taken at its word."""
    return RunShelf(
        folders=[folder],
        check=lambda path: Record(json.loads((path / "run.json").read_text()), head),
    )


ONE, TWO, THREE = entry("one", "1"), entry("two", "2"), entry("three", "3", "other")


def test_a_run_is_named_or_a_student_s_last() -> None:
    """A run's own name comes first; a student's name means the last run on record."""
    runs = [ONE, TWO, THREE]
    assert run_named(runs, "one") is ONE
    assert run_named(runs, "s") is TWO
    with pytest.raises(LedgerError, match="no run of a student `othr`") as caught:
        run_named(runs, "othr")
    assert "`other`" in caught.value.help
    with pytest.raises(LedgerError, match="is on record") as caught:
        run_named([], "zzz")
    assert "inbond student record" in caught.value.help


def test_ancestors_follow_the_nearest_first(tmp_path: Path) -> None:
    """A run that began with another's weights has it for an ancestor, and that one's too."""
    directory(tmp_path, "one", licence="MIT")
    directory(tmp_path, "two", base="1")
    directory(tmp_path, "three", base="2")
    made = shelf(tmp_path).with_ancestors(THREE, [ONE, TWO, THREE])
    assert [each.entry.run for each in made] == ["three", "two", "one"]
    assert made[2].base_licence == "MIT"
    assert made[0].duties == ("display: a", "display: b")
    alone = shelf(tmp_path).with_ancestors(ONE, [ONE, TWO, THREE])
    assert [each.entry.run for each in alone] == ["one"]


def test_a_file_that_no_run_changed_hides_no_ancestor(tmp_path: Path) -> None:
    """Siblings share such a file: the ancestor is the run of which more is in the base."""
    shared = {"model-2.safetensors": "9" * 64}
    runs = [
        each.model_copy(update={"weights": {**each.weights, **shared}})
        for each in (ONE, TWO, THREE)
    ]
    for run, base in (("one", ""), ("two", ""), ("three", "2")):
        directory(tmp_path, run, base=base)
    header = tmp_path / "three/run.json"
    said = json.loads(header.read_text())
    said["base"]["files"] |= shared
    header.write_text(json.dumps(said))
    made = shelf(tmp_path).with_ancestors(runs[2], runs)
    assert [each.entry.run for each in made] == ["three", "two"]


def test_a_circle_ends(tmp_path: Path) -> None:
    """Runs that each claim to begin with the other are each counted once."""
    directory(tmp_path, "one", base="2")
    directory(tmp_path, "two", base="1")
    made = shelf(tmp_path).with_ancestors(ONE, [ONE, TWO])
    assert [each.entry.run for each in made] == ["one", "two"]


def test_a_directory_must_be_the_one_on_record(tmp_path: Path) -> None:
    """One that is not here, or whose record ends otherwise, is an error that says so."""
    (tmp_path / "stray").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.json").write_text("[]")
    with pytest.raises(LedgerError, match="the directory of run `one` is not here") as caught:
        shelf(tmp_path).made(ONE)
    assert "--run-dir" in caught.value.help
    directory(tmp_path, "one")
    with pytest.raises(LedgerError, match="is not the one on record"):
        shelf(tmp_path, head="cc" * 32).made(ONE)
    assert shelf(tmp_path / "one").made(ONE).folder == tmp_path / "one"
