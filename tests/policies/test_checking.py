"""The whole check: each of its parts speaks, and together they decide whether a bundle is fine."""

from datetime import UTC, datetime

from policies.bundle import Bundle, bundle_of
from policies.checking import Checked, check
from policies.diagnostics import Findings, Severity, Span
from tests.policies.acme import DOCUMENTS, HOUSE, ORGANISATION, SUITE, approved

ON = datetime(2026, 11, 24, tzinfo=UTC)
LIBRARY = {path: text for path, text in DOCUMENTS.items() if path.startswith("library/")}
SUITE_PATH = "library/hosts/acme-api.test.yaml"
HOUSE_SUITE = """\
inbond: 1
test: house
given: {route: acme-api, student.purpose: serve, at: 2026-07-01}
cases:
  - name: many calls
    gate: request
    given: {counter.per-day: 50_001}
    expect: forbid
    by: house-rules/mass-querying
"""


def library(**changes: str) -> Bundle:
    """The library's files alone."""
    return bundle_of({**LIBRARY, **changes}, organisation=ORGANISATION)


def codes(checked: Checked) -> list[str]:
    """What was found, in order."""
    return [each.code for each in checked.findings]


def test_every_part_speaks_in_the_order_of_the_files() -> None:
    """Warnings of the loader, lints, failing cases and survivors come as one list by place."""
    failing = SUITE.replace("expect: permit", "expect: forbid")
    checked = check(
        bundle_of(
            {**DOCUMENTS, SUITE_PATH: failing, "tests/house.yaml": HOUSE_SUITE},
            organisation=ORGANISATION,
        ),
        on=ON,
    )
    places = [(each.place.file, each.place.line) for each in checked.findings]
    assert places == sorted(places)
    # The grant and the student wait for approval, and the house rules have one case.
    assert set(codes(checked)) == {"not-approved", "survivor", "test-failed", "untested"}
    assert (checked.errors, checked.is_fine) == (1, False)


def test_warnings_alone_are_fine() -> None:
    """A rule without a test is a warning, and the bundle may take effect."""
    checked = check(approved(DOCUMENTS), on=ON)
    assert "untested" in codes(checked)
    assert checked.is_fine
    assert not any(each.severity is Severity.ERROR for each in checked.findings)


def test_without_a_bundle_nothing_is_fine() -> None:
    """Files that make no bundle leave their errors and nothing else."""
    findings = Findings()
    findings.warning("stale", "read it again", Span("a.yaml", 1, 1, 1, ""))
    assert not Checked(findings=findings.warnings).is_fine


def test_where_the_workspace_has_policies_they_are_what_is_changed() -> None:
    """The library's own score is its maintainers' matter, but where nothing else is checked."""
    whole = check(approved({**DOCUMENTS, "tests/house.yaml": HOUSE_SUITE}), on=ON)
    alone = check(library(), on=ON)
    assert whole.mutation is not None
    assert alone.mutation is not None
    own = {each.rule.partition("/")[0] for each in whole.mutation.survivors}
    shipped = {each.rule.partition("/")[0] for each in alone.mutation.survivors}
    assert (own, shipped) == ({"house-rules"}, {"acme-api"})


def test_a_survivor_says_what_to_add() -> None:
    """A threshold that no case stands at is named with its change, at its place."""
    suite = HOUSE_SUITE.replace("50_001", "90_000")
    checked = check(approved({**DOCUMENTS, "tests/house.yaml": suite}), on=ON)
    moved = [each for each in checked.findings if "moved to" in each.message]
    assert [each.code for each in moved] == ["survivor"] * len(moved)
    assert any(
        each.message
        == "no test case notices a change of `house-rules/mass-querying`: `above: 50000` moved to 50001"
        for each in moved
    )
    assert {each.span.text.strip() for each in moved} == {"counter.per-day: {above: 50_000}"}
    assert all(each.help for each in moved)


def test_an_untested_rule_has_no_survivors_besides() -> None:
    """That no case reaches a rule is said once, not for each of its conditions."""
    house = HOUSE.replace("    mode: shadow\n", "")
    assert house != HOUSE
    documents = {
        **DOCUMENTS,
        "organisation/house-rules.yaml": house,
        "tests/house.yaml": HOUSE_SUITE,
    }
    checked = check(approved(documents), on=ON)
    assert checked.report is not None
    assert checked.mutation is not None
    untested = "house-rules/substituted-model"
    assert checked.report.unhit_rules == (untested,)
    assert untested in {each.rule for each in checked.mutation.survivors}
    survivors = [each.message for each in checked.findings if each.code == "survivor"]
    assert survivors
    assert not any(untested in message for message in survivors)


def test_the_score_can_be_left_out() -> None:
    """Without it nothing is changed and nothing is said of it."""
    checked = check(library(), on=ON, is_mutated=False)
    assert checked.mutation is None
    assert "survivor" not in codes(checked)


def test_a_case_that_silence_answers_is_among_the_findings() -> None:
    """What the tests notice about themselves reaches the list."""
    case = """\
  - name: elsewhere
    gate: dataset
    given: {route: elsewhere}
    expect: forbid
"""
    checked = check(library(**{SUITE_PATH: SUITE + case}), on=ON, is_mutated=False)
    assert codes(checked) == ["idle-case"]
