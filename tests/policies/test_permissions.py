"""Grants that would do: each one proposed does, and no party whose grant would is left out."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Condition, Effect, Fact, Gate, Grant, Layer, Rule, Window
from policies.permissions import Permission, permissions_of
from policies.reach import reach_of
from tests.policies.acme import DOCUMENTS, approved
from tests.policies.strategies import HERE, PARTIES, UNTIMED, Law, cleared, laws, moments
from tests.policies.test_engine import STRICTNESS, Compiled, compiled, gates

AT = datetime(2026, 11, 24, tzinfo=UTC)
ORGANISATION = frozenset({Layer.ORGANISATION})


def permissions(
    bundle: Compiled,
    gate: Gate,
    exchange: Moment,
    today: Moment | None = None,
    clear: frozenset[str] = frozenset(),
) -> tuple[Decision, tuple[Permission, ...]]:
    """The decision and the grants that would make it milder."""
    decision = decide(bundle, gate, exchange, today, cleared=clear)
    reaches = reach_of(bundle.matrix, gate, exchange, today or exchange)
    return decision, permissions_of(bundle, decision, reaches, cleared=clear)


def with_grant(law: Law, party: str, lifts: frozenset[str], permits: frozenset[Gate]) -> Law:
    """The law with one more grant, for every exchange and all time."""
    grant = Grant(
        id="new",
        digest="",
        party=party,
        lifts=lifts,
        permits=permits,
        layers=frozenset(
            layer for rule in law.rules if rule.party == party for layer in rule.layers
        ),
        scope=Condition(),
        in_force=Window(),
        as_of="both",
        owner="",
        because="",
        is_approved=True,
        where=HERE,
    )
    return replace(law, grants=(*law.grants, grant))


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=st.none() | moments(), clear=cleared())
def test_each_grant_proposed_makes_the_verdict_that_is_said(
    law: Law, gate: Gate, exchange: Moment, today: Moment | None, clear: frozenset[str]
) -> None:
    """A grant of that party, added to the whole law, gives exactly that verdict."""
    decision, found = permissions(compiled(law), gate, exchange, today, clear)
    for each in found:
        permits = frozenset() if each.permits is None else frozenset({each.permits})
        more = with_grant(law, each.party, frozenset(each.lifts), permits)
        verdict = decide(compiled(more), gate, exchange, today, cleared=clear).verdict
        assert verdict is each.verdict
        assert STRICTNESS.index(verdict) < STRICTNESS.index(decision.verdict)


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=st.none() | moments())
def test_no_party_whose_grant_would_do_is_left_out(
    law: Law, gate: Gate, exchange: Moment, today: Moment | None
) -> None:
    """Whatever a party can do by lifting all its rules and permitting the gate, one is proposed."""
    decision, found = permissions(compiled(law), gate, exchange, today)
    assume(decision.verdict is not Effect.PERMIT)
    proposed = {each.party: each.verdict for each in found}
    for party, layers in PARTIES.items():
        own = frozenset(
            r.id for r in law.rules if r.party == party and r.effect is not Effect.PERMIT
        )
        permits = frozenset() if layers == ORGANISATION else frozenset({gate})
        more = with_grant(law, party, own, permits)
        verdict = decide(compiled(more), gate, exchange, today).verdict
        if STRICTNESS.index(verdict) < STRICTNESS.index(decision.verdict):
            assert proposed[party] is verdict


def test_grants_on_file_go_on_speaking() -> None:
    """A grant that speaks for the model counts, though no rule of its party is law at the gate."""
    host, maker = (
        Rule(
            id=f"p/{party}",
            policy="p",
            party=party,
            layers=PARTIES[party],
            effect=effect,
            gates=frozenset({gate}),
            when=Condition(),
            because="It says so.",
            where=HERE,
        )
        for party, effect, gate in (
            ("Host", Effect.REVIEW, Gate.DATASET),
            ("Maker", Effect.PERMIT, Gate.REQUEST),
        )
    )
    law = with_grant(
        Law(rules=(host, maker), grants=()), "Maker", frozenset(), frozenset({Gate.DATASET})
    )
    decision, found = permissions(compiled(law), Gate.DATASET, Moment(at=AT, facts={}))
    assert decision.verdict is Effect.REVIEW
    assert [(each.party, each.lifts, each.verdict) for each in found] == [
        ("Host", ("p/Host",), Effect.PERMIT)
    ]


def acme(gate: Gate, **facts: Fact) -> list[str]:
    """What Acme, or the organisation, could grant."""
    known: dict[str, Fact] = {"route": "acme-api", "project": "other"}
    known |= {name.replace("__", "."): value for name, value in facts.items()}
    bundle = Compiled(matrix=approved(DOCUMENTS).matrix)
    _, found = permissions(bundle, gate, Moment(at=AT, facts=known))
    return [f"{each.verdict}: {each.text}" for each in found]


def test_a_party_lifts_what_it_forbids_and_permits_besides() -> None:
    """Where lifting leaves silence, the grant has to permit too, and says so."""
    assert acme(
        Gate.DATASET,
        student__competes_with=frozenset({"Acme"}),
        student__task="generate",
    ) == [
        "permit: a grant from Acme that lifts `acme-api/no-competing-models` and permits the dataset gate"
    ]


def test_the_least_grant_is_proposed() -> None:
    """At the request gate nothing needs to be permitted besides."""
    assert acme(
        Gate.REQUEST,
        student__competes_with=frozenset({"Acme"}),
        student__task="generate",
        student__purpose="eval",
    ) == ["permit: a grant from Acme that lifts `acme-api/no-competing-models`"]


def test_where_two_parties_bar_no_single_grant_will_do() -> None:
    """A provider and the organisation would both have to give way."""
    assert (
        acme(
            Gate.REQUEST,
            student__competes_with=frozenset({"Acme"}),
            student__task="generate",
            student__purpose="distil-narrow",
            **{"counter.per-day": 60_000},
        )
        == []
    )


def test_a_grant_that_only_permits() -> None:
    """Where nobody forbids and nobody speaks, permission is all it takes."""
    only = Permission(party="Acme", lifts=(), permits=Gate.DATASET, verdict=Effect.PERMIT)
    assert only.text == "a grant from Acme that permits the dataset gate"
