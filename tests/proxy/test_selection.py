"""What a bundle must hold: all that its entries name, or an error."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete

from proxy.cli.openledger import open_ledger
from proxy.errors import LedgerError
from proxy.ledger.entry import ExchangeEntry
from proxy.ledger.leaf import named_digests, read_leaf
from proxy.ledger.merkle import root_at
from proxy.selection import close_over, documents_of, every_entry, open_seals, tile_reader_of
from proxy.store.tables import DocumentRow
from tests.proxy.store.ledgers import admin
from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with one exchange."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        made.ask(Asked())
        yield made


def test_entries_are_read_beyond_one_page(here: Workshop) -> None:
    """Every entry comes, in order, however many there are."""
    with open_ledger(here.settings) as ledger:
        ledger.log.append([admin() for _ in range(600)])
        with ledger.database.read() as connection:
            found = every_entry(connection)
            notes = every_entry(connection, "admin")
    assert [item.seq for item in found] == list(range(len(found)))
    assert len(notes) == 600


def test_the_closure_holds_all_that_is_named(here: Workshop) -> None:
    """Every digest named by the entries kept is introduced by one of them, and its text is there."""
    with open_ledger(here.settings) as ledger, ledger.database.read() as connection:
        exchange = [item for item in every_entry(connection) if item.entry.kind == "exchange"]
        kept = close_over(connection, exchange, [])
        texts = documents_of(connection, kept)
    kinds = [read_leaf(item.seq, item.leaf).kind for item in kept]
    assert {"open", "key", "policy", "terms", "exchange"} <= set(kinds)
    assert [item.seq for item in kept] == sorted({item.seq for item in kept})
    named = {pair for item in kept for pair in named_digests(read_leaf(item.seq, item.leaf))}
    held = {("policies", name) for name in texts.policies} | {("terms", n) for n in texts.terms}
    assert named == held
    assert all(sha256(text).hexdigest() == name for name, text in texts.terms.items())


def test_terms_that_nobody_names_stay_out(here: Workshop) -> None:
    """An exchange of one teacher does not drag the terms of others along."""
    with open_ledger(here.settings) as ledger, ledger.database.read() as connection:
        terms = every_entry(connection, "terms")
        kept = close_over(connection, every_entry(connection, "exchange"), [])
    assert len([k for k in kept if k.seq in {item.seq for item in terms}]) < len(terms)


def test_a_text_that_is_gone_is_an_error(here: Workshop) -> None:
    """A bundle that could not be closed is not made: the error names the document."""
    with open_ledger(here.settings) as ledger:
        with ledger.database.write() as connection:
            connection.execute(delete(DocumentRow))
        with ledger.database.read() as connection:
            kept = close_over(connection, every_entry(connection), [])
            with pytest.raises(LedgerError, match=r"names `\w+/[0-9a-f]+`, which is not stored"):
                documents_of(connection, kept)


def test_only_what_is_kept_is_opened(here: Workshop) -> None:
    """An answer opens under its seal; a seal that was only made of a stream gives nothing."""
    with open_ledger(here.settings) as ledger, ledger.database.read() as connection:
        (item,) = every_entry(connection, "exchange")
        assert isinstance(item.entry, ExchangeEntry)
        seals = [record.seal for record in (item.entry.answer, item.entry.wire) if record]
        opened = open_seals(connection, [*seals, "0" * 64])
    assert [opening.seal for opening in opened] == seals[:1]


def test_the_tiles_are_the_logs(here: Workshop) -> None:
    """What tiles are read from gives the root of the log."""
    with open_ledger(here.settings) as ledger:
        assert root_at(ledger.log.size, tile_reader_of(ledger.database)) == ledger.log.root()
