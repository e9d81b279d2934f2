"""Policy tests report what differs, where, and which rules no case reaches."""

import hashlib

import pytest

from policies.bundle import Bundle, bundle_of
from policies.testing import Report, is_of_library, library_alone, run_suites

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


def test_many_names_are_counted() -> None:
    """A difference names the first twelve and says how many more there are."""
    rules = "".join(
        f"  - id: extra-{at:02}\n    permit: training\n    because: It may.\n    cite: terms 3\n"
        for at in range(20)
    )
    documents = {
        "library/hosts/acme.yaml": HOST + rules,
        "library/hosts/acme.test.yaml": f"{SUITE}    expect: permit\n    by: acme/not-general\n",
    }
    (failure,) = run_suites(bundle_of(documents, organisation="Example Org")).failures
    assert failure.difference.count("`acme/extra-") == 12
    assert failure.difference.endswith("`acme/extra-11`, and 9 more")


WORKSPACE_HOST = HOST.replace("permit: training", "review: training").replace(
    "    duties: {display: Built with Acme}\n", ""
)


def overriding(*, is_approved: bool) -> Bundle:
    """A workspace that replaces the library's file by one that reviews."""
    documents = {
        "library/hosts/acme.yaml": HOST,
        "library/hosts/acme.test.yaml": f"{SUITE}    expect: permit\n    by: acme/notice\n",
        "hosts/acme.yaml": WORKSPACE_HOST,
    }
    digests = {hashlib.sha256(text.encode()).hexdigest() for text in documents.values()}
    return bundle_of(
        documents,
        organisation="Example Org",
        approvals=frozenset(digests) if is_approved else frozenset(),
    )


def test_an_override_does_not_break_the_tests_of_what_it_replaces() -> None:
    """The library's cases are decided by the file they were written for."""
    bundle = overriding(is_approved=True)
    assert bundle.overrides == ("hosts/acme.yaml",)
    assert not run_suites(bundle).failures
    assert {rule.where.file for rule in library_alone(bundle).rules} == {"library/hosts/acme.yaml"}


def test_an_override_wants_tests_of_its_own() -> None:
    """A case that reaches the library's rule does not reach the one that replaces it."""
    assert "acme/notice" in run_suites(overriding(is_approved=True)).unhit_rules
    assert "acme/notice" not in run_suites(overriding(is_approved=False)).unhit_rules


def test_a_host_of_the_workspace_does_not_reach_into_the_librarys_tests() -> None:
    """What the workspace adds for the same contract is no part of what the library says."""
    documents = {
        "library/hosts/acme.yaml": HOST,
        "library/hosts/acme.test.yaml": f"{SUITE}    expect: permit\n",
        "hosts/stricter.yaml": WORKSPACE_HOST.replace("policy: acme\n", "policy: stricter\n"),
    }
    bundle = bundle_of(documents, organisation="Example Org")
    assert not run_suites(bundle).failures
    assert not is_of_library(bundle.policies[1].where)


def test_a_library_without_a_workspace_is_itself() -> None:
    """Nothing is compiled again where there is nothing to leave out."""
    documents = {"library/hosts/acme.yaml": HOST}
    bundle = bundle_of(documents, organisation="Example Org")
    assert library_alone(bundle) is bundle


@pytest.mark.parametrize(
    ("case", "is_idle"),
    [
        ("gate: dataset\n    given: {route: other}\n    expect: forbid", True),
        (
            "gate: dataset\n    given: {route: other}\n    expect: forbid\n    silent: [host, model]",
            False,
        ),
        ("gate: dataset\n    given: {route: other}\n    expect: forbid\n    by: []", False),
        ("gate: dataset\n    given: {route: other}\n    expect: permit", False),
        ("gate: dataset\n    given: {student.purpose: distil-general}\n    expect: forbid", False),
        ("gate: dataset\n    expect: permit", False),
        ("gate: request\n    expect: permit", True),
        ("gate: release\n    expect: permit", False),
        ("gate: release\n    given: {route: other}\n    expect: permit", True),
    ],
)
def test_a_case_that_no_rule_could_fail_is_idle(case: str, *, is_idle: bool) -> None:
    """A verdict of silence alone proves nothing, unless the case says so or a rule stands near.

    At request and release silence permits, so a permit guards the rules in whose scope it lies.
    """
    released = """\
  - id: not-released
    forbid: release
    when: {student.release: open-weights}
    because: Not as open weights.
    cite: terms 5
"""
    documents = {
        "library/hosts/acme.yaml": f"{HOST}\n{released}",
        "library/hosts/acme.test.yaml": SUITE.replace("gate: dataset\n", f"{case}\n"),
    }
    report = run_suites(bundle_of(documents, organisation="Example Org"))
    assert [each.name for each in report.idle] == (["first"] if is_idle else [])
