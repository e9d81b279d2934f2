"""The ledger of a workspace, opened and checked, for one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from proxy.clock import utc_now
from proxy.keys import Keys, keys_of
from proxy.notary import Notary
from proxy.settings import Settings
from proxy.store.checkpoints import Signer
from proxy.store.log import Log
from proxy.store.session import Database, open_database

__all__ = ["Ledger", "notary_of", "open_ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A ledger that was shown to extend its last checkpoint, and the keys that belong to it."""

    database: Database
    log: Log
    signer: Signer
    keys: Keys
    settings: Settings


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger of a workspace, ready to append, closed after the block.

    Raises:
        SettingsError: a key cannot be read.
        ForkError: the database does not extend the last checkpoint that was signed.
        LedgerError: the database cannot be opened or read.
    """
    keys = keys_of(settings)
    database = open_database(settings.database, directory=settings.directory)
    try:
        log = Log(database, settings.lock_path)
        signer = Signer(log, keys.log, settings.last_checkpoint_path)
        signer.check()
        yield Ledger(database=database, log=log, signer=signer, keys=keys, settings=settings)
    finally:
        database.close()


def notary_of(ledger: Ledger) -> Notary:
    """Who puts bundles on record in this ledger."""
    return Notary(
        log=ledger.log,
        signer=ledger.signer,
        export_key=ledger.keys.export,
        log_key=ledger.keys.log.verifier.to_text(),
        anchor=lambda: _anchor(ledger),
    )


def _anchor(ledger: Ledger) -> None:
    """Show what was just signed to whoever the settings name; an outage waits for the next time."""
    anchors = ledger.settings.anchors
    if not (anchors.files or anchors.timestamps or anchors.witnesses):
        return
    from proxy.anchors import anchors_of

    anchors_of(ledger.settings, ledger.database, ledger.signer.verifier).take(utc_now())
