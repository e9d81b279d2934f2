"""Documents that need two people: a grant, an override of a library file, a student's declaration.

Someone proposes a file's exact bytes, someone else approves them; one edit makes it another file. A
one-person installation may approve its own proposal, and the ledger says that it did.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError, SettingsError
from proxy.ledger.entry import GrantEntry
from proxy.store.log import Document, Log, Pending
from proxy.store.queries import approval_list
from proxy.store.records import Approval

__all__ = ["Paper", "approve", "propose", "read_paper", "revoke"]

type Subject = Literal["grant", "override", "student"]
type Step = Literal["propose", "approve", "revoke"]

_SUBJECTS: dict[str, Subject] = {
    "grants": "grant",
    "hosts": "override",
    "models": "override",
    "routers": "override",
    "students": "student",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A policy file that two people must agree on."""

    subject: Subject
    name: str
    content: bytes

    @property
    def digest(self) -> str:
        """What an approval names: sha256 (hex) of the file's bytes."""
        return sha256(self.content).hexdigest()


def read_paper(path: Path, workspace: Path) -> Paper:
    """The paper in a file of a workspace's `policies/`.

    Raises:
        SettingsError: the file cannot be read, lies elsewhere, or is of a kind that needs no approval.
    """
    folder = path.resolve().parent
    subject = _SUBJECTS.get(folder.name)
    is_inside = folder.parent == (workspace / "policies").resolve()
    if subject is None or not is_inside or path.suffix != ".yaml" or ".test" in path.suffixes:
        raise SettingsError(
            f"`{path}` is nothing that an approval lets take effect",
            help="grants, students and overrides of library files are: files in "
            "`policies/grants/`, `policies/students/`, `policies/hosts|routers|models/`",
            where=str(path),
            code="no-approval",
        )
    try:
        return Paper(subject=subject, name=path.stem, content=path.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}",
            help="check the path and its permissions",
            where=str(path),
            code="unreadable",
        ) from error


def propose(log: Log, paper: Paper, *, actor: str, reason: str) -> None:
    """Put a paper on record for somebody else to approve.

    Raises:
        LedgerError: it was proposed or revoked before, or the ledger cannot be written.
    """
    known = _known(log, paper)
    if known is not None:
        raise _stands(paper, known)
    log.append([_entry(paper, "propose", actor=actor, reason=reason)])


def approve(log: Log, paper: Paper, *, actor: str, reason: str) -> bool:
    """Approve a paper; whether its author did so himself.

    Raises:
        LedgerError: it was approved or revoked before, or the ledger cannot be written.
    """
    known = _known(log, paper)
    if known is not None and known.state != "proposed":
        raise _stands(paper, known)
    is_own = known is None or known.proposed_by == actor
    steps = [] if known is not None else [_entry(paper, "propose", actor=actor, reason=reason)]
    log.append([*steps, _entry(paper, "approve", actor=actor, reason=reason, is_own=is_own)])
    return is_own


def revoke(log: Log, paper: Paper, *, actor: str, reason: str) -> None:
    """Take a paper back, from now on and on the today clock of all that was recorded before.

    Raises:
        LedgerError: it was never approved, or the ledger cannot be written.
    """
    known = _known(log, paper)
    if known is None or known.state != "approved":
        raise LedgerError(
            f"the {paper.subject} `{paper.name}` in this form is not approved",
            help="a revocation names the exact file that was approved: put that one back",
            code="not-approved",
        )
    log.append([_entry(paper, "revoke", actor=actor, reason=reason)])


def _known(log: Log, paper: Paper) -> Approval | None:
    with log.database.read() as connection:
        found = approval_list(connection)
    return next((each for each in found if each.digest == paper.digest), None)


def _stands(paper: Paper, known: Approval) -> LedgerError:
    return LedgerError(
        f"the {paper.subject} `{paper.name}` in this form was {known.state} already",
        help="change the file to propose something else",
        code="stands-already",
    )


def _entry(paper: Paper, step: Step, *, actor: str, reason: str, is_own: bool = False) -> Pending:
    entry = GrantEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor=actor,
        action=step,
        subject=paper.subject,
        name=paper.name,
        digest=paper.digest,
        is_self_approved=is_own,
        reason=reason,
        nonce=new_nonce(),
    )
    return Pending(
        entry, documents=(Document(digest=paper.digest, kind="grant", content=paper.content),)
    )
