"""Lines that wait on disk while more come: memory stays small however many there are.

What lies there is encrypted under keys that only this process holds, in a file without a name.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from proxy.ledger.seal import SALT_BYTES, decrypt_body
from proxy.store.bodies import prepare_body

__all__ = ["Spool"]

_PIECE_BYTES = 256 * 1024


class Spool:
    """Lines in order: added while they come, read once they are all there."""

    def __init__(self, directory: Path) -> None:
        """Nothing is written before there are more lines than a small piece holds."""
        self.lines = 0
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._pieces: list[tuple[bytes, int]] = []
        """The salt and the length of each piece in the file."""
        self._piece = bytearray()

    def add(self, lines: Iterable[bytes]) -> None:
        """Add lines, none of which holds a line feed.

        Raises:
            OSError: the disk cannot take them.
        """
        for line in lines:
            self.lines += 1
            self._piece += line + b"\n"
            if len(self._piece) >= _PIECE_BYTES:
                self._write()

    def sealed(self) -> Iterator[tuple[bytes, bytes]]:
        """The pieces, each a salt and what is encrypted under it."""
        if self._file is not None:
            self._file.seek(0)
            for salt, size in self._pieces:
                yield salt, self._file.read(size)
        if self._piece:
            yield _encrypted(bytes(self._piece))

    def __iter__(self) -> Iterator[bytes]:
        """The lines."""
        for salt, blob in self.sealed():
            yield from decrypt_body(salt, blob).removesuffix(b"\n").split(b"\n")

    def close(self) -> None:
        """Let go of the disk."""
        self._piece.clear()
        self._pieces.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self) -> None:
        if self._file is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._file = TemporaryFile(dir=self._directory)  # noqa: SIM115 - `close` closes it
        salt, blob = _encrypted(bytes(self._piece))
        self._file.write(blob)
        self._pieces.append((salt, len(blob)))
        self._piece.clear()


def _encrypted(data: bytes) -> tuple[bytes, bytes]:
    salt = os.urandom(SALT_BYTES)
    blob = prepare_body(data, salt).body.blob
    assert blob is not None  # noqa: S101 - it was asked to be kept
    return salt, blob
