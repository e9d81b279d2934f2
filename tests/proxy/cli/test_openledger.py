"""Tests of proxy.cli.openledger."""

import shutil
from pathlib import Path

import pytest

from proxy.cli.openledger import open_ledger
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import ForkError
from proxy.ledger.entry import AdminEntry
from proxy.settings import load_settings
from proxy.store.log import Pending


def test_a_ledger_is_opened_ready_to_append(workspace: Path) -> None:
    """What is opened can append and sign with the workspace's own keys."""
    with open_ledger(load_settings(workspace, {})) as ledger:
        ledger.log.append([Pending(_note())])
        assert ledger.log.size == 4
        assert ledger.signer.sign().startswith(f"{ledger.keys.log.name}\n4\n")


def test_a_restored_backup_is_not_opened(workspace: Path) -> None:
    """A database that lacks what was signed is refused before anything is appended."""
    settings = load_settings(workspace, {})
    shutil.copy(workspace / "inbond.db", workspace / "backup.db")
    with open_ledger(settings) as ledger:
        ledger.log.append([Pending(_note())])
        ledger.signer.sign()
    for name in ("inbond.db-wal", "inbond.db-shm"):
        (workspace / name).unlink(missing_ok=True)
    shutil.copy(workspace / "backup.db", workspace / "inbond.db")
    with pytest.raises(ForkError), open_ledger(settings):
        pass


def _note() -> AdminEntry:
    return AdminEntry(
        id=new_id(), at=stamp(utc_now()), actor="inbond", action="test", nonce=new_nonce()
    )
