"""Tallies: what groups have counted, against a plain list of all that ever happened."""

import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql

from policies.counters import Group
from policies.model import Condition, Count, Counter, Place
from proxy.store.counters import OpenTallies, Step, Tallies, forget_prompt
from proxy.store.fixed import Target
from proxy.store.session import Database
from proxy.store.tables import PromptRow, TallyRow
from tests.proxy.store.ledgers import Ledger, open_ledger
from tests.proxy.store.tallier import count_calls

NOW = datetime(2026, 11, 24, 5, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ONE, TWO = b"one".ljust(16), b"two".ljust(16)


def group(
    count: Count = "requests", *, name: str = "calls", key: bytes = ONE, within: timedelta = HOUR
) -> Group:
    """A group of a counter."""
    counter = Counter(
        name=name,
        policy="house",
        count=count,
        per=("route",),
        within=within,
        scope=Condition(),
        where=Place(file="organisation/house.yaml", line=1, column=1),
    )
    return Group(counter=counter, key=key)


def called(*groups: Group, at: datetime = NOW, prompt: bytes | None = None) -> Step:
    """What one call adds."""
    return Step(groups=groups, at=at, requests=1, prompt=prompt)


def number(database: Database, step: Step) -> int:
    """The number of the only counter of a call, as a rule would see it."""
    with database.write() as connection:
        (found,) = Tallies().open(connection).numbers(step).values()
    return found


def count(database: Database, *steps: Step) -> None:
    """Add steps, each in a transaction of its own."""
    tallies = Tallies()
    for step in steps:
        with database.write() as connection:
            opened = tallies.open(connection)
            opened.add(step)
            opened.write()


def rows(database: Database) -> tuple[int, int]:
    """How many rows there are of tallies and of prompts."""
    with database.read() as connection:
        tallies = connection.execute(select(func.count()).select_from(TallyRow)).scalar_one()
        prompts = connection.execute(select(func.count()).select_from(PromptRow)).scalar_one()
    return tallies, prompts


def test_a_number_includes_the_call_that_is_decided(ledger: Ledger) -> None:
    """The first call of a group is its first, the next its second, and another group is apart."""
    first, other = called(group()), called(group(key=TWO))
    assert number(ledger.database, first) == 1
    assert number(ledger.database, first) == 1  # what only was read is not counted
    count(ledger.database, first)
    assert number(ledger.database, first) == 2
    assert number(ledger.database, other) == 1


def test_calls_of_one_transaction_see_each_other(ledger: Ledger) -> None:
    """Of two calls decided in one transaction the second counts the first."""
    step = called(group(), group("distinct_prompts", name="prompts", key=TWO), prompt=ONE)
    with ledger.database.write() as connection:
        opened = Tallies().open(connection)
        assert opened.numbers(step) == {"counter.calls": 1, "counter.prompts": 1}
        opened.add(step)
        assert opened.numbers(step) == {"counter.calls": 2, "counter.prompts": 1}


def test_calls_of_one_transaction_may_lie_apart(ledger: Ledger) -> None:
    """What was added in the same transaction counts as long as the window reaches it."""
    with ledger.database.write() as connection:
        opened = Tallies().open(connection)
        opened.add(called(group()))
        near, far = (called(group(), at=NOW + minutes * HOUR / 60) for minutes in (50, 70))
        assert opened.numbers(near) == {"counter.calls": 2}
        assert opened.numbers(far) == {"counter.calls": 1}


def test_what_is_undone_is_not_counted(ledger: Ledger) -> None:
    """A transaction that fails takes its tallies back."""
    step = called(group())
    with pytest.raises(RuntimeError), ledger.database.write() as connection:  # noqa: PT012 - the write itself succeeds
        opened = Tallies().open(connection)
        opened.add(step)
        opened.write()
        raise RuntimeError
    assert number(ledger.database, step) == 1


@pytest.mark.parametrize(
    ("within", "step_s"),
    [(HOUR, 60), (timedelta(hours=2), 120), (DAY, 24 * 60), (timedelta(days=30), 12 * 3600),
     (timedelta(hours=61), 62 * 60), (timedelta(days=366), 8784 * 60)],
)  # fmt: skip
def test_a_window_errs_by_one_step_at_most(ledger: Ledger, within: timedelta, step_s: int) -> None:
    """A call counts as long as the window reaches it, and at most a step longer."""
    made = called(group(within=within))
    count(ledger.database, made)
    inside = called(group(within=within), at=NOW + within - timedelta(seconds=1))
    outside = called(group(within=within), at=NOW + within + timedelta(seconds=step_s))
    assert number(ledger.database, inside) == 2
    assert number(ledger.database, outside) == 1


def test_tokens_count_when_the_exchange_ends(ledger: Ledger) -> None:
    """A call sees the tokens of exchanges that ended, each kind by itself, and none of its own."""
    groups = group("tokens_in", name="in"), group("tokens_out", name="out", key=TWO)
    count(ledger.database, called(*groups))
    count(ledger.database, Step(groups=groups, at=NOW, tokens_in=7, tokens_out=40))
    count(ledger.database, Step(groups=groups, at=NOW, tokens_in=1, tokens_out=2))
    with ledger.database.write() as connection:
        said = Tallies().open(connection).numbers(called(*groups))
    assert said == {"counter.in": 8, "counter.out": 42}


def test_no_provider_can_state_too_many_tokens(ledger: Ledger) -> None:
    """Absurd usage makes a number as large as a fact can be, and never a fault of the database."""
    tokens = group("tokens_out")
    absurd = Step(groups=(tokens,), at=NOW, tokens_out=2**62)
    count(ledger.database, *[absurd] * 3)
    assert number(ledger.database, called(tokens)) == 3 * 2**40
    with ledger.database.write() as connection:
        opened = Tallies().open(connection)
        for _ in range(2**14):
            opened.add(absurd)
        opened.write()
    assert number(ledger.database, called(tokens)) == 2**53 - 1


def test_a_prompt_counts_once_while_it_is_sent_again(ledger: Ledger) -> None:
    """A prompt that is repeated stays one, and is one as long as its last sending is in the window."""
    prompts = group("distinct_prompts")
    for minutes in (0, 30, 55, 100):
        count(ledger.database, called(prompts, at=NOW + timedelta(minutes=minutes), prompt=ONE))
    later = NOW + timedelta(minutes=101)
    assert number(ledger.database, called(prompts, at=later, prompt=ONE)) == 1
    assert number(ledger.database, called(prompts, at=later, prompt=TWO)) == 2
    gone = NOW + timedelta(minutes=162)
    assert number(ledger.database, called(prompts, at=gone, prompt=TWO)) == 1
    assert number(ledger.database, called(prompts, at=gone)) == 0


def test_a_clock_that_is_slow_counts_no_prompt_twice(ledger: Ledger) -> None:
    """A call recorded late, after a younger one of the same prompt, leaves it its place in time."""
    prompts = group("distinct_prompts")
    count(ledger.database, called(prompts, prompt=ONE))
    count(ledger.database, called(prompts, at=NOW - timedelta(minutes=30), prompt=ONE))
    assert number(ledger.database, called(prompts, prompt=ONE)) == 1
    later = NOW + timedelta(minutes=45)
    assert number(ledger.database, called(prompts, at=later, prompt=TWO)) == 2


def test_no_tally_falls_below_nothing(ledger: Ledger) -> None:
    """A prompt sent again takes nothing from a step that no window reaches any more."""
    prompts = group("distinct_prompts")
    count(ledger.database, called(prompts, prompt=ONE))
    with ledger.database.write() as connection:
        connection.execute(delete(TallyRow))
    again = NOW + timedelta(minutes=90)
    count(ledger.database, called(prompts, at=again, prompt=ONE))
    longer = group("distinct_prompts", within=DAY)
    assert number(ledger.database, called(longer, at=again, prompt=ONE)) == 1


def test_the_end_of_a_call_sends_no_prompt(ledger: Ledger) -> None:
    """A step without a prompt counts none, and no other kind counts by it."""
    groups = group("distinct_prompts"), group("requests", name="all", key=TWO)
    count(ledger.database, Step(groups=groups, at=NOW, tokens_in=5, tokens_out=5))
    assert rows(ledger.database) == (0, 0)


def test_a_longer_window_reads_what_a_shorter_one_counted(ledger: Ledger) -> None:
    """A window may change: what is kept still counts, in steps of the old length, never too little."""
    short, long = group(within=HOUR), group(within=DAY)
    count(ledger.database, called(long))
    assert number(ledger.database, called(short, at=NOW + timedelta(minutes=20))) == 2
    count(ledger.database, called(short, at=NOW + timedelta(minutes=20)))
    assert number(ledger.database, called(long, at=NOW + timedelta(minutes=80))) == 3


def test_what_no_window_reaches_is_deleted(ledger: Ledger) -> None:
    """An hour after no window reaches them, rows of any group go with the next count."""
    count(ledger.database, called(group("distinct_prompts"), prompt=ONE), called(group(key=TWO)))
    assert rows(ledger.database) == (2, 1)
    other = group(name="other", key=b"other".ljust(16))
    count(ledger.database, called(other, at=NOW + 2 * HOUR))
    assert rows(ledger.database) == (3, 1)
    count(ledger.database, called(other, at=NOW + 2 * HOUR + timedelta(minutes=1)))
    assert rows(ledger.database) == (2, 0)


def test_deleting_is_tried_once_a_minute(ledger: Ledger) -> None:
    """A process that counts all the time looks for old rows once a minute."""
    tallies = Tallies()
    asked: list[str] = []

    class Listening:
        """A target that notes deletions."""

        def __init__(self, target: Target) -> None:
            self.dialect = target.dialect
            self._target = target

        def exec_driver_sql(self, statement: str, parameters: Any) -> Any:
            """Run a statement, and note it if it deletes."""
            asked.extend([statement] if statement.startswith("DELETE") else [])
            return self._target.exec_driver_sql(statement, parameters)

    for seconds in (0, 30, 59, 60, 61, 120):
        with ledger.database.write() as connection:
            opened = tallies.open(Listening(connection))
            opened.add(called(group(), at=NOW + timedelta(seconds=seconds)))
            opened.write()
    assert len(asked) == 3 * 2


def test_a_forgotten_prompt_stays_counted(ledger: Ledger) -> None:
    """After an erasure nobody can tell that a prompt was sent, and the number is what it was."""
    prompts = group("distinct_prompts")
    count(ledger.database, called(prompts, prompt=ONE))
    with ledger.database.write() as connection:
        forget_prompt(connection, ONE, b"random".ljust(16))
        kept = connection.execute(select(PromptRow.digest)).scalars().all()
    assert kept == [b"random".ljust(16)]
    assert number(ledger.database, called(prompts, prompt=TWO)) == 2
    assert number(ledger.database, called(prompts, prompt=ONE)) == 2


def test_many_groups_fit_into_one_call(ledger: Ledger) -> None:
    """However many counters there are, each has its own number."""
    groups = [
        group(name=f"c{n:03}", key=n.to_bytes(16), within=HOUR * (1 + n % 5)) for n in range(100)
    ]
    for _ in range(2):
        count(ledger.database, called(*groups))
    with ledger.database.write() as connection:
        said = Tallies().open(connection).numbers(called(*groups[:70]))
    assert set(said.values()) == {3}
    assert len(said) == 70


def test_the_statements_are_postgresql_too() -> None:
    """Each statement has a text for PostgreSQL, with parameters by name, and says the same."""

    class Silent:
        """A PostgreSQL that answers nothing."""

        def __init__(self) -> None:
            self.dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # sqlalchemy leaves it so
            self.said: list[tuple[str, object]] = []
            self.rowcount = 0

        def exec_driver_sql(self, statement: str, parameters: object) -> "Silent":
            """Note a statement."""
            self.said.append((statement, parameters))
            return self

        def fetchall(self) -> list[object]:
            """Give no rows."""
            return []

    target = Silent()
    step = called(group(), group("distinct_prompts", name="prompts", key=TWO), prompt=ONE)
    opened = Tallies().open(target)
    assert opened.numbers(step) == {"counter.calls": 1, "counter.prompts": 1}
    opened.add(step)
    opened.write()
    assert [" ".join(text.split()).partition(" ")[0] for text, _ in target.said] == [
        "SELECT", "SELECT", "INSERT", "INSERT", "DELETE", "DELETE",
    ]  # fmt: skip
    upsert, values = target.said[2]
    assert (
        "ON CONFLICT (key, ends) DO UPDATE SET amount = (tally.amount + excluded.amount)" in upsert
    )
    assert isinstance(values, dict)
    assert values["amount_0"] == 1


@dataclass
class Happened:
    """All that ever happened, as a plain list: the oracle."""

    calls: list[tuple[datetime, bytes]] = field(default_factory=list)

    def between(self, start: datetime) -> tuple[int, int]:
        """Calls and distinct prompts after an instant."""
        inside = [prompt for at, prompt in self.calls if at > start]
        return len(inside), len(set(inside))


MOVES = st.lists(
    st.tuples(st.integers(0, 4_000), st.integers(0, 3), st.booleans()), min_size=1, max_size=30
)


@given(moves=MOVES, within=st.sampled_from([HOUR, 3 * HOUR]))
def test_numbers_are_never_too_small_and_hardly_too_large(
    moves: Sequence[tuple[int, int, bool]], within: timedelta
) -> None:
    """Between the window's number and that of a window one step longer lies every number."""
    with fresh() as database:
        tallies, happened, at = Tallies(), Happened(), NOW
        step = timedelta(seconds=60 if within == HOUR else 180)
        for seconds, prompt, passes in moves:
            at += timedelta(seconds=seconds)
            digest = bytes([prompt]) * 16
            one = called(
                group(within=within),
                group("distinct_prompts", name="prompts", key=TWO, within=within),
                at=at,
                prompt=digest,
            )
            with database.write() as connection:
                opened = tallies.open(connection)
                said = opened.numbers(one)
                happened.calls.append((at, digest))
                least, most = happened.between(at - within), happened.between(at - within - step)
                assert least[0] <= said["counter.calls"] <= most[0]
                assert least[1] <= said["counter.prompts"] <= most[1]
                if passes:
                    opened.add(one)
                else:
                    happened.calls.pop()
                opened.write()


@contextmanager
def fresh() -> Iterator[Database]:
    """A database of its own for one example."""
    with TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder))
        yield ledger.database
        ledger.database.close()


def test_writers_at_once_never_see_the_same_number(ledger: Ledger) -> None:
    """Threads that read and raise in transactions of the ledger's lock get each number once."""
    seen: list[int] = []
    step = called(group())

    def work(opened_by: Tallies) -> None:
        for _ in range(20):
            with ledger.log.exclusive(), ledger.database.write() as connection:
                opened: OpenTallies = opened_by.open(connection)
                seen.append(opened.numbers(step)["counter.calls"])
                opened.add(step)
                opened.write()

    threads = [threading.Thread(target=work, args=(Tallies(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 81))


def test_processes_share_the_tallies(tmp_path: Path) -> None:
    """Calls counted by several processes, one of them killed, see each number at most once, in order."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.proxy.store.tallier"])
    open_ledger(tmp_path).database.close()
    seen: list[list[int]] = []
    running = []
    for _ in range(3):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=count_calls, args=(str(tmp_path), 20, theirs))
        process.start()
        theirs.close()
        running.append((process, ours))
    victim, pipe = running.pop()
    seen.append([pipe.recv() for _ in range(3)])
    victim.kill()
    seen.append(list(told(pipe)))
    seen.extend(list(told(pipe)) for _, pipe in running)
    for process, _ in [*running, (victim, pipe)]:
        process.join()
        process.close()
    numbers = [number for each in seen for number in each]
    assert len(set(numbers)) == len(numbers)
    assert all(each == sorted(each) for each in seen)
    assert max(numbers) - len(numbers) <= 1  # the victim may have counted one that it never told


def told(pipe: Connection) -> Iterator[int]:
    """The numbers a process tells, until it ends or is killed."""
    with pipe:
        try:
            while (number := pipe.recv()) is not None:
                yield number
        except (EOFError, ConnectionResetError):
            return
