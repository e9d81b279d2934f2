"""Grants, students and test files, against what they link to."""

import pytest

from policies.bundle import bundle_of
from policies.diagnostics import PolicyError
from policies.model import Suite
from tests.policies.acme import DOCUMENTS, GRANT, HOUSE, ORGANISATION, STUDENT, approved

SUITE_PATH = "library/hosts/acme-api.test.yaml"
SUITE = DOCUMENTS[SUITE_PATH]
PATHS = {
    GRANT: "grants/acme-letter.yaml",
    STUDENT: "students/support-router.yaml",
    SUITE: SUITE_PATH,
}


def codes(text: str, old: str, new: str) -> list[str]:
    """The codes of errors, or of warnings where there are none, after one replacement."""
    assert old in text
    changed = {**DOCUMENTS, PATHS[text]: text.replace(old, new, 1)}
    try:
        return [each.code for each in approved(changed).warnings]
    except PolicyError as error:
        return [each.code for each in error.diagnostics]


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        (GRANT, "because:", "becuase:", ["unknown-key"]),
        (GRANT, "acme-api/no-competing", "acme-api/no-such", ["unknown-rule"]),
        (GRANT, "party: Acme", "party: Example Org", ["wrong-party", "wrong-party"]),
        (GRANT, "from: 2026-03-01, ", "", ["missing-key"]),
        (GRANT, "until: 2027-03-01", "until: 2026-03-01", ["bad-window"]),
        (GRANT, "until: 2027-03-01", "until: 2027-03-02", []),
        (GRANT, "project: support", "counter.per-day: {below: 5}", []),
        (GRANT, "project: support", "counter.per-week: {below: 5}", ["unknown-fact"]),
        (STUDENT, "task: generate", "task: generat", ["bad-value"]),
        (STUDENT, "12_000", "many", ["bad-value"]),
        (STUDENT, "owner:", "ownr:", ["unknown-key"]),
        (STUDENT, "[Acme]", "[acme, Acme]", ["unknown-party"]),
        (STUDENT, "[Acme]", "[Somebody Else]", ["unknown-party"]),
        (STUDENT, "[Acme]", "[]", []),
        (SUITE, "expect: permit", "expects: permit", ["unknown-key"]),
        (SUITE, "by: acme-api/not-competing", "by: acme-api/not-competng", ["unknown-rule"]),
        (SUITE, "lifted: []", "lifted: acme-api/nothing", ["unknown-rule"]),
        (SUITE, "missing: [student.competes_with, ", "missing: [student.competes, ", ["unknown-fact"]),
        (SUITE, "route: acme-api\n", "rout: acme-api\n", ["unknown-fact"]),
        (SUITE, "{exchange: 2026-07-01, today: 2026-11-24}", "{exchange: 2026-07-01}", ["missing-key"] * 2),
        (SUITE, "{exchange: 2026-07-01, today", "{exchange: 2026-07-01, when: 2026-01-01, today", ["unknown-key"]),
        (SUITE, "at: 2026-08-01", "at: soon", ["bad-value"]),
        (SUITE, "at: 2026-08-01", "at: [2026-08-01]", ["bad-value"]),
        (SUITE, "given: {student.task: generate, at: 2026-08-01}", "given: nothing", ["wrong-type"]),
        (SUITE, "  at: {exchange: 2026-07-01, today: 2026-11-24}\n", "", ["missing-key"] * 2),
    ],
)  # fmt: skip
def test_a_mistake_is_found_once(text: str, old: str, new: str, expected: list[str]) -> None:
    """Each mistake has its code, and what is no mistake has none."""
    assert codes(text, old, new) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GRANT.replace("permits: training\n", ""), []),
        (GRANT.replace("lifts: acme-api/no-competing-models\n", ""), []),
        (
            GRANT.replace("lifts: acme-api/no-competing-models\npermits: training\n", ""),
            ["empty-grant"],
        ),
        (
            GRANT.replace("party: Acme", "party: Example Org")
            .replace("acme-api/no-competing-models", "house-rules/mass-querying")
            .replace("permits: training\n", "")
            .replace(", until: 2027-03-01", ""),
            ["no-end"],
        ),
    ],
)
def test_a_grant_says_something_and_ends(text: str, expected: list[str]) -> None:
    """A grant lifts or permits, and one of the organisation's own has an end."""
    documents = {**DOCUMENTS, "grants/acme-letter.yaml": text}
    try:
        found = approved(documents).warnings
    except PolicyError as error:
        found = error.diagnostics
    assert [each.code for each in found] == expected


def test_what_nobody_approved_is_unknown() -> None:
    """An unapproved judgement is left out of the facts and kept as declared; a student may make none."""
    student = bundle_of(DOCUMENTS, organisation=ORGANISATION).students["support-router"]
    assert "student.competes_with" not in student.facts
    assert student.declared_competes_with == frozenset({"Acme"})
    assert codes(STUDENT, "competes_with: [Acme]\n", "") == []


def test_a_case_may_stand_alone() -> None:
    """Without a shared `given` each case says all it needs."""
    text = (
        "inbond: 1\ntest: alone\ncases:\n  - name: n\n    gate: request\n"
        "    given: {at: 2026-01-01}\n    expect: permit\n"
    )
    (only,) = approved({"tests/alone.yaml": text}).suites[0].cases
    assert only.facts == {}


def suite() -> Suite:
    """The test file of the sound documents."""
    return approved(DOCUMENTS).suites[0]


def test_what_cases_share_is_given_to_each() -> None:
    """A case has the shared facts and its own; parts it says nothing about are None."""
    first, second, third = suite().cases
    assert first.facts == {
        "route": "acme-api",
        "student.competes_with": frozenset(),
        "student.task": "generate",
    }
    assert first.by == frozenset({"acme-api/not-competing"})
    assert first.missing is None
    assert second.lifted == frozenset()
    assert str(second.where) == f"{SUITE_PATH}:13:11"
    assert third.missing == frozenset({"student.competes_with", "student.release"})


def test_one_date_is_both_instants() -> None:
    """`at: DATE` is the exchange and today; a case's own replaces the shared one."""
    first, _, third = suite().cases
    assert first.exchange_at < first.today_at
    assert third.exchange_at == third.today_at


def test_house_rules_alone_make_a_bundle() -> None:
    """A workspace with one file of its own is enough."""
    assert len(approved({"organisation/house.yaml": HOUSE}).rules) == 2
