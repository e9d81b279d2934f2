"""What the questions put to the ledger are answered with: frozen values, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.ledger.entry import (
    CallEntry,
    DecisionEntry,
    Entry,
    ExchangeEntry,
    JudgementEntry,
)

__all__ = [
    "Approval",
    "Approvals",
    "Candidate",
    "ClearedRequest",
    "ClientKey",
    "Counts",
    "OpenCall",
    "RecordedExchange",
    "ReviewItem",
    "StoredDocument",
    "StoredEntry",
    "StoredNote",
]


@dataclass(frozen=True, slots=True)
class StoredEntry[E: Entry]:
    """An entry, its place in the log and the exact bytes of its leaf."""

    seq: int
    leaf: bytes
    entry: E


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A public text that leaves name by `digest`."""

    digest: str
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A signed checkpoint of the first `size` leaves."""

    size: int
    note: str


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A call and, unless it is under way, how it ended."""

    call: StoredEntry[CallEntry]
    exchange: StoredEntry[ExchangeEntry] | None


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """An exchange that waits for a person. `gate` is where the verdict was review."""

    gate: str
    call: StoredEntry[CallEntry]
    exchange: StoredEntry[ExchangeEntry]

    @property
    def seq(self) -> int:
        """The place of the exchange: what the next page's `after` is."""
        return self.exchange.seq


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call without an exchange."""

    seq: int
    id: str
    at: str
    worker: str
    create: str | None = None
    """Of a line of a batch: the call it left with."""
    has_batch: bool = False
    """Whether the answer to that call named a batch, which may still bring the line's own."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A client's key: what it stamps on each call, and whether it still counts."""

    key: str
    digest: str | None
    project: str | None
    student: str | None
    at: str
    is_revoked: bool


@dataclass(frozen=True, slots=True)
class Approval:
    """Where a document that needs two people stands."""

    digest: str
    subject: str
    name: str
    state: str
    proposed_by: str | None
    approved_by: str | None
    revoked_by: str | None


@dataclass(frozen=True, slots=True)
class Approvals:
    """The digests of the documents that are approved, and of those revoked."""

    approved: frozenset[str]
    revoked: frozenset[str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A complete exchange that was read whole, with what people said about it since."""

    call: StoredEntry[CallEntry]
    exchange: StoredEntry[ExchangeEntry]
    decisions: tuple[StoredEntry[DecisionEntry], ...]
    judgements: tuple[StoredEntry[JudgementEntry], ...]

    @property
    def seq(self) -> int:
        """The place of the exchange: what the next page's `after` is."""
        return self.exchange.seq


@dataclass(frozen=True, slots=True)
class ClearedRequest:
    """A call that was refused for review and that a person let pass since."""

    call: StoredEntry[CallEntry]
    exchange: str
    clearance: StoredEntry[DecisionEntry]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the ledger holds."""

    entries: int
    calls: int
    exchanges: Mapping[str, int]
    """By outcome."""
    verdicts: Mapping[str, int]
    """Of the response gate."""
    waiting: int
    """Items for review."""
    checkpoint: int
    """The size of the last signed checkpoint."""

    @property
    def under_way(self) -> int:
        """Calls without an exchange."""
        return self.calls - sum(self.exchanges.values())
