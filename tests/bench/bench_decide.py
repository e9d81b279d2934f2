"""How long a decision takes: p50 and p99 in µs at 50 and at 5,000 rules.

Providers differ in route and terms; of the facts of each exchange 15 % are unknown, at random. The
dataset gate reads two clocks with facts of their own, the request gate reads one. "cold" is the
first sight of each exchange, "warm" the fifth: traffic repeats itself, and what is said of a
combination of rules is remembered.
"""

import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from policies.decision import Moment
from policies.engine import Matrix, compile_rules, decide
from policies.model import Condition, Effect, Fact, Gate, Grant, Layer, Place, Rule, Test

HERE = Place(file="bench.yaml", line=1, column=1)
AT = datetime(2026, 7, 1, tzinfo=UTC)
TODAY = datetime(2026, 11, 24, tzinfo=UTC)
UNKNOWN = 0.15
EXCHANGES = 2000
RULES_OF_A_PROVIDER = 5
TRAINING = frozenset({Gate.RESPONSE, Gate.DATASET})
EVERYWHERE = TRAINING | {Gate.REQUEST}


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A bundle as the engine sees it."""

    matrix: Matrix
    digest: str = "0" * 64
    meaning: str = "1" * 64


def is_(fact: str, *values: str | bool, negated: bool = False) -> Test:
    """The fact is one of these."""
    return Test(fact=fact, op="is", values=values, negated=negated, where=HERE)


def provider(number: int) -> Iterator[Rule]:
    """Five rules of the kinds the library has."""
    route = is_("route", f"route-{number}")
    party = f"Party {number}"
    competes = Test(fact="student.competes_with", op="has", values=(party,), where=HERE)
    differs = Test(fact="student.competes_with", op="lacks", values=(party,), where=HERE)
    large = Test(fact="student.monthly_users", op="above", values=(number * 1000,), where=HERE)
    distils = is_("student.purpose", "distil-narrow", "distil-general")
    other_task = is_("student.task", "classify", "embed", negated=True)
    released = is_("student.release", "internal", negated=True)
    narrow = (route, is_("student.task", "classify", "embed"), is_("student.release", "internal"))
    rules: list[tuple[Effect, frozenset[Gate], tuple[tuple[Test, ...], ...]]] = [
        (Effect.PERMIT, TRAINING, (narrow,)),
        (Effect.PERMIT, TRAINING, ((route, differs),)),
        (
            Effect.FORBID,
            EVERYWHERE,
            ((route, distils, competes, other_task), (route, distils, competes, released)),
        ),
        (Effect.REVIEW, TRAINING, ((route, is_("response.third_party", True)),)),
        (Effect.FORBID, TRAINING, ((route, large, is_("model.id", f"m{number}-*")),)),
    ]
    for at, (effect, gates, alternatives) in enumerate(rules):
        yield Rule(
            id=f"p{number}/r{at}",
            policy=f"p{number}",
            party=party,
            layers=frozenset({Layer.HOST, Layer.MODEL}),
            effect=effect,
            gates=gates,
            when=Condition(alternatives=alternatives),
            because="It says so.",
            scope=Condition(alternatives=((route,),)),
            where=HERE,
        )


def exchange(rng: random.Random, providers: int) -> dict[str, Fact]:
    """The facts of one exchange, less the unknown ones."""
    number = rng.randrange(providers)
    facts: dict[str, Fact] = {
        "route": f"route-{number}",
        "account.id": f"account-{rng.randrange(5)}",
        "project": f"project-{rng.randrange(20)}",
        "operation": "chat",
        "model.asked": f"wire-{number}",
        "model.served": f"wire-{number}-2026-07-01",
        "model.id": f"m{number}-large",
        "model.substituted": False,
        "request.system": True,
        "request.tools": False,
        "response.finish": "stop",
        "response.tokens": rng.randrange(4000),
        "response.third_party": rng.random() < 0.1,
        "student.purpose": rng.choice(["eval", "classifier", "distil-narrow", "distil-general"]),
        "student.task": rng.choice(["classify", "embed", "generate"]),
        "student.release": rng.choice(["internal", "service", "open-weights"]),
        "student.competes_with": rng.choice([frozenset[str](), frozenset({f"Party {number}"})]),
        "student.monthly_users": rng.randrange(2_000_000),
    }
    return {fact: value for fact, value in facts.items() if rng.random() >= UNKNOWN}


def measure(bundle: Compiled, gate: Gate, moments: list[tuple[Moment, Moment | None]]) -> str:
    """First and fifth sight of each exchange."""
    times: list[list[float]] = []
    for _ in range(5):
        times.append([])
        for then, now in moments:
            start = time.perf_counter_ns()
            decide(bundle, gate, then, now)
            times[-1].append((time.perf_counter_ns() - start) / 1000)
    cold, warm = (statistics.quantiles(times[at], n=100) for at in (0, -1))
    return f"warm p50 {warm[49]:6.1f} p99 {warm[98]:6.1f}   cold p50 {cold[49]:6.1f} µs"


def main() -> None:
    """Print the figures at 50 and at 5,000 rules."""
    grants: tuple[Grant, ...] = ()
    for count in (50, 5000):
        rng = random.Random(0)
        providers = count // RULES_OF_A_PROVIDER
        start = time.perf_counter()
        rules = [rule for number in range(providers) for rule in provider(number)]
        bundle = Compiled(matrix=compile_rules(rules, grants))
        took = (time.perf_counter() - start) * 1000
        seen = [Moment(at=AT, facts=exchange(rng, min(providers, 50))) for _ in range(EXCHANGES)]
        now = [Moment(at=TODAY, facts=exchange(rng, min(providers, 50))) for _ in seen]
        both = [
            (then, Moment(at=TODAY, facts={**then.facts, **_student(today)}))
            for then, today in zip(seen, now, strict=True)
        ]
        one = measure(bundle, Gate.REQUEST, [(then, None) for then in seen])
        two = measure(bundle, Gate.DATASET, [(then, today) for then, today in both])
        sys.stdout.write(f"{count:5} rules, compiled in {took:.0f} ms\n")
        sys.stdout.write(f"  request, one clock:  {one}\n  dataset, two clocks: {two}\n")


def _student(moment: Moment) -> dict[str, Fact]:
    return {fact: value for fact, value in moment.facts.items() if fact.startswith("student.")}


if __name__ == "__main__":
    main()
