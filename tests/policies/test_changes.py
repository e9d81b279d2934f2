"""What would change a verdict: each thing listed does, and no one-fact change is missed."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations

from hypothesis import assume, given
from hypothesis import strategies as st

from policies.changes import Change, Clearance, WouldChange, changes_of
from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Effect, Fact, Gate
from policies.reach import reach_of
from tests.policies.acme import DOCUMENTS, approved
from tests.policies.strategies import UNTIMED, VALUES, Law, cleared, laws, moments
from tests.policies.test_engine import STRICTNESS, Compiled, compiled, gates

AT = datetime(2026, 11, 24, tzinfo=UTC)
NOBODY: frozenset[str] = frozenset()
ACME = approved(DOCUMENTS)
COMPETING: dict[str, Fact] = {
    "route": "acme-api",
    "student.competes_with": frozenset({"Acme"}),
    "student.task": "generate",
    "student.release": "internal",
}


def would(
    bundle: Compiled,
    gate: Gate,
    exchange: Moment,
    today: Moment | None = None,
    cleared: frozenset[str] = NOBODY,
) -> tuple[Decision, WouldChange]:
    """The decision and what would change it."""
    decision = decide(bundle, gate, exchange, today, cleared=cleared)
    now = exchange if today is None else today
    reaches = reach_of(bundle.matrix, gate, exchange, now)
    return decision, changes_of(bundle, decision, reaches, cleared=cleared)


def acme(gate: Gate = Gate.DATASET, **facts: Fact | None) -> list[str]:
    """What would change a verdict of the bundle of Acme, as text."""
    known = {**COMPETING, **{name.replace("__", "."): value for name, value in facts.items()}}
    moment = Moment(at=AT, facts={n: v for n, v in known.items() if v is not None})
    bundle = Compiled(matrix=ACME.matrix)
    _, found = would(bundle, gate, moment)
    return [f"{each.verdict}: {each.text}" for each in found.changes]


def changed(moment: Moment | None, fact: str, value: Fact | None) -> Moment | None:
    """A moment with another value of a fact, or without it."""
    if moment is None:
        return None
    facts = {name: known for name, known in moment.facts.items() if name != fact}
    return replace(moment, facts=facts if value is None else {**facts, fact: value})


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=st.none() | moments(), clear=cleared())
def test_each_change_changes_the_verdict(
    law: Law, gate: Gate, exchange: Moment, today: Moment | None, clear: frozenset[str]
) -> None:
    """Every listed value of a fact gives exactly the verdict that is said, and a milder one."""
    bundle = compiled(law)
    decision, found = would(bundle, gate, exchange, today, clear)
    for change in found.changes:
        assert STRICTNESS.index(change.verdict) < STRICTNESS.index(decision.verdict)
        assert change.values
        for value in change.values:
            then, now = (changed(moment, change.fact, value) for moment in (exchange, today))
            assert then is not None
            assert decide(bundle, gate, then, now, cleared=clear).verdict is change.verdict
    if found.clearance is not None:
        more = clear | set(found.clearance.rules)
        assert (
            decide(bundle, gate, exchange, today, cleared=more).verdict is found.clearance.verdict
        )


def all_values(fact: str) -> list[Fact | None]:
    """Every value that the strategies' tests tell apart, and some that they do not."""
    if fact == "student.competes_with":
        members = ("Host", "Maker", "Nobody")
        return [frozenset(each) for n in range(4) for each in combinations(members, n)]
    more: dict[str, list[Fact | None]] = {
        "route": ["gamma"],
        "router": ["spoke", None],
        "model.id": ["m-9", "n-9", "9-1"],
        "student.purpose": ["serve"],
        "student.monthly_users": [4, 8, 100],
    }
    return [*VALUES[fact], *more.get(fact, [])]


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=st.none() | moments())
def test_no_change_of_one_fact_is_missed(
    law: Law, gate: Gate, exchange: Moment, today: Moment | None
) -> None:
    """Whatever value of one fact makes the verdict milder, that fact and verdict are listed."""
    bundle = compiled(law)
    decision, found = would(bundle, gate, exchange, today)
    assume(decision.verdict is not Effect.PERMIT)
    listed = {(change.fact, change.verdict): change for change in found.changes}
    for fact in VALUES:
        for value in all_values(fact):
            then, now = (changed(moment, fact, value) for moment in (exchange, today))
            assert then is not None
            verdict = decide(bundle, gate, then, now).verdict
            if STRICTNESS.index(verdict) < STRICTNESS.index(decision.verdict):
                assert (fact, verdict) in listed
                if isinstance(value, frozenset):
                    start = _start(today or exchange, exchange)
                    assert is_no_nearer(value, listed[fact, verdict], start)


def _start(now: Moment, then: Moment) -> frozenset[str]:
    """The set to start from: today's, else that of the exchange."""
    known = (moment.facts.get("student.competes_with") for moment in (now, then))
    return next((value for value in known if isinstance(value, frozenset)), frozenset())


def is_no_nearer(value: frozenset[str], change: Change, start: frozenset[str]) -> bool:
    """Whether a listed set differs from the start in no more members than this one does."""
    flips = [listed ^ start for listed in change.values if isinstance(listed, frozenset)]
    return any(flip <= value ^ start for flip in flips)


def test_a_declaration_reads_as_a_condition() -> None:
    """Declarations must be true and choices are plain; each line says what follows (§1.5)."""
    assert acme() == [
        "permit: `project` is `support` (grant `acme-letter`)",
        "permit: if it were true that `student.competes_with` lacks `Acme`",
    ]
    assert acme(student__competes_with=None) == [
        "permit: if it were true that `student.competes_with` lacks `Acme`",
    ]


def test_a_permit_needs_no_change() -> None:
    """Nothing is milder than a permit."""
    assert acme(student__competes_with=frozenset()) == []


def test_counters_are_told_in_stretches() -> None:
    """A counter past its limit reads as the stretch below it, of the record and not of a person."""
    lines = acme(Gate.REQUEST, **{"counter.per-day": 60_000}, student__competes_with=frozenset())
    assert "permit: if the record showed that `counter.per-day` is at most 50_000" in lines


def test_a_router_may_be_left_out() -> None:
    """Where nobody speaks for the router, calling without one is a change, and the only one."""
    assert acme(student__competes_with=frozenset(), router="hub") == ["permit: `router` is absent"]


def test_a_choice_is_plain() -> None:
    """What anyone may choose reads without an if."""
    change = Change(
        fact="student.release",
        standing="choice",
        verdict=Effect.PERMIT,
        says="is `internal`",
        values=("internal",),
    )
    assert change.text == "`student.release` is `internal`"
    assert replace(change, grants=("a", "b")).text.endswith("is `internal` (grant `a` or `b`)")


def test_a_grant_on_file_is_named_where_another_fact_meets_it() -> None:
    """The project that a letter of permission is for is a change, and the letter is named."""
    assert "permit: `project` is `support` (grant `acme-letter`)" in acme(project="other")
    assert acme(project="support") == []


def test_a_clearance_that_is_not_enough_is_none() -> None:
    """Where a fact is missing besides, lifting the organisation's review alone changes nothing."""
    path = "organisation/house-rules.yaml"
    strict = approved({**DOCUMENTS, path: DOCUMENTS[path].replace("    mode: shadow\n", "")})
    known = {**COMPETING, "model.substituted": True}
    unsure = {n: value for n, value in known.items() if n != "student.competes_with"}
    decision, found = would(
        Compiled(matrix=strict.matrix), Gate.DATASET, Moment(at=AT, facts=unsure)
    )
    assert "house-rules/substituted-model" in decision.by
    assert found.clearance is None
    fine = Moment(at=AT, facts={**known, "student.competes_with": frozenset()})
    _, found = would(Compiled(matrix=strict.matrix), Gate.DATASET, fine)
    assert found.clearance == Clearance(
        rules=("house-rules/substituted-model",), verdict=Effect.PERMIT
    )


def test_a_clearance_names_its_rules() -> None:
    """A clearance reads as what a reviewer does."""
    one = Clearance(rules=("house/a", "house/b"), verdict=Effect.PERMIT)
    assert one.text == "a reviewer's clearance of `house/a` and `house/b`"
