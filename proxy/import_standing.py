"""How imports stand, and the later words on them: vouched for, or taken back for good."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from policies.diagnostics import nearest
from proxy.clock import new_id, new_nonce, stamp
from proxy.errors import LedgerError
from proxy.imported_calls import call_id
from proxy.ledger.entry import ImportEntry
from proxy.ledger.imported import import_problem
from proxy.store.log import Log, Pending
from proxy.store.queries import documents, exchange_with_call, imports

__all__ = [
    "Standing",
    "bad_import",
    "papers_of",
    "progress_of",
    "settle",
    "standing_of",
    "standings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An import and whether it may be learned from."""

    entry: ImportEntry
    """That admitted it."""
    problem: str
    """A slug; empty where nothing stands in the way but the gates."""


def settle(
    log: Log,
    batch: str,
    action: Literal["confirm", "withdraw"],
    *,
    actor: str,
    reason: str,
    at: datetime,
) -> ImportEntry:
    """Vouch for what an import declares of a teacher's answers, or take all of it back for good.

    Raises:
        LedgerError: there is no such import, it needs no such word, the reason is empty, or the
            ledger cannot be written.
    """
    found = standing_of(log, batch)
    if found.problem == "import-withdrawn":
        fix = "that is for good: import the data again under another source"
        raise bad_import(f"import `{batch}` was withdrawn", fix)
    if action == "confirm" and found.problem != "not-confirmed":
        raise bad_import(f"import `{batch}` waits for nobody", "see `inbond import show`")
    if not reason.strip():
        raise bad_import("the reason is empty", "say in a sentence why")
    said = {
        "id": new_id(),
        "at": stamp(at),
        "actor": actor,
        "action": action,
        "reason": reason.strip(),
        "nonce": new_nonce(),
    }
    entry = found.entry.model_copy(update=said)
    log.append([Pending(entry)])
    return entry


def standings(log: Log) -> list[Standing]:
    """All imports and how they stand, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with log.database.read() as connection:
        said = [item.entry for item in imports(connection)]
    actions: dict[str, list[str]] = {}
    for entry in said:
        actions.setdefault(entry.batch, []).append(entry.action)
    return [
        Standing(
            entry=entry,
            problem=import_problem(entry.origin, entry.evidence, actions[entry.batch]),
        )
        for entry in said
        if entry.action == "admit"
    ]


def standing_of(log: Log, batch: str) -> Standing:
    """One import and how it stands.

    Raises:
        LedgerError: there is no such import, or the ledger cannot be read.
    """
    known = {each.entry.batch: each for each in standings(log)}
    if batch not in known:
        fix = nearest(batch, known) or "see `inbond import list`"
        raise LedgerError(f"no import `{batch}` is on record", help=fix, code="unknown-import")
    return known[batch]


def progress_of(log: Log, entry: ImportEntry) -> int:
    """How many lines of an import are on record: fewer than all where a run was cut off.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with log.database.read() as connection:
        places = (call_id(entry.batch, place) for place in range(1, entry.lines + 1))
        return sum(1 for id_ in places if exchange_with_call(connection, id_) is not None)


def papers_of(log: Log, entry: ImportEntry) -> dict[str, bytes]:
    """The evidence of an import, by digest.

    Raises:
        LedgerError: a paper is not stored beside the log any more, or the ledger cannot be read.
    """
    with log.database.read() as connection:
        found = documents(connection, entry.evidence)
    absent = sorted(set(entry.evidence) - found.keys())
    if absent:
        raise LedgerError(
            f"the ledger names the paper `{absent[0]}`, which is not stored beside it",
            help="restore the database from a backup that has it",
            code="document-absent",
        )
    return {digest: found[digest].content for digest in entry.evidence}


def bad_import(message: str, fix: str) -> LedgerError:
    """The error of what cannot be said of an import."""
    return LedgerError(message, help=fix, code="bad-import")
