"""Verifying a database finds every kind of damage, and nothing in a sound one."""

import os
import sqlite3

import pytest
from sqlalchemy import select

from proxy.ledger.checkpoint import LogKey
from proxy.ledger.merkle import Frontier, root_of
from proxy.store.bodies import prepare_body
from proxy.store.log import Document, Pending
from proxy.store.tables import EntryRow
from proxy.store.verify import StoreReport, verify_store
from tests.proxy.store.ledgers import DIGEST, KEY, ORIGIN, Ledger, admin, call, exchange, later

_HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """A ledger of 302 entries: calls, exchanges, a clearance, a document, two checkpoints."""
    first, second = call(), call()
    end = exchange(first.entry.id, verdict="review")
    ledger.log.append([first, end, second, exchange(second.entry.id)])
    ledger.log.append([later(end.entry.id, "clear")])
    ledger.signer.sign()
    document = Document(digest=_HELLO, kind="terms", content=b"hello")
    ledger.log.append([Pending(admin().entry, documents=(document,))])
    ledger.log.append([admin() for _ in range(296)])
    ledger.signer.sign()
    return ledger


def _verify(ledger: Ledger) -> StoreReport:
    return verify_store(ledger.database, KEY.verifier)


def _damage(ledger: Ledger, *statements: str) -> list[str]:
    """The codes of what is found after these statements were run on the file."""
    connection = sqlite3.connect(ledger.folder / "inbond.db")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    report = _verify(ledger)
    assert not report.is_sound
    assert all(found.message and found.help for found in report.findings)
    return [found.code for found in report.findings]


def test_a_sound_database_is_sound(filled: Ledger) -> None:
    """Nothing is found in an untouched database; counts and root are those of its leaves."""
    seen: list[int] = []
    report = verify_store(filled.database, KEY.verifier, on_progress=seen.append)
    with filled.database.read() as connection:
        hashes = connection.execute(select(EntryRow.hash).order_by(EntryRow.seq)).scalars().all()
    assert report.findings == ()
    assert report.is_sound
    assert (report.entries, report.checkpoints, report.bodies, report.erased) == (302, 2, 4, 0)
    assert report.root == root_of(hashes) == filled.log.root()
    assert seen == [302]


def test_an_empty_database_is_sound(ledger: Ledger) -> None:
    """A log without entries verifies."""
    assert _verify(ledger).is_sound


def test_an_erased_body_is_no_finding(filled: Ledger) -> None:
    """A body without its salt is counted as erased, and every proof keeps working."""
    with filled.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM salt WHERE seal = (SELECT min(seal) FROM salt)")
    report = _verify(filled)
    assert report.is_sound
    assert (report.bodies, report.erased) == (3, 1)


@pytest.mark.parametrize(
    ("code", "statement"),
    [
        ("leaf", "UPDATE entry SET leaf = replace(leaf, 'note', 'nota') WHERE seq = 9"),
        ("leaf", "UPDATE entry SET leaf = CAST(leaf || ' ' AS BLOB) WHERE seq = 9"),
        ("leaf", "UPDATE entry SET hash = zeroblob(32) WHERE seq = 9"),
        ("leaf", "UPDATE entry SET kind = 'call' WHERE seq = 9"),
        ("leaf", "UPDATE entry SET id = 'another' WHERE seq = 9"),
        ("gap", "DELETE FROM entry WHERE seq = 9"),
        ("gap", "DELETE FROM entry WHERE seq = 0"),
        ("head", "DELETE FROM entry WHERE seq = 301"),
        ("checkpoint", "DELETE FROM entry WHERE seq = 301"),
        ("head", "UPDATE log SET size = 5, frontier = x'00'"),
        ("head", "UPDATE log SET frontier = zeroblob(8)"),
        ("subtree", "DELETE FROM subtree"),
        ("subtree", "UPDATE subtree SET hash = zeroblob(32)"),
        ("checkpoint", "UPDATE checkpoint SET note = replace(note, '302', '301') WHERE size = 302"),
        ("checkpoint", "UPDATE checkpoint SET size = 7 WHERE size = 5"),
        ("body", "UPDATE body SET blob = zeroblob(40) WHERE seal = (SELECT min(seal) FROM body)"),
        ("document", "UPDATE document SET content = x'00'"),
        ("document", "UPDATE document SET content = 7"),
        ("leaf", "UPDATE entry SET leaf = 7 WHERE seq = 9"),
        ("head", "UPDATE log SET frontier = 'text'"),
        ("checkpoint", "UPDATE checkpoint SET note = x'00'"),
        ("view", "UPDATE exchange SET verdict = 'permit'"),
        ("view", "DELETE FROM decision"),
        ("view", "INSERT INTO run VALUES (7, 'r', 's')"),
    ],
)
def test_damage_is_found(filled: Ledger, code: str, statement: str) -> None:
    """Each kind of damage to the file is found under its code, with what to do."""
    assert code in _damage(filled, statement)


def test_only_the_damaged_view_is_named(filled: Ledger) -> None:
    """A changed view is one finding, and the leaves stay proven."""
    assert _damage(filled, "UPDATE exchange SET is_whole = 0") == ["view"]


def test_a_consistent_rewrite_shows_against_the_checkpoints(filled: Ledger) -> None:
    """Someone without the key who rewrites leaves, hashes and head still fails the checkpoints."""
    with filled.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM entry WHERE seq >= 200")
        connection.exec_driver_sql("DELETE FROM subtree")
        hashes = connection.execute(select(EntryRow.hash).order_by(EntryRow.seq)).scalars().all()
        frontier = Frontier().extend(hashes).to_bytes()
        connection.exec_driver_sql("UPDATE log SET size = 200, frontier = ?", (frontier,))
    assert [found.code for found in _verify(filled).findings] == ["checkpoint"]


def test_a_foreign_key_is_noticed(filled: Ledger) -> None:
    """Under another key no checkpoint verifies."""
    other = LogKey.generate(ORIGIN, bytes(32)).verifier
    report = verify_store(filled.database, other)
    assert [found.code for found in report.findings] == ["checkpoint"] * 2


def test_a_swapped_body_is_found(filled: Ledger) -> None:
    """A body and salt that fit each other and not the seal are found."""
    prepared = prepare_body(b"something else", os.urandom(32))
    blob = prepared.body.blob
    assert blob is not None
    statement = "UPDATE {} SET {} = x'{}' WHERE seal = (SELECT min(seal) FROM body)"
    assert _damage(
        filled,
        statement.format("salt", "salt", prepared.body.salt.hex()),
        statement.format("body", "blob", blob.hex()),
    ) == ["body"]


def test_a_second_exchange_is_found(filled: Ledger) -> None:
    """Leaves that end one call twice break a rule of the log, whatever the views say."""
    first = call()
    ends = [exchange(first.entry.id) for _ in range(2)]
    filled.log.append([first, ends[0]])
    with filled.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM exchange WHERE seq = 303")
    filled.log.append([ends[1]])
    report = _verify(filled)
    assert [(found.code, found.seq) for found in report.findings] == [("rule", 304), ("view", None)]
    assert DIGEST
