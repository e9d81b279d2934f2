"""What the ledger knows of batches: joined by route, the provider's ids and the line's digest."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from proxy.errors import LedgerError
from proxy.ledger.entry import BatchRecord, LineRecord
from proxy.ledger.seal import decrypt_body
from proxy.store.batches import (
    batch_of_file,
    creates_of,
    files_of,
    keep_pieces,
    left_open,
    lines_of,
    pieces_of,
    sent_calls,
    upload_of,
)
from proxy.store.bodies import Absent, prepare_body
from proxy.store.tables import SaltRow
from proxy.store.views import rebuild_views
from tests.proxy.store.ledgers import Ledger, call, exchange, open_ledger

ONE, TWO = "01" * 32, "02" * 32
ROUTE = "acme-api"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


def _batch(ledger: Ledger) -> tuple[str, str, str]:
    """A batch of two lines; gives the ids of its call and of the lines."""
    create = call()
    lines = [call(line=LineRecord(create=create.entry.id, custom=one)) for one in (ONE, TWO)]
    said = BatchRecord(batch="b1", state="open", input="f1")
    ledger.log.append([create, *lines])
    ledger.log.append([exchange(create.entry.id, batch=said)])
    return create.entry.id, lines[0].entry.id, lines[1].entry.id


def _say(ledger: Ledger, said: BatchRecord) -> None:
    poll = call()
    ledger.log.append([poll, exchange(poll.entry.id, batch=said)])


def test_lines_are_found_by_their_batch_until_they_end(ledger: Ledger) -> None:
    """By route, the provider's id and the digest; also once the views were made again."""
    create, first, second = _batch(ledger)
    ledger.log.append([exchange(first)])
    for _ in range(2):
        with ledger.database.read() as reading:
            assert creates_of(reading, ROUTE, "b1") == (create,)
            assert creates_of(reading, "other", "b1") == ()
            assert creates_of(reading, ROUTE, "b2") == ()
            found = lines_of(reading, [create], [ONE, TWO, "03" * 32])
            assert {one: line.call for one, line in found.items()} == {ONE: first, TWO: second}
            assert [line.is_open for line in (found[ONE], found[TWO])] == [False, True]
            assert left_open(reading, [create], limit=9) == (second,)
            sent = sent_calls(reading, [second, "nobody"])
            assert list(sent) == [second]
            assert sent[second].call.request.seal == found[TWO].request_seal
            assert sent[second].request == b"what is asked"
        rebuild_views(ledger.database)


def test_files_lead_to_their_batch(ledger: Ledger) -> None:
    """An answer that names them says so; what was read is known from then on."""
    _batch(ledger)
    _say(ledger, BatchRecord(batch="b1", state="ended", outputs=["o1", "o2"]))
    _say(ledger, BatchRecord(batch="b1", read="o1"))
    with ledger.database.read() as reading:
        assert batch_of_file(reading, ROUTE, "o1") == "b1"
        assert batch_of_file(reading, "other", "o1") is None
        assert batch_of_file(reading, ROUTE, "f1") is None
        files = files_of(reading, ROUTE, "b1")
    assert files.named == {"o1", "o2"}
    assert files.read == {"o1"}
    assert files.is_ended


def test_an_upload_is_told_from_a_batch_of_its_file(ledger: Ledger) -> None:
    """Both name the file; the upload alone speaks of no batch. The last upload counts."""
    _batch(ledger)
    with ledger.database.read() as reading:
        assert upload_of(reading, ROUTE, "f1") is None
    first, last = call(), call()
    for one in (first, last):
        ledger.log.append([one, exchange(one.entry.id, batch=BatchRecord(input="f1"))])
    with ledger.database.read() as reading:
        assert upload_of(reading, ROUTE, "f1") == last.entry.id


def _sealed(data: bytes) -> tuple[bytes, bytes]:
    salt = os.urandom(32)
    blob = prepare_body(data, salt).body.blob
    assert blob is not None
    assert decrypt_body(salt, blob) == data
    return salt, blob


def test_pieces_are_kept_in_order_and_go_when_they_are_old(ledger: Ledger) -> None:
    """A later upload drops those sent before its instant."""
    old, new = "2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"
    pieces = [_sealed(b"one\n"), _sealed(b"two\n")]
    keep_pieces(ledger.database, "c1", old, iter(pieces), before=old)
    assert list(pieces_of(ledger.database, "c1")) == [b"one\n", b"two\n"]
    keep_pieces(ledger.database, "c2", new, iter([_sealed(b"x\n")]), before=new)
    assert list(pieces_of(ledger.database, "c1")) == []
    assert list(pieces_of(ledger.database, "c2")) == [b"x\n"]


def test_a_file_that_goes_while_it_is_read_is_no_shorter_file(ledger: Ledger) -> None:
    """Half of its lines would be decided on, and all of them leave."""
    at = "2026-01-01T00:00:00.000Z"
    keep_pieces(ledger.database, "c1", at, iter([_sealed(b"one\n"), _sealed(b"two\n")]), before=at)
    pieces = pieces_of(ledger.database, "c1")
    assert next(pieces) == b"one\n"
    keep_pieces(ledger.database, "c2", at, iter(()), before="2026-02-01T00:00:00.000Z")
    with pytest.raises(LedgerError, match="deleted while it was read"):
        next(pieces)


def test_an_erased_request_is_said_to_be(ledger: Ledger) -> None:
    """Its call is there, and what was asked is not."""
    _, first, _ = _batch(ledger)
    with ledger.database.write() as connection:
        connection.execute(delete(SaltRow))
    with ledger.database.read() as reading:
        assert sent_calls(reading, [first])[first].request is Absent.ERASED
