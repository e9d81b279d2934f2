"""The rows of a Parquet file of a bundle by their hashes, part by part."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.errors import BundleError, CanonicalError
from proxy.ledger.canonical import canonical
from proxy.ledger.merkle import leaf_hash, peaks_of
from proxy.ledger.pieces import open_plain

__all__ = ["Hashed", "RowPart", "hash_rows", "no_table", "part_rows", "row_parts"]

_PART_ROWS = 20_000
_BATCH = 2_000
"""Rows decoded at a time."""


@dataclass(frozen=True, slots=True)
class RowPart:
    """Some neighbouring row groups of a file."""

    path: Path
    first: int
    """Row group."""
    end: int
    start: int
    """Place of its first row."""
    count: int
    """Rows that the file says it has."""


@dataclass(slots=True)
class Hashed:
    """The rows of a part: their hashes one after the other, and the subtrees they are cut into."""

    count: int = 0
    hashes: bytes = b""
    peaks: list[tuple[int, bytes]] = field(default_factory=list)
    problem: str = ""
    """Why there are none: `parquet` (no such file can be read) or `canonical` (no such value is known)."""


def row_parts(path: Path) -> list[RowPart]:
    """The parts of a Parquet file.

    Raises:
        BundleError: the bytes are no Parquet file.
        ImportError: pyarrow is not installed.
    """
    parts: list[RowPart] = []
    with open_plain(path) as file:
        about = _opened(file).metadata
        first = start = rows = 0
        for group in range(about.num_row_groups):
            rows += about.row_group(group).num_rows
            if rows >= _PART_ROWS or group + 1 == about.num_row_groups:
                parts.append(RowPart(path, first, group + 1, start, rows))
                first, start, rows = group + 1, start + rows, 0
    return parts


def hash_rows(part: RowPart) -> Hashed:
    """The rows of a part, hashed."""
    try:
        hashes = [leaf_hash(canonical(row)) for row in part_rows(part)]
    except BundleError:
        return Hashed(problem="parquet")
    except CanonicalError:
        return Hashed(problem="canonical")
    return Hashed(len(hashes), b"".join(hashes), peaks_of(part.start, hashes))


def part_rows(part: RowPart) -> Iterator[dict[str, object]]:
    """The rows of a part.

    Raises:
        BundleError: the bytes are no Parquet file.
        ImportError: pyarrow is not installed.
    """
    import pyarrow as pa  # noqa: PLC0415 - imports that cost happen when needed (style §3.12)

    with open_plain(part.path) as file:
        opened = _opened(file)
        try:
            groups = range(part.first, part.end)
            # Without pyarrow's own threads: one that lives at the end can abort the process.
            for batch in opened.iter_batches(_BATCH, row_groups=groups, use_threads=False):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise no_table() from error


def _opened(file: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - imports that cost happen when needed (style §3.12)
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    try:
        opened = pq.ParquetFile(file)
        names = opened.schema_arrow.names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise no_table() from error
    if len(set(names)) != len(names):
        # Of two columns of one name another reader may take the one that we do not.
        raise no_table()
    return opened


def no_table() -> BundleError:
    """The error of a file that is no Parquet table."""
    return BundleError(
        "the file is not a Parquet table", help="get the bundle again: it is damaged"
    )
