"""The tallies: how far each group of each counter has counted, read and raised with the log.

They are read and raised in the transaction that appends the `call` or `exchange`, after the head of
the log is locked: writers in any number of processes come one after another, so no two calls see the
same number. Requests and distinct prompts count with the `call`, tokens with the `exchange`: these
lag by the calls under way, and what a call used that was interrupted by a crash is not known.

**What the number is.** A window slides in steps of a sixtieth of its length, a whole number of
minutes and one at least. All of the oldest step counts, so the number is that of the window or, at
its old end, of up to one step more: it may count too much there, and never too little.

**What is kept.** One row per group and step; for distinct prompts also a keyed digest of each, which
tells nothing without the installation's secret. Rows go with a later count, when no window reaches
them any more and an hour has passed. The hour is for calls whose own time lies back when they are
recorded: a long upload, a clock that is slow. Only beyond it could a number be too small.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import assert_never

from sqlalchemy import Table, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from policies.counters import Group
from proxy.store.fixed import Fixed, Target
from proxy.store.tables import PromptRow, Row, TallyRow

__all__ = ["OpenTallies", "Step", "Tallies", "forget_prompt"]

_STEPS = 60
_MINUTE_S = 60
_SLACK_S = 3_600
_MOST_AT_ONCE = 32
"""Rows or keys of one statement: few texts, and far below any database's limit of parameters."""
_MOST_PER_STEP = 2**40
"""No call counts more: what a provider states cannot make a sum overflow."""
_LARGEST = 2**53 - 1
"""The largest number that a fact may be."""

_PRUNE = tuple(
    Fixed(delete(row).where(row.expires <= bindparam("now"))) for row in (TallyRow, PromptRow)
)
_FORGET = Fixed(
    update(PromptRow)
    .where(PromptRow.digest == bindparam("known"))
    .values(digest=bindparam("substitute"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one call, or the end of one, adds to its groups."""

    groups: tuple[Group, ...]
    at: datetime
    """When the call was made; of tokens, when it ended."""
    requests: int = 0
    prompt: bytes | None = None
    """The keyed digest of the request's body; None where nothing counts prompts, and at the end."""
    tokens_in: int = 0
    tokens_out: int = 0


class Tallies:
    """The tallies of one ledger, as one process writes them."""

    def __init__(self) -> None:
        self._pruned_s = 0

    def open(self, target: Target) -> "OpenTallies":
        """The tallies in a transaction that holds the lock of the log; nothing is read yet."""
        return OpenTallies(target, self)

    def prune(self, target: Target, now: datetime) -> None:
        """Delete what no window reaches any more; within a minute of the last time, nothing."""
        now_s = _seconds(now)
        if now_s - self._pruned_s < _MINUTE_S:
            return
        self._pruned_s = now_s
        for statement in _PRUNE:
            statement.run(target, {"now": now_s})


class OpenTallies:
    """The tallies in one transaction: read as asked, raised in memory, written once at its end."""

    def __init__(self, target: Target, tallies: Tallies) -> None:
        self._target = target
        self._tallies = tallies
        self._sums: dict[tuple[bytes, int], int] = {}
        """What the database holds of a key after an instant."""
        self._added: dict[bytes, dict[int, tuple[int, int]]] = {}
        """By key and end: what is to be added, and when the row expires."""
        self._sent: dict[tuple[bytes, bytes], int] = {}
        """When the step ends in which a prompt was sent last; 0 where it is not known."""
        self._resent: dict[tuple[bytes, bytes], tuple[int, int]] = {}
        """By key and digest: the new end and when the row expires."""
        self._latest: datetime | None = None

    def numbers(self, step: Step) -> dict[str, int]:
        """The facts `counter.NAME` of a call, this call included; of tokens, those of ended calls."""
        at_s = _seconds(step.at)
        self._read_sums(
            {group.key: _window(group.counter.within).floor(at_s) for group in step.groups}
        )
        return {group.fact: self._number(group, step, at_s) for group in step.groups}

    def add(self, step: Step) -> None:
        """Count what a call, or its end, adds; later numbers of this transaction see it."""
        at_s = _seconds(step.at)
        self._latest = max(self._latest or step.at, step.at)
        for group in step.groups:
            if group.counter.count == "distinct_prompts":
                self._send(group, step.prompt, at_s)
            else:
                self._raise(group, _amount(group, step), at_s)

    def write(self) -> None:
        """Write what was added; of nothing, nothing is written."""
        tallies = [
            {"key": key, "ends": ends, "amount": amount, "expires": expires}
            for key, rows in self._added.items()
            for ends, (amount, expires) in rows.items()
            if amount
        ]
        prompts = [
            {"key": key, "digest": digest, "ends": ends, "expires": expires}
            for (key, digest), (ends, expires) in self._resent.items()
        ]
        _upsert(self._target, TallyRow, tallies)
        _upsert(self._target, PromptRow, prompts)
        if self._latest is not None:
            self._tallies.prune(self._target, self._latest)

    def _number(self, group: Group, step: Step, at_s: int) -> int:
        floor = _window(group.counter.within).floor(at_s)
        added = self._added.get(group.key, {})
        number = self._sums[group.key, floor]
        number += sum(amount for ends, (amount, _) in added.items() if ends > floor)
        match group.counter.count:
            case "requests":
                number += step.requests
            case "distinct_prompts":
                number += self._is_new(group, step.prompt, floor)
            case "tokens_in" | "tokens_out":
                pass
            case _:
                assert_never(group.counter.count)
        return min(number, _LARGEST)

    def _is_new(self, group: Group, prompt: bytes | None, floor: int) -> bool:
        return prompt is not None and self._last_sent(group, prompt) <= floor

    def _read_sums(self, floors: Mapping[bytes, int]) -> None:
        missing = [pair for pair in floors.items() if pair not in self._sums]
        for start in range(0, len(missing), _MOST_AT_ONCE):
            part = missing[start : start + _MOST_AT_ONCE]
            values: dict[str, object] = {}
            for n, (key, floor) in enumerate(part):
                values |= {f"key_{n}": key, f"floor_{n}": floor}
            # PostgreSQL gives the sum of whole numbers as a decimal.
            rows = _sums(len(part)).run(self._target, values).fetchall()
            found = {bytes(key): int(amount) for key, amount in rows}
            self._sums |= {pair: found.get(pair[0], 0) for pair in part}

    def _last_sent(self, group: Group, prompt: bytes) -> int:
        """When the step ended in which a prompt was last sent; 0 where it is not known."""
        pair = group.key, prompt
        if pair not in self._sent:
            values = {"key": group.key, "digest": prompt}
            rows = _SENT.run(self._target, values).fetchall()
            self._sent[pair] = rows[0][0] if rows else 0
        return self._sent[pair]

    def _raise(self, group: Group, amount: int, at_s: int) -> None:
        window = _window(group.counter.within)
        ends = window.ends(at_s)
        rows = self._added.setdefault(group.key, {})
        before, _ = rows.get(ends, (0, 0))
        rows[ends] = before + amount, window.expires(ends)

    def _send(self, group: Group, prompt: bytes | None, at_s: int) -> None:
        """Count a prompt in the step of this call, and no longer in the one it was sent in before."""
        if prompt is None:
            return
        window = _window(group.counter.within)
        ends, before = window.ends(at_s), self._last_sent(group, prompt)
        if before >= ends:
            return
        self._raise(group, 1, at_s)
        if before > window.floor(at_s):
            rows = self._added[group.key]
            amount, expires = rows.get(before, (0, window.expires(before)))
            rows[before] = amount - 1, expires
        self._sent[group.key, prompt] = ends
        self._resent[group.key, prompt] = ends, window.expires(ends)


class _Window:
    """The window of a counter, in whole seconds."""

    __slots__ = ("_step_s", "_within_s")

    def __init__(self, within: timedelta) -> None:
        self._within_s = int(within.total_seconds())
        minutes = -(-self._within_s // (_STEPS * _MINUTE_S))
        self._step_s = minutes * _MINUTE_S

    def ends(self, at_s: int) -> int:
        """When the step ends in which an instant lies."""
        return at_s - at_s % self._step_s + self._step_s

    def floor(self, at_s: int) -> int:
        """What counts at an instant are the steps that end after this.

        It is the same throughout a step, so that calls of one transaction share what was read.
        """
        start = at_s - self._within_s
        return start - start % self._step_s

    def expires(self, ends: int) -> int:
        """When no window reaches a step any more, of no call that is recorded late either."""
        return ends + self._within_s + _SLACK_S


_window = cache(_Window)


def forget_prompt(target: Target, digest: bytes, substitute: bytes) -> None:
    """Replace a prompt's digest wherever it is kept, so that nobody can tell that it was sent.

    Its body is being erased (promise P8). `substitute` are as many random bytes: that a prompt was
    sent stays counted, which one does not stay known.
    """
    _FORGET.run(target, {"known": digest, "substitute": substitute})


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _amount(group: Group, step: Step) -> int:
    match group.counter.count:
        case "requests":
            amount = step.requests
        case "tokens_in":
            amount = step.tokens_in
        case _:
            amount = step.tokens_out
    return min(amount, _MOST_PER_STEP)


_SENT = Fixed(
    select(PromptRow.ends).where(
        PromptRow.key == bindparam("key"), PromptRow.digest == bindparam("digest")
    )
)


@cache
def _sums(count: int) -> Fixed:
    """The sums of so many keys, each from an instant on; a key without rows is left out."""
    wanted = (
        and_(TallyRow.key == bindparam(f"key_{n}"), TallyRow.ends > bindparam(f"floor_{n}"))
        for n in range(count)
    )
    query = select(TallyRow.key, func.sum(TallyRow.amount)).where(or_(*wanted))
    return Fixed(query.group_by(TallyRow.key))


def _upsert(target: Target, row: type[Row], rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows; where there is one of the same key, add the amount or take the new time."""
    for start in range(0, len(rows), _MOST_AT_ONCE):
        part = rows[start : start + _MOST_AT_ONCE]
        values = {f"{name}_{n}": v for n, one in enumerate(part) for name, v in one.items()}
        _upserting(row, target.dialect.name, len(part)).run(target, values)


@cache
def _upserting(row: type[Row], dialect: str, count: int) -> Fixed:
    table = row.__table__
    assert isinstance(table, Table)  # noqa: S101 - every class is mapped to a plain table
    # The two dialects say this alike, and SQLAlchemy has no word for it that is neither's.
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    made = insert(table).values(
        [{c.name: bindparam(f"{c.name}_{n}") for c in table.columns} for n in range(count)]
    )
    taken = {"ends": made.excluded.ends, "expires": made.excluded.expires}
    if row is TallyRow:
        taken = {
            "amount": table.c.amount + made.excluded.amount,
            "expires": made.excluded.expires,
        }
    keys: Iterable[str] = [column.name for column in table.primary_key]
    return Fixed(made.on_conflict_do_update(index_elements=list(keys), set_=taken))
