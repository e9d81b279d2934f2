"""The ledger on a real PostgreSQL server."""

import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, inspect, make_url, select

import proxy.store
from proxy.errors import LedgerBusy, LedgerError
from proxy.ledger.checkpoint import open_checkpoint
from proxy.ledger.merkle import consistency_proof, leaf_hash, root_of, verify_consistency
from proxy.store.erasing import erase_bodies, purge
from proxy.store.postgres import fault_of
from proxy.store.queries import checkpoints, exchange_with_call, node_reader
from proxy.store.session import STORAGE, FateUnknownError, RuleBrokenError, open_database
from proxy.store.tables import EntryRow, Row, SaltRow
from proxy.store.verify import verify_store
from proxy.store.views import rebuild_views
from tests.postgres import PASSWORD, Server
from tests.proxy.store.ledgers import KEY, Ledger, admin, call, exchange, key_entry, open_ledger
from tests.proxy.store.relay import relaying

MIGRATIONS = Path(proxy.store.__file__).parent / "migrations"


@pytest.fixture
def ledger(tmp_path: Path, postgres_url: str) -> Iterator[Ledger]:
    """An empty ledger on the server."""
    opened = open_ledger(tmp_path, url=postgres_url)
    yield opened
    opened.database.close()


class _ServerError(Exception):
    def __init__(self, words: str, sqlstate: str | None = None) -> None:
        super().__init__(words)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "message", "is_busy"),
    [
        (_ServerError("x", "53100"), "the disk of the ledger's database server is full", False),
        (_ServerError("x", "25006"), "is read-only", False),
        (_ServerError("x", "28P01"), "does not let this user in", False),
        (_ServerError("x", "3D000"), "does not exist", False),
        (_ServerError("x", "42501"), "may not use the tables", False),
        (_ServerError("x", "53300"), "takes no more connections", True),
        (_ServerError("x", "55P03"), "has held the ledger's database too long", True),
        (_ServerError("x", "40P01"), "has held the ledger's database too long", True),
        (_ServerError("x", "25P03"), "stood still", True),
        (_ServerError("x", "57P01"), "is stopping or starting", False),
        (_ServerError("x", "08006"), "cannot be reached", False),
        (_ServerError("connection refused"), "cannot be reached", False),
        (_ServerError('password authentication failed for user "u"'), "let this user in", False),
        (_ServerError('FATAL: database "d" does not exist'), "does not exist", False),
        (_ServerError('FATAL: role "r" does not exist'), "let this user in", False),
        (_ServerError("FATAL: sorry, too many clients already"), "no more connections", True),
        (_ServerError("FATAL: the database system is starting up"), "stopping or starting", False),
        (_ServerError("Out of cheese\nDETAIL: a row", "XX000"), "answers: out of cheese", False),
    ],
)
def test_an_error_says_what_to_do(error: _ServerError, message: str, is_busy: bool) -> None:  # noqa: FBT001 - a parameter of the cases
    """Each kind of error of server or network has words of its own and advice."""
    fault = fault_of(error)
    assert fault.message.endswith(message) or message in fault.message
    assert "detail" not in fault.message
    assert fault.is_busy is is_busy
    assert fault.help


def test_the_migrations_make_the_tables_we_declare(ledger: Ledger) -> None:
    """On PostgreSQL too the newest migration leaves exactly the declared tables."""
    with ledger.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []


def test_the_tables_go_all_the_way_back(ledger: Ledger, postgres_url: str) -> None:
    """Every migration can be undone to nothing, and done again."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with ledger.database.aside() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
    again = open_ledger(ledger.folder, url=postgres_url)
    assert again.log.append([admin()]) == [0]
    again.database.close()


def test_a_ledger_verifies_and_its_views_are_made_again(ledger: Ledger) -> None:
    """Calls, keys and checkpoints on the server add up, before and after the views are rebuilt."""
    first = call()
    made = [first, exchange(first.entry.id), key_entry("create", "Kb"), key_entry("revoke", "Kb")]
    ledger.log.append([*made, key_entry("create", "ka", digest="cd" * 32), call(worker="w2")])
    ledger.signer.sign()
    assert verify_store(ledger.database, KEY.verifier).is_sound
    rebuild_views(ledger.database)
    assert verify_store(ledger.database, KEY.verifier).is_sound


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=5))
def test_writers_at_once_make_one_tree(ledger: Ledger, plan: list[list[int]]) -> None:
    """However one to five writers batch, the root is that of the leaves, and old checkpoints hold."""

    def write(sizes: list[int]) -> None:
        for size in sizes:
            ledger.log.append([admin() for _ in range(size)])
        ledger.signer.sign()

    threads = [threading.Thread(target=write, args=(sizes,)) for sizes in plan]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.database.read() as connection:
        leaves = connection.execute(select(EntryRow.leaf).order_by(EntryRow.seq)).scalars()
        hashes = [leaf_hash(leaf) for leaf in leaves]
        root = root_of(hashes)
        read = node_reader(connection)
        notes = [open_checkpoint(one.note, KEY.verifier) for one in checkpoints(connection)]
        for old in notes:
            proof = consistency_proof(old.size, len(hashes), read)
            verify_consistency(old.size, old.root, len(hashes), root, proof)
    assert ledger.log.root() == root
    assert notes[-1].size == len(hashes)


def test_a_server_that_went_away_is_found_again(ledger: Ledger, postgres: Server) -> None:
    """While it is away appends fail with what to do; once it runs the same append succeeds."""
    ledger.log.append([admin()])
    again = admin()
    postgres.stop()
    with pytest.raises(LedgerError, match="cannot be reached") as caught:
        ledger.log.append([again])
    assert caught.value.code == STORAGE
    postgres.start()
    assert ledger.log.append([again]) == [1]


def test_a_commit_of_unknown_fate_is_ended_once(
    tmp_path: Path, postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose commit came through after all, though its maker was told no, is interrupted."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    direct = make_url(postgres.network_url(_name_of(postgres_url)))
    with relaying(postgres.port) as relay:
        far = direct.set(port=relay.port, query={"sslmode": "disable"})
        ledger = open_ledger(tmp_path, url=far.render_as_string())
        doubtful, ended = call(), call()
        relay.losing.set()
        with pytest.raises(FateUnknownError):
            ledger.log.append([doubtful, ended, exchange(ended.entry.id)])
        # It is in the log already, so that the next append ends it, and one more ends nothing.
        assert [ledger.log.append([admin()]) for _ in range(2)] == [[4], [5]]
        outcomes = [_outcome(ledger, one.entry.id) for one in (doubtful, ended)]
        assert outcomes == ["interrupted", "complete"]
        assert verify_store(ledger.database, KEY.verifier).is_sound
        ledger.database.close()


def _outcome(ledger: Ledger, call_id: str) -> str | None:
    with ledger.database.read() as connection:
        found = exchange_with_call(connection, call_id)
    return found.exchange.entry.outcome if found and found.exchange else None


def _name_of(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name


def test_a_row_that_another_holds_ends_in_busy(tmp_path: Path, postgres_url: str) -> None:
    """Who cannot have the head of the log in time is told that it is held, and may try again."""
    patient = open_ledger(tmp_path, url=postgres_url)
    hasty = open_ledger(tmp_path, url=postgres_url, busy_timeout_s=0.05)
    with patient.database.write(), pytest.raises(LedgerBusy, match="held the ledger's database"):
        hasty.log.append([admin()])
    assert hasty.log.append([admin()]) == [0]
    patient.database.close()
    hasty.database.close()


def test_errors_show_no_salt(ledger: Ledger) -> None:
    """PostgreSQL quotes the row that breaks a rule; no text of ours, causes included, holds it."""
    salt = b"canary"
    with pytest.raises(RuleBrokenError) as caught, ledger.database.write() as connection:
        connection.execute(insert(SaltRow), {"seal": None, "salt": salt})
    shown = "".join(traceback.format_exception(caught.value))
    assert "canary" not in shown
    assert salt.hex() not in shown


def test_the_password_is_asked_for_and_never_shown(
    tmp_path: Path, postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password is refused without a word of it; the right one comes from the environment."""
    name = _name_of(postgres_url)
    wrong = postgres.network_url(name).replace("@", ":wrong-canary@")
    with pytest.raises(LedgerError, match="does not let this user in") as caught:
        open_database(wrong, directory=tmp_path)
    assert "wrong-canary" not in "".join(traceback.format_exception(caught.value))
    assert "wrong-canary" not in caught.value.where
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    open_database(postgres.network_url(name), directory=tmp_path).close()


def test_what_a_server_cannot_promise_is_refused(tmp_path: Path, postgres: Server) -> None:
    """A database that cannot hold every text, and a server that does not sync, are not used."""
    latin = postgres.make_database(encoding="LATIN1")
    with pytest.raises(LedgerError, match="encoded in LATIN1"):
        open_database(postgres.url(latin), directory=tmp_path)
    with pytest.raises(LedgerError, match="does not exist"):
        open_database(postgres.url("absent"), directory=tmp_path)
    postgres.stop()
    postgres.start({"fsync": "off"})
    try:
        with pytest.raises(LedgerError, match="`fsync` off"):
            open_database(postgres.url("postgres"), directory=tmp_path)
    finally:
        postgres.stop()
        postgres.start()


def test_erased_salts_are_in_no_file_of_the_table(
    ledger: Ledger, postgres: Server, postgres_url: str
) -> None:
    """After `purge` the files of the tables hold neither salt nor body, and the ledger verifies."""
    one, other = call(), call()
    ledger.log.append([one, other])
    name = _name_of(postgres_url)
    salt = one.bodies[0].salt
    postgres.run("CHECKPOINT", database=name)
    assert _holders(postgres, salt)
    erase_bodies(ledger.database, [one.bodies[0].seal], [])
    purge(ledger.database)
    postgres.run("CHECKPOINT", database=name)
    assert not _holders(postgres, salt)
    assert _holders(postgres, other.bodies[0].salt)
    assert verify_store(ledger.database, KEY.verifier).is_sound


def _holders(postgres: Server, value: bytes) -> list[Path]:
    files = (path for path in (postgres.folder / "data" / "base").rglob("*") if path.is_file())
    return [path for path in files if value in path.read_bytes()]
