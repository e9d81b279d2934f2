"""A person's text is found however a body spells it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import LedgerError
from proxy.searching import Needle, holds_text
from proxy.store.batches import keep_pieces
from proxy.store.bodies import prepare_body
from proxy.store.recalls import recorded
from proxy.store.records import RecordedExchange, StoredEntry
from tests.proxy.store.ledgers import Ledger, call, exchange, open_ledger

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda t: t.strip())


@given(text=TEXT, around=TEXT, is_ascii=st.booleans(), is_nested=st.booleans())
def test_a_text_is_found_in_any_spelling(
    text: str, around: str, *, is_ascii: bool, is_nested: bool
) -> None:
    """Plain, escaped, and escaped twice inside a tool's arguments: it is the same text."""
    said = around + text.strip() + around
    inner = json.dumps({"said": said}, ensure_ascii=is_ascii) if is_nested else said
    body = json.dumps({"content": inner}, ensure_ascii=is_ascii).encode()
    needle = Needle.of(text)
    assert needle.is_in(body)
    assert needle.is_in(said.encode())


def test_other_texts_are_not_found() -> None:
    """What does not hold the text in any spelling is not taken."""
    assert not Needle.of("Zürich").is_in(b'{"content": "Zurich"}')
    assert Needle.of("Zu\u0308rich").is_in("Zürich".encode())


def test_an_empty_text_is_refused() -> None:
    """A file without a text would mean everybody."""
    with pytest.raises(LedgerError, match="is empty"):
        Needle.of(" \n")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


def test_request_answer_and_kept_upload_are_searched(ledger: Ledger) -> None:
    """All that is stored of an exchange is looked into, the kept lines of an upload too."""
    made = call()
    end = exchange(made.entry.id)
    ledger.log.append([made, end])
    with ledger.database.read() as connection:
        (found,) = recorded(connection, [made.entry.id])
        for text, is_there in (("what is asked", True), ("what is answered", True), ("x", False)):
            assert holds_text(connection, found, Needle.of(text)) is is_there
        alone = RecordedExchange(found.call, None)
        assert not holds_text(connection, alone, Needle.of("what is answered"))
    assert found.exchange is not None
    sealed = prepare_body(b'{"custom_id": "anna"}\n', b"u" * 32)
    keep_pieces(
        ledger.database, made.entry.id, "a", iter([(sealed.body.salt, sealed.body.blob or b"")]),
        before="",
    )  # fmt: skip
    uploaded = found.exchange.entry.model_copy(update={"upload": sealed.record})
    upload = RecordedExchange(
        found.call, StoredEntry(found.exchange.seq, found.exchange.leaf, uploaded)
    )
    with ledger.database.read() as connection:
        assert holds_text(connection, upload, Needle.of("anna"))
        assert not holds_text(connection, upload, Needle.of("berta"))
