"""What the organisation declares reaches the rules that ask for it, and stands in the leaf."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from proxy.declared import Declared, declared_in
from proxy.errors import SettingsError
from proxy.ledger.entry import CallEntry
from tests.proxy.workshop import NOW, Asked, Workshop

SAID = """
org: {country: DE, revenue_usd: 5_000_000}
accounts: {main: {tier: enterprise}}
"""
RULES = """
inbond: 1
policy: size
layer: organisation
party: Example Org
owner: ml@example.org
reviewed: 2026-11-24
rules:
  - id: enterprise-only
    forbid: request
    when: {account.tier: {not: enterprise}}
    because: The answers of other plans are not ours to keep.
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace on the day of the tests."""
    with time_machine.travel(NOW, tick=True):
        yield Workshop.at(tmp_path / "work")


def add(here: Workshop, text: str) -> None:
    """Write more settings."""
    with (here.directory / "inbond.yaml").open("a") as settings:
        settings.write(text)


def test_what_is_not_declared_is_unknown(here: Workshop) -> None:
    """Silence declares nothing, of the organisation as of an account."""
    assert declared_in(here.settings) == Declared()
    assert Declared().of("main") == {}
    assert Declared(tiers={"main": "free"}).of(None) == {}


def test_the_tier_is_that_of_the_account(here: Workshop) -> None:
    """Each account has its own plan; the organisation is one."""
    add(here, SAID)
    declared = declared_in(here.settings)
    organisation = {"org.country": "DE", "org.revenue_usd": 5_000_000}
    assert declared.of("main") == {**organisation, "account.tier": "enterprise"}
    assert declared.of("other") == organisation


def test_declared_facts_decide_and_are_recorded(here: Workshop) -> None:
    """A rule on the account's plan holds the call while it is unknown, and lets it pass then."""
    (here.directory / "policies/organisation/size.yaml").write_text(RULES)
    here.ask(Asked())
    add(here, SAID)
    here.ask(Asked())
    calls = [entry for entry in here.entries() if isinstance(entry, CallEntry)]
    assert [call.decision.verdict for call in calls] == ["review", "permit"]
    assert calls[0].decision.missing == ["account.tier"]
    assert "org.country" not in calls[0].facts
    assert calls[1].facts["org.revenue_usd"] == 5_000_000
    assert calls[1].facts["account.tier"] == "enterprise"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("org: {country: Germany}", "org.country"),
        ("org: {revenue_usd: -1}", "org.revenue_usd"),
        ("accounts: {main: {}}", "accounts.main.tier"),
        ("accounts: {main: {tier: ''}}", "accounts.main.tier"),
    ],
)
def test_a_wrong_declaration_is_an_error(here: Workshop, text: str, where: str) -> None:
    """A value that no fact can have is refused where it is written."""
    add(here, f"\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        _ = here.settings
    assert where.rpartition(".")[2] in f"{caught.value.message} {caught.value.where}"
