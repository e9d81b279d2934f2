"""Ledgers and entries for tests: real SQLite files, entries that differ only where a test says so."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.ledger.checkpoint import LogKey
from proxy.ledger.entry import (
    AdminEntry,
    BatchRecord,
    CallEntry,
    DecisionEntry,
    DecisionRecord,
    ExchangeEntry,
    GrantEntry,
    JudgementEntry,
    KeyEntry,
    LineRecord,
)
from proxy.store.bodies import Body, prepare_body
from proxy.store.checkpoints import Signer
from proxy.store.log import Log, Pending
from proxy.store.session import Database, open_database

URL = "sqlite:///inbond.db"
ORIGIN = "test.example/log"
KEY = LogKey.generate(ORIGIN, bytes(range(32)))
DIGEST = "ab" * 32

type Verdict = Literal["permit", "review", "forbid"]
type Outcome = Literal[
    "complete", "client_disconnected", "upstream_failed", "cut", "refused", "interrupted"
]


@dataclass(frozen=True, slots=True)
class Ledger:
    """One installation in a folder: database, log and signer."""

    folder: Path
    database: Database
    log: Log
    signer: Signer


@cache
def _empty_database() -> bytes:
    """The file of a database without entries: migrating once is enough for all tests."""
    with TemporaryDirectory() as folder:
        open_database(URL, directory=Path(folder)).close()
        return (Path(folder) / "inbond.db").read_bytes()


def open_ledger(
    folder: Path, *, url: str | None = None, timeout_s: float = 10.0, busy_timeout_s: float = 5.0
) -> Ledger:
    """The ledger of a folder, made if there is none, checked and ready to append.

    `url` is of a database elsewhere.
    """
    if url is None and not (folder / "inbond.db").exists():
        (folder / "inbond.db").write_bytes(_empty_database())
    database = open_database(url or URL, directory=folder, busy_timeout_s=busy_timeout_s)
    log = Log(database, folder / "ledger.lock", timeout_s=timeout_s)
    signer = Signer(log, KEY, folder / "last.checkpoint")
    try:
        signer.check()
    except BaseException:
        database.close()
        raise
    return Ledger(folder, database, log, signer)


def decision(verdict: Verdict, gate: Literal["request", "response"]) -> DecisionRecord:
    """A decision with this verdict."""
    at = stamp(utc_now())
    return DecisionRecord(
        gate=gate, verdict=verdict, bundle=DIGEST, meaning=DIGEST, exchange_at=at, today_at=at
    )


def call(
    *,
    worker: str = "w1",
    project: str = "p1",
    key: str = "k1",
    verdict: Verdict = "permit",
    body: Body | None = None,
    at: str = "",
    line: LineRecord | None = None,
) -> Pending:
    """A call, with its request's body."""
    prepared = prepare_body(b"what is asked", bytes.fromhex(new_nonce() * 2))
    entry = CallEntry(
        id=new_id(),
        at=at or stamp(utc_now()),
        actor=f"key:{key}",
        key=key,
        worker=worker,
        facts={"project": project, "route": "acme-api", "model.id": "acme-1", "operation": "chat"},
        request=prepared.record,
        decision=decision(verdict, "request"),
        line=line,
    )
    return Pending(entry, (body or prepared.body,))


def exchange(
    call_id: str,
    *,
    outcome: Outcome = "complete",
    verdict: Verdict | None = "permit",
    is_read: bool = True,
    batch: BatchRecord | None = None,
) -> Pending:
    """How a call ended, with the body of its answer; whole if it is complete and was read."""
    prepared = prepare_body(b"what is answered", bytes.fromhex(new_nonce() * 2))
    entry = ExchangeEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="inbond",
        call=call_id,
        outcome=outcome,
        is_whole=is_read and outcome == "complete",
        answer=prepared.record,
        decision=decision(verdict, "response") if verdict else None,
        batch=batch,
        nonce=new_nonce(),
    )
    return Pending(entry, (prepared.body,))


def refused(*, verdict: Verdict, project: str = "p1") -> tuple[Pending, Pending]:
    """A call that did not leave, and its exchange."""
    held = call(verdict=verdict, project=project)
    return held, exchange(held.entry.id, outcome="refused", verdict=None)


def admin(action: str = "note", *, id_: str = "", at: str = "") -> Pending:
    """A small entry without a body."""
    entry = AdminEntry(
        id=id_ or new_id(),
        at=at or stamp(utc_now()),
        actor="user:one",
        action=action,
        nonce=new_nonce(),
    )
    return Pending(entry)


def later(
    exchange_id: str,
    action: Literal["clear", "reject", "reverse"],
    gate: Literal["request", "response", "dataset"] = "response",
) -> Pending:
    """A later decision on one exchange."""
    entry = DecisionEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:one",
        action=action,
        exchange=exchange_id,
        gate=gate,
        reason="a reason",
        nonce=new_nonce(),
    )
    return Pending(entry)


def judgement(exchange_id: str) -> Pending:
    """Facts that a person supplied for one exchange."""
    entry = JudgementEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:one",
        exchange=exchange_id,
        facts={"response.pii": False},
        reason="a reason",
        nonce=new_nonce(),
    )
    return Pending(entry)


def key_entry(
    action: Literal["create", "revoke"], key: str, *, student: str = "s1", digest: str | None = None
) -> Pending:
    """A step in the life of a client key."""
    made = action == "create"
    entry = KeyEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:one",
        action=action,
        role="client",
        key=key,
        digest=(digest or DIGEST) if made else None,
        project="p1" if made else None,
        student=student if made else None,
        nonce=new_nonce(),
    )
    return Pending(entry)


def grant_entry(
    action: Literal["propose", "approve", "revoke"], digest: str, *, actor: str = "user:one"
) -> Pending:
    """A step in the life of a grant."""
    entry = GrantEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor=actor,
        action=action,
        subject="grant",
        name="letter",
        digest=digest,
        nonce=new_nonce(),
    )
    return Pending(entry)
