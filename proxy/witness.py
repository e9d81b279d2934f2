"""A witness: remembers the newest checkpoint of each log it knows, and cosigns what extends it.

Its memory is one file for each log, replaced durably before a cosignature leaves: whoever restores an
older memory makes a witness that can be led to cosign a fork.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

from proxy.errors import LedgerError, ProofError
from proxy.keyfile import read_private, write_private
from proxy.ledger.checkpoint import Checkpoint, Verifier
from proxy.ledger.cosignature import WitnessKey, cosign, find_cosignature
from proxy.ledger.note import read_note
from proxy.ledger.submission import Refused, Submission, judge, origin_of
from proxy.store.durable import replace_durably
from proxy.store.lock import FileLock

__all__ = ["Reply", "WitnessBook", "load_witness_key", "make_witness_key"]

_KEY = "witness.key"
_LOCK_S = 10.0
_TEXT = "text/plain; charset=utf-8"
_SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as HTTP."""

    status: int
    body: str
    media_type: str = _TEXT


class WitnessBook:
    """What one witness saw, and its key. Safe to share between threads and processes."""

    def __init__(
        self,
        directory: Path,
        key: WitnessKey,
        logs: Sequence[Verifier],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._key = key
        self._logs = logs
        self._now = now
        self._lock = FileLock(directory / "witness.lock")

    @classmethod
    def open(
        cls,
        directory: Path,
        key: WitnessKey,
        logs: Sequence[Verifier],
        *,
        now: Callable[[], datetime],
    ) -> Self:
        """The witness whose memory is in this directory, made if there is none.

        Raises:
            LedgerError: the directory cannot be made, or something in it is not this witness's.
        """
        book = cls(directory, key, logs, now=now)
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _storage(directory, error) from error
        for log in logs:
            book.last(log.name)
        return book

    def add(self, body: str) -> Reply:
        """The answer to a request to cosign (C2SP tlog-witness, `add-checkpoint`).

        Raises:
            LedgerError: the memory cannot be read or written; nothing was cosigned.
        """
        try:
            submission = Submission.from_text(body)
            origin = origin_of(submission)
        except ProofError as error:
            return Reply(status=400, body=f"{error.message}; {error.help}\n")
        with self._lock.hold(_LOCK_S):
            judged = judge(submission, self._logs, self.last(origin))
            if isinstance(judged, Refused):
                return _refusal(judged)
            line = cosign(judged.text, self._key, self._now())
            # INVARIANT: no cosignature leaves before the memory of it is durable.
            self._remember(origin, judged.note + line)
        return Reply(status=200, body=line)

    def shown(self, name: str) -> Reply:
        """The newest checkpoint of the log whose origin has this sha256 in hex, with its cosignature.

        Raises:
            LedgerError: the memory cannot be read.
        """
        for log in self._logs:
            if _name_of(log.name) == name:
                note = self._note(log.name)
                if note is not None:
                    return Reply(status=200, body=note)
        return Reply(status=404, body="no checkpoint of such a log was cosigned here\n")

    def last(self, origin: str) -> Checkpoint | None:
        """What was cosigned last of a log; None before the first.

        Raises:
            LedgerError: the memory cannot be read, or is not this witness's.
        """
        note = self._note(origin)
        if note is None:
            return None
        try:
            cosigned = find_cosignature(note, self._key.verifier)
            checkpoint = Checkpoint.from_text(read_note(note).text, may_extend=True)
        except ProofError as error:
            raise self._foreign(origin) from error
        if cosigned is None or checkpoint.origin != origin:
            raise self._foreign(origin)
        return checkpoint

    def _note(self, origin: str) -> str | None:
        path = self._path(origin)
        try:
            return path.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _storage(path, error) from error

    def _remember(self, origin: str, note: str) -> None:
        path = self._path(origin)
        try:
            replace_durably(path, note.encode())
        except OSError as error:
            raise _storage(path, error) from error

    def _path(self, origin: str) -> Path:
        return self._directory / f"{_name_of(origin)}.checkpoint"

    def _foreign(self, origin: str) -> LedgerError:
        return LedgerError(
            f"what the witness saw last of `{origin}` was changed, or is of another witness's key",
            where=str(self._path(origin)),
            help="put the file and `keys/witness.key` back as they were together; never start anew",
            code="witness-memory",
        )


def make_witness_key(directory: Path, name: str, seed: bytes) -> WitnessKey:
    """The witness's key in a directory of keys: that which is there, or a new one of this name.

    Raises:
        ProofError: the name is none for a key.
        SettingsError: the file cannot be read, or is open to others.
        LedgerError: the file does not hold a witness's key.
    """
    path = directory / _KEY
    if not path.exists():
        key = WitnessKey.generate(name, seed)
        write_private(path, f"{key.to_text()}\n".encode())
        return key
    return load_witness_key(directory)


def load_witness_key(directory: Path) -> WitnessKey:
    """The witness's key in a directory of keys.

    Raises:
        SettingsError: the file cannot be read, or is open to others.
        LedgerError: the file does not hold a witness's key.
    """
    path = directory / _KEY
    text = read_private(path, "the witness's key").decode(errors="replace")
    try:
        return WitnessKey.from_text(text)
    except ProofError as error:
        raise LedgerError(
            f"the file `{path}` does not hold a witness's key",
            where=str(path),
            help="restore it from a backup",
            code="bad-key-file",
        ) from error


def _refusal(refused: Refused) -> Reply:
    if refused.size is not None:
        return Reply(status=refused.status, body=f"{refused.size}\n", media_type=_SIZE)
    return Reply(status=refused.status, body=f"{refused.reason}\n")


def _name_of(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()


def _storage(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"the witness's memory cannot be used: {(error.strerror or 'unknown reason').lower()}",
        where=str(path),
        help="mend its permissions, or make some room",
        code="storage",
    )
