"""Where a bundle's files lie: a directory or a zip, of which nothing can lead outside."""

import os
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from proxy.errors import BundleError

__all__ = [
    "MAX_FILES",
    "MAX_FILE_BYTES",
    "MAX_TOTAL_BYTES",
    "Archive",
    "Folder",
    "check_limits",
    "check_path",
    "damaged",
]

MAX_FILES = 200_000
MAX_FILE_BYTES = 4 * 2**30
MAX_TOTAL_BYTES = 64 * 2**30

_PATH = re.compile(r"[A-Za-z0-9_+=@-][A-Za-z0-9._+=@-]*(/[A-Za-z0-9_+=@-][A-Za-z0-9._+=@-]*)*")
_HELP = "get the bundle again: it is damaged or not made by inbond"


def damaged(message: str, where: str) -> BundleError:
    """The error of a bundle that cannot be read, or not be trusted to be read."""
    return BundleError(message, help=_HELP, where=where)


class Folder:
    """The files below a directory: `sizes` by path, `read` for one."""

    def __init__(self, root: Path) -> None:
        self.place = str(root)
        self._root = root
        self.sizes: dict[str, int] = {}
        for folder, folders, names in os.walk(root):
            for name in (*folders, *names):
                path = Path(folder, name)
                inside = path.relative_to(root).as_posix()
                info = path.lstat()
                check_path(inside)
                if stat.S_ISREG(info.st_mode):
                    self.sizes[inside] = info.st_size
                elif not stat.S_ISDIR(info.st_mode):
                    raise damaged(f"`{inside}` is a link or no plain file", inside)

    def read(self, name: str) -> bytes:
        """The content of one file; a link put there since is not followed."""
        handle = os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            return file.read(MAX_FILE_BYTES)

    def close(self) -> None:
        """Nothing is held open."""


class Archive:
    """The files in a zip: `sizes` by path, `read` for one."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise BundleError(
                "there is no bundle here: neither a directory nor a whole zip",
                help="give the path of a dataset or an audit",
                where=str(path),
            ) from error
        self.sizes: dict[str, int] = {}
        try:
            self._list()
        except BundleError:
            self._zip.close()
            raise

    def _list(self) -> None:
        for info in self._zip.infolist():
            if info.is_dir():
                continue
            check_path(info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            is_known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if kind not in (0, stat.S_IFREG) or info.flag_bits & 1 or not is_known:
                raise damaged(
                    f"`{info.filename}` is a link, encrypted or packed in an unusual way",
                    info.filename,
                )
            if info.filename in self.sizes:
                raise damaged(f"`{info.filename}` stands twice in the zip", info.filename)
            self.sizes[info.filename] = info.file_size

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            BundleError: it is not as long as the zip states.
        """
        # The size a zip states is a claim: read one byte more than it and no further.
        with self._zip.open(name) as file:
            data = file.read(self.sizes[name] + 1)
        if len(data) != self.sizes[name]:
            raise damaged("the file is not as long as stated", name)
        return data

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()


def check_path(name: str) -> None:
    """Let only plain relative paths pass: no `..`, no hidden file, no backslash, no blank.

    Raises:
        BundleError: the path is any other.
    """
    if not _PATH.fullmatch(name):
        raise damaged(f"`{name}` is not a path inside a bundle", name)


def check_limits(sizes: Mapping[str, int]) -> None:
    """Let only so many files of so many bytes pass as can be read.

    Raises:
        BundleError: there are more, or one is larger.
    """
    if len(sizes) > MAX_FILES or sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise BundleError("the bundle is too large to read", help="ask for a smaller one")
    for name, size_bytes in sizes.items():
        if size_bytes > MAX_FILE_BYTES:
            raise damaged(f"`{name}` is too large to read", name)
