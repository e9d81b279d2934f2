"""What was erased is in no file of the database, and what should be gone and is not is known."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import insert

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerBusy
from proxy.ledger.entry import EraseEntry
from proxy.store.batches import keep_pieces, pieces_of
from proxy.store.bodies import Absent, Body, Prepared, open_seal, prepare_body
from proxy.store.erasing import erase_bodies, purge, unfinished
from proxy.store.log import Pending
from proxy.store.tables import SaltRow
from tests.proxy.store.ledgers import Ledger, admin, open_ledger


def kept(ledger: Ledger, data: bytes, salt: bytes) -> Prepared:
    """A body stored beside an entry."""
    prepared = prepare_body(data, salt)
    ledger.log.append([Pending(admin(new_id()).entry, bodies=(prepared.body,))])
    return prepared


def erased(seals: list[str]) -> Pending:
    """The entry that says these bodies are erased."""
    id_ = new_id()
    entry = EraseEntry(
        id=id_,
        at=stamp(utc_now()),
        actor="user:1",
        erasure=id_,
        ground="person",
        seals=seals,
        reason="asked",
        nonce=new_nonce(),
    )
    return Pending(entry)


def in_files(folder: Path, body: Body) -> bool:
    """Whether any file holds the salt or the encrypted body."""
    data = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
    return any(secret in each for secret in (body.salt, body.blob or b"") for each in data)


def test_no_file_holds_salt_or_body(ledger: Ledger, tmp_path: Path) -> None:
    """Once purged, neither database nor write-ahead log holds a byte of it; the others are as before."""
    gone, stays = (kept(ledger, bytes([n]) * 9_000, bytes([n]) * 32) for n in (65, 66))
    assert in_files(tmp_path, gone.body)
    assert erase_bodies(ledger.database, [gone.record.seal], []) == 1
    purge(ledger.database)
    assert not in_files(tmp_path, gone.body)
    with ledger.database.read() as connection:
        assert open_seal(connection, gone.record.seal) is Absent.ERASED
        assert not isinstance(open_seal(connection, stays.record.seal), Absent)
    assert erase_bodies(ledger.database, [gone.record.seal], []) == 0


def test_the_kept_lines_of_an_upload_go_with_it(ledger: Ledger, tmp_path: Path) -> None:
    """What is kept of a file of requests goes by the call that sent it."""
    bodies = {name: prepare_body(name.encode() * 50, bytes([n]) * 32).body
              for n, name in enumerate(("gone", "stays"), 65)}  # fmt: skip
    for name, body in bodies.items():
        piece = (body.salt, body.blob or b"")
        keep_pieces(ledger.database, name, stamp(utc_now()), iter([piece]), before="")
    erase_bodies(ledger.database, [], ["gone"])
    purge(ledger.database)
    assert not in_files(tmp_path, bodies["gone"])
    assert list(pieces_of(ledger.database, "gone")) == []
    assert list(pieces_of(ledger.database, "stays")) == [b"stays" * 50]


def test_a_reader_in_the_way_is_said(tmp_path: Path) -> None:
    """While somebody reads an older state, the files hold it still: it is said, and tried again."""
    ledger = open_ledger(tmp_path, busy_timeout_s=0.02)
    gone = kept(ledger, b"x" * 9_000, b"s" * 32)
    reader = sqlite3.connect(tmp_path / "inbond.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM salt").fetchall()
    erase_bodies(ledger.database, [gone.record.seal], [])
    with pytest.raises(LedgerBusy, match=r"could not be emptied for 0\.1 s") as caught:
        purge(ledger.database, timeout_s=0.1)
    assert "inbond erase --finish" in caught.value.help
    assert in_files(tmp_path, gone.body)
    reader.close()
    purge(ledger.database, timeout_s=5)
    assert not in_files(tmp_path, gone.body)
    ledger.database.close()


def test_what_opens_again_is_unfinished(ledger: Ledger) -> None:
    """An entry whose bodies are here still, or came back with a backup, is not finished."""
    body = kept(ledger, b"data", b"s" * 32)
    ledger.log.append([erased([body.record.seal, "ab" * 32])])
    with ledger.database.read() as connection:
        assert unfinished(connection) == {body.record.seal}
    erase_bodies(ledger.database, [body.record.seal], [])
    with ledger.database.read() as connection:
        assert unfinished(connection) == frozenset()
    with ledger.database.write() as connection:
        connection.execute(insert(SaltRow), {"seal": body.record.seal, "salt": b"s" * 32})
    with ledger.database.read() as connection:
        assert unfinished(connection) == {body.record.seal}
