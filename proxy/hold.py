"""Holds: what must be kept as evidence. A hold beats erasure and retention until somebody lifts it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from policies.diagnostics import nearest
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError
from proxy.ledger.entry import DatasetEntry, HoldEntry
from proxy.radius import members_of
from proxy.route import Registry
from proxy.store.log import Log, Pending
from proxy.store.queries import client_keys, exchange_with_call
from proxy.store.queries import datasets as sealed_datasets
from proxy.store.recalls import Asked, asked_for, holds
from proxy.store.records import RecordedExchange
from proxy.store.session import Reading

__all__ = ["Holds", "Scope", "lift", "place", "routes_of"]

type Scope = Literal["exchange", "project", "student", "provider", "dataset", "everything"]


def place(
    log: Log, scope: Scope, subject: str, *, registry: Registry, actor: str, reason: str
) -> HoldEntry:
    """Put a hold on record: nothing in its scope can be erased from now on.

    `subject` is an exchange's or a dataset's id, the name of a project or student, or a provider's
    name or route; empty for everything.

    Raises:
        LedgerError: nothing of this name is on record, the reason is empty, or the ledger cannot be
            written.
    """
    with log.database.read() as connection:
        named = _known(connection, scope, subject, registry)
    id_ = new_id()
    entry = HoldEntry(
        id=id_,
        at=stamp(utc_now()),
        actor=actor,
        action="place",
        hold=id_,
        scope=scope,
        subject=named,
        reason=_reason(reason),
        nonce=new_nonce(),
    )
    log.append([Pending(entry)])
    return entry


def lift(log: Log, hold: str, *, actor: str, reason: str) -> HoldEntry:
    """Put on record that what a hold covers need be kept no more because of it.

    Raises:
        LedgerError: no such hold is in force, the reason is empty, or the ledger cannot be written.
    """
    with log.database.read() as connection:
        known = {item.entry.hold: item.entry for item in holds(connection)}
    placed = known.get(hold)
    if placed is None:
        raise LedgerError(
            f"no hold `{hold}` is in force",
            help=nearest(hold, known) or "see `inbond hold list`",
            code="unknown-hold",
        )
    said = {
        "id": new_id(),
        "at": stamp(utc_now()),
        "actor": actor,
        "action": "lift",
        "reason": _reason(reason),
        "nonce": new_nonce(),
    }
    entry = placed.model_copy(update=said)
    log.append([Pending(entry)])
    return entry


def routes_of(registry: Registry, provider: str) -> frozenset[str]:
    """The routes of a provider, by its name or by one of them.

    Raises:
        LedgerError: the registry knows no such provider.
    """
    found = {e.route for e in registry.entries if provider in (e.provider, e.route, e.id)}
    if found:
        return frozenset(found)
    names = {name for e in registry.entries for name in (e.provider, e.route)}
    raise LedgerError(
        f"no provider or route `{provider}` is registered",
        help=nearest(provider, names) or "docs/reference/teachers.md lists them",
        code="unknown-provider",
    )


@dataclass(slots=True, kw_only=True)
class Holds:
    """The holds in force, and what each covers."""

    registry: Registry
    datasets: Path
    """Where the bundles of datasets lie."""
    _placed: tuple[HoldEntry, ...] = ()
    _members: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """By hold: the exchanges of datasets that it covers; None where nobody can tell."""

    @classmethod
    def read(cls, connection: Reading, registry: Registry, datasets: Path) -> "Holds":
        """The holds in force now.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        found = cls(registry=registry, datasets=datasets)
        found._placed = tuple(item.entry for item in holds(connection))
        sealed = [item.entry for item in sealed_datasets(connection)]
        for hold in found._placed:
            if hold.scope in ("dataset", "student"):
                found._members[hold.hold] = found._covered(connection, hold, sealed)
        return found

    def on(self, recorded: RecordedExchange) -> HoldEntry | None:
        """The first hold that covers an exchange; None where none does."""
        return next((hold for hold in self._placed if self._covers(hold, recorded)), None)

    def _covered(
        self, connection: Reading, hold: HoldEntry, sealed: list[DatasetEntry]
    ) -> frozenset[str] | None:
        found: set[str] = set()
        for entry in sealed:
            if hold.subject == (entry.dataset if hold.scope == "dataset" else entry.student):
                members = members_of(connection, entry, self.datasets)
                if members is None:
                    return None
                found |= members
        return frozenset(found)

    def _covers(self, hold: HoldEntry, recorded: RecordedExchange) -> bool:
        call, end = recorded.call.entry, recorded.exchange
        exchange = None if end is None else end.entry.id
        match hold.scope:
            case "exchange":
                return hold.subject in (exchange, call.id)
            case "project":
                return call.facts.get("project") == hold.subject
            case "provider":
                route = call.facts.get("route")
                return route == hold.subject or route in self._routes(hold.subject)
            case "student" | "dataset":
                members = self._members[hold.hold]
                # Where nobody can tell what a dataset holds, all of it is kept.
                is_in = members is None or exchange in members
                return is_in or (hold.scope == "student" and call.student == hold.subject)
            case "everything":
                return True

    def _routes(self, provider: str) -> frozenset[str]:
        try:
            return routes_of(self.registry, provider)
        except LedgerError:
            return frozenset()  # it left the registry since: its route's own name still counts


def _known(connection: Reading, scope: Scope, subject: str, registry: Registry) -> str:
    """The subject as it is kept, once there is something of that name."""
    if scope == "everything":
        return ""
    if not subject:
        raise LedgerError(f"the {scope} is not named", help="give its id or name", code="bad-hold")
    if scope == "exchange":
        found = exchange_with_call(connection, subject)
        if found is None:
            raise _unknown(scope, subject, {})
        return subject if found.exchange is None else found.exchange.entry.id
    _refuse_unknown(connection, scope, subject, registry)
    return subject


def _refuse_unknown(connection: Reading, scope: Scope, subject: str, registry: Registry) -> None:
    if scope == "dataset":
        known = {item.entry.dataset: "" for item in sealed_datasets(connection)}
        if subject not in known:
            raise _unknown(scope, subject, known)
    if scope == "provider":
        routes_of(registry, subject)
    if scope in ("project", "student") and not _is_known(connection, scope, subject):
        # A misspelt name would hold nothing, and nobody would notice before it is gone.
        raise _unknown(scope, subject, {})


def _is_known(connection: Reading, scope: Scope, subject: str) -> bool:
    """Whether a key or a call is of a project, or one of them or a dataset is for a student."""
    keys = client_keys(connection)
    if subject in {key.project if scope == "project" else key.student for key in keys}:
        return True
    if scope == "project":
        return next(asked_for(connection, Asked(project=subject)), None) is not None
    sealed = (item.entry.student for item in sealed_datasets(connection))
    asked = (each.call.entry.student for each in asked_for(connection, Asked()))
    return subject in chain(sealed, asked)


def _unknown(scope: str, subject: str, known: Mapping[str, str]) -> LedgerError:
    return LedgerError(
        f"no {scope} `{subject}` is on record",
        help=nearest(subject, known) or f"name a recorded {scope}, or hold everything",
        code=f"unknown-{scope}",
    )


def _reason(reason: str) -> str:
    if not reason.strip():
        raise LedgerError("the reason is empty", help="say in a sentence why", code="bad-hold")
    return reason.strip()
