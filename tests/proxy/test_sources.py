"""Imported data on record: what may be said of it, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import LedgerError
from proxy.ledger.entry import SourceEntry
from proxy.selection import every_entry
from proxy.sources import Declared, declare, last_words, withdraw
from tests.proxy.store.ledgers import Ledger, open_ledger

TICKETS = Declared(name="tickets", licence="LicenseRef-ours", may_train=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


def test_a_declaration_goes_on_record(ledger: Ledger) -> None:
    """The entry says who declared what, with its duties sorted and each once."""
    said = replace(TICKETS, duties=["display=Docs", "attribution=Us", "display=Docs"])
    made = declare(ledger.log, said, actor="user:7", reason=" our customers agreed ")
    with ledger.database.read() as connection:
        (item,) = every_entry(connection, "source")
    assert item.entry == made
    assert isinstance(item.entry, SourceEntry)
    assert item.entry.duties == ["attribution: Us", "display: Docs"]
    assert (item.entry.actor, item.entry.reason) == ("user:7", "our customers agreed")


def test_the_last_word_counts(ledger: Ledger) -> None:
    """A source declared again, or withdrawn, is listed once, as it stands."""
    declare(ledger.log, TICKETS, actor="user:1", reason="ours")
    declare(ledger.log, replace(TICKETS, name="docs"), actor="user:1", reason="ours")
    gone = withdraw(ledger.log, "tickets", actor="user:2", reason="a customer objected")
    assert (gone.licence, gone.may_train, gone.action) == ("LicenseRef-ours", False, "withdraw")
    assert [(word.source, word.action) for word in last_words(ledger.log)] == [
        ("docs", "declare"),
        ("tickets", "withdraw"),
    ]


@pytest.mark.parametrize(
    ("said", "reason", "message", "fix"),
    [
        (replace(TICKETS, name="a b"), "x", "`a b` is no name", "use letters"),
        (replace(TICKETS, licence="see page"), "x", "`see page` is no licence", "SPDX"),
        (replace(TICKETS, duties=["atribution=Us"]), "x", "no duty", "did you mean `attribution`?"),
        (replace(TICKETS, duties=["zzz=Us"]), "x", "no duty", "the duties are"),
        (replace(TICKETS, duties=["display"]), "x", "says nothing", "KIND=VALUE"),
        (replace(TICKETS, duties=["display=a\nb"]), "x", "says nothing", "KIND=VALUE"),
        (TICKETS, " ", "the reason is empty", "say in a sentence"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    ledger: Ledger, said: Declared, reason: str, message: str, fix: str
) -> None:
    """A wrong word is an error with a fix, and nothing goes on record."""
    with pytest.raises(LedgerError, match=message) as caught:
        declare(ledger.log, said, actor="user:1", reason=reason)
    assert fix in caught.value.help
    assert last_words(ledger.log) == []


def test_only_what_is_there_can_be_withdrawn(ledger: Ledger) -> None:
    """An unknown name is an error that offers the nearest."""
    with pytest.raises(LedgerError, match="no source `tickets`") as caught:
        withdraw(ledger.log, "tickets", actor="user:1", reason="x")
    assert "inbond source list" in caught.value.help
    declare(ledger.log, TICKETS, actor="user:1", reason="ours")
    with pytest.raises(LedgerError) as caught:
        withdraw(ledger.log, "ticket", actor="user:1", reason="x")
    assert caught.value.help == "did you mean `tickets`?"
