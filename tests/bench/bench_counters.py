"""What CPU counters cost a call: groups found, numbers read, tallies raised, without the commit.

Run it from the repository's root: `python -m tests.bench.bench_counters`. Tallies are written through
the driver's own cursor, as the log writes. Figures are reported, never asserted.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from policies.bundle import Bundle, bundle_of
from policies.model import Fact
from proxy.counting import Counted, Counting
from proxy.store.counters import Tallies
from proxy.store.session import Database, open_database

_NOW = datetime(2026, 11, 24, 5, tzinfo=UTC)
_CALLS = 2_000
_ROUNDS = 5
_BATCHES = (1, 8, 32)
_HOUSE = """\
inbond: 1
policy: house
layer: organisation
party: Example Org
owner: governance@example.org
reviewed: 2026-01-01
rules:
  - id: no-secrets
    forbid: request
    when: {request.secret: true}
    because: Secrets stay here.
"""
_RULE = """\
  - id: many-{name}
    forbid: request
    when: {{counter.{name}: {{above: 1_000_000_000}}}}
    because: Many calls look like extraction.
"""
_COUNTER = "  {name}: {{count: {count}, per: [route, project], within: 30d}}\n"
_CASES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("no counter", (), False),
    ("requests, counted only", ("requests",), False),
    ("requests, asked", ("requests",), True),
    ("three of requests, asked", ("requests",) * 3, True),
    ("distinct prompts, asked", ("distinct_prompts",), True),
    ("one of each kind, asked", ("requests", "tokens_out", "distinct_prompts"), True),
)


def _bundle(counts: Sequence[str], *, is_asked: bool) -> Bundle:
    """House rules that count all of these, and with `is_asked` a rule on the number of each."""
    named = {f"c{n}": count for n, count in enumerate(counts)}
    text = _HOUSE + "".join(_RULE.format(name=name) for name in named if is_asked)
    if named:
        counters = (_COUNTER.format(name=name, count=count) for name, count in named.items())
        text += f"counters:\n{''.join(counters)}"
    return bundle_of({"organisation/house.yaml": text}, organisation="Example Org")


def _look(counting: Counting) -> list[Counted]:
    """What counts of each call: four projects, each prompt sent twice."""
    calls: list[Counted] = []
    for number in range(_CALLS):
        facts: dict[str, Fact] = {"route": "acme-api", "project": f"p{number % 4}"}
        at = _NOW + timedelta(seconds=number)
        found = counting.of(facts, at, f"prompt {number // 2}".encode())
        calls += [] if found is None else [found]
    return calls


def _count(database: Database, tallies: Tallies, calls: list[Counted], batch: int) -> float:
    """Count the calls, so many in each transaction; seconds spent, without begin and commit."""
    spent_s = 0.0
    for start in range(0, len(calls), batch):
        with database.drive() as driver:
            begun = time.thread_time()
            opened = tallies.open(driver)
            for call in calls[start : start + batch]:
                if call.is_asked:
                    opened.numbers(call.asked)
                opened.add(call.step)
            opened.write()
            spent_s += time.thread_time() - begun
    return spent_s


def _counting_us(calls: list[Counted], batch: int) -> float:
    """Microseconds a call, the best of several rounds over the same tallies."""
    with TemporaryDirectory() as folder:
        database = open_database("sqlite:///inbond.db", directory=Path(folder))
        tallies = Tallies()
        best_s = min(_count(database, tallies, calls, batch) for _ in range(_ROUNDS))
        database.close()
    return best_s / _CALLS * 1e6


def _looking_us(counting: Counting) -> float:
    best_s = float("inf")
    for _ in range(_ROUNDS):
        begun = time.thread_time()
        _look(counting)
        best_s = min(best_s, time.thread_time() - begun)
    return best_s / _CALLS * 1e6


def main() -> None:
    """Print a row for each set of counters: microseconds a call."""
    heads = "".join(f"{f'batch {batch}':>10}" for batch in _BATCHES)
    print(f"{'us a call':<28}{'look up':>10}{heads}")  # noqa: T201 - a benchmark prints
    for label, counts, is_asked in _CASES:
        counting = Counting(_bundle(counts, is_asked=is_asked), bytes(32))
        took = [_looking_us(counting)]
        took += [_counting_us(_look(counting), batch) for batch in _BATCHES]
        print(f"{label:<28}{''.join(f'{each:10.1f}' for each in took)}")  # noqa: T201 - a benchmark prints


if __name__ == "__main__":
    main()
