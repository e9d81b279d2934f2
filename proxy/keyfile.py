"""Files that only their owner may read, and files that appear whole or not at all."""

import os
import stat
import tempfile
from pathlib import Path

from proxy.errors import SettingsError

__all__ = ["read_private", "replace_file", "write_private"]

_MAX_BYTES = 65_536


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read; it is durable when this returns.

    Raises:
        FileExistsError: there is such a file already; it is left alone.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_private(path: Path, what: str) -> bytes:
    """What a file holds that is nobody else's to read; `what` names it in messages.

    Raises:
        SettingsError: it cannot be read, is no plain file, or is open to others.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
                message = f"the file `{path}` with {what} is open to others"
                fix = f"run `chmod 600 {path}`"
                raise SettingsError(message, help=fix, where=str(path), code="open-to-others")
            return file.read(_MAX_BYTES)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        message = f"the file `{path}` with {what} cannot be read: {reason}"
        fix = "restore it from a backup, or mend its path and permissions"
        raise SettingsError(message, help=fix, where=str(path), code="unreadable") from error


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put a file in place at once: processes that start side by side never see half of it."""
    if path.is_file() and path.read_bytes() == content:
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
