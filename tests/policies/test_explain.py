"""Explanations: why, why not and near misses are those of the decision, with values and sources."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from policies.column import passes
from policies.decision import Moment
from policies.engine import decide
from policies.explain import Explanation, Failed, Tested, explain
from policies.model import Effect, Fact, Gate
from tests.policies import oracle
from tests.policies.acme import DOCUMENTS, approved
from tests.policies.strategies import UNTIMED, Law, cleared, laws, moments
from tests.policies.test_engine import compiled, gates

AT = datetime(2026, 7, 1, tzinfo=UTC)
TODAY = datetime(2026, 11, 24, tzinfo=UTC)
ACME = approved(DOCUMENTS)
COMPETING: dict[str, Fact] = {
    "route": "acme-api",
    "project": "other",
    "student.competes_with": frozenset({"Acme"}),
    "student.task": "generate",
    "student.release": "internal",
}


def acme(gate: Gate = Gate.DATASET, **changes: Fact | None) -> Explanation:
    """What is said of a student that competes with Acme, on two days."""
    facts = {**COMPETING, **{name.replace("__", "."): value for name, value in changes.items()}}
    known = {name: value for name, value in facts.items() if value is not None}
    return explain(ACME, gate, Moment(at=AT, facts=known), Moment(at=TODAY, facts=known))


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=st.none() | moments(), clear=cleared())
def test_an_explanation_explains_the_decision(
    law: Law, gate: Gate, exchange: Moment, today: Moment | None, clear: frozenset[str]
) -> None:
    """Why has every rule that matched, and its tests are those that its facts pass or may pass."""
    bundle = compiled(law)
    found = explain(bundle, gate, exchange, today, cleared=clear)
    assert found.decision == decide(bundle, gate, exchange, today, cleared=clear)
    assert {reason.hit for reason in found.why} == set(found.decision.hits)
    setting = {reason.hit.rule for reason in found.why if reason.sets_verdict}
    assert setting == set(found.decision.by) & {hit.rule for hit in found.decision.hits}
    for reason in found.why:
        rule = next(rule for rule in law.rules if rule.id == reason.hit.rule)
        tested = {test.fact for tests in rule.when.alternatives for test in tests}
        assert {test.fact for test in reason.tests} <= tested


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=st.none() | moments())
def test_near_misses_are_the_permits_that_fail_on_one_fact(
    law: Law, gate: Gate, exchange: Moment, today: Moment | None
) -> None:
    """Read aloud: permits that count here, match on no alternative, and on one of them fail on one fact."""
    found = explain(compiled(law), gate, exchange, today)
    now = today or exchange
    for clock, moment in (("exchange", exchange), ("today", now)):
        wanted = set()
        for rule in law.rules:
            counts = (
                gate in rule.gates
                and oracle.stands(rule, clock, moment.at)  # type: ignore[arg-type] # one of two words
                and oracle.effect_at(rule, moment.at) is Effect.PERMIT
                and not rule.is_shadow
            )
            failing = [
                {test.fact for test in tests if passes(test, moment.facts) is False}
                for tests in rule.when.alternatives
            ]
            if counts and all(failing) and any(len(facts) == 1 for facts in failing):
                wanted.add(rule.id)
        assert {each.rule for each in found.near if clock in each.clocks} == wanted


def test_why_tells_values_clauses_and_dates() -> None:
    """The rule that set the verdict comes first, with each fact it tests and the text it rests on."""
    reason = acme().why[0]
    assert (reason.hit.rule, reason.sets_verdict) == ("acme-api/no-competing-models", True)
    competing = Tested(
        fact="student.competes_with",
        test="has Acme",
        exchange=frozenset({"Acme"}),
        today=frozenset({"Acme"}),
    )
    assert competing in reason.tests
    (cited,) = reason.cites
    assert (cited.cite.clause, cited.title, cited.confidence) == (
        "4.2",
        "Terms of Acme",
        "read-primary",
    )
    assert cited.read == "2026-11-24"
    assert (cited.start, cited.review_by) == (
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2027, 2, 22, tzinfo=UTC),
    )


def test_a_source_that_was_not_in_force_is_not_cited() -> None:
    """A clause counts where its text is in force on one of the clocks."""
    host = DOCUMENTS["library/hosts/acme-api.yaml"]
    _, mark, tail = host.partition("  terms:\n")
    old = tail.partition("rules:")[0].replace(
        "from: 2026-01-01", "from: 2024-01-01, until: 2025-01-01"
    )
    head = host.replace("sources:\n", f"sources:\n  older:\n{old}", 1)
    both = head.replace("cite: terms 4.2", "cite: [terms 4.2, older 3]")
    assert mark
    bundle = approved({**DOCUMENTS, "library/hosts/acme-api.yaml": both})
    reason = explain(bundle, Gate.DATASET, Moment(at=AT, facts=COMPETING)).why[0]
    assert [cited.cite.clause for cited in reason.cites] == ["4.2"]


def test_a_fact_that_changed_since_shows_both_values() -> None:
    """The exchange's value and today's stand side by side; a wrong type is unknown."""
    then = Moment(at=AT, facts=COMPETING)
    now = Moment(at=TODAY, facts={**COMPETING, "student.task": 7})
    found = explain(ACME, Gate.DATASET, then, now)
    (reason, *_) = found.why
    task = next(test for test in reason.tests if test.fact == "student.task")
    assert (task.exchange, task.today) == ("generate", None)


def test_why_not_names_the_test_that_fails() -> None:
    """The permit that lacks one fact is near, in scope, on both clocks."""
    (failed,) = acme().why_not
    assert failed == Failed(
        rule="acme-api/not-competing",
        clocks=("exchange", "today"),
        tests=failed.tests,
        in_scope=True,
        where=failed.where,
    )
    assert [(test.fact, test.test) for test in failed.tests] == [
        ("student.competes_with", "lacks Acme")
    ]
    assert failed.is_near
    assert acme().near == (failed,)


def test_a_permit_of_another_host_is_near_but_not_in_scope() -> None:
    """A permit that fails on its scope alone is told apart from those that speak here."""
    (failed,) = acme(route="elsewhere", student__competes_with=frozenset()).why_not
    assert (failed.is_near, failed.in_scope) == (True, False)
    assert acme(route="elsewhere").why_not == ()


def test_a_permit_that_fails_on_two_facts_is_told_where_its_policy_speaks() -> None:
    """In scope, all failed tests are told; such a permit is not near."""
    two = DOCUMENTS["library/hosts/acme-api.yaml"].replace(
        "when: {student.competes_with: {lacks: Acme}}",
        "when: {student.competes_with: {lacks: Acme}, student.task: rank}",
    )
    ranking = (
        "  - id: ranking\n    permit: training\n    when: {student.task: rank}\n"
        "    because: It may rank.\n    cite: terms 4.3\n"
    )
    bundle = approved({**DOCUMENTS, "library/hosts/acme-api.yaml": two + ranking})
    found = explain(bundle, Gate.DATASET, Moment(at=AT, facts=COMPETING))
    other, failed = found.why_not
    assert (other.rule, other.is_near) == ("acme-api/ranking", True)
    assert [test.fact for test in failed.tests] == ["student.competes_with", "student.task"]
    assert not failed.is_near
    assert found.near == (other,)


def test_where_the_clocks_differ_each_says_where_it_fails() -> None:
    """A student that competes only today fails only there."""
    then = Moment(at=AT, facts={**COMPETING, "student.competes_with": frozenset()})
    found = explain(ACME, Gate.DATASET, then, Moment(at=TODAY, facts=COMPETING))
    assert [(each.rule, each.clocks) for each in found.why_not] == [
        ("acme-api/not-competing", ("today",))
    ]
    turned = explain(ACME, Gate.DATASET, Moment(at=AT, facts=COMPETING), replace(then, at=TODAY))
    assert [each.clocks for each in turned.why_not] == [("exchange",)]


def test_what_would_change_it_is_there() -> None:
    """Changes, grants and clearances come with the explanation; a permit has none."""
    found = acme()
    assert [change.fact for change in found.changes] == ["project", "student.competes_with"]
    assert [each.party for each in found.permissions] == ["Acme"]
    assert found.clearance is None
    permitted = acme(student__competes_with=frozenset())
    assert (permitted.changes, permitted.permissions) == ((), ())
