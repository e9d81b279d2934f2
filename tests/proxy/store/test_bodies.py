"""Bodies by seal."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update

from proxy.errors import ProofError
from proxy.ledger.seal import SALT_BYTES, decrypt_body, seal
from proxy.store.bodies import Absent, Opening, open_all, open_seal, prepare_body, read_body
from proxy.store.log import Pending
from proxy.store.tables import BodyRow, SaltRow
from tests.proxy.store.ledgers import Ledger, admin


@given(data=st.binary(max_size=500), salt=st.binary(min_size=32, max_size=32))
def test_a_prepared_body_opens_to_its_bytes(data: bytes, salt: bytes) -> None:
    """Seal, length and stored blob are all of the same bytes under the same salt."""
    prepared = prepare_body(data, salt)
    assert prepared.body.blob is not None
    assert decrypt_body(salt, prepared.body.blob) == data
    assert prepared.record.seal == prepared.body.seal == seal(salt, data)
    assert prepared.record.size_bytes == len(data)


def _store(ledger: Ledger, data: bytes, *, is_kept: bool = True) -> str:
    prepared = prepare_body(data, os.urandom(SALT_BYTES), is_kept=is_kept)
    ledger.log.append([Pending(admin().entry, (prepared.body,))])
    return prepared.record.seal


def test_a_stored_body_is_read_by_its_seal(ledger: Ledger) -> None:
    """A seal gives the bytes back, with the salt that proves them, and they lie encrypted."""
    name = _store(ledger, b"the answer of a teacher")
    with ledger.database.read() as connection:
        assert read_body(connection, name) == b"the answer of a teacher"
        opening = open_seal(connection, name)
        assert isinstance(opening, Opening)
        assert seal(opening.salt, opening.data) == name
    ledger.database.close()
    files = [path for path in ledger.folder.iterdir() if path.is_file()]
    assert not any(b"the answer of a teacher" in path.read_bytes() for path in files)


def test_several_are_read_together(ledger: Ledger) -> None:
    """Each seal has what it would have alone, and none asked for is left out."""
    names = [_store(ledger, b"one"), _store(ledger, b"two", is_kept=False), "00" * 32]
    with ledger.database.read() as connection:
        assert open_all(connection, names) == {name: open_seal(connection, name) for name in names}
        assert open_all(connection, []) == {}


def test_without_its_salt_a_body_is_erased(ledger: Ledger) -> None:
    """Deleting 32 bytes erases a body; an unknown seal reads the same."""
    name = _store(ledger, b"gone")
    with ledger.database.write() as connection:
        connection.execute(delete(SaltRow).where(SaltRow.seal == name))
    with ledger.database.read() as connection:
        assert read_body(connection, name) is Absent.ERASED
        assert read_body(connection, "0" * 64) is Absent.ERASED


def test_what_was_only_sealed_is_not_stored(ledger: Ledger) -> None:
    """Of bytes sealed and not kept the salt remains, so that someone who has them can show it."""
    name = _store(ledger, b"wire bytes", is_kept=False)
    with ledger.database.read() as connection:
        assert read_body(connection, name) is Absent.UNSTORED


def test_a_changed_body_is_refused(ledger: Ledger) -> None:
    """A body that was damaged, or swapped with a valid one of another seal, does not open."""
    name, other = _store(ledger, b"one"), _store(ledger, b"two")
    with ledger.database.write() as connection:
        blob = (
            connection.execute(BodyRow.__table__.select().where(BodyRow.seal == other)).one().blob
        )
        salt = (
            connection.execute(SaltRow.__table__.select().where(SaltRow.seal == other)).one().salt
        )
        connection.execute(update(BodyRow).where(BodyRow.seal == name).values(blob=blob))
    with ledger.database.read() as connection, pytest.raises(ProofError, match="does not open"):
        read_body(connection, name)
    with ledger.database.write() as connection:
        connection.execute(update(SaltRow).where(SaltRow.seal == name).values(salt=salt))
    with ledger.database.read() as connection, pytest.raises(ProofError, match="is not what seal"):
        read_body(connection, name)
