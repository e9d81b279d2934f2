"""Bodies by seal: stored encrypted, opened only with the salt beside them."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, bindparam, select

from proxy.errors import ProofError
from proxy.ledger.entry import SealRecord
from proxy.ledger.seal import decrypt_body, encrypt_body, new_compressor, seal, seal_record
from proxy.store.tables import BodyRow, SaltRow

__all__ = [
    "Absent",
    "Body",
    "Opening",
    "Prepared",
    "open_all",
    "open_seal",
    "opened",
    "prepare_body",
    "read_body",
]


_STORED = (
    select(SaltRow.seal, SaltRow.salt, BodyRow.blob)
    .outerjoin(BodyRow, BodyRow.seal == SaltRow.seal)
    .where(SaltRow.seal.in_(bindparam("names", expanding=True)))
)


class _Tools(threading.local):
    """What each thread keeps for the bodies it prepares."""

    def __init__(self) -> None:
        self.compressor = new_compressor()


_TOOLS = _Tools()


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What is stored of a sealed body. Without `blob` the salt alone is kept: a sealed stream."""

    seal: str
    salt: bytes
    blob: bytes | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A seal for a leaf, and the body to store beside it."""

    record: SealRecord
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What shows that a seal is of these bytes."""

    seal: str
    salt: bytes
    data: bytes


class Absent(StrEnum):
    """Why a seal cannot be opened."""

    ERASED = "erased"
    """Its salt is gone for good (promise P8), or was never here."""
    UNSTORED = "unstored"
    """Its bytes were sealed and not kept."""


def prepare_body(data: bytes, salt: bytes, *, is_kept: bool = True) -> Prepared:
    """The seal of bytes and what to store of them; nothing but the salt unless `is_kept`.

    Raises:
        ProofError: the salt has not 32 bytes.
    """
    record = seal_record(salt, data)
    blob = encrypt_body(salt, data, compressor=_TOOLS.compressor) if is_kept else None
    return Prepared(record=record, body=Body(seal=record.seal, salt=salt, blob=blob))


def open_seal(connection: Connection, name: str) -> Opening | Absent:
    """The bytes under a seal with their salt, checked against the seal; or why there are none.

    Raises:
        ProofError: what is stored under the seal is not what was sealed.
    """
    return open_all(connection, [name])[name]


def open_all(connection: Connection, names: Collection[str]) -> dict[str, Opening | Absent]:
    """The same of several seals, read together: fewer than a database takes in one list.

    Raises:
        ProofError: what is stored under a seal is not what was sealed.
    """
    rows = connection.execute(_STORED, {"names": list(names)}) if names else ()
    found = {seal: (salt, blob) for seal, salt, blob in rows}
    return {name: _opening(name, *found.get(name, (None, None))) for name in names}


def _opening(name: str, salt: bytes | None, blob: bytes | None) -> Opening | Absent:
    data = opened(name, salt, blob)
    return data if isinstance(data, Absent) else Opening(seal=name, salt=salt or b"", data=data)


def opened(name: str, salt: bytes | None, blob: bytes | None) -> bytes | Absent:
    """The bytes under a seal, given what is stored of it, checked against the seal.

    Raises:
        ProofError: what is stored is not what was sealed.
    """
    if salt is None:
        return Absent.ERASED
    if blob is None:
        return Absent.UNSTORED
    data = decrypt_body(salt, blob)
    if seal(salt, data) != name:
        raise ProofError(
            f"the stored body is not what seal `{name}` was made of",
            help="restore the database: the body or its salt was changed",
        )
    return data


def read_body(connection: Connection, name: str) -> bytes | Absent:
    """The bytes under a seal, checked against it; or why there are none.

    Raises:
        ProofError: what is stored under the seal is not what was sealed.
    """
    opening = open_seal(connection, name)
    return opening.data if isinstance(opening, Opening) else opening
