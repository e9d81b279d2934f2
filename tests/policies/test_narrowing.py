"""The part of a matrix at one route and model decides there as the whole does."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from policies.decision import Moment
from policies.engine import compile_rules, decide
from policies.model import Condition, Effect, Gate
from policies.narrowing import Spot, narrowed, spot_of
from tests.policies.built import TRAINING, grant, is_, rule
from tests.policies.strategies import UNTIMED, Law, cleared, day, laws, moments
from tests.policies.test_engine import Compiled, compiled, gates


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=moments(), clear=cleared())
def test_the_part_decides_as_the_whole(
    law: Law, gate: Gate, exchange: Moment, today: Moment, clear: frozenset[str]
) -> None:
    """Verdict, rules, silence, grants, duties and missing facts are those of the whole matrix."""
    here = {name: exchange.facts[name] for name in ("route", "model.id") if name in exchange.facts}
    elsewhere = {n: v for n, v in today.facts.items() if n not in ("route", "model.id")}
    now = Moment(at=today.at, facts={**elsewhere, **here})
    whole = compiled(law)
    part = Compiled(matrix=narrowed(whole.matrix, spot_of(exchange.facts)))
    asked = gate, exchange, now
    assert decide(part, *asked, cleared=clear) == decide(whole, *asked, cleared=clear)


@UNTIMED
@given(moment=moments(), other=st.sampled_from(["route", "model.id"]))
def test_a_spot_is_what_is_known(moment: Moment, other: str) -> None:
    """A wrongly typed or absent fact is unknown there, and others play no part."""
    assert spot_of({**moment.facts, other: 3}) == spot_of(
        {
            name: value
            for name, value in moment.facts.items()
            if name == ({"route", "model.id"} - {other}).pop()
        }
    )
    assert spot_of({"route": "alpha", "model.id": "m-1", "project": "p"}) == Spot("alpha", "m-1")


def test_what_cannot_match_at_a_spot_is_left_out() -> None:
    """Rules and grants of other routes are gone; those that ask for no route stay."""
    scopes = [Condition(alternatives=((is_("route", f"route-{n}"),),)) for n in range(9)]
    rules = [
        rule(f"p/{n}", Effect.PERMIT, is_("route", f"route-{n}"), scope=scope)
        for n, scope in enumerate(scopes)
    ]
    rules.append(
        rule("p/ours", Effect.FORBID, is_("student.purpose", "eval"), scope=scopes[8], party="Us")
    )
    here, away = (replace(grant(f"p/{n}"), id=f"g{n}", scope=scopes[n]) for n in (1, 2))
    part = narrowed(compile_rules(rules, [here, away]), Spot("route-1", None))
    assert [each.id for each in part.rules] == ["p/1", "p/ours"]
    assert [rows.grant.id for rows in part.grants] == ["g1"]


def test_a_grant_speaks_where_its_party_does_though_no_rule_matches() -> None:
    """A rule that fails is kept for its scope alone: the grant of its party turns on that."""
    scopes = [Condition(alternatives=((is_("route", f"route-{n}"),),)) for n in range(4)]
    rules = [
        rule(f"p/{n}", Effect.PERMIT, is_("route", "elsewhere"), scope=scope)
        for n, scope in enumerate(scopes)
    ]
    letter = grant(permits=TRAINING, scope=scopes[1])
    whole = compile_rules(rules, [letter])
    asked = Gate.DATASET, Moment(at=day(1), facts={"route": "route-1"})
    part = narrowed(whole, Spot("route-1", None))
    assert [each.id for each in part.rules] == ["p/1"]
    assert decide(Compiled(matrix=whole), *asked).verdict is Effect.PERMIT
    assert decide(Compiled(matrix=part), *asked) == decide(Compiled(matrix=whole), *asked)


def test_a_matrix_that_would_stay_whole_is_not_compiled_again() -> None:
    """Where the spot is unknown, or spares less than half, it is the matrix itself."""
    rules = [rule(f"p/{n}", Effect.PERMIT, is_("route", f"route-{n}")) for n in range(4)]
    matrix = compile_rules(rules, [])
    assert narrowed(matrix, Spot(None, "m-1")) is matrix
    assert [each.id for each in narrowed(matrix, Spot("route-1", "m-1")).rules] == ["p/1"]
