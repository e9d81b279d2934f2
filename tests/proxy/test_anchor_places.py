"""Tests of proxy.anchor_places."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from proxy.anchor_http import Asker
from proxy.anchor_places import Authority, Folder, Head, Witness
from proxy.errors import ForkError, LedgerError, ProofError
from proxy.ledger.checkpoint import Checkpoint, LogKey, open_checkpoint, sign_checkpoint
from proxy.ledger.cosignature import WitnessKey, find_cosignature
from proxy.ledger.merkle import consistency_proof, leaf_hash, leaf_reader, root_of
from proxy.ledger.timestamp import read_authorities, verify_timestamp
from tests.proxy.stamping import stamping_authority
from tests.proxy.witnessing import WITNESS, Asked, witness_of

KEY = LogKey.generate("acme.example/log", bytes(32))
HASHES = [leaf_hash(bytes([n])) for n in range(60)]
FORK = [leaf_hash(bytes([n, n])) for n in range(60)]
TSA = stamping_authority()


def head(size: int, hashes: list[bytes] = HASHES, held: int | None = None) -> Head:
    """The newest checkpoint of a log of `size` leaves, whose database holds `held`."""
    held = size if held is None else held
    checkpoint = Checkpoint(origin=KEY.name, size=size, root=root_of(hashes[:size]))
    return Head(
        checkpoint=checkpoint,
        note=sign_checkpoint(checkpoint, KEY),
        prove=lambda old: consistency_proof(old, size, leaf_reader(hashes)),
        root_at=lambda at: root_of(hashes[:at]) if at <= held else None,
        opens=lambda note: open_checkpoint(note, KEY.verifier),
    )


def witness(answer: Asked) -> Witness:
    """The witness that a log asks."""
    asker = Asker(url="http://w", timeout_s=5, transport=httpx.MockTransport(answer))
    return Witness(asker=asker, verifier=WITNESS.verifier)


def says(status: int, body: str = "", media_type: str = "text/plain") -> Asked:
    """A witness that answers one thing only."""
    return lambda _: httpx.Response(status, text=body, headers={"content-type": media_type})


# --- witnesses ------------------------------------------------------------------------------------


def test_a_witness_cosigns_what_grew(tmp_path: Path) -> None:
    """Each proof is the witness's line under the note; the next request starts from there."""
    place = witness(witness_of(tmp_path, [KEY.verifier]))
    last = -1
    for size in (5, 9, 40):
        line = place.confirm(head(size), last).decode()
        assert find_cosignature(head(size).note, WITNESS.verifier, line) is not None
        last = size
    assert place.name == f"witness.example/w+{WITNESS.verifier.key_id.hex()}"


def test_a_witness_that_knows_more_says_from_where(tmp_path: Path) -> None:
    """After 409 the right proof is sent, once: what was lost on our side does no harm."""
    place = witness(witness_of(tmp_path, [KEY.verifier]))
    place.confirm(head(9), -1)
    assert place.confirm(head(40), -1)
    assert place.confirm(head(40), 5)


def test_a_witness_that_never_agrees_is_given_up() -> None:
    """A second 409 is not tried again."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(409, text=f"{len(asked)}\n")

    with pytest.raises(LedgerError, match="keeps changing its word"):
        witness(answer).confirm(head(40), 7)
    assert asked == ["POST", "POST", "GET"]


@pytest.mark.parametrize(
    ("answer", "message", "code"),
    [
        (says(400), "does not understand", "not-witnessed"),
        (says(403), "does not trust the key", "not-witnessed"),
        (says(404), "does not witness this log", "not-witnessed"),
        (says(422), "saw another history", "not-witnessed"),
        (says(409, "many\n"), "409 without the size", "not-witnessed"),
        (
            says(409, "41\n"),
            "says that it saw 41 entries of this log, which has 40",
            "not-witnessed",
        ),
        (says(503), "answers 503", "unreachable"),
        (says(302), "answers 302", "unreachable"),
        (says(200, "junk"), "not a signed note", "note"),
    ],
)
def test_a_refusal_is_told(answer: Asked, message: str, code: str) -> None:
    """Each answer that is no cosignature is an error with its reason, and proves no fork."""
    with pytest.raises(LedgerError, match=message) as caught:
        witness(answer).confirm(head(40), 7)
    assert not isinstance(caught.value, ForkError)
    assert caught.value.code == code


def test_a_cosignature_of_another_key_is_refused(tmp_path: Path) -> None:
    """An answer that the key we know did not make is none, whatever its name."""
    other = WitnessKey.generate(WITNESS.name, bytes(32))
    with pytest.raises(LedgerError, match="without a cosignature of the key"):
        witness(witness_of(tmp_path, [KEY.verifier], other)).confirm(head(5), -1)
    line = witness(witness_of(tmp_path / "b", [KEY.verifier])).confirm(head(5), -1).decode()
    with pytest.raises(ProofError, match="does not fit"):
        witness(says(200, line)).confirm(head(6), -1)


def test_a_fork_that_this_log_signed_is_proven(tmp_path: Path) -> None:
    """Where the witness shows our own signature on what we do not extend, everything stops."""
    place = witness(witness_of(tmp_path, [KEY.verifier]))
    place.confirm(head(9), -1)
    with pytest.raises(ForkError, match="has fewer entries than the 9"):
        place.confirm(head(5), -1)
    with pytest.raises(ForkError, match="first 9 entries of the log are not those") as caught:
        place.confirm(head(20, FORK), -1)
    assert "a backup" in caught.value.help


def test_a_witness_that_goes_down_meanwhile_proves_nothing() -> None:
    """Where it cannot be asked for what it saw, its refusal alone stops nothing."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            raise httpx.ConnectError("down")
        return httpx.Response(422)

    with pytest.raises(LedgerError, match="saw another history") as caught:
        witness(answer).confirm(head(5), -1)
    assert not isinstance(caught.value, ForkError)


def test_another_host_that_signed_meanwhile_is_no_fork(tmp_path: Path) -> None:
    """A witness that is ahead of our checkpoint, though not of the database, proves nothing."""
    place = witness(witness_of(tmp_path, [KEY.verifier]))
    place.confirm(head(9), -1)
    with pytest.raises(LedgerError, match="saw 9 entries") as caught:
        place.confirm(head(5, held=9), -1)
    assert not isinstance(caught.value, ForkError)


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_holds_every_checkpoint(tmp_path: Path) -> None:
    """Each is a file that a reader can keep; one that is there stays as it is."""
    place = Folder(path=tmp_path)
    for size in (5, 9, 9):
        assert place.confirm(head(size), -1).decode() == f"{size}.checkpoint"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["5.checkpoint", "9.checkpoint"]
    note = (tmp_path / "9.checkpoint").read_text()
    assert open_checkpoint(note, KEY.verifier) == head(9).checkpoint


def test_a_folder_shows_a_restored_backup_and_a_fork(tmp_path: Path) -> None:
    """A database that does not extend the newest file is refused, and nothing is written."""
    place = Folder(path=tmp_path)
    place.confirm(head(9), -1)
    for now, message in (
        (head(5), "has fewer entries than the 9"),
        (head(20, FORK), "first 9 entries"),
    ):
        for use in (place.check, lambda now: place.confirm(now, -1)):
            with pytest.raises(ForkError, match=message):
                use(now)
    assert [path.name for path in tmp_path.iterdir()] == ["9.checkpoint"]


@pytest.mark.parametrize(
    "content",
    [
        b"junk",
        b"\xff",
        sign_checkpoint(head(9).checkpoint, LogKey.generate("other", bytes(32))).encode(),
    ],
)
def test_a_folder_of_another_log_is_refused(tmp_path: Path, content: bytes) -> None:
    """A newest file that this log did not sign stops everything: it may have been changed."""
    (tmp_path / "9.checkpoint").write_bytes(content)
    with pytest.raises(ForkError, match="is not one of this log"):
        Folder(path=tmp_path).check(head(20))


def _absent(folder: Path) -> None:
    shutil.rmtree(folder)


def _full(folder: Path) -> None:
    (folder / "9.checkpoint").mkdir()


@pytest.mark.parametrize("spoil", [_absent, _full])
def test_a_folder_that_cannot_be_used_is_an_outage(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """A folder that is not mounted, or whose newest file cannot be read, proves no fork."""
    folder = tmp_path / "mount"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(LedgerError, match="cannot be read") as caught:
        Folder(path=folder).confirm(head(9), -1)
    assert caught.value.code == "unreachable"
    assert not isinstance(caught.value, ForkError)


def test_a_folder_that_cannot_be_written_is_an_outage(tmp_path: Path) -> None:
    """A checkpoint that cannot be left there is told, and tried again."""
    (tmp_path / f".9.checkpoint.{os.getpid()}").mkdir()
    with pytest.raises(LedgerError, match="cannot be written") as caught:
        Folder(path=tmp_path).confirm(head(9), -1)
    assert caught.value.code == "unreachable"


# --- authorities ----------------------------------------------------------------------------------


def authority(answer: Asked | None = None, ca: bytes = TSA.ca) -> Authority:
    """The authority that a log asks."""
    transport = TSA.transport if answer is None else httpx.MockTransport(answer)
    asker = Asker(url="https://tsa.example:8080/TSR/x", timeout_s=5, transport=transport)
    return Authority(asker=asker, certificates=read_authorities(ca))


def test_an_authority_stamps_the_note() -> None:
    """The proof is a response that verifies over the note; its name can be part of a file's."""
    response = authority().confirm(head(5), -1)
    assert verify_timestamp(response, head(5).note.encode(), read_authorities(TSA.ca))
    assert authority().name == "tsa.example-8080-tsr-x"


def test_an_old_time_stamp_is_not_taken_for_a_new_one() -> None:
    """A response to another request is refused: each has a number of its own."""
    old = authority().confirm(head(5), -1)
    with pytest.raises(ProofError, match="nonce"):
        authority(lambda _: httpx.Response(200, content=old)).confirm(head(5), -1)


def test_what_is_no_time_stamp_is_refused() -> None:
    """An outage, another authority and junk are told apart."""
    for place, code in (
        (authority(says(500)), "unreachable"),
        (authority(says(200, "junk")), "timestamp"),
        (authority(ca=stamping_authority("Others").ca), "authority"),
    ):
        with pytest.raises(LedgerError) as caught:
            place.confirm(head(5), -1)
        assert caught.value.code == code
