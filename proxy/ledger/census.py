"""All entries of a bundle, counted and held together in one pass: what is kept of them is small.

Each entry is shown to stand in the log at its place, then forgotten but for its id. Entries other than
calls and exchanges are few and kept; of calls and exchanges a dataset's examples rest on, their labels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

from proxy.errors import ProofError
from proxy.ledger.bundle import ENTRIES
from proxy.ledger.contributors import Kinship, call_of
from proxy.ledger.crew import Crew
from proxy.ledger.leaf import Leaf, read_leaf
from proxy.ledger.pieces import Part
from proxy.ledger.quick import quick_leaf
from proxy.ledger.source import damaged
from proxy.ledger.stretch import (
    Answered,
    Asked,
    Fault,
    Other,
    Stretch,
    Wanted,
    quick_entry,
    read_stretch,
    rows_after,
)
from proxy.ledger.tables import TABLES

__all__ = ["Census", "Flaw", "Running", "take_census"]

type Slots = Callable[[int, int], Sequence[bytes]]
"""Leaf hashes of the log from a place on; it raises `ProofError` where none is at hand."""

_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Flaw:
    """What does not hold together: the code and message of a finding."""

    code: str
    message: str


class Running:
    """The digest of a list of rows, each by its hash."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.count = 0

    def add(self, hashes: bytes, count: int) -> None:
        """Take in the hashes of the next rows, one after the other."""
        self._hash.update(hashes)
        self.count += count

    def digest(self) -> tuple[int, bytes]:
        """How many, and the digest over all."""
        return self.count, self._hash.digest()


@dataclass(slots=True, kw_only=True)
class Census:
    """What the entries of a bundle say, all of them shown to stand in the log."""

    parts: Sequence[Part]
    count: int = 0
    others: list[Leaf] = field(default_factory=list)
    """Entries but for calls and exchanges, in the order of the log."""
    last: Leaf | None = None
    """The last entry."""
    digest: str = ""
    """`entries_digest` of all but the last."""
    named: set[tuple[str, str]] = field(default_factory=set)
    """Folder and digest of the documents that entries name."""
    flaws: list[Flaw] = field(default_factory=list)
    """Where calls, exchanges and what is about them do not hold together."""
    rows: dict[str, Running] = field(default_factory=lambda: {name: Running() for name in TABLES})
    """What the tables must hold."""
    calls: dict[str, Asked] = field(default_factory=dict)
    """Of a dataset, by id."""
    exchanges: dict[str, Answered] = field(default_factory=dict)
    """Of a dataset, by id."""
    verdicts: dict[str, str] = field(default_factory=dict)
    """Of a dataset: the latest word on each exchange that is not its response gate's."""
    has_family: bool = False
    """Whether any exchange rests on another, or on a source."""

    def is_admitted(self, exchange: Answered) -> bool:
        """Whether the latest word, of the response gate or of a person later, is yes."""
        return self.verdicts.get(exchange.id, exchange.verdict) == "permit"

    def kinship(self) -> Kinship:
        """Who contributed to whom: the entries that say so are read once more."""
        return Kinship(list(_relatives(self) if self.has_family else self.others))


def take_census(
    parts: Sequence[Part],
    size: int,
    slots: Slots,
    wanted: Wanted,
    crew: Crew,
    see: Callable[[Sequence[str]], None],
) -> Census:
    """The census of `entries.jsonl` and a log of `size`; `see` is told the seals that entries name.

    Raises:
        BundleError: a line is no entry's.
        ProofError: an entry is not what the log holds at its place, or none at all.
    """
    teller = _Teller(parts, size, slots, wanted)
    for stretch in crew.each(partial(read_stretch, wanted), parts, len(parts)):
        teller.take(stretch)
        see(stretch.seals)
    return teller.close()


class _Teller:
    """Puts stretches together, in their order."""

    def __init__(self, parts: Sequence[Part], size: int, slots: Slots, wanted: Wanted) -> None:
        self._is_dataset = wanted.is_dataset
        self._size = size
        self._slots = slots
        self._found = Census(parts=parts)
        self._last = -1
        self._hash = sha256(b"[")
        self._hashed = 0
        self._final = b""
        self._ids: dict[str, bool] = {}
        """Every id, and whether it is a call's."""
        self._open: set[str] = set()
        """Calls without an exchange so far."""
        self._leaves: dict[str, bytes] = {}
        """Of calls that were under way at the end of their stretch."""
        self._ties: list[tuple[str, str]] = []

    def take(self, stretch: Stretch) -> None:
        """The next stretch."""
        self._check_places(stretch)
        for hash_ in stretch.hashes:
            self._digest(hash_)
        for said in stretch.said:
            self._hear(said)
        self._fill_rows(stretch)
        found = self._found
        found.count += len(stretch.seqs)
        found.named |= stretch.named
        for name, hashes in stretch.rows.items():
            found.rows[name].add(b"".join(hashes), len(hashes))

    def close(self) -> Census:
        """The census, once all stretches were taken."""
        found = self._found
        self._hash.update(b"]")
        found.digest = self._hash.hexdigest()
        for call, name in self._ties:
            if name not in self._ids and not self._ids.get(call_of(name), False):
                found.flaws.append(
                    Flaw("contributor", f"call `{call}` was made from `{name}`, which is not here")
                )
        if found.others and found.others[-1].seq == self._last:
            found.last = found.others[-1]
        elif found.count:
            found.last = _last_leaf(found.parts[-1])
        return found

    def _digest(self, hash_: bytes) -> None:
        """Take in the entry before this one: the last is not among those it commits to."""
        if self._final:
            comma = "," if self._hashed else ""
            self._hash.update(f'{comma}"{self._final.hex()}"'.encode())
            self._hashed += 1
        self._final = hash_

    def _check_places(self, stretch: Stretch) -> None:
        """Each entry is what the log holds at its place, and they ascend, up to a fault."""
        fault = stretch.fault
        at, seqs, hashes = 0, stretch.seqs, stretch.hashes
        while at < len(seqs):
            # Neighbours in one tile are compared together; one by one only where that fails.
            run = min(_BLOCK - seqs[at] % _BLOCK, len(hashes) - at)
            is_run = run > 0 and seqs[at] > self._last and seqs[at + run - 1] < self._size
            is_run = is_run and seqs[at : at + run] == list(range(seqs[at], seqs[at] + run))
            if not (is_run and self._slots_at(seqs[at], run) == hashes[at : at + run]):
                run = 1
                self._check_place(at, stretch)
            self._last = seqs[at + run - 1]
            at += run
        if fault is not None:
            where = f"{ENTRIES}:{self._found.count + fault.line + 1}"
            raise damaged(fault.message, where) if fault.is_of_line else _error(fault, where)

    def _check_place(self, at: int, stretch: Stretch) -> None:
        seq, where = stretch.seqs[at], f"{ENTRIES}:{self._found.count + at + 1}"
        if not self._last < seq < self._size:
            raise ProofError("entries are not in ascending order", help="get it again", where=where)
        (slot,) = self._slots_at(seq, 1)
        if at == len(stretch.hashes) and stretch.fault is not None:
            raise _error(stretch.fault, where)
        if stretch.hashes[at] != slot:
            raise ProofError(
                f"the entry is not what the log holds at place {seq}",
                help="get the bundle again, and ask who changed it",
                where=where,
                code="entry",
            )

    def _slots_at(self, seq: int, count: int) -> list[bytes]:
        try:
            return list(self._slots(seq, count))
        except ProofError as error:
            # Without its tile an entry is not shown to be in the log.
            raise ProofError(
                error.message, help=error.help, where=error.where, code="entry"
            ) from error

    def _hear(self, said: Asked | Answered | Other) -> None:
        if isinstance(said, Asked):
            self._meet(said.id, is_call=True)
            self._open.add(said.id)
            self._ties += [(said.id, name) for name in said.ties]
            self._found.has_family |= bool(said.ties)
            if self._is_dataset:
                self._found.calls[said.id] = said
        elif isinstance(said, Answered):
            self._meet(said.id)
            self._end_call(said)
            self._found.has_family |= said.continues is not None
            if self._is_dataset:
                self._found.exchanges[said.id] = said
        else:
            self._keep(read_leaf(said.seq, said.data))

    def _meet(self, id_: str, *, is_call: bool = False) -> None:
        if id_ in self._ids:
            self._found.flaws.append(Flaw("entry", f"two entries have the id `{id_}`"))
        self._ids[id_] = is_call

    def _end_call(self, said: Answered) -> None:
        if said.call not in self._open:
            flaw = Flaw("call", f"exchange `{said.id}` has no call of its own before it")
            self._found.flaws.append(flaw)
        self._open.discard(said.call)

    def _keep(self, leaf: Leaf) -> None:
        self._meet(leaf.id)
        self._found.others.append(leaf)
        if leaf.kind not in ("decision", "judgement"):
            return
        exchange = leaf.text("exchange")
        if exchange not in self._ids:
            flaw = Flaw("exchange", f"`{leaf.id}` is about an exchange that is not here")
            self._found.flaws.append(flaw)
        self._decide(leaf, exchange)

    def _decide(self, leaf: Leaf, exchange: str) -> None:
        """A reversed clearance is a no; a judgement supplies facts, which ends a review and no more."""
        verdicts, answered = self._found.verdicts, self._found.exchanges.get(exchange)
        if leaf.kind == "judgement":
            gate = answered.verdict if answered is not None else None
            if verdicts.get(exchange, gate) == "review":
                verdicts[exchange] = "permit"
        elif leaf.text("gate") != "request":
            verdicts[exchange] = "permit" if leaf.text("action") == "clear" else "forbid"

    def _fill_rows(self, stretch: Stretch) -> None:
        """Make the rows of exchanges whose call stood in an earlier stretch."""
        for orphan, places in stretch.orphans:
            exchange = quick_leaf(orphan.seq, orphan.data)
            call = self._leaves.pop(exchange.text("call"), None)
            # Without its call there is a flaw, and nobody looks at the tables.
            for name, hash_ in () if call is None else rows_after(call, exchange):
                stretch.rows[name][places[name]] = hash_
        self._leaves |= stretch.under_way


def _error(fault: Fault, where: str) -> ProofError:
    """A fault as the error of an entry: the place of a canonical error is a path inside the leaf."""
    code = "newer" if fault.code == "newer" else "entry"
    return ProofError(fault.message, help=fault.help, where=where, code=code)


def _last_leaf(part: Part) -> Leaf:
    return read_leaf(*quick_entry(part.lines()[-1], ""))


def _relatives(census: Census) -> Iterator[Leaf]:
    """The leaves that say who contributed to whom, with the calls of exchanges among them."""
    goes_on = {said.continues for said in census.exchanges.values() if said.continues is not None}
    calls: dict[str, Leaf] = {}
    kept: list[Leaf] = []
    for part in census.parts:
        for line in part.lines():
            leaf = quick_leaf(*quick_entry(line, ""))
            if leaf.kind == "call":
                calls[leaf.id] = leaf
            elif leaf.kind == "exchange":
                call = calls.pop(leaf.text("call"), None)
                if call is not None and _is_relative(call, leaf, goes_on):
                    kept += [call, leaf]
            else:
                kept.append(leaf)
    kept += [call for call in calls.values() if call.texts("parents") or call.texts("sources")]
    yield from sorted(kept, key=lambda leaf: leaf.seq)


def _is_relative(call: Leaf, exchange: Leaf, goes_on: set[str]) -> bool:
    is_child = bool(call.texts("parents") or call.texts("sources"))
    is_parent = exchange.text("response_id") in goes_on
    return is_child or is_parent or exchange.fields.get("continues") is not None
