"""A bundle being written: file by file, each hashed as it is written, whole or not at all.

The files lie in a hidden folder beside the target until all are there and signed; a long one is
written piece by piece, so that a bundle may be larger than the memory.
"""

import os
import shutil
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.errors import BundleError
from proxy.ledger.envelope import SIGNATURE, ExportKey, sign_files
from proxy.ledger.source import check_path, damaged

__all__ = ["BundleWriter", "FileWriter", "is_draft"]

_BUFFER_BYTES = 1 << 20
_DRAFT = ".partial"


def is_draft(name: str) -> bool:
    """Whether a folder of this name is one in which a bundle is being written."""
    return name.startswith(".") and name.endswith(_DRAFT)


class FileWriter:
    """One file of a bundle, written piece by piece."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb", buffering=_BUFFER_BYTES)
        self._hash = sha256()

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._file.write(data)
        self._hash.update(data)

    def close(self) -> str:
        """Make the file durable; gives its sha256 in hex."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Let go of a file that nobody will read."""
        self._file.close()


class BundleWriter:
    """Writes a bundle directory. Where the block ends without `finish`, nothing is left of it."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._draft = target.with_name(f".{target.name}{_DRAFT}")
        self._digests: dict[str, str] = {}
        self._open: dict[str, FileWriter] = {}

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            BundleError: there is something at the target, or nothing can be written beside it.
        """
        if self._target.exists() or self._target.is_symlink():
            raise BundleError(
                "there is something at this path already",
                help="choose another",
                where=str(self._target),
                code="path-taken",
            )
        shutil.rmtree(self._draft, ignore_errors=True)
        try:
            self._draft.mkdir(parents=True)
        except OSError as error:
            raise self._failure(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._open.values():
            file.abandon()
        shutil.rmtree(self._draft, ignore_errors=True)
        if isinstance(error, OSError):
            raise self._failure(error) from error

    def add(self, name: str, data: bytes) -> None:
        """Write one file.

        Raises:
            BundleError: the path leaves the bundle, or is taken.
        """
        file = self.begin(name)
        file.write(data)
        self.end(name)

    def begin(self, name: str) -> FileWriter:
        """Begin a file that is written piece by piece, until `end` is called with its name.

        Raises:
            BundleError: the path leaves the bundle, or is taken.
        """
        self._open[name] = FileWriter(self._path(name))
        return self._open[name]

    def resume(self, name: str) -> FileWriter:
        """A file that was begun and not ended."""
        return self._open[name]

    def end(self, name: str) -> None:
        """End a file that `begin` began."""
        self._digests[name] = self._open.pop(name).close()

    def place(self, name: str) -> Path:
        """Where somebody else may write a file, until `take` is called with its name.

        Raises:
            BundleError: the path leaves the bundle, or is taken.
        """
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def take(self, name: str) -> None:
        """Take in a file that was written where `place` said."""
        hashed = sha256()
        with (self._draft / name).open("rb") as file:
            while piece := file.read(_BUFFER_BYTES):
                hashed.update(piece)
            os.fsync(file.fileno())
        self._digests[name] = hashed.hexdigest()

    def finish(self, subject: str, key: ExportKey) -> None:
        """Sign all files as the bundle of `subject`, make them durable and put them in place."""
        _write_signature(self._draft / SIGNATURE, sign_files(subject, self._digests, key))
        for folder, _, _ in os.walk(self._draft, topdown=False):
            _sync(Path(folder))
        self._draft.rename(self._target)
        _sync(self._target.parent)

    def _path(self, name: str) -> Path:
        check_path(name)
        if name == SIGNATURE or name in self._digests or name in self._open:
            raise damaged(f"`{name}` is a file of the bundle itself", name)
        return self._draft / name

    def _failure(self, error: OSError) -> BundleError:
        return BundleError(
            f"the bundle could not be written: {error.strerror}",
            help="free the path and try again",
            where=str(error.filename or self._target),
            code="not-writable",
        )


def _write_signature(path: Path, data: bytes) -> None:
    file = FileWriter(path)
    file.write(data)
    file.close()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
