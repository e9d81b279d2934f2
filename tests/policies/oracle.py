"""The policy language read aloud: a naive interpreter that the matrix must agree with.

It shares no code with the engine but the values it reads and the catalogue's table of facts, and it
tries every way in which what is undecided may turn out, so keep the number of rules small.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, Literal

from policies.decision import Moment
from policies.facts import FactType, spec_of
from policies.model import Condition, Duty, Effect, Fact, Gate, Grant, Layer, Rule, Test

P, R, F = Effect.PERMIT, Effect.REVIEW, Effect.FORBID
OTHER: Mapping["Clock", "Clock"] = {"exchange": "today", "today": "exchange"}
type Clock = Literal["exchange", "today"]
type Outcome = tuple[Effect, frozenset[Duty]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """All that a decision depends on."""

    rules: Sequence[Rule]
    grants: Sequence[Grant]
    gate: Gate
    moments: Mapping[Clock, Moment]
    cleared: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Word:
    """One clock: what every rule does under its facts, and what follows."""

    outcome: Outcome
    by: frozenset[str]
    silent: frozenset[Layer]
    missing: frozenset[str]
    matched: Mapping[str, bool]
    lifted: frozenset[str]


_FITS: Mapping[FactType, Callable[[Any, tuple[str, ...]], bool]] = {
    FactType.TEXT: lambda value, _: isinstance(value, str),
    FactType.CHOICE: lambda value, words: isinstance(value, str) and value in words,
    FactType.BOOL: lambda value, _: value is True or value is False,
    FactType.NUMBER: lambda value, _: type(value) is int and -(2**53) < value < 2**53,
    FactType.SET: lambda value, _: isinstance(value, frozenset),
}


def known(fact: str, facts: Mapping[str, Fact]) -> bool:
    """Whether a fact is there and of its type."""
    spec = spec_of(fact)
    return fact in facts and spec is not None and _FITS[spec.type](facts[fact], spec.values)


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
    """Strong Kleene: None is unknown. A call without a router has none."""
    if test.fact == "router" and "router" not in facts:
        return test.negated
    if not known(test.fact, facts):
        return None
    return _OPS[test.op](facts[test.fact], test.values) != test.negated


def _is(wanted: object, value: object) -> bool:
    if isinstance(wanted, str) and isinstance(value, str) and "*" in wanted:
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


def stands(rule: Rule, clock: Clock, at: datetime) -> bool:
    """Whether a rule is law on a clock at an instant."""
    if rule.as_of not in {"both", clock} or not rule.in_force.holds(at):
        return False
    return not rule.sources or any(source.in_force.holds(at) for source in rule.sources)


def judge(question: Question, clock: Clock) -> Word:
    """Decide on one clock."""
    facts, at = question.moments[clock].facts, question.moments[clock].at
    here = [r for r in question.rules if question.gate in r.gates and stands(r, clock, at)]
    held = [grant for grant in question.grants if _in_effect(grant, clock, question)]
    held = [grant for grant in held if holds(grant.scope, facts) is True]
    lifted = {rule.id for rule in here for grant in held if _lifts(grant, rule)} | {
        rule.id
        for rule in here
        if rule.id in question.cleared
        and rule.layers == {Layer.ORGANISATION}
        and rule.effect is not P
    }
    needed, perhaps = _needed(question, clock, held)
    matches = {rule.id: holds(rule.when, facts) for rule in here}
    counted = {rule.id: rule for rule in here if not rule.is_shadow}
    effects = {rule.id: effect_at(rule, at) for rule in here}
    sure = frozenset(rule for rule in counted if matches[rule] is True)
    undecided = [rule for rule in counted if matches[rule] is None]

    def outcome(on: frozenset[str], heard: frozenset[Layer]) -> Outcome:
        """What follows when exactly these rules match, and these layers speak elsewhere."""
        if any(effects[rule] is F and rule not in lifted for rule in on):
            return F, frozenset()
        speaking = [counted[rule].layers for rule in on if effects[rule] is not F]
        if any(layer not in layers for layer in needed for layers in [heard.union(*speaking)]):
            return F, frozenset()
        if any(effects[rule] is R and rule not in lifted for rule in on):
            return R, frozenset()
        return P, frozenset(d for rule in on if effects[rule] is P for d in counted[rule].duties)

    worlds = {
        (on, heard): outcome(sure | on, heard)
        for on in _subsets(undecided)
        for heard in _subsets(sorted(perhaps))
    }
    deciding = {
        rule
        for rule in undecided
        if any(worlds[on ^ {rule}, heard] != said for (on, heard), said in worlds.items())
    }
    outcomes = set(worlds.values())
    final: Outcome = outcomes.pop() if len(outcomes) == 1 else (R, frozenset())
    candidates = {F: sure, R: sure.union(undecided), P: sure}[final[0]]
    wanted = {F: {F}, R: {F, R}, P: {P}}[final[0]]
    may_speak = [
        counted[rule].layers
        for rule in counted
        if effects[rule] is not F and matches[rule] is not False
    ]
    return Word(
        outcome=final,
        by=frozenset(r for r in candidates - lifted if effects[r] in wanted),
        silent=needed - perhaps.union(*may_speak),
        missing=frozenset(
            test.fact
            for rule in deciding
            for tests in counted[rule].when.alternatives
            if _all(truth(test, facts) for test in tests) is None
            for test in tests
            if truth(test, facts) is None
        ),
        matched={rule: answer is True for rule, answer in matches.items() if answer is not False},
        lifted=frozenset(lifted),
    )


def _needed(
    question: Question, clock: Clock, held: Sequence[Grant]
) -> tuple[frozenset[Layer], frozenset[Layer]]:
    """The layers that must speak on a clock, and those of them that may speak elsewhere.

    A grant may have spoken for a layer, and so may a rule that only the other clock reads.
    """
    if question.gate not in {Gate.RESPONSE, Gate.DATASET}:
        return frozenset(), frozenset()
    facts = question.moments[clock].facts
    spoken = {
        layer
        for grant in held
        if question.gate in grant.permits
        for rule in question.rules
        if rule.party == grant.party and holds(rule.scope, facts) is True
        for layer in grant.layers & rule.layers
    }
    perhaps: set[Layer] = set()
    other, there = OTHER[clock], question.moments[OTHER[clock]]
    for rule in question.rules:
        if (
            rule.as_of == other
            and question.gate in rule.gates
            and stands(rule, other, there.at)
            and effect_at(rule, there.at) is not F
            and not rule.is_shadow
        ):
            answer = holds(rule.when, there.facts)
            spoken |= rule.layers if answer is True else set()
            perhaps |= rule.layers if answer is None else set()
    asked = {Layer.HOST, Layer.MODEL} | ({Layer.ROUTER} if known("router", facts) else set())
    needed = frozenset(asked - spoken)
    return needed, needed & perhaps


def _in_effect(grant: Grant, clock: Clock, question: Question) -> bool:
    then, now = (grant.in_force.holds(moment.at) for moment in question.moments.values())
    inside = {"both": then and now, "exchange": then, "today": now}[grant.as_of]
    return grant.is_approved and inside and not (grant.is_revoked and clock == "today")


def _lifts(grant: Grant, rule: Rule) -> bool:
    return rule.id in grant.lifts and rule.party == grant.party and rule.effect is not P


def _subsets[T](items: Sequence[T]) -> Iterator[frozenset[T]]:
    for size in range(len(items) + 1):
        yield from map(frozenset, combinations(items, size))


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
    moments: Mapping[Clock, Moment] = {"exchange": exchange, "today": today or exchange}
    question = Question(rules=rules, grants=grants, gate=gate, moments=moments, cleared=cleared)
    words = [judge(question, clock) for clock in moments]
    verdict = max((word.outcome[0] for word in words), key=[P, R, F].index)
    setting = [word for word in words if word.outcome[0] is verdict]
    hits = sorted({rule for word in words for rule in word.matched})
    duties = {d for word in words for d in word.outcome[1]} if verdict is P else set()
    return Answer(
        verdict=verdict,
        by=tuple(sorted({rule for word in setting for rule in word.by})),
        silent=tuple(sorted({layer for word in words for layer in word.silent})),
        missing=tuple(sorted({fact for word in setting for fact in word.missing})),
        duties=tuple(sorted(duties, key=lambda duty: (duty.kind, duty.value))),
        hits=tuple(
            (
                rule,
                any(word.matched.get(rule, False) for word in words),
                all(rule in word.lifted for word in words if rule in word.matched),
            )
            for rule in hits
        ),
    )
