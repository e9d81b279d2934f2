"""What a sealed dataset is worth today, as a trainer reads it offline: good, revoked or withdrawn.

The file is a notice of one `status` entry. The entry commits to the list of affected exchanges, which
stands beside it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from proxy.errors import CanonicalError, ProofError
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.leaf import Leaf
from proxy.ledger.notice import Notice, read_notice

__all__ = [
    "STATUS",
    "Affected",
    "DatasetStatus",
    "affected_bytes",
    "affected_list",
    "read_affected",
    "read_status",
]

STATUS = "dataset-status"
"""The kind of these notices."""


@dataclass(frozen=True, slots=True, order=True)
class Affected:
    """An exchange from which a student may learn no more, and why."""

    exchange: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStatus:
    """What the log says of a dataset."""

    dataset: str
    root: str
    state: str
    """`good`, `revoked` or `withdrawn`."""
    cause: str | None
    at: str
    seq: int
    """Of the entry that says so."""
    until: str | None
    """How long a good one may be learned from."""
    reason: str
    affected: tuple[Affected, ...]


def affected_bytes(affected: Iterable[Affected]) -> bytes:
    """The list as a `status` entry commits to it, each exchange once, sorted."""
    return canonical(affected_list(affected))


def affected_list(affected: Iterable[Affected]) -> list[Json]:
    """The list as plain values, each exchange once, sorted."""
    reasons = {each.exchange: each.reason for each in sorted(set(affected), reverse=True)}
    return [{"exchange": name, "reason": reasons[name]} for name in sorted(reasons)]


def read_affected(found: Json) -> tuple[Affected, ...]:
    """The affected exchanges of such plain values.

    Raises:
        ProofError: they are no such list.
    """
    match found:
        case list():
            return tuple(map(_affected, found))
    raise _wrong("the list of affected exchanges cannot be read")


def _affected(each: Json) -> Affected:
    match each:
        case {"exchange": str(exchange), "reason": str(reason)}:
            return Affected(exchange, reason)
    raise _wrong("the list of affected exchanges cannot be read")


def read_status(data: bytes, vkey: str) -> DatasetStatus:
    """The status in a file, once all of it holds under the pinned key.

    Raises:
        ProofError: it is no status, or not what the log says.
    """
    notice = read_notice(data, vkey, kind=STATUS)
    leaf = notice.leaves[0]
    if leaf.kind != "status" or len(notice.leaves) > 1:
        raise _wrong("the notice is not of one `status` entry")
    return _status(leaf, _committed(notice, leaf))


def _committed(notice: Notice, leaf: Leaf) -> tuple[Affected, ...]:
    listed = notice.about.get("affected", [])
    try:
        digest = sha256(canonical(listed)).hexdigest()
    except CanonicalError:
        digest = ""
    affected = read_affected(listed)
    if digest != leaf.text("affected") or len(affected) != leaf.fields["count"]:
        raise _wrong("the list of affected exchanges is not the one that the entry commits to")
    return affected


def _status(leaf: Leaf, affected: tuple[Affected, ...]) -> DatasetStatus:
    cause, until = leaf.fields["cause"], leaf.fields["until"]
    return DatasetStatus(
        dataset=leaf.text("dataset"),
        root=leaf.text("root"),
        state=leaf.text("state"),
        cause=None if cause is None else str(cause),
        at=leaf.text("at"),
        seq=leaf.seq,
        until=None if until is None else str(until),
        reason=leaf.text("reason"),
        affected=affected,
    )


def _wrong(message: str) -> ProofError:
    return ProofError(message, help="ask for `inbond dataset status` again", code="status")
