"""A fresh ledger for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.store.ledgers import Ledger, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger in a folder of its own, closed after the test."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()
