"""A bundle's long files piece by piece, so that none has to fit into the memory.

A directory's files are read where they lie; a long file of a zip is unpacked beside the system's
temporary files first, and is gone when the bundle is closed.
"""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast

from proxy.ledger.source import Archive, Folder, damaged

__all__ = ["UNREADABLE", "Part", "Pieces", "open_plain", "parts_of"]

UNREADABLE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
)
"""What reading a damaged or odd zip raises."""

_PIECE_BYTES = 1 << 20
_PART_BYTES = 8 << 20
"""Long enough that handing it to another process costs little, short enough to hold several."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some whole lines of a file."""

    path: Path
    start: int
    end: int

    def lines(self) -> list[bytes]:
        """The lines without their ends; what follows the last end is left out."""
        with open_plain(self.path) as file:
            file.seek(self.start)
            return file.read(self.end - self.start).split(b"\n")[:-1]


def open_plain(path: Path) -> BinaryIO:
    """A file opened for reading; a link put there since the bundle was opened is not followed."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def parts_of(path: Path, name: str) -> list[Part]:
    """The parts that a file of lines is cut into, at the ends of lines.

    Raises:
        BundleError: its last line has no end.
    """
    parts: list[Part] = []
    with open_plain(path) as file:
        size, start = file.seek(0, os.SEEK_END), 0
        if size and (file.seek(size - 1), file.read(1))[1] != b"\n":
            raise damaged("the last line is cut short", name)
        while start < size:
            file.seek(min(start + _PART_BYTES, size) - 1)
            file.readline()
            parts.append(Part(path, start, file.tell()))
            start = file.tell()
    return parts


class Pieces:
    """The files of one bundle, where they lie or where they were unpacked."""

    def __init__(self, source: Folder | Archive) -> None:
        self._source = source
        self._unpacked: TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Delete what was unpacked."""
        if self._unpacked is not None:
            self._unpacked.cleanup()

    def digest(self, name: str) -> str:
        """The sha256 of one file, in hex.

        Raises:
            BundleError: there is no such file, or it cannot be read.
        """
        found = sha256()
        with self._reading(name):
            for piece in self._pieces(name):
                found.update(piece)
        return found.hexdigest()

    def path(self, name: str) -> Path:
        """Where the bytes of one file lie while the bundle is open.

        Raises:
            BundleError: there is no such file, or it cannot be read.
        """
        with self._reading(name):
            if isinstance(self._source, Folder):
                return Path(self._source.place, name)
            if self._unpacked is None:
                self._unpacked = TemporaryDirectory(prefix="inbond-")
            path = Path(self._unpacked.name, name.replace("/", "+"))
            if not path.exists():
                with path.open("wb") as file:
                    file.writelines(self._pieces(name))
            return path

    def parts(self, name: str) -> list[Part]:
        """The parts of a file of lines, each of whole lines.

        Raises:
            BundleError: there is no such file, it cannot be read, or its last line is cut short.
        """
        path = self.path(name)
        with self._reading(name):
            return parts_of(path, name)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        if name not in self._source.sizes:
            raise damaged(f"the bundle has no `{name}`", name)
        try:
            yield
        except UNREADABLE as error:
            raise damaged("the file cannot be read", name) from error

    def _pieces(self, name: str) -> Iterator[bytes]:
        size_bytes, seen = self._source.sizes[name], 0
        if size_bytes <= _PIECE_BYTES:
            yield self._source.read(name)
            return
        with self._open(name) as file:
            # The size a zip states is a claim: read one byte more than it and no further.
            while seen <= size_bytes and (piece := file.read(_PIECE_BYTES)):
                seen += len(piece)
                yield piece
        if seen != size_bytes:
            raise damaged("the file is not as long as stated", name)

    def _open(self, name: str) -> BinaryIO:
        if isinstance(self._source, Folder):
            return open_plain(Path(self._source.place, name))
        with zipfile.ZipFile(self._source.place) as archive:
            return cast("BinaryIO", archive.open(name))  # which outlives the archive
