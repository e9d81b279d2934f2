"""Signing, and refusing a database that does not extend what was signed."""

import shutil
from pathlib import Path

import pytest

from proxy.errors import ForkError, LedgerError
from proxy.ledger.checkpoint import LogKey, open_checkpoint
from proxy.ledger.merkle import consistency_proof, verify_consistency
from proxy.store.checkpoints import Signer
from proxy.store.queries import checkpoints, node_reader
from proxy.store.session import STORAGE
from tests.proxy.store.ledgers import KEY, ORIGIN, Ledger, admin, open_ledger


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.iterdir():
        shutil.copy2(path, target / path.name)


def _notes(ledger: Ledger) -> list[int]:
    with ledger.database.read() as connection:
        return [stored.size for stored in checkpoints(connection)]


def test_a_note_states_the_log(ledger: Ledger) -> None:
    """The note is signed by the log's key and states its size and root; it is kept in both places."""
    ledger.log.append([admin(), admin()])
    note = ledger.signer.sign()
    checkpoint = open_checkpoint(note, KEY.verifier)
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 2)
    assert checkpoint.root == ledger.log.root()
    assert _notes(ledger) == [2]
    path = ledger.folder / "last.checkpoint"
    assert path.read_text(encoding="utf-8") == note
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_signed_twice(ledger: Ledger) -> None:
    """Signing again without a new entry gives the same note and keeps no other."""
    ledger.log.append([admin()])
    assert ledger.signer.sign() == ledger.signer.sign()
    assert _notes(ledger) == [1]


def test_an_empty_log_can_be_signed(ledger: Ledger) -> None:
    """The checkpoint of no entries is one like any other."""
    assert open_checkpoint(ledger.signer.sign(), KEY.verifier).size == 0
    ledger.log.append([admin()])
    ledger.signer.check()
    assert open_checkpoint(ledger.signer.sign(), KEY.verifier).size == 1


def test_every_checkpoint_extends_those_before(ledger: Ledger) -> None:
    """Each older checkpoint is consistent with each newer one."""
    signed = []
    for count in (3, 1, 300, 17):
        ledger.log.append([admin() for _ in range(count)])
        signed.append(open_checkpoint(ledger.signer.sign(), KEY.verifier))
    last = signed[-1]
    with ledger.database.read() as connection:
        read = node_reader(connection)
        for old in signed:
            proof = consistency_proof(old.size, last.size, read)
            verify_consistency(old.size, old.root, last.size, last.root, proof)
    assert _notes(ledger) == [3, 4, 304, 321]


def test_a_restored_backup_is_refused(tmp_path: Path) -> None:
    """A database older than the last checkpoint lets nobody append or sign."""
    (tmp_path / "a").mkdir()
    ledger = open_ledger(tmp_path / "a")
    ledger.log.append([admin()])
    ledger.database.close()
    _copy(tmp_path / "a", tmp_path / "backup")
    ledger = open_ledger(tmp_path / "a")
    ledger.log.append([admin()])
    ledger.signer.sign()
    ledger.database.close()
    shutil.copy2(tmp_path / "a" / "last.checkpoint", tmp_path / "backup" / "last.checkpoint")
    with pytest.raises(ForkError, match="holds 1 entries, and 2 were signed") as caught:
        open_ledger(tmp_path / "backup")
    assert "a backup" in caught.value.help


def test_a_fork_is_refused(tmp_path: Path) -> None:
    """A database that grew differently after a copy is refused, though it is longer."""
    (tmp_path / "a").mkdir()
    ledger = open_ledger(tmp_path / "a")
    ledger.log.append([admin()])
    ledger.database.close()
    _copy(tmp_path / "a", tmp_path / "b")
    left, right = open_ledger(tmp_path / "a"), open_ledger(tmp_path / "b")
    left.log.append([admin()])
    left.signer.sign()
    right.log.append([admin(), admin()])
    shutil.copy2(tmp_path / "a" / "last.checkpoint", tmp_path / "b" / "last.checkpoint")
    with pytest.raises(ForkError, match="its first 2 entries are not those that were signed"):
        right.signer.check()
    with pytest.raises(ForkError, match="does not extend the last checkpoint"):
        right.signer.sign()
    assert _notes(right) == []
    left.database.close()
    right.database.close()


def test_a_head_that_does_not_fit_is_refused(ledger: Ledger) -> None:
    """A head whose frontier is not that of its entries is refused, though the old part holds."""
    ledger.log.append([admin()])
    ledger.signer.sign()
    ledger.log.append([admin()])
    with ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE entry SET hash = zeroblob(32) WHERE seq = 1")
    with pytest.raises(ForkError, match="head of the log does not fit its entries"):
        ledger.signer.check()


def test_a_missing_last_checkpoint_is_refused(ledger: Ledger) -> None:
    """Once something was signed, the file beside the key may not be missing."""
    ledger.log.append([admin()])
    ledger.signer.sign()
    (ledger.folder / "last.checkpoint").unlink()
    with pytest.raises(ForkError, match="missing beside the key, and 1 entries were signed"):
        ledger.signer.check()


def test_a_checkpoint_of_another_key_is_refused(ledger: Ledger) -> None:
    """A last checkpoint that our key did not sign is refused, and so is one that is no text."""
    ledger.log.append([admin()])
    path = ledger.folder / "last.checkpoint"
    other = LogKey.generate(ORIGIN, bytes(32))
    Signer(ledger.log, other, path).sign()
    with pytest.raises(ForkError, match="is not this log's"):
        ledger.signer.check()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LedgerError, match="cannot be read"):
        ledger.signer.check()


def test_a_crash_between_file_and_database_is_healed(ledger: Ledger) -> None:
    """A note that was remembered but not yet kept in the database is kept at the next check."""
    ledger.log.append([admin()])
    ledger.signer.sign()
    with ledger.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoint")
    ledger.signer.check()
    assert _notes(ledger) == [1]


def test_a_note_that_cannot_be_remembered_is_not_given(ledger: Ledger) -> None:
    """Without the file outside the database there is no signature, in the database neither."""
    ledger.log.append([admin()])
    signer = Signer(ledger.log, KEY, ledger.folder / "nowhere" / "last.checkpoint")
    with pytest.raises(LedgerError, match="checkpoint cannot be written") as caught:
        signer.sign()
    assert caught.value.code == STORAGE
    assert _notes(ledger) == []


def test_two_processes_worth_of_signers_agree(tmp_path: Path) -> None:
    """Signers that share one installation see each other's notes."""
    first, second = open_ledger(tmp_path), open_ledger(tmp_path)
    first.log.append([admin()])
    note = first.signer.sign()
    assert second.signer.sign() == note
    second.log.append([admin()])
    assert second.signer.sign() == first.signer.sign() != note
    first.database.close()
    second.database.close()


class _Slow:
    """A key kept elsewhere: while it signs, others append and sign."""

    name, verifier = ORIGIN, KEY.verifier

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def sign(self, text: str) -> bytes:
        """The signature, after the log went on."""
        self._ledger.log.append([admin()])
        self._ledger.signer.sign()
        return KEY.sign(text)


def test_a_slow_key_holds_nobody_up_and_never_goes_back(ledger: Ledger) -> None:
    """Others append and sign while a key elsewhere takes its time; the newer note stays the last."""
    ledger.log.append([admin()])
    path = ledger.folder / "last.checkpoint"
    note = Signer(ledger.log, _Slow(ledger), path).sign()
    assert open_checkpoint(note, KEY.verifier).size == 2
    assert path.read_text(encoding="utf-8") == note
    assert _notes(ledger) == [2]
