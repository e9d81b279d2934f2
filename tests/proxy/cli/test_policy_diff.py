"""`inbond policy diff`: flips by rule, with exchanges, datasets and students; the status says if any."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from proxy.cli.openledger import open_ledger
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.inforce import put_in_force, workspace_bundle
from proxy.ledger.entry import DatasetEntry, PolicyEntry, RunEntry
from proxy.store.log import Pending
from tests.proxy.workshop import NOW, Asked, Workshop

OLD, NEW = "when: {response.finish: length}", "when: {response.finish: [length, stop]}"
RULE = "house-rules/cut-short"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace with one exchange, which a dataset holds; not to be written to."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path_factory.mktemp("diff") / "work")
        made.approve(made.declare("gardener", competes="[]"))
        made.ask(Asked())
        made.record("dataset", "build", "--student", "gardener")
    return made


@pytest.fixture
def here(sealed: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of that workspace, to be changed, on the day of the tests."""
    with time_machine.travel(NOW + timedelta(minutes=1), tick=True):
        yield Workshop(directory=Path(shutil.copytree(sealed.directory, tmp_path / "work")))


def change(directory: Path, old: str = OLD, new: str = NEW) -> None:
    """Replace something in the house rules."""
    rules = directory / "policies/organisation/house-rules.yaml"
    assert old in rules.read_text()
    rules.write_text(rules.read_text().replace(old, new))


def records(here: Workshop, *words: object, status: int) -> dict[str, list[dict[str, object]]]:
    """What `inbond policy diff WORDS --json` prints, by kind."""
    result = here.inbond("policy", "diff", *words, "--json")
    assert result.exit_code == status, result.stderr
    found: dict[str, list[dict[str, object]]] = {}
    for line in result.stdout.splitlines():
        record = json.loads(line)
        found.setdefault(record["kind"], []).append(record)
    return found


def test_nothing_differs_from_itself(here: Workshop) -> None:
    """The policies in force against the workspace they came from: status 0."""
    result = here.inbond("policy", "diff", "ledger")
    assert result.exit_code == 0, result.stderr
    assert "old and new are the same policies" in result.stdout
    assert "replayed 1 exchanges, 3 verdicts, as of 2026-11-24" in result.stdout
    assert "no verdict flips" in result.stdout


def test_flips_are_listed_with_what_they_touch(here: Workshop) -> None:
    """Rule, exchange, dataset, student and run of a stricter rule: status 1."""
    (exchange,) = (entry.id for entry in here.entries() if entry.kind == "exchange")
    dataset = next(entry for entry in here.entries() if isinstance(entry, DatasetEntry))
    with open_ledger(here.settings) as ledger:
        ledger.log.append([_run("first", dataset.root)])
    change(here.directory)
    result = here.inbond("policy", "diff", "ledger")
    assert result.exit_code == 1, result.stderr
    lines = result.stdout.splitlines()
    assert f"  rule {RULE}: changed" in lines
    at = lines.index("dataset gate, permit -> review: 1 flips")
    assert lines[at + 1 : at + 3] == [f"    rule {RULE} (changed)", f"    {exchange}"]
    assert "response gate, permit -> review: 1 flips" in lines
    at = lines.index(f"dataset {dataset.dataset} for student gardener: 1 of its exchanges flip")
    assert lines[at + 1] == "    student gardener was trained on it in run first"
    assert any(line.startswith(f"rule {RULE} (changed) would decide otherwise") for line in lines)


def _run(name: str, root: str) -> Pending:
    return Pending(
        RunEntry(
            id=new_id(),
            at=stamp(utc_now()),
            actor="user:one",
            run=name,
            student="gardener",
            datasets=[root],
            record="cd" * 32,
            weights={},
            base="smollm2-135m",
            steps=1,
            nonce=new_nonce(),
        )
    )


def test_programs_get_one_object_a_line(here: Workshop) -> None:
    """Edits, flips, datasets, witnesses and the summary, each a kind of its own."""
    change(here.directory)
    found = records(here, "ledger", status=1)
    assert found["edit"] == [{"kind": "edit", "of": "rule", "id": RULE, "change": "changed"}]
    assert [(flip["gate"], flip["rules"], flip["count"]) for flip in found["flip"]] == [
        ("dataset", [RULE], 1),
        ("response", [RULE], 1),
    ]
    (touched,) = found["dataset"]
    assert (touched["student"], touched["flips"], touched["not_covered"]) == ("gardener", 1, None)
    (witness,) = found["witness"]
    assert isinstance(witness["facts"], dict)
    assert witness["facts"]["response.finish"] == "stop"
    (summary,) = found["summary"]
    assert (summary["exchanges"], summary["flips"]) == (1, 2)


def test_two_folders_and_a_digest_are_compared(here: Workshop, tmp_path: Path) -> None:
    """A copy of the workspace, and an earlier bundle by the start of its digest."""
    other = tmp_path / "other"
    shutil.copytree(here.directory / "policies", other / "policies")
    change(other)
    assert "flip" not in records(here, here.directory, here.directory, status=0)
    assert records(here, here.directory, other, status=1)["flip"]
    old = next(entry.bundle for entry in here.entries() if isinstance(entry, PolicyEntry))
    change(here.directory)
    with open_ledger(here.settings) as ledger:
        put_in_force(ledger.log, workspace_bundle(here.settings, ledger.database), "user:1")
    assert records(here, old[:12], "ledger", status=1)["summary"][0]["old"] == old
    assert "flip" not in records(here, "ledger", status=0)


def test_only_what_was_called_since_is_replayed(here: Workshop) -> None:
    """A number of days or a date; what is older is left out."""
    change(here.directory)
    assert records(here, "ledger", "--since", "90d", status=1)["summary"][0]["exchanges"] == 1
    assert records(here, "ledger", "--since", "2026-11-24", status=1)["flip"]
    with time_machine.travel(NOW + timedelta(days=3), tick=True):
        found = records(here, "ledger", "--since", "1d", status=0)
    assert found["summary"][0]["exchanges"] == 0


def test_a_candidate_runs_beside_the_live_policies(
    here: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each exchange that ends meanwhile is put before both, and a reload of the live side is followed."""
    live = next(entry.bundle for entry in here.entries() if isinstance(entry, PolicyEntry))
    candidate = tmp_path / "candidate"
    shutil.copytree(here.directory / "policies", candidate / "policies")
    change(candidate)
    looks = iter(("ask", "change and ask", "interrupt"))

    def look(_: float) -> None:
        match next(looks):
            case "interrupt":
                raise KeyboardInterrupt
            case "change and ask":
                change(here.directory)
        here.ask(Asked())

    monkeypatch.setattr("proxy.cli.policy_diff.sleep", look)
    result = here.inbond("policy", "diff", "ledger", candidate, "--follow", "--json")
    assert result.exit_code == 1, result.stderr
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    at = next(number for number, one in enumerate(printed) if one["kind"] == "summary")
    exchanges = [entry.id for entry in here.entries() if entry.kind == "exchange"]
    assert printed[at]["old"] == live
    assert [(one["gate"], one["examples"]) for one in printed[at + 1 :]] == [
        ("dataset", [exchanges[1]]),
        ("response", [exchanges[1]]),
    ]
    assert "the live policies are now" in result.stderr


def test_today_may_be_another_day(here: Workshop) -> None:
    """A rule that starts to hold next year shows with `--on`, and on today's clock alone."""
    change(here.directory, OLD, f"in_force: {{from: 2027-01-01}}\n    {NEW}")
    assert "flip" not in records(here, "ledger", status=0)
    found = records(here, "ledger", "--on", "2027-01-02", status=1)
    assert [flip["gate"] for flip in found["flip"]] == ["dataset"]


def test_a_dataset_whose_files_are_gone_is_not_covered(here: Workshop) -> None:
    """It is said, so that nobody takes silence for an answer."""
    shutil.rmtree(here.settings.datasets_directory)
    result = here.inbond("policy", "diff", "ledger")
    assert "is not covered: its files are not here" in result.stdout
    (told,) = records(here, "ledger", status=0)["dataset"]
    assert (told["flips"], told["not_covered"]) == (None, "its files are not here")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("nowhere",), 2, "error[unknown-bundle]"),
        (("datasets",), 2, "error[unknown-bundle]"),
        (("0123456789ab",), 2, "error[unknown-bundle]"),
        (("ledger", "ledger", "--since", "often"), 2, "`often` is not a date"),
        (("ledger", "ledger", "--on", "2026-13-01"), 2, "`2026-13-01` is not a date"),
    ],
)
def test_wrong_use_is_said(
    here: Workshop, words: tuple[str, ...], status: int, message: str
) -> None:
    """What names no policies, and what is no date, is wrong use and no traceback."""
    result = here.inbond("policy", "diff", *words)
    assert (result.exit_code, message in result.stderr) == (status, True)


def test_policies_with_errors_are_shown(here: Workshop) -> None:
    """An error in a file of OLD or NEW is shown at its place."""
    change(here.directory, OLD, "when: {response.finsh: length}")
    result = here.inbond("policy", "diff", "ledger")
    assert (result.exit_code, "error[unknown-fact]" in result.stderr) == (1, True)
