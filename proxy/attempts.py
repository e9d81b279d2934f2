"""Tries of one call: which earlier call it is that a client's SDK says it makes again.

SDKs count their tries and give no name to what they try. The same key, path and bytes within some minutes,
at the same worker, are taken for the same call; a try whose first went to another worker stays alone.
"""

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta

__all__ = ["Attempts"]

_WINDOW = timedelta(minutes=10)
_MOST = 4_096
_READ_BYTES = 2**20
"""Longer bodies are told apart by their length and this much of them."""


class Attempts:
    """The calls of the last minutes whose SDK counts its tries: the last of each, by what it asked."""

    def __init__(self) -> None:
        self._last: OrderedDict[bytes, tuple[str, datetime]] = OrderedDict()

    def earlier(
        self, *, call: str, key: str, path: str, body: bytes, retries: int, at: datetime
    ) -> str | None:
        """The call that this one is another try of, if it is known; this one is the last from now on.

        `retries` is how many tries the SDK says came before. A first try is nobody's second, whatever
        was asked before: the same question may be meant twice.
        """
        asked = _digest(key, path, body)
        found = self._last.pop(asked, None)
        self._last[asked] = (call, at)
        while len(self._last) > _MOST:
            self._last.popitem(last=False)
        if found is None or retries < 1 or not timedelta() <= at - found[1] <= _WINDOW:
            return None
        return found[0]


def _digest(key: str, path: str, body: bytes) -> bytes:
    said = f"{key}\n{path}\n{len(body)}\n".encode("utf-8", "backslashreplace")
    return hashlib.sha256(said + body[:_READ_BYTES]).digest()
