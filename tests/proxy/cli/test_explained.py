"""Explanations as text: golden, so that a change of a word is seen."""

from datetime import UTC, datetime

from policies.bundle import Bundle
from policies.decision import Moment
from policies.explain import Explanation, explain
from policies.model import Fact, Gate
from proxy.cli.explained import explained_json, explained_text, retraced_text
from proxy.clock import stamp
from proxy.ledger.entry import DecisionRecord
from proxy.retrace import Retraced
from tests.policies.acme import DOCUMENTS, HOST, approved

AT = datetime(2026, 7, 1, tzinfo=UTC)
TODAY = datetime(2026, 11, 24, tzinfo=UTC)
COMPETING: dict[str, Fact] = {
    "route": "acme-api",
    "project": "other",
    "student.competes_with": frozenset({"Acme"}),
    "student.task": "generate",
    "student.release": "internal",
    "model.substituted": True,
}
ACME = approved(DOCUMENTS)


def said(
    facts: dict[str, Fact] = COMPETING, bundle: Bundle = ACME, today: dict[str, Fact] | None = None
) -> Explanation:
    """The dataset gate's decision, explained."""
    now = Moment(at=TODAY, facts=facts if today is None else today)
    return explain(bundle, Gate.DATASET, Moment(at=AT, facts=facts), now)


def text(found: Explanation) -> str:
    """All lines, the digest of the bundle left out."""
    digest = found.decision.bundle[:12]
    return "\n".join(explained_text(found)).replace(digest, "DIGEST")


def test_a_refusal_reads_so() -> None:
    """Gate, instants, rules with values and clauses, permits that fail, and what it turns on."""
    assert text(said()) == GOLDEN_REFUSAL


GOLDEN_REFUSAL = """\
dataset gate: exclude (forbid)
  as of 2026-07-01T00:00:00.000Z (exchange) and 2026-11-24T00:00:00.000Z (today), policy bundle DIGEST
  forbid  acme-api/no-competing-models  library/hosts/acme-api.yaml:24:9  (sets the verdict)
          Output may not be used to develop models that compete with Acme.
          route = acme-api: is acme-api
          student.competes_with = [Acme]: has Acme
          student.task = generate: is not classify or embed
          cite terms 4.2: Terms of Acme, in force since 2026-01-01, read first-hand 2026-11-24, review by 2027-02-22
          fix: Choose another teacher or ask Acme for a grant.
  review  house-rules/substituted-model  organisation/house-rules.yaml:16:9  (shadow: recorded, not counted)
          The model that answered is not the one asked for.
          model.substituted = true: is true
  not     acme-api/not-competing  library/hosts/acme-api.yaml:18:9  (fails on one fact only)
          student.competes_with = [Acme]: lacks Acme
  silent: host, model
  would change it (what it turns on, no advice: what is declared has to be true):
    to permit: `project` is `support` (grant `acme-letter`)
    to permit: if it were true that `student.competes_with` lacks `Acme`
    to permit: a grant from Acme that lifts `acme-api/no-competing-models` and permits the dataset gate"""


def test_doubt_reads_so() -> None:
    """Rules that possibly match, facts that are missing, and values that differ on both clocks."""
    facts: dict[str, Fact] = {"route": "acme-api", "student.task": "generate"}
    today: dict[str, Fact] = {**facts, "student.release": "service"}
    assert text(said(facts, today=today)) == GOLDEN_DOUBT


GOLDEN_DOUBT = """\
dataset gate: hold back (review)
  as of 2026-07-01T00:00:00.000Z (exchange) and 2026-11-24T00:00:00.000Z (today), policy bundle DIGEST
  forbid  acme-api/no-competing-models  library/hosts/acme-api.yaml:24:9  (possibly; sets the verdict)
          Output may not be used to develop models that compete with Acme.
          route = acme-api: is acme-api
          student.competes_with = unknown: has Acme
          student.task = generate: is not classify or embed
          student.release = unknown (today service): is not internal
          cite terms 4.2: Terms of Acme, in force since 2026-01-01, read first-hand 2026-11-24, review by 2027-02-22
          fix: Choose another teacher or ask Acme for a grant.
  permit  acme-api/not-competing  library/hosts/acme-api.yaml:18:9  (possibly)
          The restriction reaches models that compete with Acme.
          route = acme-api: is acme-api
          student.competes_with = unknown: lacks Acme
          cite terms 4.2: Terms of Acme, in force since 2026-01-01, read first-hand 2026-11-24, review by 2027-02-22
  review  house-rules/substituted-model  organisation/house-rules.yaml:16:9  (possibly; shadow: recorded, not counted)
          The model that answered is not the one asked for.
          model.substituted = unknown: is true
  missing: student.competes_with, from the declaration of the student
  missing: student.release, from the declaration of the student
  would change it (what it turns on, no advice: what is declared has to be true):
    to permit: if it were true that `student.competes_with` lacks `Acme`"""


def test_a_permit_reads_so() -> None:
    """Duties come with it, and nothing would make it milder."""
    facts = {**COMPETING, "student.competes_with": frozenset[str]()}
    assert text(said(facts)) == GOLDEN_PERMIT


GOLDEN_PERMIT = """\
dataset gate: admit (permit)
  as of 2026-07-01T00:00:00.000Z (exchange) and 2026-11-24T00:00:00.000Z (today), policy bundle DIGEST
  permit  acme-api/not-competing  library/hosts/acme-api.yaml:18:9  (sets the verdict)
          The restriction reaches models that compete with Acme.
          route = acme-api: is acme-api
          student.competes_with = []: lacks Acme
          cite terms 4.2: Terms of Acme, in force since 2026-01-01, read first-hand 2026-11-24, review by 2027-02-22
  review  house-rules/substituted-model  organisation/house-rules.yaml:16:9  (shadow: recorded, not counted)
          The model that answered is not the one asked for.
          model.substituted = true: is true
  duty: display: Built with Acme"""


def test_a_grant_and_silence_read_so() -> None:
    """A lifted rule names its grant; an unknown route leaves all layers silent."""
    lifted = text(said({**COMPETING, "project": "support"}))
    assert "(lifted by acme-letter)" in lifted
    assert "  grants: acme-letter" in lifted
    silent = text(said({"route": "elsewhere"}))
    assert "  silent: host, model" in silent
    assert "dataset gate: exclude (forbid)" in silent


def test_what_nothing_changes_says_so() -> None:
    """Where no single step would do, that is said."""
    facts: dict[str, Fact] = {"route": "elsewhere", "student.competes_with": frozenset({"Acme"})}
    assert "  no single fact, grant or clearance would change it" in text(said(facts))


def test_permits_elsewhere_are_counted() -> None:
    """Of the permits of other hosts that fail on one fact the first are named, the rest counted."""
    more = {f"library/hosts/acme-{n}.yaml": HOST.replace("acme-api", f"acme-{n}") for n in range(5)}
    bundle = approved({**DOCUMENTS, **more})
    lines = text(said({**COMPETING, "student.competes_with": frozenset()}, bundle)).splitlines()
    elsewhere = [line for line in lines if line.startswith("  not     acme-")]
    assert len(elsewhere) == 3
    assert (
        "  not     2 more permits, of other hosts and models, that fail on one fact only" in lines
    )


def test_long_lists_are_cut_and_odd_characters_replaced() -> None:
    """A change with many values is cut in the text; control characters do not reach a terminal."""
    more = {
        f"library/hosts/acme-{n}.yaml": HOST.replace("acme-api", f"acme-{n:02}") for n in range(20)
    }
    bundle = approved({**DOCUMENTS, **more})
    shown = text(said({"route": "a\x1b[31m", "student.competes_with": frozenset()}, bundle))
    assert "`acme-11` and 9 more" in shown
    assert "\x1b" not in shown


def retraced(verdict: str, today: Explanation, *, is_recorded: bool = True) -> list[str]:
    """What is said of a refusal on record with a verdict, and of today."""
    found = said()
    record = DecisionRecord(
        gate="response",
        verdict=verdict,  # type: ignore[arg-type] # one of the three
        bundle="ab" * 32,
        meaning="cd" * 32,
        exchange_at=stamp(AT),
        today_at=stamp(TODAY),
        by=list(found.decision.by),
    )
    return list(
        retraced_text(
            Retraced(
                exchange="e",
                recorded=record if is_recorded else None,
                explanation=found,
                today=today.decision,
            )
        )
    )


def test_the_record_and_today_read_so() -> None:
    """The same, another today, another on record, and none on record."""
    assert retraced("forbid", said()) == [
        "on record: forbid, as decided here again",
        "today: the policies in force decide the same: forbid",
    ]
    permitted = said({**COMPETING, "student.competes_with": frozenset()})
    assert retraced("permit", permitted) == [
        "on record: permit by `acme-api/no-competing-models`; decided again it differs",
        "today: the policies in force say permit by `acme-api/not-competing`",
    ]
    silent = said({"route": "elsewhere"})
    assert retraced("forbid", silent, is_recorded=False) == [
        "on record: dataset verdicts stand in the manifest of each dataset",
        "today: the policies in force say forbid by no rule; silent: host, model",
    ]


def test_programs_get_every_part() -> None:
    """The object has each part of the explanation, sets as sorted lists."""
    found = explained_json(said())
    assert found["facts"] == {
        "model.substituted": True,
        "project": "other",
        "route": "acme-api",
        "student.competes_with": ["Acme"],
        "student.release": "internal",
        "student.task": "generate",
    }
    why, why_not, would = found["why"], found["why_not"], found["would_change"]
    assert isinstance(why, list)
    assert isinstance(why_not, list)
    assert isinstance(would, list)
    assert why[0]["rule"] == "acme-api/no-competing-models"
    assert why[0]["cites"][0]["in_force_from"] == "2026-01-01T00:00:00.000Z"
    assert why[0]["tests"][0]["exchange"] in ("acme-api", ["Acme"])
    assert why_not[0]["is_near"] is True
    assert [min(each) for each in would] == ["fact", "fact", "grant_from"]


def test_a_clearance_is_offered_to_programs_too() -> None:
    """A review of the organisation alone can be cleared, and says what it clears."""
    house = DOCUMENTS["organisation/house-rules.yaml"].replace("    mode: shadow\n", "")
    bundle = approved({**DOCUMENTS, "organisation/house-rules.yaml": house})
    found = said({**COMPETING, "student.competes_with": frozenset()}, bundle)
    would = explained_json(found)["would_change"]
    assert isinstance(would, list)
    assert would[-1] == {
        "clears": ["house-rules/substituted-model"],
        "verdict": "permit",
        "text": "a reviewer's clearance of `house-rules/substituted-model`",
    }
    assert "    to permit: a reviewer's clearance of" in text(found)
