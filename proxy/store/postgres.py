"""PostgreSQL as the ledger needs it: how it is connected to, asked, and what its errors mean.

A connection is in the driver's autocommit mode: the only transactions are those begun by name. The
server is told to give up on a writer that stands still, since all others wait for him: one row, the
head of the log, is what every append locks.
"""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL

from proxy.errors import LedgerError
from proxy.store.faults import Fault

__all__ = [
    "begin",
    "check_server",
    "fault_of",
    "lock_for",
    "make_postgres_engine",
    "words_of",
]

_BEGIN_WRITING = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
    " SET LOCAL idle_in_transaction_session_timeout = 30000"
)
"""A writer sees what was committed before he got the head's lock, and cannot keep it standing still."""

_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_CONNECT_S = 10
_OLDEST = 130_000
"""PostgreSQL 13, as `server_version_num` says it."""
_KEPT_ALIVE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""The server drops a connection, and the locks held over it, when its host is gone for half a minute."""
_LOCKS = {"migration": 0x696E_626F_6E64_0001, "recovery": 0x696E_626F_6E64_0002}
"""Keys of advisory locks: `inbond` and a number."""


_UNREACHABLE = Fault(
    message="the ledger's database server cannot be reached",
    help="start the server, and check the address in the setting `database`: inbond goes on by itself",
)
_STOPPING = Fault(
    message="the ledger's database server is stopping or starting",
    help="wait for it: inbond goes on by itself as soon as it runs",
)
_TURNED_AWAY = Fault(
    message="the ledger's database server does not let this user in",
    help="check the user in the setting `database`, its password in `PGPASSWORD` or the `passfile`,"
    " and the server's pg_hba.conf",
)
_FULL = Fault(
    message="the disk of the ledger's database server is full",
    help="free some space there: inbond goes on by itself as soon as it can write",
)
_READ_ONLY = Fault(
    message="the ledger's database is read-only",
    help="name the primary server in the setting `database`, not a standby",
)
_HELD = Fault(
    message="another program has held the ledger's database too long",
    help="try again; if it lasts, look in pg_stat_activity for who holds the row of table `log`",
    is_busy=True,
)
_FAULTS = {
    "08": _UNREACHABLE,
    "25006": _READ_ONLY,
    "25P03": Fault(
        message="the database server ended a transaction that stood still",
        help="try again; if it lasts, this machine is overloaded or was stopped meanwhile",
        is_busy=True,
    ),
    "28": _TURNED_AWAY,
    "3D000": Fault(
        message="the database that the setting `database` names does not exist",
        help="make it: `createdb --encoding UTF8 --template template0 NAME`",
    ),
    "40": _HELD,
    "42501": Fault(
        message="this user may not use the tables of the ledger",
        help="let inbond's user own its database, or grant it all on the tables of the ledger",
    ),
    "53100": _FULL,
    "53300": Fault(
        message="the database server takes no more connections",
        help="raise `max_connections` there, or run fewer workers",
        is_busy=True,
    ),
    "55P03": _HELD,
    "57P": _STOPPING,
}
"""By SQLSTATE, or how it begins (PostgreSQL, appendix A)."""


def make_postgres_engine(target: URL, busy_timeout_s: float) -> Engine:
    """An engine that pings a connection before use, so that a restarted server is found again."""
    said = {"lock_timeout": str(int(busy_timeout_s * 1_000)), **_KEPT_ALIVE}
    options = " ".join(f"-c {name}={value}" for name, value in said.items())
    arguments: dict[str, Any] = {
        "autocommit": True,
        "connect_timeout": _CONNECT_S,
        "application_name": "inbond",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "options": options,
    }
    arguments = {name: value for name, value in arguments.items() if name not in target.query}
    engine = create_engine(
        target,
        hide_parameters=True,
        connect_args=arguments,
        pool_pre_ping=True,
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        is_writer = connection.get_execution_options().get("is_writer", False)
        begin(connection.connection.cursor(), is_writer=is_writer)

    @event.listens_for(engine, "connect")
    def insist(connection: Any, _: object) -> None:
        # A commit is durable when it is answered (promise P1), whatever the role's default says;
        # stricter values stay.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )

    return engine


def begin(cursor: Any, *, is_writer: bool) -> None:
    """Begin a transaction that reads one state, or one that writes."""
    # Never prepared: a statement that is must be a single one.
    cursor.execute(_BEGIN_WRITING if is_writer else _BEGIN_READING, prepare=False)


def check_server(connection: Connection, where: str) -> None:
    """Refuse a server that cannot keep the ledger's promises.

    Raises:
        LedgerError: it is too old, does not sync its writes, or cannot hold all text.
    """
    names = ("server_version_num", "server_version", "fsync", "server_encoding")
    shown = ", ".join(f"current_setting('{name}')" for name in names)
    number, version, fsync, encoding = connection.execute(text(f"SELECT {shown}")).one()
    if int(number) < _OLDEST:
        raise LedgerError(
            f"the database server is PostgreSQL {version}, and inbond needs 13 or newer",
            where=where,
            help="upgrade the server, or name another in the setting `database`",
        )
    if fsync != "on":
        raise LedgerError(
            "the database server runs with `fsync` off: a power cut would lose recorded calls",
            where=where,
            help="set `fsync = on` in postgresql.conf and restart the server",
        )
    if encoding != "UTF8":
        raise LedgerError(
            f"the database is encoded in {encoding}, and the ledger's checkpoints need UTF8",
            where=where,
            help="make another: `createdb --encoding UTF8 --template template0 NAME`",
        )


def fault_of(error: BaseException) -> Fault:
    """What an error of the driver means."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        # No answer of the server at all; of a refused log-in libpq gives the words alone.
        said = str(error)
        if "password" in said or "authentication" in said or "pg_hba" in said:
            return _TURNED_AWAY
        for code, name in (("3D000", "database"), ("28", "role")):
            if f'{name} "' in said and "does not exist" in said:
                return _FAULTS[code]
        if "too many clients" in said or "remaining connection slots" in said:
            return _FAULTS["53300"]
        return _STOPPING if "system is" in said else _UNREACHABLE
    for length in (5, 3, 2):
        if fault := _FAULTS.get(state[:length]):
            return fault
    return Fault(
        message=f"the ledger's database answers: {words_of(error)}",
        help="check that the database runs and that inbond may use it",
    )


def words_of(error: BaseException) -> str:
    """The server's first line: its details quote the row, and a row may hold a salt."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return (primary or str(error).partition("\n")[0]).strip().lower()


def lock_for(connection: Connection, purpose: str) -> None:
    """Wait until nobody else does this; until the end of the transaction nobody else begins to."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCKS[purpose]})
