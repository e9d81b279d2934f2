"""The client keys of the ledger, held in memory by each worker and refreshed off the event loop."""

import asyncio
from collections.abc import Mapping

from proxy.errors import LedgerError
from proxy.identity import ClientKey
from proxy.store.queries import client_keys
from proxy.store.session import Database

__all__ = ["LedgerKeyRing"]


class LedgerKeyRing:
    """A `KeyRing` that knows what the ledger knew at the last refresh."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: Mapping[str, ClientKey] = {}
        self._reading = asyncio.Lock()
        self._begun = 0

    def find(self, digest: str) -> ClientKey | None:
        """The key with this digest, revoked ones included."""
        return self._keys.get(digest)

    async def refresh(self) -> None:
        """Read the keys again; a revocation counts from then on.

        However many callers ask at once, one at a time reads: those who wait share the next reading.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        begun = self._begun
        async with self._reading:
            if self._begun > begun:
                return  # a reading began after this call, and is done
            self._begun += 1
            try:
                self._keys = await asyncio.to_thread(self._read)
            except LedgerError:
                self._begun -= 1  # whoever waits behind it reads for himself
                raise

    def _read(self) -> Mapping[str, ClientKey]:
        with self._database.read() as connection:
            return {
                row.digest: ClientKey(
                    key=row.key, project=row.project, student=row.student, is_revoked=row.is_revoked
                )
                for row in client_keys(connection)
                if row.digest is not None and row.project is not None
            }
