"""The fifth version of the database: what workers of several hosts say of themselves."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

import proxy.store
from proxy.store.queries import entries
from proxy.store.session import open_database
from tests.proxy.store.ledgers import URL, admin, open_ledger

MIGRATIONS = Path(proxy.store.__file__).parent / "migrations"


def test_a_ledger_of_the_fourth_version_keeps_its_entries(tmp_path: Path) -> None:
    """Its table goes and comes back; what the ledger held it holds."""
    ledger = open_ledger(tmp_path)
    ledger.log.append([admin("before")])
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with ledger.database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        assert "lease" not in inspect(connection).get_table_names()
    ledger.database.close()
    open_database(URL, directory=tmp_path, migrate=True).close()
    ledger = open_ledger(tmp_path)
    with ledger.database.read() as connection:
        assert "lease" in inspect(connection).get_table_names()
        assert [getattr(stored.entry, "action", None) for stored in entries(connection)] == [
            "before"
        ]
    ledger.database.close()
