"""Whatever stands against a release says what it is, and what to do."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.bundle import Bundle, bundle_of
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Fact, Gate
from proxy.ledger.entry import DatasetEntry, RunEntry
from proxy.release_obstacles import (
    Made,
    Obstacle,
    Owed,
    base_refused,
    foreign,
    no_base,
    other_licence,
    refused,
    refused_rows,
    unread,
    withdrawn,
)
from tests.proxy.ledger.sample import AT, NONCE

RULES = """\
inbond: 1
policy: acme
layer: [host, model]
party: Acme
owner: a@example.org
reviewed: 2026-11-01
scope: {route: acme}
sources:
  terms: {title: Terms, url: "https://acme.example", confidence: read-primary, read: 2026-11-01, review_by: 2027-11-01, in_force: {from: 2026-01-01}}
rules:
  - id: no-trade
    forbid: [training, release]
    when: {student.commercial: true}
    because: No commercial use.
    cite: terms 1
    fix: Ask Acme.
  - id: fine
    permit: training
    because: All else may learn.
    cite: terms 2
"""
_SAID = {"at": AT, "actor": "user:1", "student": "s", "nonce": NONCE}
RUN = RunEntry.model_validate(
    {**_SAID, "id": "r", "run": "run-1", "datasets": [], "record": "aa" * 32, "weights": {}}
    | {"base": "b", "steps": 1}
)
SEALED = DatasetEntry.model_validate(
    {**_SAID, "id": "d-1", "dataset": "d-1", "rows": 1, "policies": [], "terms": [], "grants": []}
    | dict.fromkeys(("root", "manifest", "entries", "openings", "decision_bundle"), "aa" * 32)
    | {"valid_until": AT, "recipient": "trainer"}
)
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """One host's rules."""
    return bundle_of({"hosts/acme.yaml": RULES}, organisation="Us")


def decided(bundle: Bundle, gate: Gate, **facts: Fact) -> Decision:
    """What the rules say at a gate."""
    named = {name.replace("__", "."): fact for name, fact in facts.items()}
    return decide(bundle, gate, Moment(at=NOW, facts=named))


def test_a_refusal_names_rules_reasons_and_what_to_do(bundle: Bundle) -> None:
    """A forbidden release has the rule's words; one held for a missing fact names that fact."""
    no = decided(bundle, Gate.RELEASE, route="acme", student__commercial=True)
    found = refused(no.ruling, (), 3)
    assert (found.code, found.fix) == ("forbidden", "Ask Acme")
    assert "3 exchanges and bases: rule `acme/no-trade`: No commercial use" in found.what
    open_ = decided(bundle, Gate.RELEASE, route="acme")
    held = refused(open_.ruling, ("`student.commercial` (the owner)",), 1)
    assert held.code == "held"
    assert "of one exchange or base: not known: `student.commercial` (the owner)" in held.what
    assert "declare it" in held.fix


def test_a_base_is_silent_or_refused(bundle: Bundle) -> None:
    """A base that nobody speaks for is told apart from one whose licence says no."""
    silent = base_refused("x-1", decided(bundle, Gate.DATASET, route="other"))
    assert (silent.code, "`policies/models/`" in silent.fix) == ("base-silent", True)
    no = decided(bundle, Gate.DATASET, route="acme", student__commercial=True)
    assert base_refused("x-1", no).code == "base-refused"
    assert base_refused("x-1", no).fix == "Ask Acme"
    unknown = base_refused("x-1", decided(bundle, Gate.DATASET, route="acme"))
    assert "`student.commercial`" in unknown.what


def test_each_obstacle_speaks() -> None:
    """All of them name their subject and say what to do."""
    run = RUN
    dataset = SEALED
    made = Made(
        entry=run,
        folder=Path(),
        base_origin="acme-7b",
        base_licence="MIT",
        base_files={},
        duties=(),
    )
    for found, word in (
        (foreign("ab" * 32, run), "ab" * 32),
        (withdrawn(dataset, "a person asked"), "a person asked"),
        (refused_rows(dataset, Counter(excluded=2, erased=1), ["acme/no"]), "1 erased, 2 excluded"),
        (refused_rows(dataset, Counter(erased=1), []), "1 erased"),
        (unread(dataset, ["e-1"]), "e-1"),
        (no_base(made), "acme-7b"),
        (other_licence(made, "MIT", "Apache-2.0"), "Apache-2.0"),
    ):
        assert isinstance(found, Obstacle)
        assert word in found.what
        assert found.fix
        assert found.code


def test_a_duty_has_kind_and_value() -> None:
    """A value may have a colon of its own."""
    owed = Owed(duty="use_limits: https://acme.example/use: all of it")
    assert (owed.kind, owed.value) == ("use_limits", "https://acme.example/use: all of it")
