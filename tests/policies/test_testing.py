"""Policy tests report what differs, where, and which rules no case reaches."""

import pytest

from policies.bundle import Bundle, bundle_of
from policies.testing import Report, run_suites

HOST = """\
inbond: 1
policy: acme
layer: [host, model]
party: Acme
owner: legal@example.org
reviewed: 2026-01-01
scope:
  route: acme

sources:
  terms:
    title: Terms
    url: https://example.org/terms
    confidence: read-primary
    read: 2026-01-01
    review_by: 2027-01-01
    in_force: {from: 2026-01-01}

rules:
  - id: notice
    permit: training
    because: Output may train if its origin is shown.
    cite: terms 1
    duties: {display: Built with Acme}

  - id: not-general
    forbid: training
    when: {student.purpose: distil-general}
    because: Not a general model.
    cite: terms 2
"""
HOUSE = """\
inbond: 1
policy: house
layer: organisation
party: Example Org
owner: legal@example.org
reviewed: 2026-01-01
rules:
  - id: personal
    review: training
    when: {response.pii: true}
    because: Somebody looks at personal data first.
"""
SUITE = """\
inbond: 1
test: acme
given:
  route: acme
  student.purpose: eval
  at: {exchange: 2026-06-01, today: 2026-06-02}
cases:
  - name: first
    gate: dataset
"""


def bundle(expectations: str, *, path: str = "library/hosts/acme.test.yaml") -> Bundle:
    """Terms and house rules, with one case that expects something."""
    lines = "".join(f"    {line}\n" for line in expectations.splitlines())
    documents = {
        "library/hosts/acme.yaml": HOST,
        "organisation/house.yaml": HOUSE,
        path: SUITE + lines,
    }
    return bundle_of(documents, organisation="Example Org")


def report(expectations: str) -> Report:
    """The report on the terms' own suite."""
    return run_suites(bundle(expectations))


def test_a_case_that_agrees_passes() -> None:
    """Each part that is asserted is compared and nothing else is."""
    all_parts = (
        "expect: permit\nby: [acme/notice]\nsilent: []\nmissing: []\nlifted: []\nduties: [display]"
    )
    for expectations in ("expect: permit", all_parts):
        (result,) = report(expectations).results
        assert result.passed
        assert str(result) == "library/hosts/acme.test.yaml:8:11: `first` passed"
        assert (result.suite, result.decision.by) == ("acme", ("acme/notice",))


@pytest.mark.parametrize(
    ("expectations", "difference"),
    [
        ("expect: forbid", "verdict: expected `forbid`, got `permit`"),
        (
            "expect: permit\nby: [acme/not-general]",
            "by: expected `acme/not-general`, got `acme/notice`",
        ),
        ("expect: permit\nsilent: [model, host]", "silent: expected `host`, `model`, got nothing"),
        ("expect: permit\nmissing: [route]", "missing: expected `route`, got nothing"),
        (
            "expect: permit\nlifted: [acme/not-general]",
            "lifted: expected `acme/not-general`, got nothing",
        ),
        ("expect: permit\nduties: []", "duties: expected nothing, got `display`"),
    ],
)
def test_a_difference_is_one_line_with_its_place(expectations: str, difference: str) -> None:
    """The line says which part, what was expected and what the policies say."""
    seen = report(expectations)
    (failure,) = seen.failures
    assert failure.difference == difference
    assert str(failure) == f"library/hosts/acme.test.yaml:8:11: `first` failed: {difference}"


def test_all_differences_stand_in_one_line() -> None:
    """Several parts that differ are joined, verdict first."""
    (failure,) = report("expect: review\nby: []\nmissing: [response.pii]").failures
    assert failure.difference == (
        "verdict: expected `review`, got `permit`; by: expected nothing, got `acme/notice`; "
        "missing: expected `response.pii`, got nothing"
    )


def test_suites_of_the_library_are_decided_without_the_organisation() -> None:
    """House rules change what the house may do, not what a provider's terms say."""
    assert not report("expect: permit").failures


def test_other_suites_are_decided_with_everything() -> None:
    """A suite of the workspace sees the organisation's rules and what they miss."""
    own = bundle("expect: review\nmissing: [response.pii]", path="tests/acme.yaml")
    assert not run_suites(own).failures


def test_rules_no_case_surely_reaches_are_listed() -> None:
    """A rule that matched only possibly, or never, is unhit."""
    own = bundle("expect: review", path="tests/acme.yaml")
    seen = run_suites(own)
    assert seen.hit_rules == {"acme/notice"}
    assert seen.unhit_rules == ("acme/not-general", "house/personal")
