"""Signing the log's checkpoints, and refusing a database that does not extend the last one."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert

from proxy.errors import ForkError, LedgerError, ProofError
from proxy.ledger.checkpoint import (
    Checkpoint,
    NoteSigner,
    Verifier,
    open_checkpoint,
    sign_checkpoint,
)
from proxy.ledger.handover import follow
from proxy.ledger.merkle import Frontier, root_at
from proxy.store.anchors import handovers
from proxy.store.durable import replace_durably
from proxy.store.log import Log
from proxy.store.queries import checkpoint_at, head, last_checkpoint, node_reader
from proxy.store.session import STORAGE, RuleBrokenError
from proxy.store.tables import CheckpointRow

__all__ = ["Signer"]

_RESTORED = (
    "put the right database back (a backup or a copy of this log took its place); what was signed"
    " before cannot be signed again differently"
)


@dataclass(frozen=True, slots=True)
class _Signed:
    note: str
    checkpoint: Checkpoint


class Signer:
    """Signs the checkpoints of one log under the name of its key.

    The last note lies in a file beside the key, outside the database: a restored backup or a fork
    of the database shows against it (design §6).
    """

    def __init__(self, log: Log, key: NoteSigner, last_path: Path) -> None:
        self._log = log
        self._key = key
        self._path = last_path

    @property
    def verifier(self) -> Verifier:
        """The public half of the key that signs."""
        return self._key.verifier

    def check(self) -> None:
        """Let the log append, once its database is shown to extend the last checkpoint.

        Raises:
            ForkError: the database is shorter than that checkpoint, or holds other entries.
            LedgerError: the checkpoint or the database cannot be read.
        """
        with self._log.exclusive():
            with self._log.database.read() as connection:
                last = self._last_shown(connection, head(connection))
            if last is not None:
                self._keep(last)
        self._log.trust()

    def sign(self) -> str:
        """The signed note over all entries: a new one if the log grew, else the last.

        Raises:
            ForkError: the database does not extend the last checkpoint; nothing was signed.
            LedgerError: the note cannot be written.
        """
        with self._log.exclusive():
            with self._log.database.read() as connection:
                frontier = head(connection)
                signed = self._last_shown(connection, frontier)
            if signed is not None and signed.checkpoint.size == frontier.size:
                self._keep(signed)
                return signed.note
        # A key that is kept elsewhere may take its time: others append meanwhile.
        fresh = self._sign(frontier)
        with self._log.exclusive():
            with self._log.database.read() as connection:
                newer = self._last_shown(connection, head(connection))
            if newer is None or newer.checkpoint.size < fresh.checkpoint.size:
                # INVARIANT: no note leaves, not even into the database, before it is remembered
                # outside of it.
                self._remember(fresh.note)
                newer = fresh
            self._keep(newer)
            return newer.note

    def _sign(self, frontier: Frontier) -> _Signed:
        name, root = self._key.name, frontier.root()
        checkpoint = Checkpoint(origin=name, size=frontier.size, root=root)
        return _Signed(sign_checkpoint(checkpoint, self._key), checkpoint)

    def _last_shown(self, connection: Connection, frontier: Frontier) -> _Signed | None:
        """The last checkpoint, if this database extends it; None before the first."""
        last = self._last(connection)
        if last is None:
            self._refuse_forgetting(connection)
            return None
        size = last.checkpoint.size
        if frontier.size < size:
            raise ForkError(
                f"the database does not extend the last checkpoint: it holds {frontier.size}"
                f" entries, and {size} were signed",
                where=self._log.database.where,
                help=_RESTORED,
            )
        read = node_reader(connection)
        if root_at(size, read) != last.checkpoint.root:
            raise ForkError(
                "the database does not extend the last checkpoint: its first"
                f" {size} entries are not those that were signed",
                where=self._log.database.where,
                help=_RESTORED,
            )
        if root_at(frontier.size, read) != frontier.root():
            raise ForkError(
                "the head of the log does not fit its entries",
                where=self._log.database.where,
                help="run `inbond ledger verify`, and restore the database from a backup",
            )
        return last

    def _refuse_forgetting(self, connection: Connection) -> None:
        kept = last_checkpoint(connection)
        if kept is not None:
            raise ForkError(
                f"the last checkpoint is missing beside the key, and {kept.size} entries were signed",
                where=str(self._path),
                help="put the file back from where the key's backup lies",
            )

    def _last(self, connection: Connection) -> _Signed | None:
        try:
            note = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise LedgerError(
                "the last checkpoint beside the key cannot be read",
                where=str(self._path),
                help="make the file readable, or put it back from where the key's backup lies",
            ) from error
        try:
            return _Signed(note, self._open(note, connection))
        except ProofError as error:
            raise ForkError(
                f"the last checkpoint beside the key is not this log's: {error.message}",
                where=str(self._path),
                help="key, checkpoint and database belong together: put back what was there before;"
                " after `inbond key rotate log`, start whatever still runs with the old key again",
            ) from error

    def _open(self, note: str, connection: Connection) -> Checkpoint:
        """The checkpoint of a note that our key signed, or one that handed the log over to it."""
        try:
            return open_checkpoint(note, self._key.verifier)
        except ProofError as error:
            if error.code != "unsigned":
                raise
            for retired in follow(self._key.verifier, handovers(connection).values()).retired:
                try:
                    return open_checkpoint(note, retired)
                except ProofError:
                    continue
            raise

    def _keep(self, signed: _Signed) -> None:
        """Keep the note in the database too, if a crash did not let us before."""
        size = signed.checkpoint.size
        with self._log.database.read() as connection:
            if checkpoint_at(connection, size) is not None:
                return
        try:
            with self._log.database.write() as connection:
                connection.execute(insert(CheckpointRow), {"size": size, "note": signed.note})
        except RuleBrokenError:  # another host kept it meanwhile: a signature has one form
            with self._log.database.read() as connection:
                if checkpoint_at(connection, size) is None:
                    raise

    def _remember(self, note: str) -> None:
        """Replace the file by one rename: after a crash it holds the old note or the new one."""
        try:
            replace_durably(self._path, note.encode())
        except OSError as error:
            raise LedgerError(
                f"the checkpoint cannot be written: {(error.strerror or 'unknown error').lower()}",
                where=str(self._path),
                help="make the folder of the key writable for the user who runs inbond",
                code=STORAGE,
            ) from error
