"""`inbond student release | approve | verify`: what people and programs are told, and how it ends."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from student import digest
from tests.proxy.grown import LLAMA, add_run, grow, releases
from tests.proxy.workshop import NOW, Workshop

LICENCE = "LicenseRef-scancode-llama-3.1-license-2024"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with a run that owes duties."""
    made = grow(tmp_path / "work", LLAMA, release="open-weights")
    with time_machine.travel(NOW, tick=True):
        yield made


def supply(here: Workshop) -> None:
    """Supply the text of the licence, as a text on record of the source that the rule cites."""
    text = here.directory / "licence.txt"
    text.write_text("1. License Rights\nthe terms\n")
    here.record("terms", "import", "llama-3.1/licence", "--file", text)


def test_refused_with_open_duties_then_released(here: Workshop) -> None:
    """First every open duty is listed, and nothing is on record; once they are met it is released."""
    refused = here.inbond("student", "release", "gardener", "--json")
    assert refused.exit_code == 1
    *lines, last = map(json.loads, refused.stdout.splitlines())
    states = {each["duty"]: each["state"] for each in lines if "duty" in each}
    assert states["licence_copy"] == "open"
    assert states["display"] == "met"
    assert [each["code"] for each in lines if "code" in each] == ["no-licence"]
    assert (last["released"], last["against"]) == (False, 2)
    assert releases(here) == []
    assert not (here.directory / "releases").exists()
    supply(here)
    done = here.record("student", "release", "gardener", "--licence", LICENCE)
    assert (done["released"], done["verdict"]) == (True, "permit")
    folder = Path(str(done["path"]))
    assert folder == here.directory / "releases/run-1"
    assert (
        "the terms" in (folder / "LICENSE").read_text() if (folder / "LICENSE").exists() else True
    )
    assert (folder / f"licences/{LICENCE}.txt").read_text().endswith("the terms\n")
    (entry,) = releases(here)
    assert (entry.name, entry.licence) == ("Llama-Gardener-1", LICENCE)


def test_people_read_tables(here: Workshop) -> None:
    """A dry run shows the same as tables, and a name that nobody has is offered the nearest."""
    shown = here.inbond("student", "release", "run-1", "--dry-run")
    assert shown.exit_code == 1
    assert "licence_copy" in shown.stdout
    assert "others get the weights" in shown.stdout
    assert "nothing was released" in shown.stderr
    unknown = here.inbond("student", "release", "gardner")
    assert (unknown.exit_code, "did you mean `gardener`" in unknown.stderr) == (1, True)


def test_nothing_to_approve_is_an_error(here: Workshop) -> None:
    """Where no rule asks for a person, nobody needs to say anything."""
    result = here.inbond("student", "approve", "gardener", "--reason", "fine")
    assert (result.exit_code, "error[not-approvable]" in result.stderr) == (1, True)


def test_verify_tells_released_weights_from_others(here: Workshop) -> None:
    """True for the folder, and for its weights elsewhere; false once anything changed; else untold."""
    supply(here)
    here.record(
        "student", "release", "gardener", "--licence", LICENCE, "--out", here.directory / "out"
    )
    out, weights = here.directory / "out", here.directory / "students/run-1/model"
    verify = ("student", "verify")
    assert here.inbond(*verify, out, "--key", here.key).exit_code == 0
    notice = ("--release", out / "release.json")
    assert here.inbond(*verify, weights, "--key", here.key, *notice).exit_code == 0
    untold = here.inbond(*verify, weights, "--key", here.key)
    assert (untold.exit_code, "--release" in untold.stdout) == (2, True)
    (weights / "model.safetensors").write_bytes(b"other")
    assert here.inbond(*verify, weights, "--key", here.key, *notice).exit_code == 1
    (out / "README.md").write_text("edited")
    edited = here.inbond(*verify, out, "--key", here.key, "--json")
    assert edited.exit_code == 1
    assert {each["code"] for each in json.loads(edited.stdout)["findings"]} == {"file-changed"}
    assert here.inbond(*verify, out, "--key", "nonsense").exit_code == 2
    (out / "link").symlink_to(out / "NOTICE")
    assert here.inbond(*verify, out, "--key", here.key).exit_code == 2


def test_a_student_of_a_student_answers_for_both(here: Workshop) -> None:
    """A run that began with another run's weights names it, and needs its directory."""
    base = {"model.safetensors": digest.of_bytes(b"weights of run-1")}
    add_run(here, "run-2", base=base)
    supply(here)
    elsewhere = here.directory.parent / "moved"
    shutil.move(here.directory / "students/run-1", elsewhere)
    lost = here.inbond("student", "release", "gardener", "--licence", LICENCE)
    assert (lost.exit_code, "error[no-run-directory]" in lost.stderr) == (1, True)
    here.record("student", "release", "gardener", "--licence", LICENCE, "--run-dir", elsewhere)
    (entry,) = releases(here)
    assert (entry.run, entry.ancestors) == ("run-2", ["run-1"])
