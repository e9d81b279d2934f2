"""Two bundles over the same exchanges: exactly the verdicts that differ flip, for the right rules."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import diff as module
from policies.bundle import Bundle
from policies.decision import Moment
from policies.diff import Difference, Edit, Snapshot, diff, edits_of
from policies.engine import compile_rules, decide
from policies.model import Effect, Fact, Gate, Layer, Rule, Student
from tests.policies.acme import DOCUMENTS, approved
from tests.policies.strategies import (
    HERE,
    RULE_IDS,
    UNTIMED,
    Law,
    cleared,
    facts,
    laws,
    moments,
    rules,
)
from tests.policies.test_engine import gates

AT = datetime(2026, 7, 1, tzinfo=UTC)
TODAY = datetime(2026, 11, 24, tzinfo=UTC)
ACME = approved(DOCUMENTS)
PERMITTED: dict[str, Fact] = {
    "route": "acme-api",
    "student.competes_with": frozenset(),
    "student.task": "generate",
    "student.release": "internal",
    "model.substituted": False,
}


def bundle(law: Law, digest: str) -> Bundle:
    """A bundle of nothing but a law."""
    return replace(
        ACME,
        digest=digest,
        rules=law.rules,
        grants=law.grants,
        students={},
        matrix=compile_rules(law.rules, law.grants),
    )


def edited(path: str, old: str, new: str) -> Bundle:
    """The bundle of Acme with something replaced in a file."""
    assert old in DOCUMENTS[path]
    return approved({**DOCUMENTS, path: DOCUMENTS[path].replace(old, new)})


def asked(facts: Mapping[str, Fact], gate: Gate = Gate.DATASET, exchange: str = "e1") -> Snapshot:
    """An exchange before a gate, today if that is the dataset gate."""
    return Snapshot(exchange, gate, AT, facts, TODAY if gate is Gate.DATASET else None)


def snapshots() -> st.SearchStrategy[list[Snapshot]]:
    """Some exchanges at some gates."""
    one = st.builds(
        lambda name, gate, then, today, clear: Snapshot(
            name, gate, then.at, then.facts, today, cleared=clear
        ),
        st.sampled_from(["e1", "e2", "e3"]),
        gates(),
        moments(),
        st.none() | moments().map(lambda moment: moment.at),
        cleared(),
    )
    return st.lists(one, max_size=8)


def students() -> st.SearchStrategy[Student]:
    """A student that declares some of what the rules ask."""
    declared = facts().map(lambda all_: {n: v for n, v in all_.items() if n[:8] == "student."})
    return declared.map(
        lambda known: Student(
            id="s",
            digest="0" * 64,
            owner="o",
            facts=known,
            declared_competes_with=None,
            where=HERE,
        )
    )


@UNTIMED
@given(old=laws(), new=laws(), seen=snapshots())
def test_flips_are_the_verdicts_that_differ(old: Law, new: Law, seen: list[Snapshot]) -> None:
    """Deciding each snapshot with both bundles gives the same flips, one by one."""
    before, after = bundle(old, "old"), bundle(new, "new")
    check(before, after, seen)


@UNTIMED
@given(law=laws(), other=rules(RULE_IDS[0]), seen=snapshots(), student=students(), edit=students())
def test_one_edit_flips_what_it_alone_decides(
    law: Law, other: Rule, seen: list[Snapshot], student: Student, edit: Student
) -> None:
    """A rule that is changed, or another declaration: what they do not reach is told apart."""
    before = replace(bundle(law, "old"), students={"s": student})
    changed = replace(law, rules=(other, *law.rules[1:]))
    asked = [each._replace(student="s") for each in seen]
    check(before, replace(bundle(changed, "new"), students={"s": student}), asked)
    check(before, replace(bundle(changed, "new"), students={"s": edit}), asked)


def check(before: Bundle, after: Bundle, seen: list[Snapshot]) -> None:
    """Compare the flips with deciding on each snapshot alone."""
    wanted: dict[tuple[Gate, Effect, Effect], int] = {}
    for snapshot in seen:
        one, two = (verdict(each, snapshot) for each in (before, after))
        if one is not two:
            key = snapshot.gate, one, two
            wanted[key] = wanted.get(key, 0) + 1
    found: dict[tuple[Gate, Effect, Effect], int] = {}
    for flip in diff(before, after, seen).flips:
        key = flip.gate, flip.before, flip.after
        found[key] = found.get(key, 0) + flip.count
    assert found == wanted


def verdict(law: Bundle, snapshot: Snapshot) -> Effect:
    """What a bundle says of one snapshot; today's clock reads what the student declares."""
    then = Moment(at=snapshot.at, facts=snapshot.facts)
    today = None if snapshot.today_at is None else replace(then, at=snapshot.today_at)
    student = law.students.get(snapshot.student or "")
    if today is not None and student is not None:
        kept = {n: v for n, v in then.facts.items() if not n.startswith("student.")}
        today = replace(today, facts={**kept, **student.facts})
    return decide(law, snapshot.gate, then, today, cleared=snapshot.cleared).verdict


@UNTIMED
@given(law=laws(), seen=snapshots())
def test_a_bundle_does_not_differ_from_itself(law: Law, seen: list[Snapshot]) -> None:
    """No verdict flips and nothing is edited, whatever is replayed."""
    same = bundle(law, "same")
    found = diff(same, same, seen)
    assert (found.flips, found.edits) == ((), ())
    assert sum(found.decisions.values()) == len(seen)


def only(found: Difference) -> module.Flip:
    """The one flip there is."""
    (flip,) = found.flips
    return flip


def test_a_new_rule_is_the_cause_of_its_flips() -> None:
    """Gate, verdicts, rule and exchanges, and how many datasets hold them."""
    stricter = edited("organisation/house-rules.yaml", "    mode: shadow\n", "")
    facts = {**PERMITTED, "model.substituted": True}
    held = asked(facts, exchange="e2")._replace(datasets=("d1", "d2"))
    found = diff(ACME, stricter, [asked(facts), asked(facts, Gate.RESPONSE), held])
    assert found.edits == (Edit("rule", "house-rules/substituted-model", "changed"),)
    assert (found.exchanges, found.decisions) == (2, {Gate.DATASET: 2, Gate.RESPONSE: 1})
    first, second = found.flips
    assert (first.gate, first.before, first.after) == (
        Gate.DATASET,
        Effect.PERMIT,
        Effect.REVIEW,
    )
    assert first.rules == ("house-rules/substituted-model",)
    assert (first.count, first.examples, first.datasets) == (2, ["e1", "e2"], {"d1": 1, "d2": 1})
    assert (second.gate, second.count) == (Gate.RESPONSE, 1)


def test_what_a_reviewer_cleared_does_not_flip() -> None:
    """Of two exchanges alike, the one whose review was lifted keeps its verdict."""
    stricter = edited("organisation/house-rules.yaml", "    mode: shadow\n", "")
    one = asked({**PERMITTED, "model.substituted": True})
    rules = frozenset({"house-rules/substituted-model"})
    for seen in ([one, one._replace(cleared=rules)], [one._replace(cleared=rules), one]):
        assert only(diff(ACME, stricter, seen)).count == 1


def test_a_rule_that_is_gone_leaves_silence() -> None:
    """Where the only permit is taken away its layers are silent, and it is the cause."""
    gone = edited("library/hosts/acme-api.yaml", "permit: training", "permit: release")
    flip = only(diff(ACME, gone, [asked(PERMITTED)]))
    assert (flip.rules, flip.after) == (("acme-api/not-competing",), Effect.FORBID)
    assert set(flip.silent) == {Layer.HOST, Layer.MODEL}


def test_a_grant_that_is_gone_is_named() -> None:
    """A letter that no longer applies stands beside the rule that it lifted."""
    facts = {**PERMITTED, "project": "support", "student.competes_with": frozenset({"Acme"})}
    without = approved({k: v for k, v in DOCUMENTS.items() if not k.startswith("grants/")})
    found = diff(ACME, without, [asked(facts)])
    flip = only(found)
    assert (flip.before, flip.after) == (Effect.PERMIT, Effect.FORBID)
    assert (flip.rules, flip.grants) == (("acme-api/no-competing-models",), ("acme-letter",))
    assert found.edits == (Edit("grant", "acme-letter", "removed"),)
    assert diff(without, ACME, ()).edits == (Edit("grant", "acme-letter", "added"),)


def test_where_no_rule_matches_the_grant_alone_is_the_cause() -> None:
    """A letter that permitted what no rule speaks about is gone: silence, and no rule to name."""
    facts: dict[str, Fact] = {
        **PERMITTED,
        "project": "support",
        "student.competes_with": frozenset({"Acme"}),
        "student.task": "classify",
    }
    without = approved({k: v for k, v in DOCUMENTS.items() if not k.startswith("grants/")})
    flip = only(diff(ACME, without, [asked(facts)]))
    assert (flip.before, flip.after) == (Effect.PERMIT, Effect.FORBID)
    assert (flip.rules, flip.grants) == ((), ("acme-letter",))


def test_a_lapsed_review_flips_without_an_edit_of_what_matches() -> None:
    """A permit that counts as review in one bundle only is itself the cause."""
    lapsed = edited("library/hosts/acme-api.yaml", "2027-02-22", "2026-11-25")
    seen = [asked(PERMITTED)._replace(today_at=TODAY + timedelta(days=2))]
    flip = only(diff(ACME, lapsed, seen))
    assert (flip.after, flip.rules) == (Effect.REVIEW, ("acme-api/not-competing",))


def test_today_reads_what_the_student_declares() -> None:
    """The declaration of each bundle is read on today's clock, and the stamped facts on the other."""
    rival = edited("students/support-router.yaml", "competes_with: [Acme]", "competes_with: []")
    seen = [asked({**PERMITTED, "project": "x"})._replace(student="support-router")]
    found = diff(rival, ACME, seen)
    flip = only(found)
    assert (flip.before, flip.after) == (Effect.PERMIT, Effect.FORBID)
    assert "acme-api/no-competing-models" in flip.rules
    assert found.edits == (Edit("student", "support-router", "changed"),)
    assert diff(rival, ACME, [asked(PERMITTED)._replace(student="nobody")]).flips == ()
    alone = asked(PERMITTED)._replace(today_at=None, student="support-router")
    assert diff(rival, ACME, [alone]).flips == ()


def test_without_a_grant_another_declaration_flips_as_well() -> None:
    """Though no rule is edited, today's clock reads otherwise."""
    rival = edited("students/support-router.yaml", "competes_with: [Acme]", "competes_with: []")
    seen = [asked(PERMITTED)._replace(student="support-router")]
    old, new = (replace(b, matrix=compile_rules(b.rules, ())) for b in (rival, ACME))
    found = diff(old, new, seen)
    assert (only(found).before, only(found).after) == (Effect.PERMIT, Effect.FORBID)


def test_numbers_read_alike_between_limits() -> None:
    """Counts on one side of every limit are one group; on different sides they are not."""
    looser = edited("organisation/house-rules.yaml", "50_000}", "50_001}")
    facts = {**PERMITTED, "student.purpose": "serve"}
    seen = [
        asked({**facts, "counter.per-day": count}, Gate.REQUEST, exchange=f"e{count}")
        for count in (1, 50_000, 50_001, 50_002, "many", 50_001)
    ]
    flip = only(diff(ACME, looser, seen))
    assert (flip.count, flip.examples) == (2, ["e50001"])


def test_no_more_examples_are_kept_than_asked_for() -> None:
    """The count goes on where the examples end."""
    gone = edited("library/hosts/acme-api.yaml", "permit: training", "permit: release")
    seen = [asked(PERMITTED, exchange=f"e{n}") for n in range(5)]
    flip = only(diff(ACME, gone, seen, examples=2))
    assert (flip.count, flip.examples) == (5, ["e0", "e1"])


def test_groups_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is remembered, the same flips come out."""
    stricter = edited("organisation/house-rules.yaml", "    mode: shadow\n", "")
    seen = [
        asked(
            {
                **PERMITTED,
                "model.id": f"m{n % 3}",
                "response.tokens": n,
                "model.substituted": n % 2 == 0,
            },
            exchange=f"e{n}",
        )
        for n in range(12)
    ]
    whole = diff(ACME, stricter, seen)
    for memory in ("_REMEMBERED", "_PLACES"):
        monkeypatch.setattr(module, memory, 1)
        assert diff(ACME, stricter, seen) == whole
    assert only(whole).count == 6


def test_edits_are_of_meaning() -> None:
    """Comments and layout are no edits; a rule that is new, gone or changed is one, in order."""
    path = "organisation/house-rules.yaml"
    commented = approved({**DOCUMENTS, path: f"# a comment\n{DOCUMENTS[path]}"})
    assert commented.digest != ACME.digest
    assert edits_of(ACME, commented) == ()
    renamed = edited(path, "id: mass-querying", "id: many-calls")
    assert edits_of(ACME, renamed) == (
        Edit("rule", "house-rules/many-calls", "added"),
        Edit("rule", "house-rules/mass-querying", "removed"),
    )
