"""Tests of proxy.cli.template."""

import re
from datetime import date
from pathlib import Path

import yaml

from proxy.cli.template import house_rules, settings_file
from proxy.settings import Settings, parse_settings

TODAY = date(2026, 11, 24)


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
    text = house_rules(organisation='Ä "B": c', today=TODAY)
    policy = yaml.safe_load(text)
    assert (policy["party"], policy["reviewed"]) == ('Ä "B": c', TODAY)
    assert [rule["id"] for rule in policy["rules"]] == ["images-unseen"]
    opened = re.sub(r"(?m)^#(?=  )", "", text)
    assert len(yaml.safe_load(opened)["rules"]) == 5
