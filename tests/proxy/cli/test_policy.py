"""`inbond policy check`: what it finds, how it is shown, and how it ends."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.cli.policy import check
from proxy.ledger.entry import GrantEntry
from tests.proxy.workshop import Workshop

ON = datetime(2026, 11, 24, tzinfo=UTC)
ORGANISATION = "Example Org"
HOUSE = """\
inbond: 1
policy: house-rules
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-11-10
rules:
  - id: substituted-model
    forbid: training
    when: {model.substituted: true}
    because: The model that answered is not the one asked for.
"""
SUITE = """\
inbond: 1
test: house
cases:
  - name: another model answered
    gate: dataset
    given: {model.substituted: true, at: 2026-11-24}
    expect: forbid
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with one house rule and its test."""
    for folder, name, text in (("organisation", "house", HOUSE), ("tests", "house", SUITE)):
        place = tmp_path / "policies" / folder
        place.mkdir(parents=True)
        (place / f"{name}.yaml").write_text(text)
    return tmp_path


def change(workspace: Path, name: str, old: str, new: str) -> None:
    """Replace something in a policy file."""
    path = workspace / "policies" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def run(workspace: Path, *words: str) -> int:
    """The exit status of `inbond policy check` on a workspace."""
    with pytest.raises(SystemExit) as caught:
        main(["policy", "check", str(workspace), "--organisation", ORGANISATION, *words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_sound_policies_are_fine(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The library and a tested house rule have no finding, and the summary says so."""
    assert check(workspace, ORGANISATION, on=ON).diagnostics == ()
    assert run(workspace) == 0
    assert capsys.readouterr().out.startswith("policies fine: ")


def test_the_library_is_fine_by_itself() -> None:
    """Without a workspace the shipped library loads, passes its tests and has no finding."""
    checked = check(None, ORGANISATION, on=ON)
    assert checked.is_fine
    assert checked.diagnostics == ()
    assert checked.cases


def test_an_error_is_shown_at_its_place(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt fact ends with status 1 and names file, line, column and the fix."""
    change(workspace, "organisation/house.yaml", "model.substituted", "model.substitutd")
    assert run(workspace) == 1
    out = capsys.readouterr().out
    assert "error[unknown-fact]: `model.substitutd` is not a fact" in out
    assert "--> organisation/house.yaml:10:12" in out
    assert "did you mean `model.substituted`?" in out


def test_a_failing_case_is_a_finding(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A test that expects something else ends with status 1 and says both sides."""
    change(workspace, "tests/house.yaml", "expect: forbid", "expect: permit")
    assert run(workspace) == 1
    assert "verdict: expected `permit`, got `forbid`" in capsys.readouterr().out


def test_programs_get_one_object_a_line(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json findings, failures and the summary are objects, one a line."""
    change(workspace, "tests/house.yaml", "expect: forbid", "expect: permit")
    (workspace / "policies" / "organisation" / "idle.yaml").write_text(
        HOUSE.replace("house-rules", "idle").replace("forbid: training", "permit: training")
    )
    assert run(workspace, "--json") == 1
    *found, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["code"] for each in found] == ["no-duties", "test-failed"]
    assert (summary["failures"], summary["errors"], summary["warnings"]) == (1, 0, 1)


def test_an_untested_rule_is_a_warning_only(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rule that no case reaches is named, and the check passes all the same."""
    (workspace / "policies" / "tests" / "house.yaml").unlink()
    assert run(workspace) == 0
    assert "warning[untested]" in capsys.readouterr().out


def test_house_rules_do_not_break_the_librarys_tests(workspace: Path) -> None:
    """The library's cases run against the library alone: house rules may be stricter."""
    change(workspace, "organisation/house.yaml", "    when: {model.substituted: true}\n", "")
    assert check(workspace, ORGANISATION, on=ON).is_fine


def test_without_settings_the_message_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory that is no workspace is wrong use when no organisation is named."""
    with pytest.raises(SystemExit) as caught:
        main(["-C", str(tmp_path), "policy", "check"])
    assert caught.value.code == 2
    assert "no-workspace" in capsys.readouterr().err


@pytest.fixture
def here(tmp_path: Path) -> Workshop:
    """A whole workspace, with a ledger."""
    return Workshop.at(tmp_path / "work")


def test_a_student_is_proposed_approved_and_revoked(here: Workshop) -> None:
    """Each step is on record with its reason, and `check` follows what the ledger says."""
    path = here.declare("rival", competes="[]")
    assert "not-approved" in here.inbond("policy", "check").stdout
    here.record("policy", "propose", path, "--reason", "counsel asked for it")
    assert here.record("policy", "approve", path, "--reason", "read it")["is_self_approved"] is True
    assert "not-approved" not in here.inbond("policy", "check").stdout
    here.record("policy", "revoke", path, "--reason", "it does compete")
    assert "not-approved" in here.inbond("policy", "check").stdout
    steps = [entry for entry in here.entries() if isinstance(entry, GrantEntry)]
    assert [(step.action, step.reason) for step in steps] == [
        ("propose", "counsel asked for it"),
        ("approve", "read it"),
        ("revoke", "it does compete"),
    ]


@pytest.mark.parametrize(
    ("verb", "file", "status", "message"),
    [
        ("approve", "policies/students/gone.yaml", 2, "does not exist"),
        ("approve", "policies/organisation/house-rules.yaml", 2, "error[no-approval]"),
        ("revoke", "policies/students/gardener.yaml", 1, "error[not-approved]"),
    ],
)
def test_what_cannot_be_approved_is_said(
    here: Workshop, verb: str, file: str, status: int, message: str
) -> None:
    """A file that is not there or needs no approval is wrong use; nothing is on record."""
    before = here.size()
    result = here.inbond("policy", verb, here.directory / file, "--reason", "x")
    assert (result.exit_code, message in result.stderr) == (status, True)
    assert here.size() == before


def test_an_approval_needs_a_reason(here: Workshop) -> None:
    """Nobody approves without saying why."""
    path = here.directory / "policies/students/gardener.yaml"
    assert here.inbond("policy", "approve", path).exit_code == 2
