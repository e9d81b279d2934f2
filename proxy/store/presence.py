"""Which workers of other hosts are alive: what each says to the server that they share.

A worker's own host knows by its lease, a locked file (`proxy.store.recovery`). Another host cannot
see that lock, and a connection that broke tells nothing: a server that restarts breaks all of them.
So each worker renews a row, and only one that was silent for `SILENT_S` of the time that the server
was up counts as dead. All times are the server's, so that no host's clock matters.

A row that was silent is renewed by whoever ended its worker's calls: a worker that was only cut off
may append before it renews, and then has another `SILENT_S` in which its new calls are left alone.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Connection,
    and_,
    cast,
    delete,
    extract,
    func,
    insert,
    or_,
    select,
    update,
)

from proxy.clock import new_id
from proxy.errors import LedgerError
from proxy.store.session import Database
from proxy.store.tables import LeaseRow

__all__ = [
    "RENEW_S",
    "SILENT_S",
    "Presence",
    "alive_elsewhere",
    "host_of",
    "settle",
    "silent_elsewhere",
]

RENEW_S = 15
SILENT_S = 900
"""How long a worker may be silent: longer than a server takes to come back or a network to heal."""

_NOW = cast(extract("epoch", func.clock_timestamp()), BigInteger)
_UP = cast(extract("epoch", func.pg_postmaster_start_time()), BigInteger)


class Presence:
    """What one worker says of itself, from before its first call until after its last exchange."""

    def __init__(self, database: Database, worker: str, host: str) -> None:
        """Say that it is there.

        Raises:
            LedgerError: the database cannot be written.
        """
        self._database = database
        self._worker = worker
        self._host = host
        self.renew()

    def renew(self) -> None:
        """Say that it is still there.

        Raises:
            LedgerError: the database cannot be written; others wait for `SILENT_S`.
        """
        with self._database.aside() as connection:
            seen = connection.execute(select(_NOW)).scalar_one()
            known = update(LeaseRow).where(LeaseRow.worker == self._worker).values(seen=seen)
            if not connection.execute(known).rowcount:
                row = {"worker": self._worker, "host": self._host, "seen": seen}
                connection.execute(insert(LeaseRow), row)

    def end(self) -> None:
        """Say that nothing more comes.

        Raises:
            LedgerError: the database cannot be written.
        """
        with self._database.aside() as connection:
            connection.execute(delete(LeaseRow).where(LeaseRow.worker == self._worker))


def alive_elsewhere(connection: Connection, host: str) -> frozenset[str]:
    """The workers of other hosts that may be alive; what left, or said nothing ever, is dead."""
    return frozenset(row.worker for row in _others(connection, host) if not row.is_silent)


def silent_elsewhere(connection: Connection, host: str) -> frozenset[str]:
    """The workers of other hosts that did not leave and are silent too long: dead, as it seems."""
    return frozenset(row.worker for row in _others(connection, host) if row.is_silent)


def settle(
    database: Database, host: str, workers: Collection[str], silent: Collection[str]
) -> None:
    """Remember that the calls of dead workers were ended.

    Those of this host are forgotten, and silent ones without calls; `workers` are those that had
    some: the silent among them get more time.

    Raises:
        LedgerError: the database cannot be written.
    """
    with database.aside() as connection:
        now = connection.execute(select(_NOW)).scalar_one()
        had = LeaseRow.worker.in_(workers)
        is_idle = LeaseRow.worker.in_(set(silent) - set(workers))
        is_gone = or_(is_idle, and_(had, LeaseRow.host == host))
        connection.execute(delete(LeaseRow).where(is_gone))
        connection.execute(update(LeaseRow).where(had).values(seen=now))


@dataclass(frozen=True, slots=True)
class _Other:
    worker: str
    is_silent: bool


def _others(connection: Connection, host: str) -> list[_Other]:
    now, up = connection.execute(select(_NOW, _UP)).one()
    query = select(LeaseRow.worker, LeaseRow.seen).where(LeaseRow.host != host)
    rows = connection.execute(query)
    return [_Other(row.worker, now - max(row.seen, up) > SILENT_S) for row in rows]


def host_of(directory: Path) -> str:
    """The id under which the workers of a folder are known to other hosts; made once.

    Raises:
        LedgerError: the folder cannot be read or written.
    """
    path = directory / "host"
    try:
        with path.open("x", encoding="ascii") as file:
            file.write(f"host-{new_id()}")
    except FileExistsError:
        pass
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"the name of this host cannot be kept: {(error.strerror or 'unknown').lower()}",
        where=str(path),
        help="make the folder writable for the user who runs inbond",
    )
