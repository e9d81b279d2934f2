"""A dataset's status says what the log says of it, with every affected exchange."""

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProofError
from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.checkpoint import Checkpoint, sign_checkpoint
from proxy.ledger.entry import AdminEntry, Entry, StatusEntry
from proxy.ledger.merkle import leaf_hash, leaf_reader, root_of
from proxy.ledger.notice import notice_bytes
from proxy.ledger.status import (
    STATUS,
    Affected,
    DatasetStatus,
    affected_bytes,
    affected_list,
    read_affected,
    read_status,
)
from tests.proxy.ledger.sample import AT, LOG_KEY, NONCE, VKEY

GONE = (Affected("e1", "erased"), Affected("e2", "excluded"))


def status(affected: tuple[Affected, ...] = GONE, **said: object) -> StatusEntry:
    """What the log says of a dataset."""
    fields = {
        "id": "s1",
        "at": AT,
        "actor": "user:1",
        "dataset": "d1",
        "root": "ab" * 32,
        "state": "withdrawn",
        "cause": "erasure",
        "affected": sha256(affected_bytes(affected)).hexdigest(),
        "count": len(affected),
        "nonce": NONCE,
    }
    return StatusEntry.model_validate(fields | said)


def file(*entries: Entry, affected: object) -> bytes:
    """The notice of entries, as a file."""
    leaves = [canonical(entry.model_dump()) for entry in entries]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    note = sign_checkpoint(
        Checkpoint(origin=LOG_KEY.name, size=len(leaves), root=root_of(hashes)), LOG_KEY
    )
    return notice_bytes(
        STATUS,
        [LedgerEntry(seq, leaf) for seq, leaf in enumerate(leaves)],
        checkpoint=note,
        read=leaf_reader(hashes),
        about={"affected": affected},  # type: ignore[dict-item] # tests write what no status holds
    )


def test_a_status_is_read_back() -> None:
    """State, cause, place and the affected exchanges with their reasons come out as they went in."""
    found = read_status(file(status(), affected=affected_list(GONE)), VKEY)
    assert found == DatasetStatus(
        dataset="d1",
        root="ab" * 32,
        state="withdrawn",
        cause="erasure",
        at=AT,
        seq=0,
        until=None,
        reason="",
        affected=GONE,
    )
    good = status((), state="good", cause=None, until=AT)
    assert read_status(file(good, affected=[]), VKEY).until == AT


@pytest.mark.parametrize(
    "affected",
    [
        [],
        affected_list(GONE[:1]),
        affected_list((*GONE, Affected("e3", "x"))),
        [{"exchange": "e1"}],
        "none",
        [1],
        1.5,
    ],
)
def test_another_list_is_refused(affected: object) -> None:
    """A list that the entry does not commit to, or that is none, makes the file no status."""
    with pytest.raises(ProofError, match="affected exchanges"):
        read_status(file(status(), affected=affected), VKEY)


def test_other_entries_are_no_status() -> None:
    """A notice of another kind of entry, or of several, says nothing about a dataset."""
    admin = AdminEntry(id="a", at=AT, actor="u", action="x", nonce=NONCE)
    for entries in ((admin,), (status(), admin)):
        with pytest.raises(ProofError, match="not of one `status` entry"):
            read_status(file(*entries, affected=affected_list(GONE)), VKEY)


@given(
    st.lists(st.builds(Affected, st.sampled_from("abcd"), st.sampled_from(["x", "y"]))),
    st.randoms(use_true_random=False),
)
def test_the_list_does_not_depend_on_its_order(affected: list[Affected], chance: object) -> None:
    """Each exchange stands in it once, whatever order they were found in."""
    shuffled = list(affected)
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert affected_bytes(shuffled) == affected_bytes(affected)
    listed: Json = json.loads(affected_bytes(affected))
    names = [each.exchange for each in read_affected(listed)]
    assert names == sorted({each.exchange for each in affected})
