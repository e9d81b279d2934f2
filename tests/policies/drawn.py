"""Laws and questions from a seed: many and fast, where a property needs a hundred thousand of them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.decision import Moment
from policies.model import (
    AsOf,
    Condition,
    Duty,
    Effect,
    Fact,
    Gate,
    Grant,
    Rule,
    Source,
    Test,
    Window,
)
from tests.policies.strategies import HERE, PARTIES, RULE_IDS, TESTS, VALUES, WRONG, Law, day

_DUTIES = tuple(Duty(kind="display", value=party) for party in ("Host", "Maker"))
_AS_OF: Sequence[AsOf] = ("both", "both", "both", "exchange", "today")
_SCOPED = tuple(test for test in TESTS if test.fact in {"route", "model.id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question to a law."""

    gate: Gate
    exchange: Moment
    today: Moment | None
    cleared: frozenset[str]


def law(seed: int) -> Law:
    """Up to eight rules, shadow ones and overdue sources among them, and up to two grants."""
    rng = random.Random(seed)
    ids = [*RULE_IDS, "p/r6", "p/r7"][: rng.randint(1, 8)]
    return Law(
        rules=tuple(_rule(rng, rule) for rule in ids),
        grants=tuple(_grant(rng, f"g{n}") for n in range(rng.choice([0, 1, 1, 2]))),
    )


def questions(seed: int, count: int) -> Iterator[Asked]:
    """Questions at every gate: both clocks with facts of their own, clearances, instants on edges."""
    rng = random.Random(seed)
    for _ in range(count):
        yield Asked(
            gate=rng.choice([Gate.DATASET, Gate.RESPONSE, *Gate]),
            exchange=_moment(rng),
            today=rng.choice([None, _moment(rng)]),
            cleared=frozenset(
                rng.sample([*RULE_IDS, "p/gone"], rng.choice([0, 0, 1, 3])),
            ),
        )


def _moment(rng: random.Random) -> Moment:
    facts: dict[str, Fact] = {}
    is_sparse = rng.random() < 0.2
    for fact, values in VALUES.items():
        draw = rng.random()
        if draw < (0.6 if is_sparse else 0.15):
            continue
        facts[fact] = WRONG[fact] if draw > 0.97 else rng.choice(values)
    if rng.random() < 0.5:
        facts.pop("router", None)
    return Moment(at=_instant(rng), facts=facts)


def _instant(rng: random.Random) -> datetime:
    return day(rng.randint(0, 4)) + timedelta(hours=rng.choice([0, 12]))


def _window(rng: random.Random) -> Window:
    if rng.random() < 0.7:
        return Window()
    edges = [rng.choice([None, day(rng.randint(0, 4))]) for _ in range(2)]
    return Window(start=edges[0], until=edges[1])


def _condition(rng: random.Random, tests: Sequence[Test] = TESTS) -> Condition:
    if rng.random() < 0.3:
        return Condition()
    return Condition(
        alternatives=tuple(
            tuple(rng.sample(tests, rng.choice([0, 1, 1, 2]))) for _ in range(rng.choice([1, 1, 2]))
        )
    )


def _source(rng: random.Random) -> Source:
    return Source(
        id="s",
        record="{}",
        digest="0" * 64,
        title="Terms",
        url="https://example.org/terms",
        confidence="read-primary",
        review_by=rng.choice([None, None, day(rng.randint(1, 4))]),
        in_force=_window(rng),
        where=HERE,
    )


def _rule(rng: random.Random, rule_id: str) -> Rule:
    party = rng.choice([*sorted(PARTIES), "Owner", "Owner"])
    effect = rng.choice([*[Effect.PERMIT] * 3, Effect.REVIEW, Effect.FORBID])
    return Rule(
        id=rule_id,
        policy="p",
        party=party,
        layers=PARTIES[party],
        effect=effect,
        gates=frozenset(rng.sample(list(Gate), rng.randint(1, 4))) | {Gate.DATASET},
        when=_condition(rng),
        because="It says so.",
        sources=tuple(_source(rng) for _ in range(rng.choice([0, 0, 1, 2]))),
        scope=_condition(rng, _SCOPED),
        duties=tuple(rng.sample(_DUTIES, rng.randint(0, 2))) if effect is Effect.PERMIT else (),
        is_shadow=rng.random() < 0.1,
        as_of=rng.choice(_AS_OF),
        in_force=_window(rng),
        where=HERE,
    )


def _grant(rng: random.Random, grant_id: str) -> Grant:
    party = rng.choice(sorted(PARTIES))
    return Grant(
        id=grant_id,
        digest="0" * 64,
        party=party,
        lifts=frozenset(rng.sample(RULE_IDS, rng.randint(1, 4))),
        permits=frozenset(rng.sample(list(Gate), rng.randint(0, 4))),
        layers=PARTIES[party],
        scope=_condition(rng),
        in_force=_window(rng),
        as_of=rng.choice(["both", "both", "exchange", "today"]),
        owner="legal@example.org",
        because="They agreed.",
        is_approved=rng.random() < 0.85,
        is_revoked=rng.random() < 0.15,
        where=HERE,
    )
