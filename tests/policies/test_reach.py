"""What one fact alone decides: exactly the rows that all other facts let hold."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from policies.column import passes
from policies.decision import Moment
from policies.matrix import compile_rules
from policies.model import Condition, Effect, Fact, Gate, Test
from policies.reach import reach_of, rows_in
from tests.policies.acme import DOCUMENTS, approved
from tests.policies.strategies import UNTIMED, VALUES, Law, laws, moments
from tests.policies.test_engine import gates

AT = datetime(2026, 11, 24, tzinfo=UTC)


def may_hold(tests: tuple[Test, ...], facts: dict[str, Fact], but: str) -> bool:
    """Whether all tests hold or may, those on one fact left out."""
    return all(passes(test, facts) is not False for test in tests if test.fact != but)


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=st.none() | moments())
def test_each_fact_decides_what_the_others_leave(
    law: Law, gate: Gate, exchange: Moment, today: Moment | None
) -> None:
    """For each fact the rows of rules that test it and that all other facts let hold, or may."""
    matrix = compile_rules(law.rules, law.grants)
    for reach in reach_of(matrix, gate, exchange, today or exchange):
        facts = dict(reach.moment.facts)
        assert reach.sure & ~reach.maybe == 0
        for rule, own in zip(matrix.rules, matrix.rows, strict=True):
            stands = any(own & column.tested for column in reach.columns.values())
            for fact in VALUES if stands else ():
                found = rows_in(rule, own, reach.alone.get(fact, 0))
                wanted = [
                    tests
                    for tests in rule.when.alternatives
                    if any(test.fact == fact for test in tests) and may_hold(tests, facts, fact)
                ]
                if found:
                    assert found == wanted
                # A rule that stands on no clock here has no row at all.
                assert found in ([], wanted)


def test_a_failed_permit_is_decided_by_the_fact_it_fails_on() -> None:
    """The row of a permit that fails on one fact stands under that fact, and under no other."""
    facts: dict[str, Fact] = {"route": "acme-api", "student.competes_with": frozenset({"Acme"})}
    moment = Moment(at=AT, facts=facts)
    matrix = approved(DOCUMENTS).matrix
    reach, _ = reach_of(matrix, Gate.DATASET, moment, moment)
    at = [rule.id for rule in matrix.rules].index("acme-api/not-competing")
    assert matrix.rules[at].effect is Effect.PERMIT
    assert matrix.rows[at] & reach.permits
    deciding = [fact for fact, rows in reach.alone.items() if rows & matrix.rows[at]]
    assert deciding == ["student.competes_with"]
    assert not matrix.rows[at] & reach.maybe
    assert [t.values for t in reach.tests("student.competes_with") if t.op == "lacks"] == [
        ("Acme",)
    ]


def test_tests_of_grants_are_tests_too() -> None:
    """What the scope of a grant tests is told apart, and what its party's policies speak about."""
    moment = Moment(at=AT, facts={"route": "other"})
    reach, _ = reach_of(approved(DOCUMENTS).matrix, Gate.DATASET, moment, moment)
    assert {test.values for test in reach.tests("project")} == {("support",)}
    assert {test.values for test in reach.tests("route")} == {("acme-api",)}


def test_a_rule_that_always_holds_has_its_row() -> None:
    """The alternative without tests is row 0 of its rule."""
    (rule, *_) = approved(DOCUMENTS).matrix.rules
    assert rows_in(rule, 0b10, 0b10)[0] == rule.when.alternatives[0]
    assert Condition().alternatives == ((),)
