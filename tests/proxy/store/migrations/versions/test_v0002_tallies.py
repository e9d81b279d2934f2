"""The second version of the database: tables for tallies and prompts, and nothing else changed."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

import proxy.store
from proxy.errors import LedgerError
from proxy.store.queries import entries
from proxy.store.session import open_database
from tests.proxy.store.ledgers import URL, admin, open_ledger

MIGRATIONS = Path(proxy.store.__file__).parent / "migrations"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of the first version with one entry."""
    ledger = open_ledger(tmp_path)
    ledger.log.append([admin("before")])
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with ledger.database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        assert not {"tally", "prompt"} & set(inspect(connection).get_table_names())
    ledger.database.close()
    return tmp_path


def test_an_old_ledger_is_refused_with_advice(old: Path) -> None:
    """Without being asked to, inbond changes no ledger of an older version."""
    with pytest.raises(LedgerError, match="version `0001`; this inbond needs `") as caught:
        open_database(URL, directory=old)
    assert caught.value.help == "make a backup, then run `inbond ledger migrate`"


def test_an_old_ledger_keeps_its_entries(old: Path) -> None:
    """A migrated ledger holds what it held, and appends and counts from there."""
    open_database(URL, directory=old, migrate=True).close()
    ledger = open_ledger(old)
    ledger.log.append([admin("after")])
    with ledger.database.read() as connection:
        actions = [getattr(stored.entry, "action", None) for stored in entries(connection)]
        assert {"tally", "prompt"} <= set(inspect(connection).get_table_names())
    ledger.database.close()
    assert actions == ["before", "after"]
