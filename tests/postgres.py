"""A real PostgreSQL server for tests: started from the installed programs, ended by its id.

One server for each test session, one database for each test. It syncs what it commits, listens on a
socket in its own folder and on a free port of 127.0.0.1, and runs as a user who is not root.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import psycopg

__all__ = ["PASSWORD", "USER", "Server", "serving"]

USER = "inbond"
PASSWORD = "server-password-canary"
_PATIENCE_S = 60.0
_SETTINGS = {
    "fsync": "on",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "panic",
}
_MISSING = """\
the programs of a PostgreSQL server are not on this machine, and these tests need them:
install the Debian package `postgresql` (`apt-get install postgresql`), or put a server's `pg_config` on PATH"""


@dataclass
class Server:
    """A running server."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]" = field(init=False)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def url(self, database: str, *, user: str = USER) -> str:
        """The address of a database, over the socket."""
        return f"postgresql+psycopg://{user}@/{database}?host={self.folder}&port={self.port}"

    def network_url(self, database: str) -> str:
        """The same over TCP, where the server asks for a password."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def make_database(self, *, encoding: str = "UTF8") -> str:
        """A new empty database; gives its name."""
        name = f"test{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def run(self, sql: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows of one statement, run as the server's owner outside a transaction."""
        with psycopg.connect(
            host=str(self.folder), port=self.port, user=USER, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start, and wait until it answers."""
        said = {**_SETTINGS, "unix_socket_directories": str(self.folder), **(settings or {})}
        words = [word for name, value in said.items() for word in ("-c", f"{name}={value}")]
        command = [str(_program("postgres")), "-D", str(self.folder / "data"), "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=_owner()
            )
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                said_so = (self.folder / "log").read_text()
                assert self.process.poll() is None, said_so
                assert time.monotonic() < deadline, said_so
                time.sleep(0.02)
            else:
                return

    def stop(self, *, is_sudden: bool = False) -> None:
        """End it: cutting every connection in order, or as a crash would."""
        self.process.send_signal(signal.SIGQUIT if is_sudden else signal.SIGINT)
        self.process.wait(_PATIENCE_S)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server for the time of the block."""
    # The path of a socket is short, and its folder is one that the server's user may enter.
    folder = Path(mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        _make_cluster(folder)
        server = Server(folder, _free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _make_cluster(folder: Path) -> None:
    owner = _owner()
    password = folder / "password"
    password.write_text(PASSWORD)
    if owner is not None:
        os.chown(folder, owner, -1)
        os.chown(password, owner, -1)
    command = [
        *(str(_program("initdb")), "-D", str(folder / "data"), "-U", USER, f"--pwfile={password}"),
        *("--no-sync", "--encoding=UTF8", "--locale=C"),
        *("--auth-local=trust", "--auth-host=scram-sha-256"),
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        user=owner,
    )
    assert done.returncode == 0, done.stderr


def _owner() -> int | None:
    """Who runs the server, where that is somebody else: PostgreSQL refuses root."""
    return pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None


@cache
def _program(name: str) -> Path:
    found = [*_configured(), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    program = next((folder / name for folder in found if (folder / name).exists()), None)
    if program is None:
        raise AssertionError(_MISSING)
    return program


def _configured() -> list[Path]:
    config = shutil.which("pg_config")
    if config is None:
        return []
    done = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
    return [Path(done.stdout.strip())]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
