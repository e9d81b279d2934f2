"""Tests of proxy.witness."""

import threading
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from proxy.errors import LedgerError, ProofError, SettingsError
from proxy.ledger.checkpoint import Checkpoint, LogKey, open_checkpoint, sign_checkpoint
from proxy.ledger.cosignature import WitnessKey, find_cosignature
from proxy.ledger.merkle import consistency_proof, leaf_hash, leaf_reader, root_of
from proxy.ledger.submission import Submission
from proxy.witness import WitnessBook, load_witness_key, make_witness_key

LOG = LogKey.generate("acme.example/log", bytes(32))
OTHER = LogKey.generate("other.example/log", bytes(32))
KEY = WitnessKey.generate("witness.example/w", bytes(range(32)))
HASHES = [leaf_hash(bytes([n])) for n in range(60)]
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
ORIGIN_HASH = sha256(LOG.name.encode()).hexdigest()


def book(folder: Path, key: WitnessKey = KEY) -> WitnessBook:
    """The witness whose memory is in this folder."""
    return WitnessBook.open(folder, key, [LOG.verifier, OTHER.verifier], now=lambda: AT)


def note(size: int, key: LogKey = LOG, root: bytes | None = None) -> str:
    """A checkpoint of the first leaves."""
    head = Checkpoint(origin=key.name, size=size, root=root or root_of(HASHES[:size]))
    return sign_checkpoint(head, key)


def body(old: int, new: int, key: LogKey = LOG) -> str:
    """A right request to cosign."""
    proof = consistency_proof(old, new, leaf_reader(HASHES))
    return Submission(old_size=old, proof=proof, note=note(new, key)).to_text()


def test_a_growing_log_is_cosigned(tmp_path: Path) -> None:
    """Each answer is a cosignature of the note that was sent, remembered for the next one."""
    witness = book(tmp_path)
    old = 0
    for size in (3, 3, 10, 60):
        reply = witness.add(body(old, size))
        assert reply.status == 200
        found = find_cosignature(note(size), KEY.verifier, reply.body)
        assert found is not None
        assert found.at == AT
        old = size
        seen = witness.last(LOG.name)
        assert seen is not None
        assert seen.size == size


def test_logs_are_remembered_apart(tmp_path: Path) -> None:
    """What one log shows says nothing of another."""
    witness = book(tmp_path)
    assert witness.add(body(0, 10)).status == 200
    assert witness.add(body(0, 5, OTHER)).status == 200
    assert [witness.last(each.name) for each in (LOG, OTHER)] == [
        Checkpoint(origin=each.name, size=size, root=root_of(HASHES[:size]))
        for each, size in ((LOG, 10), (OTHER, 5))
    ]


def test_the_memory_outlives_the_process(tmp_path: Path) -> None:
    """A witness that starts again answers 409 with what it saw, and refuses a fork."""
    assert book(tmp_path).add(body(0, 10)).status == 200
    again = book(tmp_path)
    reply = again.add(body(0, 20))
    assert (reply.status, reply.body, reply.media_type) == (409, "10\n", "text/x.tlog.size")
    fork = Submission(old_size=10, proof=(), note=note(10, root=bytes(32))).to_text()
    assert again.add(fork).status == 422
    assert again.add(body(10, 20)).status == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("old 0\n\nno note", 400),
        (body(0, 5, LogKey.generate("unknown", bytes(32))), 404),
        (body(0, 5, LogKey.generate(LOG.name, bytes([7] * 32))), 403),
        (Submission(old_size=0, proof=(bytes(32),), note=note(5)).to_text(), 422),
    ],
)
def test_what_is_refused_leaves_no_trace(tmp_path: Path, text: str, status: int) -> None:
    """A refused request changes nothing in the memory."""
    witness = book(tmp_path)
    reply = witness.add(text)
    assert (reply.status, reply.body.endswith("\n")) == (status, True)
    assert not list(tmp_path.glob("*.checkpoint"))


def test_others_see_what_was_cosigned(tmp_path: Path) -> None:
    """The newest checkpoint is shown with the log's signature and the witness's."""
    witness = book(tmp_path)
    assert witness.shown(ORIGIN_HASH).status == 404
    witness.add(body(0, 10))
    shown = witness.shown(ORIGIN_HASH)
    assert shown.status == 200
    assert open_checkpoint(shown.body, LOG.verifier).size == 10
    assert find_cosignature(shown.body, KEY.verifier) is not None
    assert witness.shown("../witness").status == 404


def test_two_requests_at_once_are_judged_one_after_the_other(tmp_path: Path) -> None:
    """However requests race, the memory never goes back, and only one of each size is first."""
    witness = book(tmp_path)
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda size=size: statuses.append(witness.add(body(0, size)).status)
        )
        for size in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7


def test_a_memory_that_is_not_this_witness_s_is_refused(tmp_path: Path) -> None:
    """A file that was changed, or that another key cosigned, stops the witness, also at its start."""
    book(tmp_path).add(body(0, 10))
    path = tmp_path / f"{ORIGIN_HASH}.checkpoint"
    right = path.read_text()
    stranger = WitnessKey.generate(KEY.name, bytes(32))
    for text in (note(10), right.replace("\n10\n", "\n11\n"), "junk"):
        path.write_text(text)
        with pytest.raises(LedgerError) as caught:
            book(tmp_path)
        assert caught.value.code == "witness-memory"
    path.write_text(right)
    with pytest.raises(LedgerError):
        book(tmp_path, stranger)
    assert book(tmp_path).add(body(10, 20)).status == 200


def test_nothing_is_cosigned_that_cannot_be_remembered(tmp_path: Path) -> None:
    """Where the memory cannot be written, no cosignature leaves."""
    witness = book(tmp_path)
    (tmp_path / f"{ORIGIN_HASH}.checkpoint.new").mkdir()
    with pytest.raises(LedgerError, match="memory cannot be used") as caught:
        witness.add(body(0, 10))
    assert caught.value.code == "storage"
    (tmp_path / f"{ORIGIN_HASH}.checkpoint").mkdir()
    with pytest.raises(LedgerError, match="is a directory"):
        witness.shown(ORIGIN_HASH)
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError):
        book(tmp_path / "file")


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """The first name and seed stay; the file is its owner's alone."""
    made = make_witness_key(tmp_path, "w", bytes(32))
    assert (
        make_witness_key(tmp_path, "other", bytes([1] * 32)) == made == load_witness_key(tmp_path)
    )
    path = tmp_path / "witness.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("junk")
    with pytest.raises(LedgerError, match="does not hold a witness's key"):
        load_witness_key(tmp_path)
    path.unlink()
    with pytest.raises(SettingsError):
        load_witness_key(tmp_path)
    with pytest.raises(ProofError):
        make_witness_key(tmp_path, "no name", bytes(32))
