"""What a stretch of `entries.jsonl` says, so that stretches can be read apart and put together.

Reading one takes nearly all the time of verifying a bundle: each leaf is decoded, hashed, held against
the shape of its kind, and made into the rows of the tables. What is left of it is small.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from proxy.errors import BundleError, LedgerError, ProxyError
from proxy.ledger.bundle import read_entry
from proxy.ledger.canonical import Json
from proxy.ledger.leaf import Leaf, named_digests, seals_of
from proxy.ledger.merkle import leaf_hash
from proxy.ledger.pieces import Part
from proxy.ledger.quick import quick_bytes, quick_leaf
from proxy.ledger.tables import TABLES, Tabulator

__all__ = [
    "Answered",
    "Asked",
    "Fault",
    "Other",
    "Stretch",
    "Wanted",
    "quick_entry",
    "read_stretch",
    "rows_after",
]

_OPENED = b'{"leaf":"'
_BETWEEN = b'","seq":'


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be read of a stretch beyond what every bundle needs."""

    has_openings: bool = False
    """The seals that leaves name."""
    is_dataset: bool = False
    """What the labels of an example rest on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error met in a line, in parts that can be handed on between processes."""

    line: int
    """From 0, within the stretch."""
    message: str
    help: str
    where: str
    code: str
    is_of_line: bool = False
    """The line itself is damaged: no leaf could be taken from it."""


@dataclass(slots=True)
class Asked:
    """A `call`: its id, and of a dataset what examples say of it."""

    id: str
    ties: tuple[str, ...] = ()
    """The parents and sources it names."""
    project: str = ""
    route: str = ""
    imported: str | None = None
    """The import that brought it."""


@dataclass(slots=True)
class Answered:
    """An `exchange`: its id and its call's, and of a dataset what examples rest on."""

    id: str
    call: str
    continues: str | None = None
    seq: int = 0
    is_whole: bool = False
    verdict: str | None = None
    """Of the response gate; None where it decided nothing."""
    model: str = ""
    at: str = ""
    seal: str = ""


@dataclass(slots=True)
class Other:
    """Any other entry, kept as it is."""

    seq: int
    data: bytes


@dataclass(slots=True)
class Stretch:
    """What some neighbouring lines say, in their order."""

    seqs: list[int] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    said: list[Asked | Answered | Other] = field(default_factory=list)
    named: set[tuple[str, str]] = field(default_factory=set)
    """Folder and digest of documents."""
    seals: list[str] = field(default_factory=list)
    rows: dict[str, list[bytes]] = field(default_factory=lambda: {name: [] for name in TABLES})
    """Hashes of the rows that the leaves give, by table."""
    under_way: dict[str, bytes] = field(default_factory=dict)
    """Leaves of calls whose exchange is not in this stretch, by id."""
    orphans: list[tuple[Other, dict[str, int]]] = field(default_factory=list)
    """Leaves of exchanges whose call is not in this stretch, and where their rows belong."""
    fault: Fault | None = None
    """What ended it."""


def quick_entry(line: bytes, where: str) -> tuple[int, bytes]:
    """The place and the exact bytes of the leaf that a line of `entries.jsonl` holds.

    Raises:
        BundleError: the line is not an entry's.
    """
    if line.startswith(_OPENED) and line.endswith(b"}"):
        inner, _, seq = line[len(_OPENED) : -1].rpartition(_BETWEEN)
        leaf = inner.replace(b'\\"', b'"')
        # Each quote was escaped and nothing else was. A bare control character is no canonical leaf.
        is_plain = b"\\" not in leaf and leaf.replace(b'"', b'\\"') == inner
        if is_plain and leaf.isascii() and _is_place(seq):
            return int(seq), leaf
    entry = read_entry(line, where)
    return entry.seq, entry.leaf


def _is_place(text: bytes) -> bool:
    return text.isdigit() and len(text) < 19 and (text[:1] != b"0" or text == b"0")


def read_stretch(wanted: Wanted, part: Part) -> Stretch:
    """What a part of `entries.jsonl` says, up to its first fault."""
    return _Reader(wanted).read(part.lines())


def rows_after(call: bytes, exchange: Leaf) -> Iterator[tuple[str, bytes]]:
    """The rows of an exchange whose call stood in an earlier stretch: table and hash."""
    tabulator = Tabulator()
    for _ in tabulator.rows(0, quick_leaf(0, call).fields):
        pass  # counted where the call stood
    for name, row in tabulator.rows(exchange.seq, exchange.fields):
        yield name, leaf_hash(quick_bytes(row))


class _Reader:
    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._found = Stretch()
        self._tabulator = Tabulator()
        self._texts: dict[str, str] = {}

    def read(self, lines: list[bytes]) -> Stretch:
        """What these lines say."""
        found = self._found
        for line in lines:
            try:
                seq, data = quick_entry(line, "")
            except BundleError as error:
                found.fault = _fault(len(found.seqs), error, is_of_line=True)
                break
            found.seqs.append(seq)
            try:
                self._take(quick_leaf(seq, data))
            except LedgerError as error:
                found.fault = _fault(len(found.hashes), error)
                break
            found.hashes.append(sha256(b"\x00" + data).digest())
        return found

    def _take(self, leaf: Leaf) -> None:
        found, kind = self._found, leaf.fields["kind"]
        if kind == "call":
            found.under_way[leaf.id] = leaf.data
            found.said.append(self._asked(leaf))
            self._tabulate(leaf)
        elif kind == "exchange":
            found.said.append(self._answered(leaf))
            if found.under_way.pop(str(leaf.fields["call"]), None) is None:
                self._leave_room(leaf)
            else:
                self._tabulate(leaf)
        else:
            found.said.append(Other(leaf.seq, leaf.data))
            self._tabulate(leaf)
        found.named.update(named_digests(leaf))
        if self._wanted.has_openings:
            found.seals += seals_of(leaf)

    def _tabulate(self, leaf: Leaf) -> None:
        for name, row in self._tabulator.rows(leaf.seq, leaf.fields):
            self._found.rows[name].append(sha256(b"\x00" + quick_bytes(row)).digest())

    def _leave_room(self, leaf: Leaf) -> None:
        """Hold the places of the rows of an exchange whose call is not at hand."""
        names = ["exchanges", *(["decisions"] if leaf.fields["decision"] is not None else [])]
        rows = self._found.rows
        self._found.orphans.append(
            (Other(leaf.seq, leaf.data), {name: len(rows[name]) for name in names})
        )
        for name in names:
            rows[name].append(b"")

    def _asked(self, leaf: Leaf) -> Asked:
        ties = (*leaf.texts("parents"), *leaf.texts("sources"))
        if not self._wanted.is_dataset:
            return Asked(leaf.id, ties)
        return Asked(
            leaf.id,
            ties,
            project=self._one(leaf.text("facts", "project")),
            route=self._one(leaf.text("facts", "route")),
            imported=_text_or_none(leaf.fields.get("imported")),
        )

    def _answered(self, leaf: Leaf) -> Answered:
        fields = leaf.fields
        if not self._wanted.is_dataset:
            return Answered(leaf.id, str(fields["call"]))
        is_complete = fields["outcome"] == "complete" and bool(fields["is_whole"])
        has_decision = leaf.record("decision") is not None
        return Answered(
            leaf.id,
            str(fields["call"]),
            continues=_text_or_none(fields.get("continues")),
            seq=leaf.seq,
            is_whole=is_complete and fields["problem"] is None,
            verdict=self._one(leaf.text("decision", "verdict")) if has_decision else None,
            model=self._one(leaf.text("facts", "model.id")),
            at=leaf.text("decision", "exchange_at"),
            seal=leaf.text("answer", "seal"),
        )

    def _one(self, text: str) -> str:
        """The same text, as one object for all that say it."""
        return self._texts.setdefault(text, text)


def _text_or_none(value: Json) -> str | None:
    return None if value is None else str(value)


def _fault(line: int, error: ProxyError, *, is_of_line: bool = False) -> Fault:
    return Fault(line, error.message, error.help, error.where, error.code, is_of_line)
