"""Keys replaced: the log's, which hands itself over, and the one that signs bundles.

Each step can be tried again: a crash leaves the old key working, and beside it the new one that the
next try goes on with. Nobody else may sign meanwhile: the caller sees to it that no proxy runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError, ProofError
from proxy.keyfile import read_private, write_private
from proxy.ledger.checkpoint import LogKey, NoteSigner, open_checkpoint
from proxy.ledger.entry import AdminEntry, KeyEntry
from proxy.ledger.envelope import ExportKey
from proxy.ledger.handover import sign_handover
from proxy.store.anchors import handovers
from proxy.store.checkpoints import Signer
from proxy.store.log import Log, Pending
from proxy.store.queries import entries
from proxy.store.session import Reading

__all__ = ["Rotated", "next_export_key", "next_log_key", "rotate_export", "rotate_log"]

_LOG, _EXPORT = "log.key", "export.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What a rotation replaced, each key as its public text."""

    old: str
    new: str
    size: int
    """Of the log with the entries that say so."""


def next_log_key(keys_directory: Path, name: str, seed: bytes) -> LogKey:
    """The key that a rotation begun before left, or a new one of these 32 bytes, kept for this one.

    Raises:
        SettingsError: the file cannot be read, or is open to others.
        ProofError: the file does not hold a log's key.
    """
    path = keys_directory / f"{_LOG}.next"
    if not path.exists():
        write_private(path, f"{LogKey.generate(name, seed).to_text()}\n".encode())
    return LogKey.from_text(read_private(path, "the log's next key").decode(errors="replace"))


def next_export_key(keys_directory: Path, entropy: bytes) -> ExportKey:
    """The same for the key that signs bundles.

    Raises:
        SettingsError: the file cannot be read, or is open to others.
        ProofError: the file does not hold an export key.
    """
    path = keys_directory / f"{_EXPORT}.next"
    if not path.exists():
        write_private(path, ExportKey.generate(entropy).to_pem().encode())
    return ExportKey.from_pem(read_private(path, "the next export key").decode(errors="replace"))


def rotate_log(
    log: Log, old: NoteSigner, new: NoteSigner, *, keys_directory: Path, last_path: Path, actor: str
) -> Rotated:
    """Hand the log over from one key to another, and sign it with the new one.

    The old key signs once more, and a note that names the new one; entries hold that note. A key file
    that was the old key's is deleted: who finds it later could rewrite what it signed.

    Raises:
        ForkError: the database does not extend the last checkpoint.
        LedgerError: a signature cannot be had, or the ledger cannot be read or written.
    """
    if old.name != new.name or old.verifier == new.verifier:
        raise LedgerError(
            f"the new key is of log `{new.name}` or the same, and the log is `{old.name}`",
            help="give another key of the same name",
            code="next-key",
        )
    with log.database.read() as connection:
        steps = handovers(connection).values()
        is_begun = any((step.old, step.new) == (old.verifier, new.verifier) for step in steps)
    if not is_begun:
        note = Signer(log, old, last_path).sign()
        handover = sign_handover(open_checkpoint(note, old.verifier), old, new)
        log.append(
            _replacing(log, "log", old.verifier.to_text(), new.verifier.to_text(), actor, handover)
        )
    _put_in_place(keys_directory / _LOG, is_file=isinstance(new, LogKey))
    signer = Signer(log, new, last_path)
    if not _is_signed(signer.sign(), new):
        # Begun before: the old key has signed all there is, and nothing is signed twice.
        log.append([_in_place(actor)])
        signer.sign()
    size = _signed_size(signer)
    return Rotated(old=old.verifier.to_text(), new=new.verifier.to_text(), size=size)


def rotate_export(
    log: Log, signer: Signer, old: ExportKey, new: ExportKey, *, keys_directory: Path, actor: str
) -> Rotated:
    """Replace the key that signs bundles: bundles it signed before stay true, and no later one is.

    Raises:
        LedgerError: the ledger cannot be read, written or signed.
    """
    with log.database.read() as connection:
        is_begun = any(
            entry.role == "export" and entry.action == "create" and entry.public == new.public_pem
            for entry in _key_entries(connection)
        )
    if not is_begun:
        log.append(_replacing(log, "export", old.public_pem, new.public_pem, actor))
    _put_in_place(keys_directory / _EXPORT, is_file=True)
    size = _signed_size(signer)
    return Rotated(old=old.public_pem, new=new.public_pem, size=size)


def _signed_size(signer: Signer) -> int:
    """The size of the log, once it is signed."""
    return open_checkpoint(signer.sign(), signer.verifier).size


def _is_signed(note: str, key: NoteSigner) -> bool:
    try:
        open_checkpoint(note, key.verifier)
    except ProofError:
        return False
    return True


def _in_place(actor: str) -> Pending:
    entry = AdminEntry(
        id=new_id(), at=stamp(utc_now()), actor=actor, action="log-key", nonce=new_nonce()
    )
    return Pending(entry)


def _replacing(
    log: Log, role: str, old: str, new: str, actor: str, handover: str | None = None
) -> Sequence[Pending]:
    """The entries that say which key went and which came."""
    with log.database.read() as connection:
        known = {
            entry.public: entry.key
            for entry in _key_entries(connection)
            if entry.role == role and entry.action == "create"
        }
    at = stamp(utc_now())

    def entry(action: str, key: str, public: str, handover: str | None = None) -> Pending:
        fields = {
            "id": new_id(),
            "at": at,
            "actor": actor,
            "action": action,
            "role": role,
            "key": key,
            "public": public,
            "handover": handover,
            "nonce": new_nonce(),
        }
        return Pending(KeyEntry.model_validate(fields))

    if old not in known:
        raise LedgerError(
            f"no entry of the ledger made the {role} key that is to be replaced",
            help="put the key back that belongs to this ledger",
            code="next-key",
        )
    return [
        entry("revoke", known[old], old),
        entry("create", f"{role}:{new_id()}", new, handover),
    ]


def _key_entries(connection: Reading) -> list[KeyEntry]:
    found: list[KeyEntry] = []
    after = -1
    while page := entries(connection, after=after, kind="key"):
        found += [item.entry for item in page if isinstance(item.entry, KeyEntry)]
        after = page[-1].seq
    return found


def _put_in_place(path: Path, *, is_file: bool) -> None:
    """Let the next key's file take the old one's place; without one, delete the old one."""
    fresh = path.with_name(f"{path.name}.next")
    try:
        if is_file and fresh.exists():
            fresh.replace(path)
        elif not is_file:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(
            f"the new key cannot be put in place: {(error.strerror or 'unknown reason').lower()}",
            where=str(path),
            help="make the folder of keys writable and run the command again: it goes on from here",
            code="next-key",
        ) from error
