"""`inbond policy check`: what it finds, how it is shown, and how it ends."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner, Result

from policies.bundle import LIBRARY
from proxy.cli import main
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
given: {route: self-hosted, model.id: smollm2-135m-instruct, at: 2026-11-24}
cases:
  - name: another model answered
    gate: dataset
    given: {model.substituted: true}
    expect: forbid
    by: house-rules/substituted-model

  - name: the model that was asked answered
    gate: dataset
    given: {model.substituted: false}
    expect: permit
"""


@pytest.fixture(autouse=True)
def _on_the_day() -> Iterator[None]:
    """The library's texts are due for review some day: all of this happens before."""
    with time_machine.travel(ON, tick=False):
        yield


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


def run(workspace: Path, *words: str) -> Result:
    """`inbond policy check` on a workspace."""
    return CliRunner().invoke(
        main, ["policy", "check", str(workspace), "--organisation", ORGANISATION, *words]
    )


def test_sound_policies_are_fine(workspace: Path) -> None:
    """The library and a tested house rule have no finding, and two lines say so."""
    result = run(workspace)
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.startswith("policies fine: ")
    assert first.endswith(" 0 failures, 0 errors, 0 warnings")
    assert second.endswith("mutation score 100.0 %: they notice 2 of 2 small changes")


def test_an_error_is_shown_at_its_place(workspace: Path) -> None:
    """A misspelt fact ends with status 1 and names file, line, column and the fix."""
    change(workspace, "organisation/house.yaml", "model.substituted", "model.substitutd")
    result = run(workspace)
    assert result.exit_code == 1
    assert "error[unknown-fact]: `model.substitutd` is not a fact" in result.stdout
    assert "--> organisation/house.yaml:10:12" in result.stdout
    assert "did you mean `model.substituted`?" in result.stdout
    assert result.stdout.endswith("policies not fine: 0 rules, 0 grants, 0 cases, 0 failures, "
                                  "1 errors, 0 warnings\n")  # fmt: skip


def test_a_failing_case_is_an_error(workspace: Path) -> None:
    """A test that expects something else ends with status 1, shown at its place with both sides."""
    change(workspace, "tests/house.yaml", "expect: forbid", "expect: permit")
    result = run(workspace, "--quick")
    assert result.exit_code == 1
    assert (
        "error[test-failed]: the case `another model answered` fails: "
        "verdict: expected `permit`, got `forbid`\n --> tests/house.yaml:5:11\n"
    ) in result.stdout


def test_a_change_that_no_case_notices_is_a_warning(workspace: Path) -> None:
    """The score falls and the change is named with the case to add, and the check passes."""
    change(workspace, "tests/house.yaml", "given: {model.substituted: false}\n    expect: permit",
           "given: {model.substituted: true}\n    expect: forbid")  # fmt: skip
    result = run(workspace)
    assert result.exit_code == 0
    assert (
        "warning[survivor]: no test case notices a change of `house-rules/substituted-model`: "
        "without `model.substituted: true`\n"
    ) in result.stdout
    assert "mutation score 50.0 %: they notice 1 of 2 small changes" in result.stdout
    assert "survivor" not in run(workspace, "--quick").stdout


def test_twenty_survivors_are_shown_and_the_rest_counted(workspace: Path) -> None:
    """People read the first twenty; programs get them all."""
    projects = "".join(f"        - project: p{at}\n" for at in range(30)).rstrip()
    change(
        workspace,
        "organisation/house.yaml",
        "when: {model.substituted: true}",
        f"when:\n      model.substituted: true\n      any:\n{projects}",
    )
    change(workspace, "tests/house.yaml", "at: 2026-11-24", "project: p7, at: 2026-11-24")
    result = run(workspace)
    lines = [json.loads(line) for line in run(workspace, "--json").stdout.splitlines()]
    survivors = [each for each in lines[:-1] if each["code"] == "survivor"]
    assert result.stdout.count("warning[survivor]") == 20
    assert len(survivors) == lines[-1]["survivors"] > 20
    assert f"and {len(survivors) - 20} more changes that no test case notices" in result.stdout


def test_programs_get_one_object_a_line(workspace: Path) -> None:
    """With --json findings, failures and the summary are objects, one a line."""
    change(workspace, "tests/house.yaml", "expect: forbid", "expect: permit")
    (workspace / "policies" / "organisation" / "idle.yaml").write_text(
        HOUSE.replace("house-rules", "idle")
        .replace("forbid: training", "permit: training")
        .replace("substituted: true", "substituted: false")
    )
    result = run(workspace, "--json", "--quick")
    assert result.exit_code == 1
    *found, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["code"] for each in found] == ["no-duties", "test-failed"]
    assert (summary["failures"], summary["errors"], summary["warnings"]) == (1, 1, 1)
    assert (summary["score"], summary["changes"]) == (None, None)
    assert summary["reached"] == summary["rules"]


def test_annotations_find_their_files(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --sarif a log goes to stdout whose files are named from the current directory."""
    change(workspace, "tests/house.yaml", "expect: forbid", "expect: permit")
    monkeypatch.chdir(workspace.parent)
    result = run(workspace, "--sarif", "--quick")
    (log,) = json.loads(result.stdout)["runs"]
    (finding,) = log["results"]
    place = finding["locations"][0]["physicalLocation"]
    assert (finding["ruleId"], finding["level"]) == ("test-failed", "error")
    assert place["artifactLocation"]["uri"] == f"{workspace.name}/policies/tests/house.yaml"
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (5, 11)
    assert (result.exit_code, "policies not fine" in result.stderr) == (1, True)


def test_annotations_of_files_elsewhere_keep_their_names(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not below the current directory is named as the bundle names it."""
    change(workspace, "tests/house.yaml", "expect: forbid", "expect: permit")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    (log,) = json.loads(run(workspace, "--sarif", "--quick").stdout)["runs"]
    place = log["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "tests/house.yaml"


def test_an_untested_rule_is_a_warning_only(workspace: Path) -> None:
    """A rule that no case reaches is named, once, and the check passes all the same."""
    (workspace / "policies" / "tests" / "house.yaml").unlink()
    result = run(workspace)
    assert result.exit_code == 0
    assert "warning[untested]" in result.stdout
    assert "warning[survivor]" not in result.stdout
    assert "mutation score 0.0 %" in result.stdout


def test_house_rules_do_not_break_the_librarys_tests(workspace: Path) -> None:
    """The library's cases run against the library alone: house rules may be stricter."""
    change(workspace, "organisation/house.yaml", "    when: {model.substituted: true}\n", "")
    (workspace / "policies" / "tests" / "house.yaml").unlink()
    assert run(workspace, "--quick").exit_code == 0


def test_the_library_can_be_checked_alone() -> None:
    """Without a workspace the shipped library is fine, and its own score is told."""
    result = CliRunner().invoke(main, ["policy", "check", "--library", "--json"])
    *found, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each for each in found if each["code"] != "survivor"] == []
    assert result.exit_code == 0
    assert summary["rules"] == summary["reached"] > 0
    assert summary["score"] >= 0.95
    assert {each["file"].partition("/")[0] for each in found} <= {LIBRARY.name}


@pytest.mark.parametrize(
    "words", [("--json", "--sarif"), ("--library", "--organisation", "Example Org")]
)
def test_options_that_exclude_each_other_are_wrong_use(words: tuple[str, ...]) -> None:
    """Two answers to one question end with status 2."""
    result = CliRunner().invoke(main, ["policy", "check", *words])
    assert result.exit_code == 2
    assert "usage" in result.stderr


def test_without_settings_the_message_says_what_to_do(tmp_path: Path) -> None:
    """A directory that is no workspace is wrong use when no organisation is named."""
    result = CliRunner().invoke(main, ["-C", str(tmp_path), "policy", "check"])
    assert (result.exit_code, "no-workspace" in result.stderr) == (2, True)


def test_approvals_are_those_of_the_ledger(tmp_path: Path) -> None:
    """In a workspace with a ledger an unapproved declaration is named until it is approved."""
    here = Workshop.at(tmp_path / "work")
    path = here.declare("rival", competes="[]")
    assert "not-approved" in here.inbond("policy", "check", "--quick").stdout
    here.record("policy", "propose", path, "--reason", "counsel asked for it")
    here.record("policy", "approve", path, "--reason", "read it")
    assert "not-approved" not in here.inbond("policy", "check", "--quick").stdout
