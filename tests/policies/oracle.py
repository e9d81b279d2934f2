"""The policy language read aloud: a naive interpreter that the matrix must agree with.

It tries every way in which the undecided rules may turn out, so keep their number small.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, Literal

from policies.decision import Moment
from policies.facts import spec_of
from policies.model import Condition, Duty, Effect, Fact, Gate, Grant, Layer, Rule, Test

P, R, F = Effect.PERMIT, Effect.REVIEW, Effect.FORBID
type Outcome = tuple[Effect, frozenset[Duty]]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """One clock: what every rule does under its facts, and what follows."""

    outcome: Outcome
    by: frozenset[str]
    silent: frozenset[Layer]
    missing: frozenset[str]
    matched: Mapping[str, bool]
    lifted: frozenset[str]


def known(fact: str, facts: Mapping[str, Fact]) -> bool:
    """Whether a fact is there and of its type."""
    spec = spec_of(fact)
    return fact in facts and spec is not None and spec.accepts(facts[fact])


_OPS: Mapping[str, Callable[[Any, tuple[Any, ...]], bool]] = {
    "is": lambda value, wanted: any(_is(one, value) for one in wanted),
    "has": lambda value, wanted: any(one in value for one in wanted),
    "lacks": lambda value, wanted: all(one not in value for one in wanted),
    "above": lambda value, wanted: value > wanted[0],
    "at_least": lambda value, wanted: value >= wanted[0],
    "below": lambda value, wanted: value < wanted[0],
    "at_most": lambda value, wanted: value <= wanted[0],
}


def truth(test: Test, facts: Mapping[str, Fact]) -> bool | None:
    """Strong Kleene: None is unknown."""
    if not known(test.fact, facts):
        return None
    return _OPS[test.op](facts[test.fact], test.values) != test.negated


def _is(wanted: object, value: object) -> bool:
    if isinstance(wanted, str) and isinstance(value, str):
        pattern = ".*".join(re.escape(part) for part in wanted.split("*"))
        return re.fullmatch(pattern, value, re.DOTALL) is not None
    return wanted == value


def holds(condition: Condition, facts: Mapping[str, Fact]) -> bool | None:
    """Whether all tests of some alternative hold."""
    each = [_all(truth(test, facts) for test in tests) for tests in condition.alternatives]
    return True if True in each else None if None in each else False


def _all(answers: Iterable[bool | None]) -> bool | None:
    seen = list(answers)
    return False if False in seen else None if None in seen else True


def effect_at(rule: Rule, at: datetime) -> Effect:
    """What a rule counts as: a permit that rests on nothing but overdue sources is a review."""
    sources = [source for source in rule.sources if source.in_force.holds(at)]
    fresh = [source for source in sources if source.review_by is None or at < source.review_by]
    return R if rule.effect is P and sources and not fresh else rule.effect


def stands(rule: Rule, clock: Literal["exchange", "today"], at: datetime) -> bool:
    """Whether a rule is law on a clock at an instant."""
    if rule.as_of not in {"both", clock} or not rule.in_force.holds(at):
        return False
    return not rule.sources or any(source.in_force.holds(at) for source in rule.sources)


def judge(  # noqa: PLR0917 - everything a decision depends on
    rules: Sequence[Rule],
    grants: Sequence[Grant],
    gate: Gate,
    clock: Literal["exchange", "today"],
    instants: tuple[datetime, datetime],
    moment: Moment,
    cleared: frozenset[str],
) -> Clock:
    """Decide on one clock."""
    facts, at = moment.facts, moment.at
    here = [rule for rule in rules if gate in rule.gates and stands(rule, clock, at)]
    held = [grant for grant in grants if _in_effect(grant, clock, instants)]
    held = [grant for grant in held if holds(grant.scope, facts) is True]
    lifted = {rule.id for rule in here for grant in held if _lifts(grant, rule)} | {
        rule.id
        for rule in here
        if rule.id in cleared and rule.layers == {Layer.ORGANISATION} and rule.effect is not P
    }
    spoken = {
        layer
        for grant in held
        if gate in grant.permits
        for rule in rules
        if rule.party == grant.party and holds(rule.scope, facts) is True
        for layer in grant.layers & rule.layers
    }
    need = {Layer.HOST, Layer.MODEL} | ({Layer.ROUTER} if known("router", facts) else set())
    need = need - spoken if gate in {Gate.RESPONSE, Gate.DATASET} else set()
    matches = {rule.id: holds(rule.when, facts) for rule in here}
    counted = {rule.id: rule for rule in here if not rule.is_shadow}
    sure = {rule for rule in counted if matches[rule] is True}
    undecided = [rule for rule in counted if matches[rule] is None]

    def outcome(on: set[str]) -> Outcome:
        effects = {rule: effect_at(counted[rule], at) for rule in on}
        speakers = [counted[rule].layers for rule in on if effects[rule] is not F]
        if any(effects[rule] is F and rule not in lifted for rule in on):
            return F, frozenset()
        if any(all(layer not in layers for layers in speakers) for layer in need):
            return F, frozenset()
        if any(effects[rule] is R and rule not in lifted for rule in on):
            return R, frozenset()
        return P, frozenset(d for rule in on if effects[rule] is P for d in counted[rule].duties)

    worlds = list(_subsets(undecided))
    outcomes = {outcome(sure | on) for on in worlds}
    deciding = {
        rule
        for rule in undecided
        for on in worlds
        if outcome(sure | on | {rule}) != outcome((sure | on) - {rule})
    }
    final: Outcome = outcomes.pop() if len(outcomes) == 1 else (R, frozenset())
    candidates = {F: sure, R: {*sure, *undecided}, P: sure}[final[0]]
    wanted = {F: {F}, R: {F, R}, P: {P}}[final[0]]
    return Clock(
        outcome=final,
        by=frozenset(
            rule
            for rule in candidates - (lifted if final[0] is not P else set())
            if effect_at(counted[rule], at) in wanted
        ),
        silent=frozenset(
            layer
            for layer in need
            if not any(
                layer in counted[rule].layers and effect_at(counted[rule], at) is not F
                for rule in [*sure, *undecided]
            )
        ),
        missing=frozenset(
            test.fact
            for rule in deciding
            for tests in counted[rule].when.alternatives
            if _all(truth(test, facts) for test in tests) is None
            for test in tests
            if not known(test.fact, facts)
        ),
        matched={rule: answer is True for rule, answer in matches.items() if answer is not False},
        lifted=frozenset(lifted),
    )


def _in_effect(grant: Grant, clock: str, instants: tuple[datetime, datetime]) -> bool:
    then, now = (grant.in_force.holds(at) for at in instants)
    inside = {"both": then and now, "exchange": then, "today": now}[grant.as_of]
    return grant.is_approved and inside and not (grant.is_revoked and clock == "today")


def _lifts(grant: Grant, rule: Rule) -> bool:
    return rule.id in grant.lifts and rule.party == grant.party and rule.effect is not P


def _subsets(items: Sequence[str]) -> Iterator[set[str]]:
    for chosen in product([False, True], repeat=len(items)):
        yield {item for item, is_on in zip(items, chosen, strict=True) if is_on}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the oracle says of both clocks together."""

    verdict: Effect
    by: tuple[str, ...]
    silent: tuple[Layer, ...]
    missing: tuple[str, ...]
    duties: tuple[Duty, ...]
    hits: tuple[tuple[str, bool, bool], ...]
    """Rule, matched surely, lifted."""


def decide(
    rules: Sequence[Rule],
    grants: Sequence[Grant],
    gate: Gate,
    exchange: Moment,
    today: Moment | None = None,
    cleared: frozenset[str] = frozenset(),
) -> Answer:
    """The stricter clock, and the union of what both say."""
    now = today or exchange
    instants = exchange.at, now.at
    one = judge(rules, grants, gate, "exchange", instants, exchange, cleared)
    two = judge(rules, grants, gate, "today", instants, now, cleared)
    clocks = [one, two]
    verdict = max((clock.outcome[0] for clock in clocks), key=[P, R, F].index)
    setting = [clock for clock in clocks if clock.outcome[0] is verdict]
    hits = sorted({rule for clock in clocks for rule in clock.matched})
    duties = {d for clock in clocks for d in clock.outcome[1]} if verdict is P else set()
    return Answer(
        verdict=verdict,
        by=tuple(sorted({rule for clock in setting for rule in clock.by})),
        silent=tuple(sorted(one.silent | two.silent)),
        missing=tuple(sorted({fact for clock in setting for fact in clock.missing})),
        duties=tuple(sorted(duties, key=lambda duty: (duty.kind, duty.value))),
        hits=tuple(
            (
                rule,
                any(clock.matched.get(rule, False) for clock in clocks),
                all(rule in clock.lifted for clock in clocks if rule in clock.matched),
            )
            for rule in hits
        ),
    )
