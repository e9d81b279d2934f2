"""Tests of proxy.rotation."""

from pathlib import Path

import pytest

from proxy.errors import ForkError, LedgerError
from proxy.ledger.checkpoint import LogKey, open_checkpoint
from proxy.ledger.entry import KeyEntry
from proxy.ledger.envelope import ExportKey
from proxy.ledger.handover import read_handover
from proxy.rotation import next_export_key, next_log_key, rotate_export, rotate_log
from proxy.store.checkpoints import Signer
from proxy.store.log import Pending
from proxy.store.queries import entries
from tests.proxy.store.ledgers import KEY, Ledger, admin, key_entry, open_ledger

EXPORT = ExportKey.generate(bytes(range(32)))


@pytest.fixture
def here(tmp_path: Path) -> Ledger:
    """A ledger that says which keys it has, with a folder `keys`."""
    ledger = open_ledger(tmp_path)
    made = key_entry("create", "log:1").entry
    assert isinstance(made, KeyEntry)
    for role, public in (("log", KEY.verifier.to_text()), ("export", EXPORT.public_pem)):
        fields = made.model_dump() | {"id": "", "role": role, "key": f"{role}:1", "public": public}
        fields |= {"id": f"{made.id[:-1]}{len(role) % 10}", "digest": None, "project": None}
        ledger.log.append([Pending(KeyEntry.model_validate(fields | {"student": None}))])
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/log.key").write_text(KEY.to_text())
    ledger.signer.sign()
    return ledger


def rotated(here: Ledger, new: LogKey, old: LogKey = KEY) -> int:
    """The size of the log after its key was replaced."""
    done = rotate_log(
        here.log,
        old,
        new,
        keys_directory=here.folder / "keys",
        last_path=here.folder / "last.checkpoint",
        actor="user:1",
    )
    assert (done.old, done.new) == (old.verifier.to_text(), new.verifier.to_text())
    return done.size


def key_entries(here: Ledger) -> list[KeyEntry]:
    """What the ledger says of keys."""
    with here.database.read() as connection:
        found = [each.entry for each in entries(connection, kind="key")]
    return [entry for entry in found if isinstance(entry, KeyEntry)]


def test_the_log_is_handed_over(here: Ledger) -> None:
    """Entries name both keys and hold what both signed; the new key's file has replaced the old."""
    new = next_log_key(here.folder / "keys", KEY.name, bytes(32))
    size = rotated(here, new)
    assert size == 4
    gone, came = key_entries(here)[-2:]
    assert (gone.action, gone.key, gone.public) == ("revoke", "log:1", KEY.verifier.to_text())
    assert (came.action, came.public) == ("create", new.verifier.to_text())
    assert came.handover is not None
    step = read_handover(came.handover)
    assert (step.old, step.new, step.checkpoint.size) == (KEY.verifier, new.verifier, 2)
    assert LogKey.from_text((here.folder / "keys/log.key").read_text()) == new
    assert [each.name for each in (here.folder / "keys").iterdir()] == ["log.key"]
    here.database.close()


def test_the_old_key_signs_no_more(here: Ledger) -> None:
    """Whoever still runs with the old key is refused; the new one goes on where it ended."""
    new = next_log_key(here.folder / "keys", KEY.name, bytes(32))
    rotated(here, new)
    here.log.append([admin()])
    for use in (here.signer.sign, here.signer.check):
        with pytest.raises(ForkError, match="is not this log's") as caught:
            use()
        assert "key rotate log" in caught.value.help
    signer = Signer(here.log, new, here.folder / "last.checkpoint")
    signer.check()
    assert open_checkpoint(signer.sign(), new.verifier).size == 5
    here.database.close()


def test_keys_are_replaced_again_and_again(here: Ledger) -> None:
    """Each key hands over to the next."""
    old = KEY
    for n in range(1, 4):
        new = next_log_key(here.folder / "keys", KEY.name, bytes([n] * 32))
        rotated(here, new, old)
        old = new
    steps = [read_handover(e.handover) for e in key_entries(here) if e.handover is not None]
    assert [step.old for step in steps[1:]] == [step.new for step in steps[:-1]]
    here.database.close()


def test_a_crash_before_the_new_key_is_in_place_is_healed(
    here: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old key works on, and the next try goes on with the same new key, without new entries."""
    keys = here.folder / "keys"
    new = next_log_key(keys, KEY.name, bytes(32))
    monkeypatch.setattr(Path, "replace", _no_space)
    with pytest.raises(LedgerError):
        rotated(here, new)
    monkeypatch.undo()
    assert len(key_entries(here)) == 4
    here.log.append([admin()])
    here.signer.sign()
    again = next_log_key(keys, KEY.name, b"\x07" * 32)
    assert again == new
    assert rotated(here, again) == 6
    with pytest.raises(ForkError):
        here.signer.sign()
    assert len(key_entries(here)) == 4
    here.database.close()


def _no_space(self: Path, target: Path) -> Path:
    if self.name == "log.key.next":
        raise OSError(28, "No space left on device")
    return Path(self.rename(target))


def test_a_key_held_elsewhere_leaves_no_file(here: Ledger) -> None:
    """Where a program signs from now on, the old key's file is deleted."""

    class Elsewhere:
        """Signs as a key in a KMS would."""

        name = KEY.name
        verifier = LogKey.generate(KEY.name, bytes(32)).verifier

        def sign(self, text: str) -> bytes:
            """The signature."""
            return LogKey.generate(KEY.name, bytes(32)).sign(text)

    rotate_log(
        here.log,
        KEY,
        Elsewhere(),
        keys_directory=here.folder / "keys",
        last_path=here.folder / "last.checkpoint",
        actor="user:1",
    )
    assert list((here.folder / "keys").iterdir()) == []
    here.database.close()


def test_only_another_key_of_the_same_log_can_follow(here: Ledger) -> None:
    """The same key, or one of another name, is refused before anything is signed."""
    for other in (KEY, LogKey.generate("other", bytes(32))):
        with pytest.raises(LedgerError, match="is of log") as caught:
            rotated(here, other)
        assert caught.value.code == "next-key"
    assert len(key_entries(here)) == 2
    here.database.close()


def test_a_ledger_that_does_not_know_the_key_is_left_alone(tmp_path: Path) -> None:
    """A key that no entry made cannot be replaced."""
    ledger = open_ledger(tmp_path)
    ledger.log.append([admin()])
    (tmp_path / "keys").mkdir()
    with pytest.raises(LedgerError, match="no entry of the ledger made"):
        rotated(ledger, LogKey.generate(KEY.name, bytes(32)))
    ledger.database.close()


def test_the_key_of_bundles_is_replaced(here: Ledger) -> None:
    """Entries name the old and the new; tried again, nothing more is said."""
    keys = here.folder / "keys"
    new = next_export_key(keys, bytes(32))
    for _ in range(2):
        done = rotate_export(
            here.log, here.signer, EXPORT, new, keys_directory=keys, actor="user:1"
        )
    assert (done.old, done.new, done.size) == (EXPORT.public_pem, new.public_pem, 4)
    gone, came = key_entries(here)[-2:]
    assert (gone.action, gone.key, gone.public) == ("revoke", "export:1", EXPORT.public_pem)
    assert (came.action, came.role, came.public) == ("create", "export", new.public_pem)
    assert ExportKey.from_pem((keys / "export.pem").read_text()).public_pem == new.public_pem
    here.database.close()
