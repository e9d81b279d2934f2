"""A notice holds what the log holds, or nothing is read from it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import LedgerError, ProofError
from proxy.ledger.bundle import LedgerEntry
from proxy.ledger.checkpoint import Checkpoint, LogKey, sign_checkpoint
from proxy.ledger.merkle import leaf_hash, leaf_reader, root_of
from proxy.ledger.notice import Notice, notice_bytes, read_notice
from tests.proxy.ledger.sample import LOG_KEY, VKEY, audit_case

ENTRIES = tuple(
    LedgerEntry(seq, entry.leaf) for seq, entry in enumerate(audit_case().contents.entries)
)
HASHES = [leaf_hash(entry.leaf) for entry in ENTRIES]
NOTE = sign_checkpoint(
    Checkpoint(origin=LOG_KEY.name, size=len(HASHES), root=root_of(HASHES)), LOG_KEY
)


def notice(*seqs: int, kind: str = "word") -> bytes:
    """The notice of some entries of a small log."""
    return notice_bytes(
        kind,
        [ENTRIES[seq] for seq in seqs],
        checkpoint=NOTE,
        read=leaf_reader(HASHES),
        about={"said": "beside"},
    )


def read(data: bytes, vkey: str = VKEY) -> Notice:
    """What a notice says."""
    return read_notice(data, vkey, kind="word")


@pytest.mark.parametrize("seq", range(len(ENTRIES)))
def test_each_entry_can_be_shown_alone(seq: int) -> None:
    """A notice of any entry of the log is read back with its place, its bytes and what is beside it."""
    found = read(notice(seq))
    assert [(leaf.seq, leaf.data) for leaf in found.leaves] == [(seq, ENTRIES[seq].leaf)]
    assert (found.kind, found.size, found.about) == ("word", len(ENTRIES), {"said": "beside"})


@settings(max_examples=60)
@given(data=st.data())
def test_a_changed_entry_is_refused(data: st.DataObject) -> None:
    """However a leaf, its place or its proof is changed, the notice is no longer read."""
    document = json.loads(notice(2, 5))
    entry = document["entries"][data.draw(st.integers(0, 1))]
    match data.draw(st.sampled_from(["leaf", "seq", "proof"])):
        case "leaf":
            at = data.draw(st.integers(0, len(entry["leaf"]) - 1))
            entry["leaf"] = entry["leaf"][:at] + "~" + entry["leaf"][at + 1 :]
        case "seq":
            entry["seq"] += data.draw(st.sampled_from([-1, 1, 1000, -1000]))
        case _:
            at = data.draw(st.integers(0, len(entry["proof"]) - 1))
            entry["proof"][at] = "00" * 32
    with pytest.raises(LedgerError):
        read(json.dumps(document).encode())


@settings(max_examples=60)
@given(junk=st.one_of(st.binary(max_size=80), st.from_regex(rb"\{.{0,40}\}")))
def test_junk_is_a_message(junk: bytes) -> None:
    """Whatever a file holds that is no notice, the error says so."""
    with pytest.raises(ProofError, match="no notice"):
        read(junk)


def test_a_place_without_end_is_a_message() -> None:
    """JSON readers make an infinite number of a large exponent: it is the place of nothing."""
    data = notice(1).replace(b'"seq": 1', b'"seq": 1e999')
    with pytest.raises(ProofError, match="no notice"):
        read(data)


def test_another_key_or_kind_or_version_is_refused() -> None:
    """Only the pinned key's log counts, only the kind that was asked for, and only this version."""
    other = LogKey.generate(LOG_KEY.name, bytes(range(32))).verifier.to_text()
    with pytest.raises(ProofError, match="no signature of key"):
        read(notice(1), other)
    with pytest.raises(ProofError, match="is no word"):
        read(notice(1, kind="other"))
    document = json.loads(notice(1))
    with pytest.raises(ProofError, match="another version"):
        read(json.dumps(document | {"v": 2}).encode())
    with pytest.raises(ProofError, match="no entry"):
        read(json.dumps(document | {"entries": []}).encode())


def test_a_leaf_that_is_no_entry_is_refused() -> None:
    """A log may hold bytes that are no entry: a notice of them says nothing."""
    leaf = b'{"a": 1}'
    root = root_of([leaf_hash(leaf)])
    note = sign_checkpoint(Checkpoint(origin=LOG_KEY.name, size=1, root=root), LOG_KEY)
    data = notice_bytes(
        "word",
        [LedgerEntry(0, leaf)],
        checkpoint=note,
        read=leaf_reader([leaf_hash(leaf)]),
        about={},
    )
    with pytest.raises(ProofError, match="cannot be read"):
        read(data)
