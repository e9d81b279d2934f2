"""The log: entries appended in one transaction each batch, crash-safe, in any number of processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from sqlalchemy import bindparam, select

from proxy.errors import ForkError, LedgerError
from proxy.ledger.entry import CallEntry, Entry, ExchangeEntry
from proxy.ledger.merkle import Frontier
from proxy.store.counters import OpenTallies, Tallies
from proxy.store.fixed import Driver, Fixed, Several
from proxy.store.leaves import (
    Document,
    Leaf,
    Pending,
    document_digest,
    insert_leaves,
    interruption,
    leaf_of,
    make_leaf,
    move_head,
)
from proxy.store.lock import FileLock
from proxy.store.queries import head
from proxy.store.session import Database, FateUnknownError, RuleBrokenError
from proxy.store.tables import CallRow, EntryRow, ExchangeRow, LogRow

__all__ = ["Document", "Log", "Pending", "Settle", "document_digest", "leaf_of"]


_LOCKED_HEAD = Fixed(select(LogRow.frontier).where(LogRow.id == bindparam("id")).with_for_update())
_PLACES = Several(select(EntryRow.id, EntryRow.seq, EntryRow.hash), EntryRow.id)
_CALLS = Several(
    select(CallRow.id, ExchangeRow.id.label("exchange")).outerjoin(
        ExchangeRow, ExchangeRow.call == CallRow.id
    ),
    CallRow.id,
)


type Settle = Callable[[OpenTallies], Sequence[Pending]]
"""Gives the entries of one group once it can read tallies, or none.

It is run in the transaction that writes them, and again where that fails.
"""


type _Group = Sequence[Leaf] | Settle


class Log:
    """The log of one installation.

    It appends only after `trust` was called: `proxy.store.checkpoints.Signer.check` does so once the
    database is shown to extend the last checkpoint that was signed.
    """

    def __init__(self, database: Database, lock_path: Path, *, timeout_s: float = 10.0) -> None:
        self.database = database
        self.timeout_s = timeout_s
        self._lock = FileLock(lock_path)
        self._is_trusted = False
        self._seen = 0
        self._tallies = Tallies()
        self._in_hand: frozenset[str] = frozenset()
        """The calls that the append under way starts."""
        self._doubtful: frozenset[str] = frozenset()
        """Calls of which nobody knows whether they are in the log: who made them was told no."""

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.frontier().size

    def root(self) -> bytes:
        """The root over all entries."""
        return self.frontier().root()

    def frontier(self) -> Frontier:
        """The frontier after the last entry."""
        with self.database.read() as connection:
            return head(connection)

    def trust(self) -> None:
        """Let entries be appended: the database extends what was signed before."""
        self._is_trusted = True

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other writer of this workspace out for the length of the block.

        On PostgreSQL, whose writers queue at the head of the log, that is who signs or rebuilds.

        Raises:
            LedgerBusy: another process holds the lock.
        """
        with self._lock.hold(self.timeout_s):
            yield

    def append(self, batch: Sequence[Pending]) -> list[int]:
        """Make a batch durable, all of it or nothing; gives the place of each entry.

        Raises:
            LedgerError: as `append_groups`.
        """
        (places,) = self.append_groups([batch])
        return places

    def append_groups(self, groups: Sequence[Sequence[Pending] | Settle]) -> list[list[int]]:
        """Make groups durable, all of them or nothing; gives the places of each one's entries.

        What one group adds to tallies the next one reads. An entry that is in the log already keeps its old place: an append tried twice is one entry.

        Raises:
            CanonicalError: an entry has no canonical form.
            ForkError: the log was not shown to extend its last checkpoint, or became shorter.
            LedgerBusy: another process or program holds the ledger.
            LedgerError: an entry breaks a rule of the log, or the database cannot be written.
        """
        # Leaves are made before the lock is taken, but for those that nobody knows before.
        ready = [
            group if callable(group) else [make_leaf(one) for one in group] for group in groups
        ]
        if not self._is_trusted:
            raise ForkError(
                "the ledger was not checked against its last checkpoint",
                help="check it first: every command that appends must",
            )
        with self.exclusive() if self.database.is_sqlite else nullcontext():
            try:
                return self._append_new(ready)
            except RuleBrokenError:
                # Something is in the log already, or ends no call under way: say which and how.
                return self._append_some(ready)
            except FateUnknownError:
                self._doubtful |= self._in_hand
                raise

    def _append_new(self, groups: Sequence[_Group]) -> list[list[int]]:
        """Append entries of which none is in the log, without asking.

        Raises:
            RuleBrokenError: one is, or it breaks promise P2: ids and calls are unique in the database.
        """
        with self.database.drive() as driver:
            before = self._locked_head(driver)
            tallies = self._tallies.open(driver)
            settled = [_settled(group, tallies) for group in groups]
            leaves = [leaf for group in settled for leaf in group]
            growth = before.grow([leaf.hash for leaf in leaves])
            self._in_hand = _started(leaves)
            if leaves:
                insert_leaves(driver, before.size, leaves)
                move_head(driver, growth)
                tallies.write()
        self._committed(growth.frontier.size)
        places = count(before.size)
        return [[next(places) for _ in group] for group in settled]

    def _append_some(self, groups: Sequence[_Group]) -> list[list[int]]:
        """Append those entries that are not in the log, each checked before."""
        with self.database.drive() as driver:
            before = self._locked_head(driver)
            tallies = self._tallies.open(driver)
            settled = [_settled(group, tallies) for group in groups]
            leaves = [leaf for group in settled for leaf in group]
            places = _places(driver, leaves)
            fresh = _fresh(leaves, places)
            growth = before.grow([leaf.hash for leaf in fresh])
            self._in_hand = _started(fresh)
            if fresh:
                _check_calls(driver, [leaf.pending.entry for leaf in fresh])
                insert_leaves(driver, before.size, fresh)
                move_head(driver, growth)
                tallies = self._tallies.open(driver)  # what is in the log already is counted
                _settled(fresh, tallies)
                tallies.write()
        self._committed(growth.frontier.size)
        new = enumerate((leaf.pending.entry.id for leaf in fresh), start=before.size)
        seqs = {id_: place.seq for id_, place in places.items()} | {id_: seq for seq, id_ in new}
        return [[seqs[leaf.pending.entry.id] for leaf in group] for group in settled]

    def _locked_head(self, driver: Driver) -> Frontier:
        rows = _LOCKED_HEAD.run(driver, {"id": 1}).fetchall()
        if not rows:
            raise LedgerError(
                "this ledger was copied to another database, and goes on there",
                where=self.database.where,
                help="name the other database in the setting `database`",
            )
        ((frontier,),) = rows
        before = Frontier.from_bytes(frontier)
        self._refuse_shrinking(before.size)
        return self._end_doubtful(driver, before) if self._doubtful else before

    def _end_doubtful(self, driver: Driver, before: Frontier) -> Frontier:
        """End the calls of a commit that came through after all: they never left (promise P2)."""
        found = _CALLS.of(driver, sorted(self._doubtful))
        lost = [make_leaf(interruption(call)) for call, exchange in found if exchange is None]
        growth = before.grow([leaf.hash for leaf in lost])
        insert_leaves(driver, before.size, lost)
        move_head(driver, growth)
        return growth.frontier

    def _committed(self, size: int) -> None:
        self._seen = size
        self._doubtful = frozenset()

    def _refuse_shrinking(self, size: int) -> None:
        if size < self._seen:
            raise ForkError(
                f"the database holds {size} entries, and held {self._seen} a moment ago",
                where=self.database.where,
                help="somebody replaced it while inbond ran: stop inbond and put the right one back",
            )


def _started(leaves: Iterable[Leaf]) -> frozenset[str]:
    """The calls among entries that do not end among them too."""
    entries = [leaf.pending.entry for leaf in leaves]
    ended = {entry.call for entry in entries if isinstance(entry, ExchangeEntry)}
    return frozenset(one.id for one in entries if isinstance(one, CallEntry)) - ended


def _settled(group: _Group, tallies: OpenTallies) -> Sequence[Leaf]:
    """The leaves of a group, counted."""
    leaves = [make_leaf(pending) for pending in group(tallies)] if callable(group) else group
    for leaf in leaves:
        if leaf.pending.step is not None:
            tallies.add(leaf.pending.step)
    return leaves


@dataclass(frozen=True, slots=True)
class _Place:
    seq: int
    hash: bytes


def _places(driver: Driver, leaves: Sequence[Leaf]) -> dict[str, _Place]:
    """Where the entries that are in the log already stand, by id."""
    ids = [leaf.pending.entry.id for leaf in leaves]
    return {id_: _Place(seq, hash_) for id_, seq, hash_ in _PLACES.of(driver, ids)}


def _fresh(leaves: Iterable[Leaf], places: Mapping[str, _Place]) -> list[Leaf]:
    """The leaves that are not in the log, each once."""
    hashes = {id_: place.hash for id_, place in places.items()}
    fresh: list[Leaf] = []
    for leaf in leaves:
        id_ = leaf.pending.entry.id
        if id_ not in hashes:
            hashes[id_] = leaf.hash
            fresh.append(leaf)
        elif hashes[id_] != leaf.hash:
            raise LedgerError(
                f"entry `{id_}` is in the log with other content",
                help="give every entry an id of its own",
            )
    return fresh


def _check_calls(driver: Driver, entries: Sequence[Entry]) -> None:
    """Refuse an exchange of a call that is unknown or has ended (promise P2)."""
    ended = [entry.call for entry in entries if isinstance(entry, ExchangeEntry)]
    if not ended:
        return
    exchange_of: dict[str, str | None] = dict(_CALLS.of(driver, ended))
    exchange_of |= {entry.id: None for entry in entries if isinstance(entry, CallEntry)}
    for call in ended:
        if call not in exchange_of:
            raise LedgerError(
                f"the log holds no call `{call}` that could end",
                help="append the `call` first",
            )
        if exchange_of[call] is not None:
            raise LedgerError(
                f"call `{call}` has ended already",
                help="a call has one `exchange`: record what came later as a `decision`",
            )
        exchange_of[call] = call
