"""What calls about batches need of the ledger, asked from an event loop."""

import asyncio
import hmac
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.store.batches import (
    Files,
    LineOf,
    Sent,
    any_ended,
    batch_of_file,
    creates_of,
    files_of,
    keep_pieces,
    left_open,
    lines_of,
    pieces_of,
    sent_calls,
    upload_of,
)
from proxy.store.session import Database, Reading

__all__ = ["Batches"]

_CUSTOM = b"inbond v1: ids that customers give to the lines of a batch"
"""What the installation's secret is used for here: no digest of another use can be one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """The batches that one installation knows. `secret` are 32 bytes that no leaf holds."""

    database: Database
    secret: bytes
    directory: Path
    """Where large files may lie while they pass, encrypted."""

    def digest(self, custom_id: str) -> str:
        """The keyed digest by which leaves tell a line: the id is the customer's own, and free text."""
        key = hmac.digest(self.secret, _CUSTOM, "sha256")
        return hmac.digest(key, custom_id.encode("utf-8", "surrogatepass"), "sha256").hex()

    async def upload(self, route: str, file: str) -> str | None:
        """The call that sent a file of requests."""
        return await self.asked(lambda reading: upload_of(reading, route, file))

    async def batch_of(self, route: str, file: str) -> str | None:
        """The batch whose results a file holds."""
        return await self.asked(lambda reading: batch_of_file(reading, route, file))

    async def creates(self, route: str, batch: str) -> tuple[str, ...]:
        """The calls that sent requests in a batch."""
        return await self.asked(lambda reading: creates_of(reading, route, batch))

    async def files(self, route: str, batch: str) -> Files:
        """The files of results of a batch."""
        return await self.asked(lambda reading: files_of(reading, route, batch))

    async def lines(self, creates: tuple[str, ...], customs: Collection[str]) -> dict[str, LineOf]:
        """The lines of these keyed digests that left with these calls."""
        return await self.asked(lambda reading: lines_of(reading, creates, customs))

    async def sent(self, calls: Sequence[str]) -> dict[str, Sent]:
        """These calls with their sealed requests opened."""
        return await self.asked(lambda reading: sent_calls(reading, calls))

    async def left(self, creates: tuple[str, ...], *, limit: int) -> tuple[str, ...]:
        """The lines of these calls that have no exchange yet."""
        return await self.asked(lambda reading: left_open(reading, creates, limit=limit))

    async def keep(
        self, call: str, at: str, pieces: Iterator[tuple[bytes, bytes]], *, before: str
    ) -> None:
        """Keep a file of requests until a batch is made of it; drop those sent before an instant."""
        await asyncio.to_thread(keep_pieces, self.database, call, at, pieces, before=before)

    def kept(self, call: str) -> Iterator[bytes]:
        """The bytes of a file of requests, piece by piece."""
        return pieces_of(self.database, call)

    async def has_ended(self, calls: Sequence[str]) -> bool:
        """Whether one of these calls has an exchange already."""
        return await self.asked(lambda reading: any_ended(reading, calls))

    async def asked[T](self, question: Callable[[Reading], T]) -> T:
        """What a question gives, put to one state of the ledger off the event loop."""

        def answer() -> T:
            with self.database.read() as reading:
                return question(reading)

        return await asyncio.to_thread(answer)
