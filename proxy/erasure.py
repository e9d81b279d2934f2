"""Erase bodies for good: what holds them, what is in the way, the deed, and its receipt (promise P8).

First the entry that says what goes, durable; then the salts, the bodies and inbond's own copies; then
what the database's files keep. A crash in between leaves an entry whose seals still open: the next
erasure, or `finish`, completes it. A restored backup is found the same way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from proxy.clock import new_id, new_nonce, stamp
from proxy.copies import copies_in, delete_copy, drafts_in
from proxy.errors import LedgerError
from proxy.hold import Holds
from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.canonical import Json
from proxy.ledger.entry import EraseEntry, HoldEntry
from proxy.ledger.notice import notice_bytes
from proxy.ledger.status import Affected
from proxy.notary import Notary, append_if, refuse_later
from proxy.radius import Radius, radius_of
from proxy.route import Registry
from proxy.searching import Needle, holds_text
from proxy.selection import tile_reader_of
from proxy.store.erasing import erase_bodies, purge, unfinished
from proxy.store.log import Pending
from proxy.store.queries import head
from proxy.store.recalls import (
    Asked,
    asked_for,
    batch_carriers,
    erased_exchanges,
    erasures,
    recorded,
)
from proxy.store.records import RecordedExchange, StoredEntry
from proxy.store.session import Reading
from proxy.withdrawal import Withdrawal, write_privately

__all__ = ["RECEIPT", "Erased", "Eraser", "Plan", "Request"]

RECEIPT = "erasure-receipt"
"""The kind of the notices that receipts are."""

_EXCHANGES_A_PART = 64
_NAMES_A_PART = 150
"""A leaf has room for as many exchanges with their seals, and for as many names of copies."""
_DISTURBING = ("hold", "dataset", "export", "run")
"""Kinds of entries that a plan must have known of."""
_NOT_COVERED = (
    "copies that recipients of datasets and audits hold",
    "weights that learned from them, and tokens that trainers cached: remove the cache of `--cache`",
    "what the teacher's provider keeps",
    "blocks of a disk or snapshots of a volume that no longer belong to any file",
)

type Ground = Literal["person", "provider", "retention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants erased, and why."""

    asked: Asked
    ground: Ground
    reason: str
    reference: str = ""
    """An opaque reference to who asks, such as a ticket: it stays on record."""
    needle: Needle | None = None
    """A text: only exchanges that hold it."""
    with_descendants: bool = False
    """Whether what says it was made from them goes too."""
    except_held: bool = False
    """Whether what is under a hold is left out; else nothing is erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an erasure would do: the blast radius."""

    taken: tuple[RecordedExchange, ...]
    """All whose bodies go."""
    carriers: tuple[str, ...]
    """Those among them that nobody named: they hold lines of batches that go."""
    held: tuple[tuple[str, HoldEntry], ...]
    """What stays, and the hold that keeps it."""
    under_way: tuple[str, ...]
    """Calls that have not ended: nothing of them goes."""
    erased_before: tuple[str, ...]
    radius: Radius
    copies_here: Mapping[str, tuple[Path, ...]]
    """By the entry of a dataset or an audit: inbond's own copies, which will be deleted."""
    size: int
    """Of the log that was looked at: a hold, a copy or a run that came since makes the plan void."""

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The ids of all whose bodies go."""
        return tuple(e.exchange.entry.id for e in self.taken if e.exchange is not None)

    @property
    def uploads(self) -> tuple[str, ...]:
        """The calls of uploads among them."""
        ended = (e for e in self.taken if e.exchange is not None and e.exchange.entry.upload)
        return tuple(e.call.entry.id for e in ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """An erasure that was carried out."""

    erasure: str
    receipt: Path
    exchanges: int
    salts: int
    """How many were there and are gone."""
    deleted: tuple[Path, ...]
    withdrawn: tuple[str, ...]
    gone_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """Erases in one workspace."""

    notary: Notary
    registry: Registry
    workspace: Path
    datasets: Path
    at: datetime
    actor: str
    backup_days: int | None = None
    """How long the last backup of the database is kept; None: nobody said."""
    timeout_s: float = field(default=30.0)
    """How long readers may keep the database's files from being purged."""

    @property
    def receipts(self) -> Path:
        """The folder of receipts."""
        return self.workspace / "receipts"

    def plan(self, request: Request) -> Plan:
        """What an erasure would take with it; nothing is changed.

        Raises:
            LedgerError: an exchange is not on record, the reason is empty, or the ledger or a body
                cannot be read.
        """
        if not request.reason.strip():
            raise LedgerError(
                "the reason is empty", help="say in a sentence why", code="bad-erasure"
            )
        with self.notary.log.database.read() as connection:
            size = head(connection).size
            found = {each.call.entry.id: each for each in self._found(connection, request)}
            carriers = self._carriers(connection, found)
            holds = Holds.read(connection, self.registry, self.datasets)
            before = erased_exchanges(connection)
            ended = [each for each in (*found.values(), *carriers) if each.exchange is not None]
            fresh = [each for each in ended if _id(each) not in before]
            held = [(_id(each), hold) for each in fresh if (hold := holds.on(each)) is not None]
            kept = {exchange for exchange, _ in held}
            taken = [each for each in fresh if _id(each) not in kept]
            radius = radius_of(connection, taken, self.datasets)
        return Plan(
            taken=tuple(taken),
            carriers=tuple(_id(each) for each in carriers if each in taken),
            held=tuple(held),
            under_way=tuple(id_ for id_, each in found.items() if each.exchange is None),
            erased_before=tuple(_id(each) for each in ended if _id(each) in before),
            radius=radius,
            copies_here=self._copies_of(radius),
            size=size,
        )

    def _copies_of(self, radius: Radius) -> Mapping[str, tuple[Path, ...]]:
        return copies_in(self.workspace, self.datasets, {copy.entry.id for copy in radius.copies})

    def _found(self, connection: Reading, request: Request) -> Iterator[RecordedExchange]:
        found = list(asked_for(connection, request.asked))
        self._refuse_unknown(request.asked, found)
        if request.needle is not None:
            found = [each for each in found if holds_text(connection, each, request.needle)]
        yield from found
        if request.with_descendants:
            names = radius_of(connection, found, self.datasets).descendants
            yield from recorded(connection, names)

    def _refuse_unknown(self, asked: Asked, found: Iterable[RecordedExchange]) -> None:
        known = {name for each in found for name in (each.call.entry.id, _id(each))}
        for name in sorted(set(asked.exchanges or ()) - known):
            raise LedgerError(
                f"no exchange `{name}` is on record within what was asked for",
                help="give the id that `x-inbond-exchange` of the answer says",
                code="unknown-exchange",
            )

    def _carriers(
        self, connection: Reading, found: Mapping[str, RecordedExchange]
    ) -> tuple[RecordedExchange, ...]:
        """The calls that hold lines of batches that go, and were not asked for."""
        named = {c for each in batch_carriers(connection, found.keys()).values() for c in each}
        return recorded(connection, named - found.keys())

    def carry_out(self, plan: Plan, request: Request) -> Erased:
        """Put the erasure on record, do it, and write its receipt.

        Raises:
            LedgerError: a hold forbids it, there is nothing to erase, somebody placed a hold or made a
                copy since the plan, or the ledger cannot be written; nothing was erased then. Or it was put on record and could not be completed: the
                message says so, and `finish` completes it.
        """
        _refuse(plan, request)
        plan = replace(plan, copies_here=self._copies_of(plan.radius))
        erasure, parts = self._parts(plan, request)
        marks = [
            Withdrawal(
                dataset=copy.entry,
                affected=tuple(Affected(exchange, "erased") for exchange in copy.exchanges),
                cause="erasure",
                reason=f"erasure {erasure}",
            )
            for copy in plan.radius.datasets
            if copy.entry.kind == "dataset"
        ]
        with self.notary.log.database.read() as connection:
            said = [m.pending(connection, at=stamp(self.at), actor=self.actor) for m in marks]
        append_if(
            self.notary.log,
            [*(Pending(part) for part in parts), *said],
            lambda now: refuse_later(now, _DISTURBING, size=plan.size),
        )
        # Once more: a bundle may have been put in place while the entry was made.
        paths = tuple(path for found in self._copies_of(plan.radius).values() for path in found)
        salts = self._delete([s for p in parts for s in p.seals], plan.uploads, paths)
        self._finish()
        return Erased(
            erasure=erasure,
            receipt=self._receipt(erasure),
            exchanges=len(plan.taken),
            salts=salts,
            deleted=paths,
            withdrawn=tuple(mark.dataset.dataset for mark in marks),
            gone_by=parts[0].gone_by,
        )

    def finish(self) -> int:
        """Complete every erasure on record; gives how many salts were there still.

        Raises:
            LedgerError: the ledger cannot be read or written, or its files not be purged.
        """
        salts = self._finish()
        purge(self.notary.log.database, timeout_s=self.timeout_s)
        with self.notary.log.database.read() as connection:
            known = {item.entry.erasure for item in erasures(connection)}
        for erasure in sorted(known):
            if not (self.receipts / f"{erasure}.json").exists():
                self._receipt(erasure)
        return salts

    def _finish(self) -> int:
        """Erase what an earlier erasure left, or a restored backup brought back."""
        database = self.notary.log.database
        with database.read() as connection:
            seals = unfinished(connection)
            entries = [item.entry for item in erasures(connection)] if seals else []
        if not seals:
            return 0
        deleted = {name for entry in entries for name in entry.deleted}
        here = copies_in(self.workspace, self.datasets, deleted)
        paths = [path for found in here.values() for path in found]
        return self._delete(seals, [u for e in entries for u in e.uploads], paths)

    def _delete(self, seals: Iterable[str], uploads: Iterable[str], paths: Sequence[Path]) -> int:
        database = self.notary.log.database
        # What a bundle under way or a crash left holds texts too; the entry makes its bundle void.
        for path in (*paths, *drafts_in(self.workspace, self.datasets)):
            delete_copy(path)
        gone = erase_bodies(database, list(seals), list(uploads))
        purge(database, timeout_s=self.timeout_s)
        return gone

    def _parts(self, plan: Plan, request: Request) -> tuple[str, list[EraseEntry]]:
        """The entries of an erasure: several where one leaf has no room."""
        erasure = new_id()
        copies = {copy.entry.id: copy.entry.recipient for copy in plan.radius.copies}
        days = self.backup_days
        gone_by = None if days is None else stamp(self.at + timedelta(days=days))
        parts: list[EraseEntry] = []
        for taken, names, runs in zip_longest(
            _cut(plan.taken, _EXCHANGES_A_PART),
            _cut(sorted(copies), _NAMES_A_PART),
            _cut(sorted(run.run for run in plan.radius.runs), _NAMES_A_PART),
            fillvalue=(),
        ):
            part = EraseEntry(
                id=erasure if not parts else new_id(),
                at=stamp(self.at),
                actor=self.actor,
                erasure=erasure,
                ground=request.ground,
                reference=request.reference,
                exchanges=[_id(each) for each in taken],
                seals=sorted({seal for each in taken for seal in _seals(each)}),
                uploads=[each.call.entry.id for each in taken if _id(each) and _is_upload(each)],
                copies={name: copies[name] for name in names},
                deleted=[name for name in names if plan.copies_here.get(name)],
                runs=list(runs),
                gone_by=gone_by,
                reason=request.reason.strip(),
                nonce=new_nonce(),
            )
            parts.append(part)
        return erasure, parts

    def _receipt(self, erasure: str) -> Path:
        database = self.notary.log.database
        with database.read() as connection:
            parts = [item for item in erasures(connection) if item.entry.erasure == erasure]
        path = self.receipts / f"{erasure}.json"
        data = notice_bytes(
            RECEIPT,
            [LedgerEntry(part.seq, part.leaf) for part in parts],
            checkpoint=self.notary.signer.sign(),
            read=tile_reader_of(database),
            about=_about(parts),
        )
        write_privately(path, data)
        return path


def _refuse(plan: Plan, request: Request) -> None:
    if plan.held and not request.except_held:
        exchange, hold = plan.held[0]
        more = f", and {len(plan.held) - 1} more are held" if len(plan.held) > 1 else ""
        raise LedgerError(
            f"nothing was erased: exchange `{exchange}` is under hold `{hold.hold}` "
            f"({hold.scope} {hold.subject}: {hold.reason}){more}",
            help="a hold beats an erasure until it is lifted (`inbond hold lift`); "
            "`--except-held` erases the rest",
            code="held",
        )
    if not plan.taken:
        why = [
            f"{len(found)} {word}"
            for found, word in (
                (plan.held, "held"),
                (plan.under_way, "under way"),
                (plan.erased_before, "erased before"),
            )
            if found
        ]
        raise LedgerError(
            f"there is nothing to erase{': ' if why else ''}{', '.join(why)}",
            help="a call under way can be erased once it has ended"
            if plan.under_way
            else "check what was asked for with `--dry-run`",
            code="nothing-to-erase",
        )


def _about(parts: Sequence[StoredEntry[EraseEntry]]) -> dict[str, Json]:
    """What a receipt says in words beside its entries."""
    entries = [part.entry for part in parts]
    gone_by = entries[0].gone_by
    return {
        "exchanges": sum(len(entry.exchanges) for entry in entries),
        "seals": sum(len(entry.seals) for entry in entries),
        "copies_disclosed": {name: who for e in entries for name, who in e.copies.items()},
        "copies_deleted_here": [name for entry in entries for name in entry.deleted],
        "runs": [name for entry in entries for name in entry.runs],
        "backups": "not known: the setting `backup_days` is not given"
        if gone_by is None
        else f"the last backup that holds them is gone by {gone_by}",
        "not_covered": list(_NOT_COVERED),
    }


def _id(each: RecordedExchange) -> str:
    return "" if each.exchange is None else each.exchange.entry.id


def _is_upload(each: RecordedExchange) -> bool:
    return each.exchange is not None and each.exchange.entry.upload is not None


def _seals(each: RecordedExchange) -> Iterator[str]:
    yield each.call.entry.request.seal
    if each.exchange is not None:
        end = each.exchange.entry
        yield from (record.seal for record in (end.answer, end.wire, end.upload) if record)


def _cut[T](values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[at : at + size] for at in range(0, len(values), size)]
