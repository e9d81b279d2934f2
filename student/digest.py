"""sha256 of bytes, files and plain values, in hex: how records name what they mean."""

import hashlib
import json
from pathlib import Path

__all__ = ["of_bytes", "of_file", "of_folder", "of_value"]


def of_bytes(data: bytes) -> str:
    """sha256 (hex) of bytes."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_folder(folder: Path, pattern: str) -> str:
    """sha256 (hex) that stands for the files of a folder that fit a pattern, by name."""
    return of_value({path.name: of_file(path) for path in sorted(folder.glob(pattern))})


def of_value(value: object) -> str:
    """sha256 (hex) of a JSON value, whatever the order of its keys."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
