"""The engine: properties against the naive interpreter, then each sentence of the semantics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decision import Decision, Moment
from policies.engine import Matrix, Question, compile_rules, decide, decide_all
from policies.model import (
    AsOf,
    Condition,
    Duty,
    Effect,
    Fact,
    Gate,
    Grant,
    Layer,
    Rule,
    Window,
)
from tests.policies import drawn, oracle
from tests.policies.built import TRAINING, grant, is_, rule, source
from tests.policies.strategies import (
    UNTIMED,
    VALUES,
    Law,
    cleared,
    day,
    laws,
    moments,
    rules,
)

STRICTNESS = [Effect.PERMIT, Effect.REVIEW, Effect.FORBID]
P, R, F = STRICTNESS


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A bundle as the engine sees it."""

    matrix: Matrix
    digest: str = "d" * 64
    meaning: str = "e" * 64


def compiled(law: Law) -> Compiled:
    """The law, compiled."""
    return Compiled(matrix=compile_rules(law.rules, law.grants))


def gates() -> st.SearchStrategy[Gate]:
    """Any gate, mostly one at which silence forbids."""
    return st.sampled_from([Gate.DATASET, Gate.RESPONSE, *Gate])


# Properties


@UNTIMED
@given(
    law=laws(),
    gate=gates(),
    exchange=moments(),
    today=st.none() | moments(),
    clear=cleared(),
)
def test_matrix_agrees_with_the_naive_interpreter(
    law: Law, gate: Gate, exchange: Moment, today: Moment | None, clear: frozenset[str]
) -> None:
    """The matrix says what reading the rules aloud says: grants, clocks, clearances included."""
    got = answer(decide(compiled(law), gate, exchange, today, cleared=clear))
    assert got == oracle.decide(law.rules, law.grants, gate, exchange, today, clear)


def answer(decision: Decision) -> oracle.Answer:
    """What a decision says, in the oracle's words."""
    return oracle.Answer(
        verdict=decision.verdict,
        by=decision.by,
        silent=decision.silent,
        missing=tuple(missing.fact for missing in decision.missing),
        duties=decision.duties,
        hits=tuple((hit.rule, hit.is_sure, hit.lifted_by is not None) for hit in decision.hits),
    )


@pytest.mark.parametrize("block", range(8))
def test_matrix_agrees_on_a_hundred_thousand_questions(block: int) -> None:
    """Two hundred laws, five hundred questions each: every one is answered as read aloud."""
    for seed in range(25 * block, 25 * block + 25):
        law = drawn.law(seed)
        bundle = compiled(law)
        for n, asked in enumerate(drawn.questions(seed, 500)):
            said = decide(bundle, asked.gate, asked.exchange, asked.today, cleared=asked.cleared)
            assert answer(said) == oracle.decide(
                law.rules, law.grants, asked.gate, asked.exchange, asked.today, asked.cleared
            ), f"question {n} to the law of seed {seed}"


@pytest.mark.parametrize("gate", Gate)
def test_many_questions_are_answered_as_one_by_one(gate: Gate) -> None:
    """Together or alone, each question has the same decision."""
    bundle = compiled(drawn.law(7))
    asked = [each for each in drawn.questions(7, 100) if each.today is not None]
    together = decide_all(
        bundle, gate, (Question(q.exchange, q.today or q.exchange, q.cleared) for q in asked)
    )
    alone = [decide(bundle, gate, q.exchange, q.today, cleared=q.cleared) for q in asked]
    assert list(together) == alone


def test_the_questions_reach_all_there_is() -> None:
    """Each verdict, lifting, silence and want of facts comes up often among the questions."""
    seen: Counter[str] = Counter()
    for seed in range(30):
        bundle = compiled(drawn.law(seed))
        for asked in drawn.questions(seed, 50):
            said = decide(bundle, asked.gate, asked.exchange, asked.today, cleared=asked.cleared)
            lifted = {hit.lifted_by for hit in said.hits}
            seen.update({said.verdict, *said.silent, *(m.fact for m in said.missing)})
            seen.update(name for name in lifted if name is not None)
            seen.update(duty.kind for duty in said.duties)
            seen.update("shadow" for hit in said.hits if hit.is_shadow)
    rare = [*Effect, "host", "model", "router", "clearance", "g0", "g1", "display", "shadow"]
    assert {what for what in rare if seen[what] < 5} == set()
    assert {fact for fact in VALUES if fact != "router"} <= seen.keys()


@UNTIMED
@given(law=laws(), gate=gates(), exchange=moments(), today=moments(), data=st.data())
def test_order_does_not_matter(
    law: Law, gate: Gate, exchange: Moment, today: Moment, data: st.DataObject
) -> None:
    """The same rules and grants in another order, compiled anew, give the same decision."""
    shuffled = Law(
        rules=tuple(data.draw(st.permutations(law.rules))),
        grants=tuple(data.draw(st.permutations(law.grants))),
    )
    once = decide(compiled(law), gate, exchange, today)
    assert decide(compiled(shuffled), gate, exchange, today) == once


@UNTIMED
@given(law=laws(), extra=rules("p/extra"), gate=gates(), exchange=moments(), today=moments())
def test_one_more_forbid_never_loosens(
    law: Law, extra: Rule, gate: Gate, exchange: Moment, today: Moment
) -> None:
    """A forbid added by a party that granted nothing leaves the verdict as strict or stricter."""
    forbid = replace(extra, effect=Effect.FORBID, duties=(), party="Newcomer")
    more = Law(rules=(*law.rules, forbid), grants=law.grants)
    before = decide(compiled(law), gate, exchange, today).verdict
    after = decide(compiled(more), gate, exchange, today).verdict
    assert STRICTNESS.index(after) >= STRICTNESS.index(before)


@UNTIMED
@given(
    law=laws(),
    gate=gates(),
    exchange=moments(),
    today=moments(),
    fact=st.sampled_from([fact for fact in VALUES if fact != "router"]),
)
def test_one_more_unknown_fact_never_permits(
    law: Law, gate: Gate, exchange: Moment, today: Moment, fact: str
) -> None:
    """What is permitted without a fact is permitted with it, with the same duties.

    `router` is left out: where it is absent there is no router, so nobody needs to speak for it.
    """
    bundle = compiled(law)
    less = decide(bundle, gate, _without(exchange, fact), _without(today, fact))
    if less.verdict is Effect.PERMIT:
        more = decide(bundle, gate, exchange, today)
        assert (more.verdict, more.duties) == (less.verdict, less.duties)


@UNTIMED
@given(
    law=laws(with_grants=False),
    gate=gates(),
    exchange=moments(),
    today=moments(),
    fact=st.sampled_from([fact for fact in VALUES if fact != "router"]),
)
def test_one_more_unknown_fact_forbids_only_what_is_forbidden(
    law: Law, gate: Gate, exchange: Moment, today: Moment, fact: str
) -> None:
    """Without grants, what is forbidden whatever a fact may be is forbidden for each value."""
    bundle = compiled(law)
    less = decide(bundle, gate, _without(exchange, fact), _without(today, fact))
    if less.verdict is Effect.FORBID:
        assert decide(bundle, gate, exchange, today).verdict is Effect.FORBID


def _without(moment: Moment, fact: str) -> Moment:
    return replace(moment, facts={k: v for k, v in moment.facts.items() if k != fact})


_anything = st.one_of(
    st.text(max_size=3),
    st.integers(),
    st.booleans(),
    st.frozensets(st.text(max_size=3), max_size=2),
    st.floats(),
    st.lists(st.integers(), max_size=1),
    st.none(),
)


@UNTIMED
@given(
    law=laws(),
    gate=gates(),
    at=st.datetimes(timezones=st.just(day(0).tzinfo)),
    facts=st.dictionaries(st.sampled_from([*VALUES, "no.such.fact"]), _anything),
)
def test_every_input_has_a_decision(
    law: Law, gate: Gate, at: datetime, facts: dict[str, Fact]
) -> None:
    """Whatever stands where a fact should, and at any instant, there is a verdict, twice the same."""
    bundle = compiled(law)
    once = decide(bundle, gate, Moment(at=at, facts=facts))
    assert once.verdict in STRICTNESS
    assert decide(bundle, gate, Moment(at=at, facts=facts)) == once


# The semantics, sentence by sentence


def say(
    rules: Sequence[Rule],
    grants: Sequence[Grant] = (),
    *,
    gate: Gate = Gate.DATASET,
    clear: frozenset[str] = frozenset(),
    then: int = 0,
    now: int | None = None,
    **facts: Fact,
) -> Decision:
    """The decision on days; `a__b` names the fact `a.b`."""
    named: Mapping[str, Fact] = {name.replace("__", "."): value for name, value in facts.items()}
    bundle = compiled(Law(rules=tuple(rules), grants=tuple(grants)))
    today = None if now is None else Moment(at=day(now), facts=named)
    return decide(bundle, gate, Moment(at=day(then), facts=named), today, cleared=clear)


YES = rule("p/yes", P)


def test_forbid_beats_review_beats_permit() -> None:
    """The strictest rule sets the verdict and is named."""
    ask, never = rule("p/ask", R, party="Us"), rule("p/no", F, party="Us")
    assert (say([YES]).verdict, say([YES]).by) == (P, ("p/yes",))
    assert (say([YES, ask]).verdict, say([YES, ask]).by) == (R, ("p/ask",))
    assert (say([YES, ask, never]).verdict, say([YES, ask, never]).by) == (F, ("p/no",))


@pytest.mark.parametrize("gate", [Gate.RESPONSE, Gate.DATASET])
def test_a_silent_layer_forbids_training(gate: Gate) -> None:
    """Host and model must each speak before anything may train."""
    assert say([], gate=gate).silent == (Layer.HOST, Layer.MODEL)
    host_only = say([rule("p/host", P, party="Host")], gate=gate)
    assert (host_only.verdict, host_only.by, host_only.silent) == (F, (), (Layer.MODEL,))


@pytest.mark.parametrize("gate", [Gate.REQUEST, Gate.RELEASE])
def test_silence_permits_elsewhere(gate: Gate) -> None:
    """At the request and release gates only a rule can forbid."""
    silent = say([], gate=gate)
    assert (silent.verdict, silent.silent, silent.by) == (P, (), ())


def test_a_router_must_speak_when_there_is_one() -> None:
    """A known `router` adds its layer to those that must speak."""
    assert say([YES]).verdict is P
    assert say([YES], router="hub").silent == (Layer.ROUTER,)
    assert say([YES, rule("p/hub", P, party="Router")], router="hub").verdict is P


def test_organisation_cannot_end_a_silence() -> None:
    """A permit of the organisation speaks for nobody else."""
    assert say([rule("p/us", P, party="Us")]).silent == (Layer.HOST, Layer.MODEL)


def test_a_review_speaks_for_its_layer() -> None:
    """A layer with a review and no permit is review, not silence."""
    only = say([rule("p/ask", R)])
    assert (only.verdict, only.by, only.silent) == (R, ("p/ask",), ())


def test_a_missing_fact_that_could_change_the_answer_is_review() -> None:
    """A possible forbid holds the answer back and names the fact and who can supply it."""
    unsure = say([YES, rule("p/no", F, is_("student.purpose", "eval"))])
    assert (unsure.verdict, unsure.by) == (R, ("p/no",))
    assert [(m.fact, m.supplied_by) for m in unsure.missing] == [
        ("student.purpose", "the declaration of the student")
    ]


def test_a_missing_fact_that_changes_nothing_is_not_named() -> None:
    """Beside a sure forbid nothing is missing."""
    sure = say([rule("p/no", F), rule("p/maybe", F, is_("student.purpose", "eval"))])
    assert (sure.verdict, sure.by, sure.missing) == (F, ("p/no",), ())


def test_a_possible_duty_is_review() -> None:
    """A permit that may bring a duty waits until it is known whether it does."""
    notice = Duty(kind="display", value="Built with Host")
    maybe = rule("p/pii", P, is_("request.pii", True), party="Us", duties=(notice,))
    assert [m.fact for m in say([YES, maybe]).missing] == ["request.pii"]
    assert say([YES, maybe], request__pii=True).duties == (notice,)
    assert say([YES, maybe], request__pii=False).duties == ()


def test_duties_are_a_sorted_union() -> None:
    """Every permit that counts brings its duties, each once."""
    one, two = Duty(kind="display", value="B"), Duty(kind="display", value="A")
    said = say([rule("p/a", P, duties=(one,)), rule("p/b", P, duties=(one, two))])
    assert (said.duties, said.by) == ((two, one), ("p/a", "p/b"))


def test_a_wrongly_typed_fact_is_unknown() -> None:
    """A value outside the closed list neither matches nor fails to match."""
    no = rule("p/no", F, is_("student.purpose", "eval"))
    assert [m.fact for m in say([YES, no], student__purpose="evil").missing] == ["student.purpose"]


def test_a_grant_lifts_a_rule_of_its_party_and_keeps_it_on_record() -> None:
    """A lifted rule no longer counts and the decision says who lifted it."""
    no = rule("p/no", F)
    lifted = say([YES, no], [grant("p/no")])
    assert (lifted.verdict, lifted.grants) == (P, ("letter",))
    assert [(hit.rule, hit.lifted_by) for hit in lifted.hits] == [
        ("p/no", "letter"),
        ("p/yes", None),
    ]


def test_a_lifted_rule_waits_for_no_fact() -> None:
    """Whether more of its alternatives hold is asked no more."""
    tests = is_("student.purpose", "eval"), is_("request.pii", True)
    no = replace(rule("p/no", F), when=Condition(alternatives=tuple((test,) for test in tests)))
    ask = rule("p/ask", R, is_("response.pii", True))
    said = say([YES, no, ask], [grant("p/no")], request__pii=False)
    assert (said.verdict, [m.fact for m in said.missing]) == (R, ["response.pii"])


def test_a_grant_of_another_party_lifts_nothing() -> None:
    """Only the party that imposed a rule lifts it."""
    said = say([YES, rule("p/no", F)], [grant("p/no", party="Us")])
    assert (said.verdict, said.grants) == (F, ())


@pytest.mark.parametrize(
    "idle",
    [
        grant("p/no", is_approved=False),
        grant("p/no", is_revoked=True),
        grant("p/no", is_revoked=True, as_of="exchange"),
        grant("p/no", scope=Condition(alternatives=((is_("project", "other"),),))),
        grant("p/no", scope=Condition(alternatives=((is_("account.id", "a"),),))),
    ],
    ids=["unapproved", "revoked", "revoked-though-perpetual", "out-of-scope", "scope-unknown"],
)
def test_a_grant_that_is_not_in_effect_lifts_nothing(idle: Grant) -> None:
    """Approval, no revocation and a scope that surely holds are each needed."""
    assert say([YES, rule("p/no", F)], [idle], project="router").by == ("p/no",)


@pytest.mark.parametrize(
    ("as_of", "then", "now", "verdict"),
    [
        ("both", 1, 1, P),
        ("both", 1, 3, F),
        ("both", 0, 1, F),
        ("exchange", 1, 3, P),
        ("exchange", 0, 1, F),
        ("today", 0, 1, P),
        ("today", 1, 3, F),
    ],
)
def test_as_of_says_which_instant_must_lie_in_a_grants_window(
    as_of: AsOf, then: int, now: int, verdict: Effect
) -> None:
    """Both by default; the exchange's alone is perpetual; today's alone is retroactive."""
    letter = grant("p/no", as_of=as_of, in_force=Window(start=day(1), until=day(3)))
    assert say([YES, rule("p/no", F)], [letter], then=then, now=now).verdict is verdict


def test_a_grant_may_permit_where_its_party_speaks() -> None:
    """A grant that permits a gate ends the silence of its party's layers there."""
    no = rule("p/no", F)
    assert say([no], [grant("p/no")]).silent == (Layer.HOST, Layer.MODEL)
    allowed = say([no], [grant("p/no", permits=TRAINING)])
    assert (allowed.verdict, allowed.by, allowed.grants) == (P, (), ("letter",))


def test_a_grant_does_not_permit_what_others_own() -> None:
    """A grant of one model's owner does not end the silence about another's model."""
    own = Condition(alternatives=((is_("model.id", "m-*"),),))
    no = rule("p/no", F, party="Maker", scope=own)
    host = rule("p/host", P, party="Host")
    letter = grant("p/no", party="Maker", permits=TRAINING)
    no = replace(no, when=own)
    assert say([host, no], [letter], model__id="m-1").verdict is P
    assert say([host, no], [letter], model__id="n-1").silent == (Layer.MODEL,)


def test_a_lifted_review_counts_as_its_partys_permit() -> None:
    """Who asked to be asked, and said yes, has spoken."""
    assert say([rule("p/ask", R)], [grant("p/ask")]).verdict is P


def test_a_permit_cannot_be_lifted() -> None:
    """Grants loosen; naming a permit does nothing."""
    assert say([YES], [grant("p/yes")]).by == ("p/yes",)


def test_a_clearance_lifts_a_rule_of_the_organisation() -> None:
    """What a reviewer cleared no longer counts for this exchange."""
    ask = rule("p/ask", R, party="Us")
    cleared_ = say([YES, ask], clear=frozenset({"p/ask"}))
    assert (cleared_.verdict, cleared_.grants) == (P, ())
    assert cleared_.hits[0].lifted_by == "clearance"


def test_a_clearance_never_lifts_a_providers_rule() -> None:
    """A provider's rule, and a rule that is not there, stay as they are."""
    assert say([YES, rule("p/ask", R)], clear=frozenset({"p/ask", "p/gone"})).verdict is R


def test_the_stricter_clock_wins() -> None:
    """Terms that permitted then and forbid today forbid; and the other way round."""
    old = rule("p/old", P, sources=(source(until=2),))
    new = rule("p/new", F, sources=(source(start=2),))
    assert say([old, new], then=0).verdict is P
    later = say([old, new], then=0, now=3)
    assert (later.verdict, later.by, later.silent) == (F, ("p/new",), (Layer.HOST, Layer.MODEL))
    assert say([old, new], then=3, now=0).by == ("p/new",)


def test_each_clock_reads_its_own_facts() -> None:
    """The purpose stamped in the call and that of the dataset's student are both judged."""
    no = rule("p/no", F, is_("student.purpose", "distil-general"))
    bundle = compiled(Law(rules=(YES, no), grants=()))
    then = Moment(at=day(0), facts={"student.purpose": "eval"})
    now = Moment(at=day(0), facts={"student.purpose": "distil-general"})
    assert decide(bundle, Gate.DATASET, then).verdict is P
    assert decide(bundle, Gate.DATASET, then, now).by == ("p/no",)
    assert decide(bundle, Gate.DATASET, now, then).by == ("p/no",)


def test_what_one_clock_alone_reads_speaks_for_the_other() -> None:
    """A permit as of the exchange permits for good; whether it matched decides on both clocks."""
    eval_ = is_("student.purpose", "eval")
    clocks: Sequence[tuple[AsOf, int, int]] = (("exchange", 0, 3), ("today", 3, 0))
    for as_of, then, now in clocks:
        once = rule("p/once", P, eval_, sources=(source(until=2),), as_of=as_of)
        kept = say([once], then=then, now=now, student__purpose="eval")
        assert (kept.verdict, kept.by, kept.silent) == (P, ("p/once",), ())
        gone = say([once], then=then, now=now, student__purpose="serve")
        assert (gone.verdict, gone.silent) == (F, (Layer.HOST, Layer.MODEL))
        open_ = say([once], then=then, now=now)
        assert (open_.verdict, [m.fact for m in open_.missing]) == (R, ["student.purpose"])
        assert say([once], then=now, now=then, student__purpose="eval").verdict is F


def test_as_of_narrows_a_rule_to_one_clock() -> None:
    """A forbid as of the exchange says nothing about today."""
    then = rule("p/then", F, sources=(source(until=2),), as_of="exchange")
    now = rule("p/now", F, sources=(source(until=2),), as_of="today")
    assert say([YES, then, now], then=0, now=3).by == ("p/then",)
    assert say([YES, then, now], then=3, now=0).by == ("p/now",)


def test_a_rule_stands_in_its_own_window() -> None:
    """A rule's own window counts beside those of its sources; the end is not inside."""
    no = rule("p/no", F, in_force=Window(start=day(1), until=day(2)))
    assert [say([YES, no], then=n).verdict for n in (0, 1, 2)] == [P, F, P]


def test_a_permit_past_review_of_every_source_is_review() -> None:
    """One fresh source in force keeps a permit; none makes it a review; forbids stay."""
    stale, fresh, gone = source(due=1), source(due=5), source(until=1, due=5)
    assert say([rule("p/yes", P, sources=(stale, fresh))], then=1).verdict is P
    assert say([rule("p/yes", P, sources=(stale,))], then=0).verdict is P
    assert say([rule("p/yes", P, sources=(stale,))], then=1).by == ("p/yes",)
    assert say([rule("p/yes", P, sources=(stale, gone))], then=1).verdict is R
    assert say([rule("p/no", F, sources=(stale,))], then=1).verdict is F


def test_shadow_rules_are_recorded_and_never_counted() -> None:
    """A shadow forbid forbids nothing, a shadow permit ends no silence; both are on record."""
    shadow = rule("p/no", F, is_shadow=True)
    said = say([YES, shadow])
    assert said.verdict is P
    assert [(hit.rule, hit.is_shadow) for hit in said.hits] == [("p/no", True), ("p/yes", False)]
    assert say([rule("p/yes", P, is_shadow=True)]).silent == (Layer.HOST, Layer.MODEL)


def test_a_rule_speaks_at_its_own_gates_only() -> None:
    """A rule for the request gate is no part of a dataset's decision."""
    no = rule("p/no", F, gates=frozenset({Gate.REQUEST}))
    assert say([YES, no]).hits[0].rule == "p/yes"
    assert say([YES, no], gate=Gate.REQUEST).by == ("p/no",)


def test_a_decision_carries_its_bundle_and_instants() -> None:
    """The digests are the bundle's and the instants are those given."""
    said = say([YES], then=1, now=2)
    assert (said.bundle, said.meaning) == ("d" * 64, "e" * 64)
    assert (said.exchange_at, said.today_at) == (day(1), day(2))


def test_speakers_shared_between_layers_do_not_name_idle_facts() -> None:
    """Where one open rule is needed in any case, a second for a layer it covers changes nothing."""
    both = rule("p/both", P, is_("student.purpose", "eval"))
    host = rule("p/host", P, is_("student.release", "internal"), party="Host")
    assert [m.fact for m in say([both, host]).missing] == ["student.purpose"]
