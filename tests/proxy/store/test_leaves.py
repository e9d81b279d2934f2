"""What is appended beside a leaf's bytes; what the log promises of it is in `test_log`."""

import pytest

from proxy.errors import LedgerError
from proxy.ledger.entry import ExchangeEntry, exchange_of
from proxy.store.leaves import Document, Pending, interruption, make_leaf
from tests.proxy.store.ledgers import admin, call


def test_an_interruption_ends_its_call() -> None:
    """It is the one exchange of the call, and nothing of it can be admitted."""
    begun = call()
    entry = interruption(begun.entry.id).entry
    assert isinstance(entry, ExchangeEntry)
    assert (entry.id, entry.call) == (exchange_of(begun.entry.id), begun.entry.id)
    assert (entry.outcome, entry.is_whole, entry.decision) == ("interrupted", False, None)


def test_a_document_has_the_digest_it_is_named_by() -> None:
    """A document under another digest is refused before anything is written."""
    wrong = Document(digest="ab" * 32, kind="terms", content=b"a text")
    with pytest.raises(LedgerError, match="does not have this digest"):
        make_leaf(Pending(admin().entry, documents=(wrong,)))
