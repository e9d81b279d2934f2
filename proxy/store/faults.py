"""What an error of a database means to who uses the ledger."""

from dataclasses import dataclass

from proxy.errors import LedgerBusy, LedgerError

__all__ = ["STORAGE", "Fault"]

STORAGE = "ledger-storage"
"""The code of errors of the disk or the server: the same append may succeed later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happened, and what to do."""

    message: str
    help: str
    is_busy: bool = False
    """Whether somebody else holds what is needed, so that a moment later it may work."""

    def as_error(self, where: str) -> LedgerError:
        """The error to raise; `where` names the database and no secret."""
        if self.is_busy:
            return LedgerBusy(self.message, where=where, help=self.help)
        return LedgerError(self.message, where=where, help=self.help, code=STORAGE)
