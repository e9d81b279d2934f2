"""Time, ids and nonces from the world: the one place that reads the clock and the random source."""

import os
import time
from datetime import UTC, datetime
from uuid import UUID

__all__ = ["new_id", "new_nonce", "parse_time", "stamp", "utc_now"]


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def stamp(at: datetime) -> str:
    """An instant as the ledger writes it: UTC, milliseconds, `Z`."""
    at = at if at.tzinfo is UTC else at.astimezone(UTC)
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> datetime:
    """The instant a stamp names.

    Raises:
        ValueError: the text is no ISO 8601 time.
    """
    return datetime.fromisoformat(text)


def new_id() -> str:
    """A fresh UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, 74 random bits."""
    millis = time.time_ns() // 1_000_000
    value = (millis & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=value))


def new_nonce() -> str:
    """128 random bits in hex, for a leaf in which nothing else is random."""
    return os.urandom(16).hex()
