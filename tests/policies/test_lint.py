"""What loads and is still worth a word; the texts are in the golden files."""

from datetime import UTC, datetime, timedelta

import pytest

from policies.bundle import bundle_of
from policies.diagnostics import Severity, render
from policies.lint import ending, lint
from policies.testing import run_suites
from tests.policies.acme import (
    DOCUMENTS,
    GRANT,
    HOST,
    HOUSE,
    ORGANISATION,
    SUITE,
    approved,
    digest,
)

ON = datetime(2026, 11, 24, tzinfo=UTC)


def codes(changes: dict[str, str], on: datetime = ON) -> list[str]:
    """The codes found in the documents with some of them changed, all approved."""
    return [each.code for each in lint(approved({**DOCUMENTS, **changes}), on=on)]


def test_sound_policies_have_no_findings() -> None:
    """Where all is well nothing is said."""
    assert codes({}) == []


def test_only_a_missing_citation_is_an_error() -> None:
    """A rule of a provider without a clause is an error; house rules need none."""
    path = "library/hosts/acme-api.yaml"
    bundle = approved({path: DOCUMENTS[path].replace("    cite: terms 4.2\n", "")})
    found = lint(bundle, on=ON)
    assert [(each.code, each.severity) for each in found] == [("uncited", Severity.ERROR)] * 2


def test_dates_are_seen_from_the_given_instant() -> None:
    """A review date and a grant's end come into sight as time passes."""
    assert codes({}, datetime(2027, 2, 1, tzinfo=UTC)) == ["expires"]
    assert codes({}, datetime(2027, 2, 22, tzinfo=UTC)) == ["expires", "stale"]
    late = lint(approved(DOCUMENTS), on=datetime(2028, 1, 1, tzinfo=UTC))
    assert "has ended" in late[0].message


def test_a_revoked_grant_neither_waits_nor_expires() -> None:
    """What is revoked needs no approval and no renewal."""
    letter = frozenset({digest(GRANT)})
    bundle = bundle_of(DOCUMENTS, organisation=ORGANISATION, approvals=letter, revoked=letter)
    assert lint(bundle, on=datetime(2027, 2, 1, tzinfo=UTC)) == ()


def test_a_grant_without_an_end_does_not_expire() -> None:
    """A perpetual grant of a provider is fine."""
    assert codes({"grants/acme-letter.yaml": GRANT.replace(", until: 2027-03-01", "")}) == []


def test_untested_rules_are_named() -> None:
    """Rules that no case reaches are named, and only those of the bundle."""
    found = lint(approved(DOCUMENTS), on=ON, untested=["acme-api/not-competing", "gone/rule"])
    assert [(each.code, each.place.line) for each in found] == [("untested", 18)]


def test_an_excerpt_exists_at_the_end_of_a_line() -> None:
    """An id on a line of its own, after an indented key, is found as well."""
    text = DOCUMENTS["organisation/house-rules.yaml"].replace("id: mass", "id:\n      mass")
    found = lint(
        approved({**DOCUMENTS, "organisation/house-rules.yaml": text}),
        on=ON,
        untested=["house-rules/mass-querying"],
    )
    assert found[0].span.text.strip() == "mass-querying"


HOUSE_PATH = "organisation/house-rules.yaml"
LETTER_PATH = "grants/acme-letter.yaml"


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        (HOUSE_PATH, "{above: 50_000}", "{above: 50_000, below: 50_001}", ["never-matches"]),
        (HOUSE_PATH, "{above: 50_000}", "{above: 50_000, below: 50_002}", []),
        (HOUSE_PATH, "review: training", "permit: training", ["no-duties"]),
        (
            HOUSE_PATH,
            "review: training",
            "permit: training\n    duties: {attribution: us}",
            [],
        ),
        (LETTER_PATH, "project: support", "student.competes_with: {lacks: Acme}", ["idle-grant"]),
        (LETTER_PATH, "project: support", "student.release: internal", []),
    ],
)
def test_each_finding_beside_what_is_fine(
    path: str, old: str, new: str, expected: list[str]
) -> None:
    """A contradiction, an idle permit and an idle grant are found, and their neighbours are not."""
    changed = DOCUMENTS[path].replace(old, new)
    assert changed != DOCUMENTS[path]
    assert codes({path: changed}) == expected


def test_a_grant_waits_for_approval() -> None:
    """A grant that nobody approved lifts nothing, and that is said."""
    found = lint(bundle_of(DOCUMENTS, organisation=ORGANISATION), on=ON)
    assert [each.code for each in found] == ["not-approved"]


def test_an_id_may_be_quoted_with_blanks_before_it() -> None:
    """The place of a rule is that of its id, whatever stands around it."""
    text = DOCUMENTS[HOUSE_PATH].replace("id: mass-querying", 'id:   "mass-querying"')
    bundle = approved({**DOCUMENTS, HOUSE_PATH: text})
    found = lint(bundle, on=ON, untested=["house-rules/mass-querying"])
    assert found[0].span.width == len('"mass-querying"')


HOST_PATH = "library/hosts/acme-api.yaml"
SUITE_PATH = "library/hosts/acme-api.test.yaml"


def said(changes: dict[str, str], **given: object) -> str:
    """The one finding about the documents with some of them changed, as people read it."""
    bundle = approved({**DOCUMENTS, **changes})
    report = run_suites(bundle)
    (finding,) = lint(bundle, on=ON, idle=report.idle)
    return render(finding)


def added(rule: str, *, to: str = HOST) -> str:
    """A policy with one more rule at its end."""
    return f"{to.rstrip()}\n{rule}"


def test_a_rule_inside_a_stricter_one_is_named() -> None:
    """A review that a forbid of the same party swallows never decides."""
    rule = """\
  - id: large
    review: request
    when: {counter.per-day: {above: 60_000}}
    because: A person looks at what is very large.
"""
    large = HOUSE.replace("rules:\n", f"rules:\n{rule}")
    wide = large.replace("{above: 50_000}", "{at_least: 50_000}")
    plain = wide.replace("      student.purpose: {not: eval}\n", "")
    assert plain.count("forbid: request") == 1
    assert said({HOUSE_PATH: plain}) == (
        "warning[never-decides]: the rule `house-rules/large` never decides: wherever it matches, "
        "`house-rules/mass-querying` forbids\n"
        "  --> organisation/house-rules.yaml:10:9\n"
        "   |\n"
        "10 |   - id: large\n"
        "   |         ^^^^^\n"
        "   = help: remove it, or narrow `house-rules/mass-querying` so that it leaves this case alone\n"
    )


def test_a_permit_inside_a_forbid_is_overruled() -> None:
    """No narrower rule goes first: who writes an exception as a permit is told so."""
    rules = """\
  - id: nobody
    forbid: training
    when: {student.release: open-weights}
    because: Nobody may.
    cite: terms 5
  - id: but-classifiers
    permit: training
    when: {student.release: open-weights, student.task: classify}
    because: A narrower permit is no exception.
    cite: terms 6
"""
    assert said({HOST_PATH: added(rules)}) == (
        "warning[always-overruled]: the permit `acme-api/but-classifiers` is always overruled: "
        "wherever it matches, `acme-api/nobody` forbids\n"
        "  --> library/hosts/acme-api.yaml:39:9\n"
        "   |\n"
        "39 |   - id: but-classifiers\n"
        "   |         ^^^^^^^^^^^^^^^\n"
        "   = help: forbid beats permit, however narrow the permit: "
        "narrow `acme-api/nobody`, or remove the permit\n"
    )


def test_two_names_for_one_student_clash() -> None:
    """Permits of one example whose name prefixes no name has both of."""
    prefixed = HOST.replace("duties: {display: Built with Acme}", "duties: {name_prefix: Acme}")
    rule = """\
  - id: tuned
    permit: training
    when: {student.task: generate}
    because: A generator is named after the model.
    cite: terms 9
    duties: {name_prefix: Anvil}
"""
    assert said({HOST_PATH: added(rule, to=prefixed)}) == (
        "warning[duty-clash]: the rules `acme-api/not-competing` and `acme-api/tuned` ask for two "
        "names at once: one begins with `Acme`, the other with `Anvil`\n"
        "  --> library/hosts/acme-api.yaml:34:9\n"
        "   |\n"
        "34 |   - id: tuned\n"
        "   |         ^^^^^\n"
        "   = help: narrow them so that no example needs both: a student has one name\n"
    )
    both = HOST.replace("{display: Built with Acme}", "{name_prefix: [Acme, Anvil]}")
    assert "the rule `acme-api/not-competing` asks for two names at once" in said({HOST_PATH: both})


def test_a_case_that_silence_answers_is_named() -> None:
    """A case about a contract that nobody speaks for passes, and proves nothing."""
    case = """\
  - name: a rival may not
    gate: dataset
    given: {route: acme-apl, student.competes_with: [Acme]}
    expect: forbid
"""
    assert said({SUITE_PATH: SUITE + case}) == (
        "warning[idle-case]: the case `a rival may not` passes by silence alone: no rule decides it\n"
        "  --> library/hosts/acme-api.test.yaml:25:11\n"
        "   |\n"
        "25 |   - name: a rival may not\n"
        "   |           ^\n"
        "   = help: give it the facts of the rule it is about, "
        "or say `silent` if silence is what it shows\n"
    )
    assert codes({SUITE_PATH: f"{SUITE}{case}    silent: [host, model]\n"}) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "lifts: acme-api/no-competing-models",
            "lifts: acme-api/not-competing",
            "this grant lifts the permit `acme-api/not-competing`, which stands all the same",
        ),
        (
            "lifts: acme-api/no-competing-models\npermits: training",
            "permits: [request, release]",
            "this grant permits gates where nothing needs a permit",
        ),
        (
            "lifts: acme-api/no-competing-models\npermits: training\nscope:\n  route: acme-api",
            "permits: training\nscope:\n  route: acme-apl",
            "the scope of this grant never meets a policy of `Acme`, so it permits nothing",
        ),
    ],
)
def test_a_grant_that_does_nothing_is_named(old: str, new: str, message: str) -> None:
    """Each way in which a grant does not do what its author thinks is said once."""
    assert old in GRANT
    assert message in said({LETTER_PATH: GRANT.replace(old, new)})


def test_a_rule_outside_the_time_of_its_sources_never_matches() -> None:
    """A window that closes before the text was in force is found like a contradiction."""
    text = HOST.replace("    cite: terms 4.2\n", "    cite: terms 4.2\n    in_force: {until: 2025-01-01}\n", 1)  # fmt: skip
    assert (
        "the rule `acme-api/not-competing` can never match: "
        "no source it cites is in force while the rule is"
    ) in said({HOST_PATH: text})


def test_what_can_never_match_wants_no_test() -> None:
    """A contradiction is said once: no case could reach the rule."""
    text = HOUSE.replace("{above: 50_000}", "{above: 50_000, below: 50_001}")
    bundle = approved({**DOCUMENTS, HOUSE_PATH: text})
    found = lint(bundle, on=ON, untested=["house-rules/mass-querying"])
    assert [each.code for each in found] == ["never-matches"]


@pytest.mark.parametrize(("days", "expected"), [(180, []), (181, ["stale"])])
def test_a_policy_without_dated_sources_is_read_again_too(days: int, expected: list[str]) -> None:
    """Half a year after somebody read the organisation's rules through, they are stale."""
    on = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(days=days)
    only = approved({HOUSE_PATH: HOUSE.replace("reviewed: 2026-11-10", "reviewed: 2026-11-24")})
    found = lint(only, on=on)
    assert [each.code for each in found] == expected
    assert all("was reviewed 181 days ago" in each.message for each in found)


def test_a_policy_with_dated_sources_is_read_again_by_their_dates() -> None:
    """Where sources say when they are due, the date of the whole file adds nothing."""
    old = HOST.replace("reviewed: 2026-11-24", "reviewed: 2025-01-01")
    assert codes({HOST_PATH: old}) == []


def test_a_grant_for_the_exchanges_of_its_time_does_not_end() -> None:
    """What lifts for exchanges inside its window keeps doing so when the window is over."""
    perpetual = GRANT.replace("in_force:", "as_of: exchange\nin_force:")
    assert codes({LETTER_PATH: perpetual}, datetime(2027, 2, 1, tzinfo=UTC)) == ["expires"]
    late = datetime(2027, 3, 1, tzinfo=UTC)
    assert "expires" in codes({}, late)
    assert "expires" not in codes({LETTER_PATH: perpetual}, late)


def test_one_day_is_one_day() -> None:
    """The last day of a grant is counted in the singular."""
    (found,) = lint(approved(DOCUMENTS), on=datetime(2027, 2, 21, tzinfo=UTC), untested=())
    assert found.message == "the grant `acme-letter` ends in 8 days"
    found, *_ = lint(approved(DOCUMENTS), on=datetime(2027, 2, 28, tzinfo=UTC))
    assert found.message == "the grant `acme-letter` ends in 1 day"


def test_what_depends_on_a_grant_is_told_with_its_end() -> None:
    """A ledger's number stands beside the end of its grant, in the singular where it is one."""
    on = datetime(2027, 2, 21, tzinfo=UTC)
    for count, words in (
        (4120, "; 4,120 admitted examples depend on it"),
        (1, "; 1 admitted example depends on it"),
        (0, ""),
    ):
        (found,) = lint(approved(DOCUMENTS), on=on, resting={"acme-letter": count})
        assert found.message == f"the grant `acme-letter` ends in 8 days{words}"


def test_the_grants_that_end_are_those_whose_end_is_told() -> None:
    """Approved ones within thirty days of their end, or past it."""
    bundle = approved(DOCUMENTS)
    assert ending(bundle, datetime(2027, 1, 29, tzinfo=UTC)) == ()
    assert ending(bundle, datetime(2027, 1, 30, tzinfo=UTC)) == bundle.grants
