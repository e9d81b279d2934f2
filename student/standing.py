"""What a dataset is worth at a time: its own date, and what its log signed about it since."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from proxy.errors import ProxyError
from proxy.ledger.entry import DatasetEntry
from proxy.ledger.example import ExampleRow
from proxy.ledger.status import DatasetStatus, read_status
from student.errors import IntakeError

__all__ = ["read_standing", "refuse_expired", "refuse_taken_back"]

_LISTED = 20
"""Examples that a message names; the status file has them all."""


def read_standing(path: Path, vkey: str, seq: int, entry: DatasetEntry) -> DatasetStatus:
    """What a status file says of a dataset, once it holds under the pinned key.

    `seq` is the place of the dataset's own entry: a status comes after it.

    Raises:
        IntakeError: the file cannot be read, is not proven, or is not of this dataset since then.
    """
    try:
        said = read_status(path.read_bytes(), vkey)
    except OSError as error:
        raise _bad_status(
            f"cannot be read: {(error.strerror or 'unknown').lower()}", path
        ) from error
    except ProxyError as error:
        raise _bad_status(f"is not proven: {error.message}", path) from error
    if (said.dataset, said.root) != (entry.dataset, entry.root):
        raise _bad_status(f"is of the dataset `{said.dataset}`, not of `{entry.dataset}`", path)
    if said.seq <= seq:
        raise _bad_status("is older than the dataset", path)
    return said


def refuse_taken_back(said: DatasetStatus, rows: Sequence[ExampleRow], where: Path) -> None:
    """Refuse a dataset that was withdrawn or revoked, with the examples because of which.

    Raises:
        IntakeError: the status says anything but `good`.
    """
    if said.state == "good":
        return
    reasons = {each.exchange: each.reason for each in said.affected}
    lines: list[str] = []
    for row in rows:
        names = (row.exchange, *row.contributors)
        why = next((reasons[name] for name in names if name in reasons), None)
        if why is not None:
            lines.append(f"`{row.example}` ({why})")
    more = f" and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
    listed = f": {', '.join(lines[:_LISTED])}{more}" if lines else ""
    because = f" because of `{said.cause}`" if said.cause else ""
    raise IntakeError(
        f"the dataset was {said.state} on {said.at}{because}; "
        f"affected are {len(lines)} of its {len(rows)} examples{listed}",
        help="build a dataset again: what may not be learned from is left out",
        where=str(where),
        code=f"dataset-{said.state}",
    )


def refuse_expired(
    entry: DatasetEntry, said: DatasetStatus | None, now: datetime, path: Path
) -> None:
    """Past the dataset's date only a good status that lasts lets it be opened.

    The newer word counts also where it says less: a grant may have been cut short since.

    Raises:
        IntakeError: the date has passed.
    """
    until = entry.valid_until if said is None or said.until is None else said.until
    if now < datetime.fromisoformat(until):
        return
    raise IntakeError(
        f"the dataset was valid until {until}",
        help=f"run `inbond dataset status {entry.dataset}` where it was built, and give the file "
        "with `--status FILE`; or build it again",
        where=str(path),
        code="dataset-expired",
    )


def _bad_status(what: str, path: Path) -> IntakeError:
    return IntakeError(
        f"the status file {what}",
        help="get another with `inbond dataset status`, from who built the dataset",
        where=str(path),
        code="status-unproven",
    )
