"""The places that are told of a checkpoint: a folder of files, a time-stamping authority, a witness.

Each `confirm` gives the proof to keep, or says why there is none. A proof is verified before it is
given: what a reader would not believe is not kept.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from proxy.anchor_http import Answer, Asker, unreachable
from proxy.errors import ForkError, LedgerError, ProofError
from proxy.ledger.checkpoint import Checkpoint
from proxy.ledger.cosignature import WitnessVerifier, find_cosignature
from proxy.ledger.note import is_size
from proxy.ledger.submission import Submission
from proxy.store.anchors import AnchorKind

if TYPE_CHECKING:
    from proxy.ledger.timestamp import Authorities

__all__ = ["Authority", "Folder", "Head", "Place", "Witness"]

_OK = 200
_REFUSALS = {
    400: "does not understand the request",
    403: "does not trust the key that signed the checkpoint",
    404: "does not witness this log",
}
_NOTE = re.compile(r"(\d{1,19})\.checkpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest checkpoint, and what is needed to show that others' are of the same log."""

    checkpoint: Checkpoint
    note: str
    prove: Callable[[int], Sequence[bytes]]
    """The proof that this checkpoint extends that of a smaller size."""
    root_at: Callable[[int], bytes | None]
    """The root of so many leaves in the database as it is when asked; None where it has fewer."""
    opens: Callable[[str], Checkpoint]
    """The checkpoint of a note that a key of this log signed; raises `ProofError` for others."""


class Place(Protocol):
    """Somebody who is told of checkpoints."""

    @property
    def kind(self) -> AnchorKind:
        """What it is."""

    @property
    def name(self) -> str:
        """What it is known by."""

    def confirm(self, head: Head, last: int) -> bytes:
        """The proof that it knows of the checkpoint; `last` is the size it confirmed last, or -1.

        Raises:
            ForkError: it holds a checkpoint that this log signed and does not extend.
            LedgerError: it cannot be asked, or refuses.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder in which each checkpoint is left as a file, best one that this machine cannot change."""

    path: Path
    kind = AnchorKind.FILE

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def confirm(self, head: Head, last: int) -> bytes:
        """The name of the file that holds the checkpoint.

        Raises:
            ForkError: a checkpoint in the folder is not extended by this log.
            LedgerError: the folder cannot be read or written.
        """
        del last
        self.check(head)
        target = self.path / f"{head.checkpoint.size}.checkpoint"
        if not target.exists():
            fresh = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                with fresh.open("wb") as file:
                    file.write(head.note.encode())
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(target)
            except OSError as error:
                raise unreachable(self.name, f"cannot be written: {_reason(error)}") from error
        return target.name.encode()

    def check(self, head: Head) -> None:
        """Let only a log pass that extends the newest checkpoint in the folder.

        Raises:
            ForkError: it does not: an older database was restored, or another grew.
            LedgerError: the folder cannot be read.
        """
        newest = max(self._notes(), key=lambda found: found[0], default=None)
        if newest is None:
            return
        try:
            note = newest[1].read_text(encoding="utf-8")
            kept = head.opens(note)
        except OSError as error:
            raise unreachable(str(newest[1]), f"cannot be read: {_reason(error)}") from error
        except (UnicodeDecodeError, ProofError) as error:
            raise ForkError(
                "the newest checkpoint in the folder of anchors is not one of this log",
                where=str(newest[1]),
                help="give each log a folder of its own; if this one was, ask who changed the file",
            ) from error
        refuse_fork(head, kept, str(newest[1]))

    def _notes(self) -> Iterator[tuple[int, Path]]:
        try:
            found = list(self.path.iterdir())
        except OSError as error:
            raise unreachable(self.name, f"cannot be read: {_reason(error)}") from error
        for path in found:
            if match := _NOTE.fullmatch(path.name):
                yield int(match[1]), path


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An authority that stamps checkpoints with the time (RFC 3161)."""

    asker: Asker
    certificates: "Authorities"
    kind = AnchorKind.TIMESTAMP

    @property
    def name(self) -> str:
        """Its host and path, as a word that a file can have in its name."""
        parts = urlsplit(self.asker.url)
        return re.sub(r"[^a-z0-9.]+", "-", f"{parts.netloc}{parts.path}".lower()).strip("-.")[:200]

    def confirm(self, head: Head, last: int) -> bytes:
        """The time-stamp over the note, in DER.

        Raises:
            LedgerError: the authority cannot be asked, refuses, or its time-stamp does not verify.
        """
        del last
        from rfc3161_client import (  # noqa: PLC0415 - imports that cost happen when needed
            HashAlgorithm,
            TimestampRequestBuilder,
        )

        from proxy.ledger.timestamp import verify_timestamp  # noqa: PLC0415 - the same

        data = head.note.encode()
        builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
        request = builder.build()
        answer = self.asker.post("", request.as_bytes(), "application/timestamp-query")
        if answer.status != _OK:
            raise unreachable(self.asker.url, f"answers {answer.status}")
        verify_timestamp(answer.body, data, self.certificates, nonce=request.nonce)
        return answer.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A witness that cosigns checkpoints of a log that only grew (C2SP tlog-witness)."""

    asker: Asker
    verifier: WitnessVerifier
    kind = AnchorKind.WITNESS

    @property
    def name(self) -> str:
        """Its name and the id of its key."""
        return f"{self.verifier.name}+{self.verifier.key_id.hex()}"

    def confirm(self, head: Head, last: int) -> bytes:
        """The witness's cosignature line.

        Raises:
            ForkError: the witness shows a checkpoint that this log signed and does not extend.
            LedgerError: the witness cannot be asked, refuses, or its cosignature does not verify.
        """
        answer = self._submit(head, max(last, 0))
        if answer.status == 409:
            # What the witness saw last is not what we have on record: it says what it was.
            answer = self._submit(head, self._known(head, answer))
        if answer.status in (409, 422):
            self._look_for_fork(head)
            raise self._refusal(
                "saw another history of this log than ours, or keeps changing its word"
            )
        if answer.status in _REFUSALS:
            raise self._refusal(_REFUSALS[answer.status])
        if answer.status != _OK:
            raise unreachable(self.asker.url, f"answers {answer.status}")
        found = find_cosignature(head.note, self.verifier, answer.body.decode(errors="replace"))
        if found is None:
            raise self._refusal("answers without a cosignature of the key it is known by")
        return found.line.encode()

    def _submit(self, head: Head, old: int) -> Answer:
        submission = Submission(old_size=old, proof=head.prove(old), note=head.note)
        return self.asker.post("add-checkpoint", submission.to_text().encode(), "text/plain")

    def _known(self, head: Head, answer: Answer) -> int:
        """The size that the witness cosigned last, from its answer 409."""
        said = answer.body.decode(errors="replace").removesuffix("\n")
        if not is_size(said):
            raise self._refusal("answers 409 without the size that it saw last")
        if int(said) > head.checkpoint.size:
            self._look_for_fork(head)
            raise self._refusal(
                f"says that it saw {said} entries of this log, which has {head.checkpoint.size}"
            )
        return int(said)

    def _look_for_fork(self, head: Head) -> None:
        """Ask the witness for what it saw last: only what this log signed itself proves a fork."""
        origin = sha256(head.checkpoint.origin.encode()).hexdigest()
        try:
            answer = self.asker.get(f"{origin}/checkpoint")
            if answer.status != _OK:
                return
            seen = head.opens(answer.body.decode(errors="replace"))
        except LedgerError:
            return
        refuse_fork(head, seen, self.asker.url)

    def _refusal(self, what: str) -> LedgerError:
        return LedgerError(
            f"the witness `{self.verifier.name}` {what}",
            help="ask who runs it; run `inbond ledger verify`, and compare with an older checkpoint",
            where=self.asker.url,
            code="not-witnessed",
        )


def refuse_fork(head: Head, kept: Checkpoint, where: str) -> None:
    """Let only a log pass that extends a checkpoint it signed before.

    Raises:
        ForkError: it does not.
    """
    fix = (
        "put the right database back (a backup or a copy of this log took its place); what was signed"
        " before cannot be signed again differently"
    )
    root = head.root_at(kept.size)
    if root is None:
        message = (
            f"the log has fewer entries than the {kept.size} that were signed and shown to others"
        )
        raise ForkError(message, where=where, help=fix)
    if root != kept.root:
        message = (
            f"the first {kept.size} entries of the log are not those that were signed and shown to"
            " others"
        )
        raise ForkError(message, where=where, help=fix)


def _reason(error: OSError) -> str:
    return (error.strerror or "unknown reason").lower()
