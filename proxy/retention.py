"""Retention: which bodies are due to be erased by the classes in the settings.

An exchange is of the first class that fits it, and due once its call is older than the class keeps. A
hold beats retention, and what a dataset holds stays unless the class says otherwise: erasing a row
withdraws the dataset.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from proxy.clock import stamp
from proxy.erasure import Erased, Eraser, Request
from proxy.hold import Holds
from proxy.radius import members_of
from proxy.settings import RetentionClass
from proxy.store.queries import datasets
from proxy.store.recalls import Asked, asked_for, erased_exchanges, last_status
from proxy.store.records import RecordedExchange
from proxy.store.session import Reading

__all__ = ["Due", "Retention"]

_AT_ONCE = 2_000
"""Exchanges of one erasure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What one class says is due."""

    name: str
    exchanges: tuple[str, ...]
    held: int
    """Exchanges that are as old, and are kept by a hold."""
    learned: int
    """Exchanges that are as old, and are kept because a dataset holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The classes of one workspace, applied at one time."""

    eraser: Eraser
    classes: Sequence[RetentionClass]

    def due(self) -> tuple[Due, ...]:
        """What is due now, by class in the order of the settings.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        found: dict[str, list[str]] = {each.name: [] for each in self.classes}
        held, learned = dict.fromkeys(found, 0), dict.fromkeys(found, 0)
        if not found:
            return ()
        with self.eraser.notary.log.database.read() as connection:
            holds = Holds.read(connection, self.eraser.registry, self.eraser.datasets)
            gone = erased_exchanges(connection)
            taught = _learned(connection, self.eraser.datasets)
            for each in asked_for(connection, Asked(before=self._youngest())):
                kind = self._class_of(each)
                end = each.exchange
                if kind is None or end is None or end.entry.id in gone:
                    continue
                if each.call.entry.at >= self._before(kind):
                    continue
                if holds.on(each) is not None:
                    held[kind.name] += 1
                elif kind.learned == "keep" and taught.may_hold(end.entry.id, end.seq):
                    learned[kind.name] += 1
                else:
                    found[kind.name].append(end.entry.id)
        return tuple(
            Due(name=name, exchanges=tuple(ids), held=held[name], learned=learned[name])
            for name, ids in found.items()
        )

    def apply(self, due: Sequence[Due]) -> Iterator[Erased]:
        """Erase what is due; gives each erasure as it is done.

        Raises:
            LedgerError: as `Eraser.carry_out`; what was done so far stays done.
        """
        for each in due:
            for start in range(0, len(each.exchanges), _AT_ONCE):
                request = Request(
                    asked=Asked(exchanges=each.exchanges[start : start + _AT_ONCE]),
                    ground="retention",
                    reason=f"retention class {each.name}",
                    except_held=True,
                )
                plan = self.eraser.plan(request)
                if plan.taken:
                    yield self.eraser.carry_out(plan, request)

    def _class_of(self, recorded: RecordedExchange) -> RetentionClass | None:
        return next((each for each in self.classes if _fits(each, recorded)), None)

    def _before(self, kind: RetentionClass) -> str:
        return stamp(self.eraser.at - timedelta(days=kind.keep_days))

    def _youngest(self) -> str:
        """The stamp before which an exchange of any class may be due."""
        return max(self._before(each) for each in self.classes)


def _fits(kind: RetentionClass, recorded: RecordedExchange) -> bool:
    call, end = recorded.call.entry, recorded.exchange
    decision = None if end is None else end.entry.decision
    given = (
        (kind.projects, str(call.facts.get("project", ""))),
        (kind.students, call.student or ""),
        (kind.routes, str(call.facts.get("route", ""))),
        (kind.verdicts, "none" if decision is None else decision.verdict),
    )
    return all(not wanted or value in wanted for wanted, value in given)


@dataclass(frozen=True, slots=True)
class _Taught:
    """The exchanges that datasets hold which are not withdrawn."""

    known: frozenset[str]
    unknown_before: int
    """Nobody can tell of an exchange before this place: a dataset's list was not kept."""

    def may_hold(self, exchange: str, seq: int) -> bool:
        return exchange in self.known or seq < self.unknown_before


def _learned(connection: Reading, folder: Path) -> _Taught:
    found: set[str] = set()
    unknown_before = 0
    for item in datasets(connection):
        if last_status(connection, item.entry.dataset, state="withdrawn") is not None:
            continue
        members = members_of(connection, item.entry, folder)
        if members is None:
            unknown_before = item.seq
        else:
            found |= members
    return _Taught(frozenset(found), unknown_before)
