"""How near the groups of a call are now to the limits that rules test: for people, and for gauges.

It tells what was counted, so that somebody can ask the party of the rule in time. Nothing here changes
what is sent, or when.
"""

from collections.abc import Mapping
from datetime import datetime

from policies.bundle import Bundle
from policies.counters import Counters, Nearness, nearness
from policies.facts import COUNTER_PREFIX
from policies.model import Fact
from proxy.enforce import facts_of_leaf
from proxy.inforce import bundle_at, digest_in_force
from proxy.store.counters import Step, Tallies
from proxy.store.queries import exchange_with_call, latest_calls
from proxy.store.session import Database

__all__ = ["Gauges", "near_exchange", "near_now"]

_LAST_CALLS = 500
"""Whoever calls now is among so many."""


def near_now(
    database: Database, bundle: Bundle, facts: Mapping[str, Fact], now: datetime
) -> tuple[Nearness, ...]:
    """How near the groups of a call with these facts are, the nearest first.

    A number that `facts` hold stands; the others are those of the ledger, without a further call.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    given = {name: fact for name, fact in facts.items() if name.startswith(COUNTER_PREFIX)}
    groups = Counters(bundle).groups(_asked(facts))
    if not groups:
        return nearness(bundle, given)
    with database.read() as connection:
        numbers = Tallies().open(connection).numbers(Step(groups=groups, at=now))
    return nearness(bundle, {**numbers, **given})


def near_exchange(
    database: Database, bundle: Bundle, exchange: str, now: datetime
) -> tuple[Nearness, ...]:
    """How near the groups of a recorded call are now; nothing where it is not on record.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with database.read() as connection:
        found = exchange_with_call(connection, exchange)
    if found is None:
        return ()
    return near_now(database, bundle, _asked(facts_of_leaf(found.call.entry.facts)), now)


class Gauges:
    """How near the groups of the last calls are, for one ledger; the policies are read once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bundle: Bundle | None = None

    def now(self, at: datetime) -> tuple[Nearness, ...]:
        """For each limit of the policies in force the group that is nearest to it.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        bundle = self._in_force()
        if bundle is None or not bundle.counters:
            return ()
        counters = Counters(bundle)
        with self._database.read() as connection:
            calls = latest_calls(connection, limit=_LAST_CALLS)
            groups = {
                group.key: group
                for call in calls
                for group in counters.groups(_asked(facts_of_leaf(call.entry.facts)))
            }
            tallies = Tallies().open(connection)
            numbers = [tallies.numbers(Step(groups=(g,), at=at)) for g in groups.values()]
        nearest: dict[tuple[str, str, int], Nearness] = {}
        for near in sorted((n for facts in numbers for n in nearness(bundle, facts)), key=_left):
            nearest.setdefault((near.counter, near.rule, near.limit), near)
        return tuple(nearest.values())

    def _in_force(self) -> Bundle | None:
        digest = digest_in_force(self._database)
        if digest is None:
            return None
        if self._bundle is None or self._bundle.digest != digest:
            self._bundle = bundle_at(self._database, digest)
        return self._bundle


def _left(near: Nearness) -> int:
    return near.left


def _asked(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """The facts that a call is grouped by."""
    return {name: fact for name, fact in facts.items() if not name.startswith(COUNTER_PREFIX)}
