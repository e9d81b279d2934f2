"""The fourth version of the database: erasures, holds and statuses, and calls found by route."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

import proxy.store
from proxy.store.queries import entries
from proxy.store.session import open_database
from tests.proxy.store.ledgers import URL, admin, open_ledger

MIGRATIONS = Path(proxy.store.__file__).parent / "migrations"
TABLES = {"erased", "hold", "dataset_status"}


def test_a_ledger_of_the_third_version_keeps_its_entries(tmp_path: Path) -> None:
    """Its tables and its index go and come back; what it held it holds, and it appends from there."""
    ledger = open_ledger(tmp_path)
    ledger.log.append([admin("before")])
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with ledger.database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        found = inspect(connection)
        assert not TABLES & set(found.get_table_names())
        assert "ix_call_route_seq" not in {index["name"] for index in found.get_indexes("call")}
    ledger.database.close()
    open_database(URL, directory=tmp_path, migrate=True).close()
    ledger = open_ledger(tmp_path)
    ledger.log.append([admin("after")])
    with ledger.database.read() as connection:
        actions = [getattr(stored.entry, "action", None) for stored in entries(connection)]
        found = inspect(connection)
        assert set(found.get_table_names()) >= TABLES
        assert "ix_call_route_seq" in {index["name"] for index in found.get_indexes("call")}
    ledger.database.close()
    assert actions == ["before", "after"]
