"""What a sealed dataset is worth since: rows decided on again, roots withdrawn, the signed status.

A dataset is good while today's policies permit each of its rows, revoked while they do not, and
withdrawn for good once a row was erased or somebody recalled it. Trainers read it from a status file,
offline (`proxy.ledger.status`).
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from policies.bundle import Bundle
from policies.diagnostics import nearest
from proxy.admission import Admission, judge_all
from proxy.clock import new_id, new_nonce, stamp
from proxy.dataset import valid_until
from proxy.errors import LedgerError
from proxy.examples import answer_of
from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.entry import DatasetEntry, StatusEntry
from proxy.ledger.notice import notice_bytes
from proxy.ledger.status import STATUS, Affected, affected_bytes, affected_list, read_affected
from proxy.notary import Notary, append_if
from proxy.radius import members_of
from proxy.selection import tile_reader_of
from proxy.store.log import Document, Pending
from proxy.store.queries import candidates, datasets, documents
from proxy.store.recalls import held_salts, last_status
from proxy.store.records import StoredEntry
from proxy.store.session import Reading

__all__ = [
    "Cause",
    "Checked",
    "Issued",
    "Registrar",
    "Withdrawal",
    "check_again",
    "dataset_named",
    "write_privately",
]

type Cause = Literal["erasure", "grant", "terms", "policy", "exchange", "decision"]

_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What today's policies say of the rows of a dataset."""

    affected: tuple[Affected, ...]
    """The exchanges that may be learned from no more."""
    until: str
    """How long the others may, without being decided on again."""
    by: frozenset[str] = frozenset()
    """The rules that refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A dataset to be taken back for good, and the exchanges because of which it is."""

    dataset: DatasetEntry
    affected: tuple[Affected, ...]
    cause: Cause
    reason: str

    def pending(self, connection: Reading, *, at: str, actor: str) -> Pending:
        """The entry that marks its root withdrawn, for this and for all earlier reasons.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        before = last_status(connection, self.dataset.dataset, state="withdrawn")
        earlier = () if before is None else _affected_of(connection, before.entry)
        return _pending(
            self.dataset,
            (*earlier, *self.affected),
            {"state": "withdrawn", "cause": self.cause, "reason": self.reason},
            at=at,
            actor=actor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A signed status on disk."""

    entry: StatusEntry
    path: Path
    affected: tuple[Affected, ...]


def dataset_named(connection: Reading, name: str) -> DatasetEntry:
    """The sealed dataset of an id, or of a root.

    Raises:
        LedgerError: there is none.
    """
    known = [item.entry for item in datasets(connection)]
    for entry in known:
        if name in (entry.dataset, entry.root):
            return entry
    raise LedgerError(
        f"no dataset `{name}` was sealed here",
        help=nearest(name, [entry.dataset for entry in known]) or "see `inbond dataset list`",
        code="unknown-dataset",
    )


def check_again(
    connection: Reading, bundle: Bundle, entry: DatasetEntry, folder: Path, at: datetime
) -> Checked:
    """What the dataset gate says today of each row of a sealed dataset; `folder` holds bundles.

    Raises:
        LedgerError: the ledger cannot be read, or nothing says any more what the dataset holds.
    """
    members = members_of(connection, entry, folder)
    if members is None:
        raise LedgerError(
            f"nothing here says what dataset `{entry.dataset}` holds",
            help=f"put its bundle back at `{folder.name}/{entry.dataset}`, as it was sealed",
            code="members-unknown",
        )
    student = bundle.students.get(entry.student)
    if student is None:
        affected = tuple(Affected(exchange, "student-undeclared") for exchange in sorted(members))
        return Checked(affected=affected, until=stamp(at))
    admission = Admission(connection, bundle, student, at)
    taken = (c for c in candidates(connection) if c.exchange.entry.id in members)
    reasons, terms, grants = dict.fromkeys(members, "absent"), set[str](), set[str]()
    seals: dict[str, str] = {}
    by: set[str] = set()
    for judged in map(admission.with_family, judge_all(bundle, taken, student, at)):
        exchange, record = judged.candidate.exchange.entry.id, judged.record(bundle)
        reasons[exchange] = judged.reason or ("" if judged.is_masked(record) else "not-redacted")
        by |= set(judged.by) if reasons[exchange] else set()
        seals[exchange] = answer_of(judged.candidate).seal
        terms.update(record.terms)
        grants.update(record.grants)
    open_ = held_salts(connection, seals.values())
    reasons |= {exchange: "erased" for exchange, seal in seals.items() if seal not in open_}
    return Checked(
        affected=tuple(sorted(Affected(x, why) for x, why in reasons.items() if why)),
        until=stamp(valid_until(bundle, at, terms, grants)),
        by=frozenset(by),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """Says on record what sealed datasets are worth today."""

    notary: Notary
    bundle: Bundle
    """The policies in force."""
    datasets: Path
    """Where the bundles of datasets lie."""
    at: datetime
    actor: str

    def issue(self, entry: DatasetEntry, target: Path) -> Issued:
        """Put the status of a dataset on record, sign the log, and write the status file.

        A withdrawn dataset stays so: the file says what withdrew it.

        Raises:
            LedgerError: the ledger cannot be read, written or signed, nothing says any more what the
                dataset holds, or the file cannot be written.
        """
        log = self.notary.log
        with log.database.read() as connection:
            found = last_status(connection, entry.dataset, state="withdrawn")
            affected = () if found is None else _affected_of(connection, found.entry)
        if found is None:
            affected, found = self._decide(entry)
        data = notice_bytes(
            STATUS,
            [LedgerEntry(found.seq, found.leaf)],
            checkpoint=self.notary.signer.sign(),
            read=tile_reader_of(log.database),
            about={"affected": affected_list(affected)},
        )
        write_privately(target, data)
        return Issued(entry=found.entry, path=target, affected=affected)

    def _decide(self, entry: DatasetEntry) -> tuple[tuple[Affected, ...], StoredEntry[StatusEntry]]:
        log = self.notary.log
        with log.database.read() as connection:
            checked = check_again(connection, self.bundle, entry, self.datasets, self.at)
        said = _said(checked, self.bundle)
        pending = _pending(entry, checked.affected, said, at=stamp(self.at), actor=self.actor)
        append_if(log, [pending], lambda now: _refuse_withdrawn(now, entry))
        with log.database.read() as connection:
            item = last_status(connection, entry.dataset)
        assert item is not None  # noqa: S101 - it was appended a moment ago
        return checked.affected, item


def _refuse_withdrawn(connection: Reading, entry: DatasetEntry) -> None:
    """Nothing better is said of a dataset that was withdrawn while it was decided on again."""
    if last_status(connection, entry.dataset, state="withdrawn") is not None:
        raise LedgerError(
            f"dataset `{entry.dataset}` was withdrawn while it was decided on again",
            help="run the command again: the status says what withdrew it",
            code="moved",
        )


def write_privately(target: Path, data: bytes) -> None:
    """Write a file whole or not at all, for the owner alone; one that is there is replaced.

    Raises:
        LedgerError: it cannot be written.
    """
    draft = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        raise LedgerError(
            f"the file cannot be written: {(error.strerror or 'unknown reason').lower()}",
            help="make its folder writable, or name another file, and run the command again",
            where=str(target),
            code="not-writable",
        ) from error


def _said(checked: Checked, bundle: Bundle) -> dict[str, str | None]:
    if checked.affected:
        state: dict[str, str | None] = {"state": "revoked", "cause": "policy"}
    else:
        state = {"state": "good", "until": checked.until}
    return state | {"bundle": bundle.digest}


def _pending(
    entry: DatasetEntry,
    affected: Iterable[Affected],
    said: dict[str, str | None],
    *,
    at: str,
    actor: str,
) -> Pending:
    listed = tuple(affected)
    content = affected_bytes(listed)
    digest = sha256(content).hexdigest()
    status = StatusEntry.model_validate(
        {
            "id": new_id(),
            "at": at,
            "actor": actor,
            "dataset": entry.dataset,
            "root": entry.root,
            "affected": digest,
            "count": len(affected_list(listed)),
            "nonce": new_nonce(),
            **said,
        }
    )
    return Pending(status, documents=(Document(digest=digest, kind="affected", content=content),))


def _affected_of(connection: Reading, entry: StatusEntry) -> tuple[Affected, ...]:
    """The list that a status commits to.

    Raises:
        LedgerError: it is not stored beside the log any more.
    """
    found = documents(connection, [entry.affected]).get(entry.affected)
    if found is None:
        raise LedgerError(
            "the list of affected exchanges that the ledger names is not stored beside it",
            help="restore the database from a backup that has it",
            code="document-absent",
        )
    return read_affected(json.loads(found.content))
