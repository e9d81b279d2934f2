"""Witnesses: an exchange that nobody made and that two bundles decide differently."""

from datetime import UTC, datetime

import pytest

from policies.bundle import Bundle
from policies.decision import Moment
from policies.diff import Edit, edits_of
from policies.engine import decide
from policies.model import Effect, Gate
from policies.witness import Witness, witnesses
from tests.policies.acme import DOCUMENTS, approved

AT = datetime(2026, 11, 24, tzinfo=UTC)
ACME = approved(DOCUMENTS)
HOST, HOUSE = "library/hosts/acme-api.yaml", "organisation/house-rules.yaml"


def edited(path: str, old: str, new: str) -> Bundle:
    """The bundle of Acme with something replaced in a file."""
    assert old in DOCUMENTS[path]
    return approved({**DOCUMENTS, path: DOCUMENTS[path].replace(old, new)})


def shown(old: Bundle, new: Bundle) -> tuple[Witness, ...]:
    """The witnesses of two bundles, each checked to be one."""
    found = witnesses(old, new, edits_of(old, new), AT)
    for each in found:
        moment = Moment(at=each.at, facts=each.facts)
        assert decide(old, each.gate, moment).verdict is each.before
        assert decide(new, each.gate, moment).verdict is each.after
        assert each.before is not each.after
    return found


@pytest.mark.parametrize(
    ("path", "old", "new", "gate", "facts"),
    [
        (
            HOUSE,
            "above: 50_000",
            "above: 60_000",
            Gate.REQUEST,
            {"counter.per-day", "student.purpose"},
        ),
        (HOUSE, "    mode: shadow\n", "", Gate.RESPONSE, {"model.substituted"}),
        (
            HOST,
            "has: Acme}",
            "has: [Acme, Other]}",
            Gate.REQUEST,
            {"student.competes_with"},
        ),
        (HOST, "not: [classify, embed]", "not: [classify]", Gate.REQUEST, {"student.task"}),
    ],
)
def test_a_changed_rule_has_a_witness(
    path: str, old: str, new: str, gate: Gate, facts: set[str]
) -> None:
    """A moved threshold, a rule that counts now, a wider set, a narrower list: each is shown."""
    found = shown(ACME, edited(path, old, new))
    assert found
    assert found[0].gate is gate
    assert facts <= found[0].facts.keys()
    back = shown(edited(path, old, new), ACME)
    assert {(each.after, each.before) for each in back} == {(e.before, e.after) for e in found}


def test_a_witness_holds_no_more_than_it_needs() -> None:
    """Dropping any fact that the rule itself does not test loses the difference."""
    new = edited(HOUSE, "    mode: shadow\n", "")
    (found,) = shown(ACME, new)
    assert found.facts["model.substituted"] is True
    for name in found.facts.keys() - {"model.substituted"}:
        fewer = Moment(at=AT, facts={k: v for k, v in found.facts.items() if k != name})
        verdicts = [decide(each, found.gate, fewer).verdict for each in (ACME, new)]
        assert verdicts != [found.before, found.after]


def test_a_rule_is_shown_with_the_permits_it_needs() -> None:
    """A rule of the organisation shows only where somebody permits: that permit is met too."""
    (found,) = shown(ACME, edited(HOUSE, "    mode: shadow\n", ""))
    assert found.facts["route"] == "acme-api"
    assert (found.before, found.after) == (Effect.PERMIT, Effect.REVIEW)


def test_a_window_is_shown_at_its_edge() -> None:
    """Terms that start later show on a day between: today both bundles say the same."""
    (found, *_) = shown(ACME, edited(HOST, "from: 2026-01-01", "from: 2026-02-01"))
    assert found.at < datetime(2026, 2, 1, tzinfo=UTC)


def test_a_grant_is_shown() -> None:
    """A letter that is gone shows on what it lifted."""
    without = approved({k: v for k, v in DOCUMENTS.items() if not k.startswith("grants/")})
    (found,) = shown(ACME, without)
    assert found.edit == Edit("grant", "acme-letter", "removed")
    assert found.facts["project"] == "support"


def test_students_and_the_same_have_no_witness() -> None:
    """A declaration is no rule, and equal bundles have no edits."""
    rival = edited("students/support-router.yaml", "competes_with: [Acme]", "competes_with: []")
    assert edits_of(ACME, rival)
    assert shown(ACME, rival) == ()
    assert shown(ACME, ACME) == ()


def test_what_makes_no_difference_has_no_witness() -> None:
    """A sentence that reads otherwise is an edit, and decides nothing else."""
    reworded = edited(HOUSE, "Above 50,000 calls a day", "Beyond 50,000 calls a day")
    assert edits_of(ACME, reworded)
    assert shown(ACME, reworded) == ()


def test_a_rule_that_can_never_match_has_no_witness() -> None:
    """Tests that contradict each other are met by nothing."""
    never = "      student.purpose: {not: eval}\n"
    odd = edited(
        HOUSE, never, "      student.purpose: [eval]\n      any: [{student.purpose: serve}]\n"
    )
    other = approved(
        {
            **odd.documents,
            HOUSE: odd.documents[HOUSE].replace("above: 50_000", "above: 60_000"),
        }
    )
    assert shown(odd, other) == ()


def test_what_is_missing_besides_is_settled_and_dropped_again() -> None:
    """Where another rule waits for facts they are supplied, and those that turn out idle are left out."""
    look = (
        "  - id: look\n    review: training\n"
        "    when: {student.purpose: eval, student.task: rank}\n    because: Somebody looks.\n"
    )
    house = DOCUMENTS[HOUSE] + look
    old = approved({**DOCUMENTS, HOUSE: house})
    new = approved({**DOCUMENTS, HOUSE: house.replace("    mode: shadow\n", "")})
    (found,) = shown(old, new)
    assert (found.before, found.after) == (Effect.PERMIT, Effect.REVIEW)
    assert "student.task" in found.facts
    assert "student.purpose" not in found.facts


def test_a_source_need_not_say_when_it_is_reviewed() -> None:
    """A text without a review date has the edges of its window alone."""
    ageless = DOCUMENTS[HOST].replace("    review_by: 2027-02-22\n", "")
    later = ageless.replace("from: 2026-01-01", "from: 2026-02-01")
    found = shown(approved({**DOCUMENTS, HOST: ageless}), approved({**DOCUMENTS, HOST: later}))
    assert found
