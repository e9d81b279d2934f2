"""How long a decision takes: p50 and p99 in µs at 50, 500 and 5,000 rules.

Providers differ in route and terms; of the facts of each exchange 15 % are unknown, at random. The
dataset gate reads two clocks with facts of their own, the request gate reads one. "cold" is the
first sight of each exchange, "warm" the fifth: traffic repeats itself, and what is said of a
combination of rules is remembered. "sparse" is the response gate as the proxy asks it: the shipped
library, one route, most of the facts that its rules test unknown. Recorded is a request decision
with the leaf's record of it and the sha256 of its canonical JSON. Examples are decided in one batch
for one student.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from policies.bundle import Bundle, load_bundle
from policies.decision import Moment
from policies.engine import Question, compile_rules, decide, decide_all
from policies.model import Condition, Effect, Fact, Gate, Layer, Place, Rule, Test
from proxy.enforce import record_of
from proxy.ledger.canonical import canonical

HERE = Place(file="bench.yaml", line=1, column=1)
AT = datetime(2026, 7, 1, tzinfo=UTC)
TODAY = datetime(2026, 11, 24, tzinfo=UTC)
UNKNOWN = 0.15
EXCHANGES = 2000
RULES_OF_A_PROVIDER = 5
TRAINING = frozenset({Gate.RESPONSE, Gate.DATASET})
EVERYWHERE = TRAINING | {Gate.REQUEST}


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


type Pairs = list[tuple[Moment, Moment | None]]


def timed(ask: Callable[[Moment, Moment | None], object], pairs: Pairs) -> str:
    """First and fifth sight of each exchange."""
    times: list[list[float]] = []
    for _ in range(5):
        times.append([])
        for then, now in pairs:
            start = time.perf_counter_ns()
            ask(then, now)
            times[-1].append((time.perf_counter_ns() - start) / 1000)
    cold, warm = (statistics.quantiles(times[at], n=100) for at in (0, -1))
    return f"warm p50 {warm[49]:6.1f} p99 {warm[98]:6.1f}   cold p50 {cold[49]:6.1f} µs"


def recorded(bundle: Bundle, gate: Gate) -> Callable[[Moment, Moment | None], object]:
    """A decision, its record in a leaf, and the digest of that."""

    def ask(then: Moment, now: Moment | None) -> object:
        record = record_of(decide(bundle, gate, then, now), bundle)
        return sha256(canonical(record.model_dump(mode="json"))).digest()

    return ask


def examples_a_second(bundle: Bundle, seen: list[Moment]) -> float:
    """How many examples a core decides at the dataset gate for one student."""
    student = _student(seen[0])
    questions = [
        Question(then, Moment(at=TODAY, facts={**_without_student(then), **student}))
        for then in seen
    ]
    best = 0.0
    for _ in range(7):
        start = time.process_time()
        for _decision in decide_all(bundle, Gate.DATASET, questions):
            pass
        best = max(best, len(questions) / (time.process_time() - start))
    return best


def generated(shipped: Bundle, count: int) -> None:
    """Print the figures for rules made up in the library's manner."""
    rng = random.Random(0)
    providers = count // RULES_OF_A_PROVIDER
    start = time.perf_counter()
    rules = [rule for number in range(providers) for rule in provider(number)]
    bundle = replace(shipped, matrix=compile_rules(rules, ()))
    took = (time.perf_counter() - start) * 1000
    seen = [Moment(at=AT, facts=exchange(rng, min(providers, 50))) for _ in range(EXCHANGES)]
    now = [Moment(at=TODAY, facts=exchange(rng, min(providers, 50))) for _ in seen]
    one: Pairs = [(then, None) for then in seen]
    two: Pairs = [
        (then, Moment(at=TODAY, facts={**then.facts, **_student(today)}))
        for then, today in zip(seen, now, strict=True)
    ]

    def ask(gate: Gate) -> Callable[[Moment, Moment | None], object]:
        return lambda then, today: decide(bundle, gate, then, today)

    sys.stdout.write(
        f"{count:5} rules, compiled in {took:.0f} ms\n"
        f"  request, one clock:   {timed(ask(Gate.REQUEST), one)}\n"
        f"  request, recorded:    {timed(recorded(bundle, Gate.REQUEST), one)}\n"
        f"  dataset, two clocks:  {timed(ask(Gate.DATASET), two)}\n"
        f"  dataset, one student: {examples_a_second(bundle, seen):,.0f} examples/s\n"
    )


def sparse(bundle: Bundle) -> None:
    """Print the figures of the shipped library, asked as the proxy asks."""
    rng = random.Random(0)
    seen = [Moment(at=TODAY, facts=_sparse(rng)) for _ in range(EXCHANGES)]
    both: Pairs = [(then, Moment(at=TODAY, facts=then.facts)) for then in seen]
    sys.stdout.write(
        f"{len(bundle.rules):5} rules, the shipped library\n"
        "  response, sparse:     "
        f"{timed(lambda then, now: decide(bundle, Gate.RESPONSE, then, now), both)}\n"
        f"  response, recorded:   {timed(recorded(bundle, Gate.RESPONSE), both)}\n"
        f"  dataset, one student: {examples_a_second(bundle, seen):,.0f} examples/s\n"
    )


def _sparse(rng: random.Random) -> dict[str, Fact]:
    """What the wire and the registry say, and a student that declares little."""
    return {
        "route": "openai-api",
        "operation": "chat",
        "project": f"project-{rng.randrange(20)}",
        "account.id": "account",
        "model.asked": "gpt-5.1",
        "model.served": "gpt-5.1-2025-11-13",
        "model.id": "gpt-5.1",
        "model.substituted": False,
        "request.system": rng.random() < 0.5,
        "request.tools": rng.random() < 0.2,
        "request.images": False,
        "response.finish": rng.choice(["stop", "length"]),
        "response.tokens": rng.randrange(4000),
        "response.third_party": False,
        "student.purpose": rng.choice(["eval", "classifier", "distil-narrow"]),
        "student.task": rng.choice(["classify", "generate"]),
    }


def _student(moment: Moment) -> dict[str, Fact]:
    return {fact: value for fact, value in moment.facts.items() if fact.startswith("student.")}


def _without_student(moment: Moment) -> dict[str, Fact]:
    return {fact: value for fact, value in moment.facts.items() if not fact.startswith("student.")}


def main() -> None:
    """Print the figures at 50, 500 and 5,000 rules and of the shipped library."""
    shipped = load_bundle(None, organisation="Example Org")
    for count in (50, 500, 5000):
        generated(shipped, count)
    sparse(shipped)


if __name__ == "__main__":
    main()
