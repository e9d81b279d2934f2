"""The views say what the leaves say, and can be made again from them."""

import pytest
from sqlalchemy import Connection, select

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError
from proxy.ledger.entry import (
    BatchRecord,
    DatasetEntry,
    Entry,
    EraseEntry,
    HoldEntry,
    LineRecord,
    RunEntry,
    StatusEntry,
)
from proxy.store.log import Pending
from proxy.store.tables import VIEWS, ApprovalRow, ExchangeRow, KeyRow
from proxy.store.views import rebuild_views
from tests.proxy.store.ledgers import (
    DIGEST,
    Ledger,
    admin,
    call,
    exchange,
    grant_entry,
    judgement,
    key_entry,
    later,
    refused,
)


def _everything(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    return {
        view.__tablename__: [
            tuple(row) for row in connection.execute(select(*view.__table__.columns))
        ]
        for view in VIEWS
    }


def dataset_entry(name: str) -> Pending:
    """A sealed dataset."""
    entry = DatasetEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:one",
        dataset=name,
        student="s1",
        root=DIGEST,
        rows=1,
        manifest=DIGEST,
        entries=DIGEST,
        openings=DIGEST,
        policies=[DIGEST],
        terms=[],
        grants=[],
        decision_bundle=DIGEST,
        valid_until=stamp(utc_now()),
        recipient="s1",
        nonce=new_nonce(),
    )
    return Pending(entry)


def run_entry(name: str, student: str = "s1") -> Pending:
    """A training run."""
    entry = RunEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:one",
        run=name,
        student=student,
        datasets=[DIGEST],
        record=DIGEST,
        weights={"model.safetensors": DIGEST},
        base="smollm2",
        steps=3,
        nonce=new_nonce(),
    )
    return Pending(entry)


def taken_back(exchange: str) -> list[Pending]:
    """An exchange erased, a hold placed and lifted, and a dataset withdrawn."""
    said = {"at": stamp(utc_now()), "actor": "user:one", "reason": "asked", "nonce": new_nonce()}
    held, gone = new_id(), new_id()
    hold = {"hold": held, "scope": "exchange", "subject": exchange, **said}
    erase = {"id": gone, "erasure": gone, "ground": "person", "exchanges": [exchange], **said}
    status = {"id": new_id(), "dataset": "d1", "root": DIGEST, "state": "withdrawn", **said}
    found: list[Entry] = [
        EraseEntry.model_validate(erase),
        HoldEntry.model_validate({"id": held, "action": "place", **hold}),
        HoldEntry.model_validate({"id": new_id(), "action": "lift", **hold}),
        StatusEntry.model_validate({"affected": DIGEST, "count": 1, **status}),
    ]
    return [Pending(entry) for entry in found]


def _fill(ledger: Ledger) -> str:
    """One entry of every kind a view shows; gives the id of the exchange."""
    first = call(verdict="permit")
    end = exchange(first.entry.id, verdict="review")
    ledger.log.append([first, end, *refused(verdict="forbid"), admin()])
    create = call()
    line = call(line=LineRecord(create=create.entry.id, custom=DIGEST))
    said = BatchRecord(batch="b1", state="open", input="f1", outputs=["f2"], read="f3")
    ledger.log.append([create, line, exchange(create.entry.id, batch=said)])
    ledger.log.append([judgement(end.entry.id), later(end.entry.id, "clear")])
    ledger.log.append([key_entry("create", "k1"), key_entry("revoke", "k1")])
    ledger.log.append([grant_entry("propose", DIGEST), grant_entry("approve", DIGEST, actor="b")])
    ledger.log.append([dataset_entry("d1"), run_entry("r1")])
    ledger.log.append(taken_back(end.entry.id))
    return end.entry.id


def test_views_are_the_same_when_made_again(ledger: Ledger) -> None:
    """Emptying the views and reading the leaves again gives every row back."""
    _fill(ledger)
    with ledger.database.read() as connection:
        before = _everything(connection)
    assert all(before.values())
    rebuild_views(ledger.database)
    with ledger.database.read() as connection:
        assert _everything(connection) == before


def test_a_broken_view_is_mended(ledger: Ledger) -> None:
    """Whatever a view was changed to, a rebuild brings back what the leaves say."""
    _fill(ledger)
    with ledger.database.read() as connection:
        before = _everything(connection)
    with ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE exchange SET verdict = 'permit', is_whole = 1")
        connection.exec_driver_sql("DELETE FROM judgement")
        connection.exec_driver_sql("UPDATE client_key SET is_revoked = 0")
    rebuild_views(ledger.database)
    with ledger.database.read() as connection:
        assert _everything(connection) == before


def test_a_person_settles_and_reopens(ledger: Ledger) -> None:
    """Clearing, rejecting and judging settle an exchange; a reversal reopens it."""
    first = call()
    end = exchange(first.entry.id, verdict="review")
    ledger.log.append([first, end])
    steps = [
        (later(end.entry.id, "clear"), True),
        (later(end.entry.id, "reverse"), False),
        (judgement(end.entry.id), True),
        (later(end.entry.id, "reverse"), False),
        (later(end.entry.id, "reject"), True),
    ]
    for step, expected in steps:
        ledger.log.append([step])
        with ledger.database.read() as connection:
            assert connection.execute(select(ExchangeRow.is_settled)).scalar_one() is expected


def test_nobody_decides_on_an_unknown_exchange(ledger: Ledger) -> None:
    """A decision or judgement about an exchange that the log does not hold is refused."""
    for pending in (later("nothing", "clear"), judgement("nothing")):
        with pytest.raises(LedgerError, match="foreign key constraint failed"):
            ledger.log.append([admin(), pending])
    assert ledger.log.size == 0


def test_a_revoked_key_stays_revoked(ledger: Ledger) -> None:
    """Revoking marks the key, in the batch that made it or later; nothing makes it anew."""
    ledger.log.append([key_entry("create", "k1"), key_entry("revoke", "k1")])
    ledger.log.append([key_entry("create", "k2", digest="cd" * 32)])
    ledger.log.append([key_entry("revoke", "k2")])
    with ledger.database.read() as connection:
        assert connection.execute(select(KeyRow.key, KeyRow.is_revoked)).all() == [
            ("k1", True),
            ("k2", True),
        ]
    with pytest.raises(LedgerError, match=r"unique constraint failed: client_key\.key"):
        ledger.log.append([key_entry("create", "k1", digest="ef" * 32)])


def test_an_approval_goes_its_way(ledger: Ledger) -> None:
    """A document is proposed, approved, revoked; who did each step is kept."""
    ledger.log.append([grant_entry("propose", DIGEST, actor="a")])
    ledger.log.append([grant_entry("approve", DIGEST, actor="b")])
    ledger.log.append([grant_entry("revoke", DIGEST, actor="c")])
    with ledger.database.read() as connection:
        row = connection.execute(select(*ApprovalRow.__table__.columns)).one()
    assert (row.state, row.proposed_by, row.approved_by, row.revoked_by) == (
        "revoked",
        "a",
        "b",
        "c",
    )
