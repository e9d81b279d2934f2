"""A fresh ledger for each test, and a server for those of PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Server, serving
from tests.proxy.store.ledgers import Ledger, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger in a folder of its own, closed after the test."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started when the first test asks for it."""
    with serving() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """The address of an empty database of the test's own."""
    name = postgres.make_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger in each kind of database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    opened = open_ledger(tmp_path, url=url)
    yield opened
    opened.database.close()
