"""How many exchanges a second are replayed through two bundles, per core, at 50 and at 5,000 rules.

Each exchange is decided at the request, response and dataset gates, the last on both clocks, through
two bundles that differ in one rule of each provider. "alike": everything
is known; "ragged": each fact that the proxy does not stamp itself is unknown in 15 % of the exchanges.
"""

import random
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from policies.bundle import Bundle, bundle_of, load_bundle
from policies.diff import Snapshot, diff
from policies.engine import compile_rules
from policies.model import Effect, Fact, Gate
from tests.bench.bench_decide import AT, TODAY, UNKNOWN, exchange, provider

EXCHANGES = 50_000
STAMPED = frozenset({"route", "operation", "project", "account.id", "model.asked"})
"""What the proxy itself puts on each call."""


def bundle(count: int, changed: Effect) -> Bundle:
    """A bundle of this many rules; each provider's fourth has this effect."""
    rules = [rule for number in range(count // 5) for rule in provider(number)]
    rules = [replace(r, effect=changed) if r.id.endswith("/r3") else r for r in rules]
    empty = bundle_of({}, organisation="Example Org")
    return replace(empty, digest=changed.value, rules=tuple(rules), matrix=compile_rules(rules, ()))


def traffic(providers: int, *, is_ragged: bool) -> list[Mapping[str, Fact]]:
    """The facts of exchanges."""
    rng, whole = random.Random(0), _Known(0)
    seen: list[Mapping[str, Fact]] = []
    for _ in range(EXCHANGES):
        facts = {**exchange(whole, providers), "response.third_party": rng.random() < 0.1}
        kept = {n: v for n, v in facts.items() if n in STAMPED or rng.random() >= UNKNOWN}
        seen.append(kept if is_ragged else facts)
    return seen


class _Known(random.Random):
    """Chance that leaves no fact unknown."""

    def random(self) -> float:
        return 1.0

    def getrandbits(self, k: int) -> int:
        # Defined here, or `randrange` would ask `random` above.
        return super().getrandbits(k)


def snapshots(seen: list[Mapping[str, Fact]]) -> Iterator[Snapshot]:
    """Each exchange at three gates, a second after the one before it."""
    for number, facts in enumerate(seen):
        name, at = f"{number:08x}", AT + timedelta(seconds=number)
        asked = {k: v for k, v in facts.items() if not k.startswith(("response.", "model.s"))}
        yield Snapshot(name, Gate.REQUEST, at, asked)
        yield Snapshot(name, Gate.RESPONSE, at, facts)
        yield Snapshot(name, Gate.DATASET, at, facts, TODAY)


def library() -> tuple[Bundle, Bundle, list[Mapping[str, Fact]]]:
    """The shipped library, the same with one rule less, and its test cases over and over as traffic."""
    old = load_bundle(None, organisation="Example Org")
    kept = old.rules[1:]
    new = replace(old, digest="less", rules=kept, matrix=compile_rules(kept, ()))
    cases = [case.facts for suite in old.suites for case in suite.cases]
    return old, new, [cases[n % len(cases)] for n in range(EXCHANGES)]


def measure(name: str, old: Bundle, new: Bundle, seen: list[Mapping[str, Fact]]) -> None:
    """Print how fast exchanges are replayed."""
    made = list(snapshots(seen))
    start = time.thread_time()
    found = diff(old, new, made)
    took = time.thread_time() - start
    flipped = sum(flip.count for flip in found.flips)
    sys.stdout.write(
        f"{len(old.rules):5} rules, {name:8} {EXCHANGES / took:9,.0f} exchanges/s  "
        f"({flipped:,} of {len(made):,} verdicts flip)\n"
    )


def main() -> None:
    """Print the figures."""
    measure("library", *library())
    for count in (50, 5000):
        old, new = bundle(count, Effect.REVIEW), bundle(count, Effect.FORBID)
        for is_ragged in (False, True):
            seen = traffic(min(count // 5, 50), is_ragged=is_ragged)
            measure("ragged" if is_ragged else "alike", old, new, seen)


if __name__ == "__main__":
    main()
