"""What loads and is still worth a word; the texts are in the golden files."""

from datetime import UTC, datetime

import pytest

from policies.bundle import bundle_of
from policies.diagnostics import Severity
from policies.lint import lint
from tests.policies.acme import DOCUMENTS, GRANT, ORGANISATION, approved, digest

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
