"""Opening the database: made when absent, refused with advice when wrong."""

import sqlite3
import threading
import traceback
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert

from proxy.errors import LedgerBusy, LedgerError
from proxy.store.lock import FileLock
from proxy.store.session import STORAGE, Database, RuleBrokenError, open_database
from proxy.store.tables import SCHEMA, Row, SaltRow
from tests.proxy.store.ledgers import URL


def _set_version(folder: Path, version: str) -> None:
    connection = sqlite3.connect(folder / "inbond.db")
    connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.commit()
    connection.close()


def test_a_new_database_is_private_and_durable(tmp_path: Path) -> None:
    """A database that is not there is made, readable by its owner alone, companions included."""
    database = open_database(URL, directory=tmp_path)
    with database.read() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in (
                "journal_mode",
                "synchronous",
                "wal_autocheckpoint",
                "secure_delete",
                "foreign_keys",
            )
        }
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    database.close()
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 4_000,
        "secure_delete": 1,
        "foreign_keys": 1,
    }
    assert modes.keys() >= {"inbond.db", "inbond.db-wal", "ledger.lock"}
    assert set(modes.values()) == {0o600}


def test_the_migrations_make_the_tables_we_declare(tmp_path: Path) -> None:
    """The newest migration leaves exactly the declared tables, and carries the declared version."""
    database = open_database(URL, directory=tmp_path)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    database.close()
    assert version == SCHEMA


def test_a_database_is_found_again(tmp_path: Path) -> None:
    """What was written is there when the database is opened again."""
    first = open_database(URL, directory=tmp_path)
    with first.write() as connection:
        connection.exec_driver_sql("INSERT INTO salt VALUES ('seal', x'00')")
    first.close()
    second = open_database(URL, directory=tmp_path)
    with second.read() as connection:
        assert connection.exec_driver_sql("SELECT seal FROM salt").scalar() == "seal"
    second.close()


@pytest.mark.parametrize("turn", range(4))
def test_many_may_make_the_database_at_once(tmp_path: Path, turn: int) -> None:
    """Six first starts at once make one database and all succeed; four turns, as it is a race."""
    del turn
    opened: list[str] = []

    def start() -> None:
        database = open_database(URL, directory=tmp_path)
        with database.read() as connection:
            size = connection.exec_driver_sql("SELECT count(*) FROM log").scalar()
        opened.append(f"{size}")
        database.close()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["1"] * 6


def test_a_file_turns_write_ahead_alone(tmp_path: Path) -> None:
    """Where another makes the database, a start waits for it before it touches the file."""
    lock = FileLock(tmp_path / "ledger.lock")
    opened: list[Database] = []
    start = threading.Thread(
        target=lambda: opened.append(open_database(URL, directory=tmp_path)), daemon=True
    )
    with lock.hold(1):
        start.start()
        start.join(0.3)
        assert (tmp_path / "inbond.db").read_bytes() == b""
        assert not opened
    start.join()
    opened[0].close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A database of a newer version is refused, and the advice is to upgrade."""
    open_database(URL, directory=tmp_path).close()
    _set_version(tmp_path, "9999")
    with pytest.raises(
        LedgerError, match="version `9999`, which this inbond does not know"
    ) as caught:
        open_database(URL, directory=tmp_path)
    assert caught.value.help == "upgrade inbond to the version that wrote it"


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    """A version that sorts between ours and is not ours is refused too, never migrated."""
    open_database(URL, directory=tmp_path).close()
    _set_version(tmp_path, "0000")
    with pytest.raises(LedgerError, match="version `0000`") as caught:
        open_database(URL, directory=tmp_path)
    assert "upgrade" in caught.value.help


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """A file that is no database, and a database of another program, are refused untouched."""
    path = tmp_path / "inbond.db"
    path.write_bytes(b"this is a text file and not a database at all" * 100)
    with pytest.raises(LedgerError, match="this file is not a ledger's database") as caught:
        open_database(URL, directory=tmp_path)
    assert caught.value.help.startswith("check `database` in inbond.yaml")
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(LedgerError, match="holds tables of another program"):
        open_database(URL, directory=tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A folder that does not exist, or cannot hold files, gives an error with advice."""
    for directory in (tmp_path / "nowhere", Path("/proc")):
        with pytest.raises(LedgerError, match="cannot be opened") as caught:
            open_database(URL, directory=directory)
        assert caught.value.where == str(directory / "inbond.db")
        assert "yours to read and write" in caught.value.help


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    """A folder of the database's name gives an error, not a traceback."""
    (tmp_path / "inbond.db").mkdir()
    with pytest.raises(LedgerError, match="cannot be opened: is a directory"):
        open_database(URL, directory=tmp_path)


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite://", "sqlite:///:memory:", "oracle+no://x/y", "mssql+pymssql://x/y"]
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    """A database in memory, of an unknown kind or without a name is refused by the setting's name."""
    with pytest.raises(LedgerError, match=r"memory|not the address"):
        open_database(url, directory=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_relative_path_counts_from_the_workspace(tmp_path: Path) -> None:
    """A relative path is one in the workspace, an absolute one is itself."""
    open_database("sqlite:///here.db", directory=tmp_path).close()
    (tmp_path / "sub").mkdir()
    there = tmp_path / "sub" / "there.db"
    open_database(f"sqlite:///{there}", directory=tmp_path).close()
    assert (tmp_path / "here.db").stat().st_size
    assert there.stat().st_size


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A block that raises leaves the database as it was."""
    database = open_database(URL, directory=tmp_path)
    with pytest.raises(LedgerError), database.write() as connection:  # noqa: PT012 - the first statement must have worked
        connection.exec_driver_sql("INSERT INTO salt VALUES ('seal', x'00')")
        connection.exec_driver_sql("INSERT INTO salt VALUES ('seal', x'00')")
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM salt").scalar() == 0
    database.close()


def test_a_reader_sees_one_state(tmp_path: Path) -> None:
    """What is written while a reader reads is not seen by it, and does not wait for it."""
    database = open_database(URL, directory=tmp_path)
    with database.read() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM salt").scalar() == 0
        with database.write() as writer:
            writer.exec_driver_sql("INSERT INTO salt VALUES ('seal', x'00')")
        assert reader.exec_driver_sql("SELECT count(*) FROM salt").scalar() == 0
    database.close()


def test_a_writer_holds_the_database_from_the_start(tmp_path: Path) -> None:
    """A writer keeps other programs from writing even before its first statement."""
    database = open_database(URL, directory=tmp_path)
    other = sqlite3.connect(tmp_path / "inbond.db", isolation_level=None, timeout=0)
    with database.write(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()
    database.close()


def test_a_mistake_in_the_statement_is_a_ledger_error(tmp_path: Path) -> None:
    """Whatever else the database answers comes out as a ledger error with its words."""
    database = open_database(URL, directory=tmp_path)
    with (
        pytest.raises(LedgerError, match="answers: no such table: absent") as caught,
        database.read() as connection,
    ):
        connection.exec_driver_sql("SELECT * FROM absent")
    assert caught.value.code == STORAGE
    database.close()


def test_errors_show_no_salt(tmp_path: Path) -> None:
    """The text of a failure, causes included, holds no parameter of the statement."""
    database = open_database(URL, directory=tmp_path)
    salt = bytes.fromhex("63616e617279")
    with pytest.raises(LedgerError) as caught, database.write() as connection:
        connection.execute(insert(SaltRow), {"seal": None, "salt": salt})
    database.close()
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_what_a_driver_writes_is_there_when_its_block_ends(tmp_path: Path) -> None:
    """The driver's own cursor writes in one transaction, and holds the database from its start."""
    database = open_database(URL, directory=tmp_path)
    other = sqlite3.connect(tmp_path / "inbond.db", isolation_level=None, timeout=0)
    with database.drive() as driver:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        driver.exec_driver_sql("INSERT INTO salt VALUES ('seal', x'00')", ())
        assert other.execute("SELECT count(*) FROM salt").fetchall() == [(0,)]
    assert other.execute("SELECT count(*) FROM salt").fetchall() == [(1,)]
    other.close()
    database.close()


def test_a_driver_whose_block_raises_leaves_nothing(tmp_path: Path) -> None:
    """A rule of the database that is broken undoes all of the block, and is told without values."""
    database = open_database(URL, directory=tmp_path)
    row = (bytes.fromhex("63616e617279").decode(), b"\x00")
    with pytest.raises(RuleBrokenError, match="unique constraint failed") as caught:  # noqa: SIM117, PT012 - the first statement must have worked
        with database.drive() as driver:
            driver.exec_driver_sql("INSERT INTO salt VALUES (?, ?)", row)
            driver.exec_driver_sql("INSERT INTO salt VALUES (?, ?)", row)
    assert caught.value.where.endswith("inbond.db")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    with database.drive() as driver:
        assert driver.exec_driver_sql("SELECT count(*) FROM salt", ()).fetchall() == [(0,)]
    database.close()


def test_a_driver_waits_for_the_database_and_says_so(tmp_path: Path) -> None:
    """Another program that holds the database makes a driver busy; another mistake is told as such."""
    database = open_database(URL, directory=tmp_path, busy_timeout_s=0.05)
    other = sqlite3.connect(tmp_path / "inbond.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy, match="another program has held"), database.drive():
        pass
    other.close()
    with pytest.raises(LedgerError, match="no such table: absent") as caught:  # noqa: SIM117 - the block under test is the inner one
        with database.drive() as driver:
            driver.exec_driver_sql("SELECT * FROM absent", ())
    assert caught.value.code == STORAGE
    database.close()
