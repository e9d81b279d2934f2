"""What an explanation costs: p50 and p99 in ms of CPU at 50 rules, at 400 and with the whole library.

Each exchange is explained at the dataset gate on both clocks, most of them refused or held back:
why, why not, and all that would change it. The library's exchanges are its own test cases.
"""

import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from policies.bundle import load_bundle
from policies.decision import Moment
from policies.engine import Matrix, compile_rules
from policies.explain import explain
from policies.model import Gate
from policies.permissions import Bundle
from tests.bench.bench_decide import AT, TODAY, exchange, provider

CASES = 400
type Case = tuple[Gate, Moment, Moment]


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A bundle as the engine sees it."""

    matrix: Matrix
    digest: str = "0" * 64
    meaning: str = "1" * 64


def measure(name: str, bundle: Bundle, cases: Sequence[Case]) -> None:
    """Print how long explanations take, and how many of the cases are permitted."""
    times, permits = [], 0
    for gate, then, now in cases:
        start = time.thread_time_ns()
        found = explain(bundle, gate, then, now)
        times.append((time.thread_time_ns() - start) / 1e6)
        permits += found.decision.verdict == "permit"
    cuts = statistics.quantiles(times, n=100)
    rules = len(bundle.matrix.rules)
    sys.stdout.write(
        f"{name:10} {rules:5} rules  p50 {cuts[49]:5.2f}  p99 {cuts[98]:5.2f}  "
        f"worst {max(times):5.2f} ms  ({permits} of {len(cases)} permitted)\n"
    )


def made(count: int) -> tuple[Bundle, list[Case]]:
    """A bundle of this many rules, and exchanges with its providers."""
    rng = random.Random(0)
    rules = [rule for number in range(count // 5) for rule in provider(number)]
    seen = [Moment(at=AT, facts=exchange(rng, min(count // 5, 50))) for _ in range(CASES)]
    return Compiled(matrix=compile_rules(rules, ())), [
        (Gate.DATASET, then, Moment(at=TODAY, facts=then.facts)) for then in seen
    ]


def main() -> None:
    """Print the figures."""
    for count in (50, 400):
        measure("made", *made(count))
    library = load_bundle(None, organisation="Example Org")
    cases = [
        (
            case.gate,
            Moment(at=case.exchange_at, facts=case.facts),
            Moment(at=case.today_at, facts=case.facts),
        )
        for suite in library.suites
        for case in suite.cases
    ]
    measure("library", library, cases)


if __name__ == "__main__":
    main()
