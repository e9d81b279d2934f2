"""Tests of proxy.anchors."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from proxy.anchor_http import Asker
from proxy.anchor_places import Authority, Folder, Place, Witness
from proxy.anchors import Anchors, overdue, places_of, states_of
from proxy.clock import parse_time, stamp
from proxy.errors import ForkError, SettingsError
from proxy.ledger.entry import CallEntry
from proxy.settings import parse_settings
from proxy.store.anchors import AnchorKind, latest_anchors
from proxy.store.log import Pending
from tests.proxy.stamping import stamping_authority
from tests.proxy.store.ledgers import KEY, Ledger, admin, call, exchange, open_ledger
from tests.proxy.witnessing import WITNESS, Asked, witness_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEAD = "inbond: 1\norganisation: Acme\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger in a folder of its own, closed after the test."""
    (tmp_path / "here").mkdir()
    opened = open_ledger(tmp_path / "here")
    yield opened
    opened.database.close()


def anchors(ledger: Ledger, places: Sequence[Place]) -> Anchors:
    """What tells these places of a ledger's checkpoints."""
    run = ledger.folder / "run"
    return Anchors(places, ledger.database, KEY.verifier, run_directory=run, every_s=3600)


def witness(answer: Asked) -> Witness:
    """A witness that is asked."""
    asker = Asker(url="http://w", timeout_s=5, transport=httpx.MockTransport(answer))
    return Witness(asker=asker, verifier=WITNESS.verifier)


def down(_: httpx.Request) -> httpx.Response:
    """A witness that is down."""
    raise httpx.ConnectError("refused")


def grow(ledger: Ledger) -> None:
    """One entry more, signed."""
    ledger.log.append([admin()])
    ledger.signer.sign()


def test_every_place_is_told(ledger: Ledger, tmp_path: Path) -> None:
    """What each confirms is kept, and nothing is asked again until the log grows."""
    (tmp_path / "worm").mkdir()
    asked: list[str] = []
    real = witness_of(tmp_path / "w", [KEY.verifier])

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return real(request)

    told = anchors(ledger, [Folder(path=tmp_path / "worm"), witness(answer)])
    assert [state.size for state in told.take(NOW)] == [-1, -1]
    for size in (1, 2):
        grow(ledger)
        for _ in range(2):
            states = told.take(NOW)
        assert [(state.size, state.problem) for state in states] == [(size, None)] * 2
    assert asked == ["POST", "POST"]
    with ledger.database.read() as connection:
        kept = {each.kind: each.size for each in latest_anchors(connection)}
    assert kept == {AnchorKind.FILE: 2, AnchorKind.WITNESS: 2}
    assert states_of(ledger.folder / "run") == states


def test_an_outage_is_tried_again_later_and_later(ledger: Ledger) -> None:
    """Each failure in a row doubles the pause, up to the ordinary one; then the place is as before."""
    grow(ledger)
    is_down, asked = True, 0
    real = witness_of(ledger.folder / "w", [KEY.verifier])

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return down(request) if is_down else real(request)

    told, now, pauses = anchors(ledger, [witness(answer)]), NOW, []
    for _ in range(9):
        (state,) = told.take(now)
        assert state.problem is not None
        assert state.next_at is not None
        pauses.append((parse_time(state.next_at) - now).total_seconds())
        told.take(now + timedelta(seconds=1))
        now = parse_time(state.next_at)
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert asked == 9
    is_down = False
    (state,) = told.take(now)
    assert (state.size, state.problem, state.failures, state.at) == (1, None, 0, stamp(now))


def test_who_asks_by_hand_does_not_wait(ledger: Ledger) -> None:
    """A place that failed is asked at once if that is forced; another one does not wait for it."""
    (ledger.folder / "worm").mkdir()
    grow(ledger)
    told = anchors(ledger, [witness(down), Folder(path=ledger.folder / "worm")])
    for failures, is_forced in ((1, False), (1, False), (2, True)):
        first, second = told.take(NOW, is_forced=is_forced)
        assert (first.failures, second.size) == (failures, 1)


def test_a_restored_older_installation_is_refused(tmp_path: Path) -> None:
    """Database and last checkpoint restored together pass the signer; who was told shows them."""
    home, backup, worm = tmp_path / "home", tmp_path / "backup", tmp_path / "worm"
    home.mkdir()
    worm.mkdir()
    ledger = open_ledger(home)
    grow(ledger)
    ledger.database.close()
    shutil.copytree(home, backup)
    ledger = open_ledger(home)
    grow(ledger)
    seen = witness_of(tmp_path / "w", [KEY.verifier])
    anchors(ledger, [Folder(path=worm), witness(seen)]).take(NOW)
    ledger.database.close()
    restored = open_ledger(backup)
    for places in ([Folder(path=worm)], [witness(seen)]):
        with pytest.raises(ForkError, match="fewer entries than the 2"):
            anchors(restored, places).take(NOW)
    with pytest.raises(ForkError):
        anchors(restored, [Folder(path=worm)]).check()
    grow(restored)
    grow(restored)
    for places in ([Folder(path=worm)], [witness(seen)]):
        with pytest.raises(ForkError, match="first 2 entries"):
            anchors(restored, places).take(NOW)
    restored.database.close()


def test_a_check_reads_what_it_can(ledger: Ledger) -> None:
    """Before the first checkpoint, with a folder that is away, or asking a witness, nothing is said."""
    told = anchors(ledger, [Folder(path=ledger.folder / "away"), witness(down)])
    told.check()
    grow(ledger)
    told.check()


def test_what_was_saved_and_cannot_be_read_is_forgotten(tmp_path: Path) -> None:
    """A file of states that is gone or damaged is no error."""
    assert states_of(tmp_path) == []
    (tmp_path / "anchors.json").write_text("{")
    assert states_of(tmp_path) == []


def test_required_anchors_fall_due(ledger: Ledger) -> None:
    """The oldest entry that a place did not confirm decides; all confirmed is never too late."""
    (ledger.folder / "worm").mkdir()
    place = Folder(path=ledger.folder / "worm")
    known = [(place.kind, place.name)]
    ledger.log.append([admin(at=stamp(NOW)), admin(at=stamp(NOW + 3 * HOUR))])
    ledger.signer.sign()

    def late(at: datetime) -> str | None:
        with ledger.database.read() as connection:
            return overdue(connection, known, at, 3600)

    assert late(NOW + HOUR) is None
    assert late(NOW + 2 * HOUR) == f"`{place.name}` has confirmed nothing since entry 0"
    anchors(ledger, [place]).take(NOW)
    assert late(NOW + 100 * HOUR) is None
    ledger.log.append([admin(at=stamp(NOW + 100 * HOUR))])
    assert late(NOW + 101 * HOUR) is None
    assert late(NOW + 102 * HOUR) == f"`{place.name}` has confirmed nothing since entry 2"


def test_an_imported_call_is_as_late_as_its_record(ledger: Ledger) -> None:
    """It says when it was answered, maybe months ago: the exchange after it says when it came."""
    (ledger.folder / "worm").mkdir()
    known = [(AnchorKind.FILE, str(ledger.folder / "worm"))]
    asked = call(at=stamp(NOW - 1000 * HOUR)).entry
    assert isinstance(asked, CallEntry)
    ended = exchange(asked.id).entry.model_copy(update={"at": stamp(NOW)})
    imported = asked.model_copy(update={"imported": "an-import"})
    ledger.log.append([Pending(imported), Pending(ended)])
    with ledger.database.read() as connection:
        assert overdue(connection, known, NOW + HOUR, 3600) is None
        assert overdue(connection, known, NOW + 2 * HOUR, 3600) is not None


def test_places_are_those_of_the_settings(tmp_path: Path) -> None:
    """Folders lie in the workspace, and keys and certificates are read."""
    (tmp_path / "tsa.pem").write_bytes(stamping_authority().ca)
    text = f"""\
anchors:
  files: [worm]
  timestamps: [{{url: "https://tsa.example", ca: tsa.pem}}]
  witnesses: [{{url: "https://w.example", key: "{WITNESS.verifier.to_text()}"}}]
"""
    folder, authority, seen = places_of(parse_settings(HEAD + text, tmp_path, {}))
    assert isinstance(folder, Folder)
    assert folder.path == tmp_path / "worm"
    assert isinstance(authority, Authority)
    assert isinstance(seen, Witness)
    assert seen.verifier == WITNESS.verifier


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("witnesses: [{url: 'https://w', key: junk}]", "anchors.witnesses[0].key"),
        ("timestamps: [{url: 'https://t', ca: absent.pem}]", "anchors.timestamps[0].ca"),
        ("timestamps: [{url: 'https://t', ca: junk.pem}]", "anchors.timestamps[0].ca"),
    ],
)
def test_a_place_that_cannot_be_read_is_said(tmp_path: Path, text: str, where: str) -> None:
    """A key that is none, and certificates that are absent or none, name their setting."""
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(SettingsError) as caught:
        places_of(parse_settings(f"{HEAD}anchors: {{{text}}}\n", tmp_path, {}))
    assert caught.value.where == where
