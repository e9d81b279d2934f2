"""The third version of the database: tables for batches, and nothing else changed."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

import proxy.store
from proxy.store.queries import entries
from proxy.store.session import open_database
from tests.proxy.store.ledgers import URL, admin, open_ledger

MIGRATIONS = Path(proxy.store.__file__).parent / "migrations"
TABLES = {"batch_piece", "batch_line", "batch_word"}


def test_a_ledger_of_the_second_version_keeps_its_entries(tmp_path: Path) -> None:
    """Its tables go and come back; what it held it holds, and it appends from there."""
    ledger = open_ledger(tmp_path)
    ledger.log.append([admin("before")])
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with ledger.database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        assert not TABLES & set(inspect(connection).get_table_names())
    ledger.database.close()
    open_database(URL, directory=tmp_path, migrate=True).close()
    ledger = open_ledger(tmp_path)
    ledger.log.append([admin("after")])
    with ledger.database.read() as connection:
        actions = [getattr(stored.entry, "action", None) for stored in entries(connection)]
        assert set(inspect(connection).get_table_names()) >= TABLES
    ledger.database.close()
    assert actions == ["before", "after"]
