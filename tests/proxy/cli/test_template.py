"""Tests of proxy.cli.template."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml

from proxy.cli import main
from proxy.cli.template import house_rules, house_rules_test, settings_file
from proxy.clock import utc_now
from proxy.settings import Settings, parse_settings

TODAY = date(2026, 11, 24)
ORGANISATION = 'Ä "B": c'


def test_the_comments_show_the_defaults() -> None:
    """Taking the `#` away from the settings' comments changes nothing but custody and teachers."""
    text = settings_file(organisation="Acme", origin="inbond/acme")
    commented = text.partition("# Where providers' real keys")[0]
    opened = re.sub(r"(?m)^# (?=[a-z]+(_[a-z]+)*:|  )", "", commented)
    assert opened.count("#") < text.count("#")
    assert parse_settings(opened, Path("/w"), {}) == parse_settings(text, Path("/w"), {})


def test_every_setting_is_shown() -> None:
    """A fresh `inbond.yaml` mentions every key there is, but the one with a single value."""
    text = settings_file(organisation="Acme", origin="inbond/acme")
    keys = set(Settings.model_fields) - {"directory", "delivery"}
    assert {key for key in keys if not re.search(rf"(?m)^(# )?{key}:", text)} == set()


def test_house_rules_begin_with_one_rule_in_force() -> None:
    """The template is a policy of the organisation; its other rules are comments that parse too."""
    text = house_rules(organisation=ORGANISATION, today=TODAY)
    policy = yaml.safe_load(text)
    assert (policy["party"], policy["reviewed"]) == (ORGANISATION, TODAY)
    assert [rule["id"] for rule in policy["rules"]] == ["images-unseen"]
    assert "counters" not in policy
    everything = yaml.safe_load(opened(text))
    assert len(everything["rules"]) == 8
    assert len(everything["counters"]) == 3


def test_a_fresh_workspace_has_no_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules that come with a workspace pass their tests, and nothing is to be said of them."""
    workspace(tmp_path, house_rules, house_rules_test)
    assert findings(tmp_path, capsys) == []


def test_all_rules_that_are_off_are_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every `#` taken away the rules pass their cases, each rule has one, and nothing is found."""
    workspace(
        tmp_path,
        lambda **said: opened(house_rules(**said)),
        lambda **said: opened(house_rules_test(**said)),
    )
    assert findings(tmp_path, capsys) == []


@pytest.mark.parametrize("limit", ["100_000", "20_000_000", "50_000"])
def test_the_cases_of_volume_know_their_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    """A limit moved by one, either way, fails a case."""
    for other in (int(limit) - 1, int(limit) + 1):
        moved = f"above: {other}"
        workspace(
            tmp_path,
            lambda moved=moved, **said: opened(house_rules(**said)).replace(
                f"above: {limit}", moved
            ),
            lambda **said: opened(house_rules_test(**said)),
        )
        found = findings(tmp_path, capsys)
        assert any(place.startswith("tests/house-rules.test.yaml:") for place in found)


def opened(text: str) -> str:
    """A template with all that is off switched on."""
    return re.sub(r"(?m)^#(?=  |counters:)", "", text)


def workspace(folder: Path, rules: Callable[..., str], cases: Callable[..., str]) -> None:
    """Write house rules and their cases as `inbond init` places them."""
    today = utc_now().date()
    for name, text in (
        ("organisation/house-rules.yaml", rules(organisation=ORGANISATION, today=today)),
        ("tests/house-rules.test.yaml", cases(today=today)),
    ):
        path = folder / "policies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def findings(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Where `inbond policy check` finds something in the files of the workspace, warnings included."""
    with pytest.raises(SystemExit):
        main(["policy", "check", str(folder), "--organisation", ORGANISATION])
    out = capsys.readouterr().out
    assert re.search(r"(?m)^policies (?:not )?fine: \d+ rules", out)
    return re.findall(r"--> ((?:organisation|tests)/.*)", out)
