"""A disk that takes no more: files that grow beyond a size fail, as on one that is full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["disk_of"]


@contextmanager
def disk_of(size_bytes: int) -> Iterator[None]:
    """No file grows beyond this size meanwhile: the system itself refuses to write more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
