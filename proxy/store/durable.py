"""Files that are replaced at once and for good: after a crash the old content is there or the new."""

import os
from pathlib import Path

__all__ = ["replace_durably"]

_MODE = 0o600


def replace_durably(path: Path, content: bytes) -> None:
    """Put a file in place by one rename, readable by its owner alone; durable when this returns.

    Writers of one file keep each other out by a lock of theirs.

    Raises:
        OSError: the system refuses; the old file is as it was.
    """
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
