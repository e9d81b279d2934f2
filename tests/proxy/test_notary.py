"""A bundle is on record before it exists, and whatever can be refused is refused before that."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import delete, insert

from proxy.cli.openledger import Ledger, notary_of, open_ledger
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import BundleError, LedgerError
from proxy.ledger.bundle import entries_digest, openings_digest, read_bundle
from proxy.ledger.entry import ExportEntry
from proxy.ledger.verify import verify
from proxy.notary import Draft, refuse_taken
from proxy.selection import close_over, every_entry
from proxy.store.tables import CheckpointRow, DocumentRow
from tests.proxy.store.ledgers import admin, grant_entry, later
from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workshop]:
    """A workspace with one exchange."""
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(tmp_path / "work")
        made.ask(Asked())
        yield made


@pytest.fixture
def ledger(here: Workshop) -> Iterator[Ledger]:
    """Its ledger, open."""
    with open_ledger(here.settings) as opened:
        yield opened


def draft(ledger: Ledger, *, decided_at_size: int | None = None) -> Draft:
    """All that is on record, as a bundle without openings."""
    with ledger.database.read() as connection:
        entries = close_over(connection, every_entry(connection), [])
    return Draft(entries=entries, openings=(), about={}, decided_at_size=decided_at_size)


def entry(of: Draft) -> ExportEntry:
    """The entry that commits to a draft."""
    return ExportEntry(
        id=new_id(),
        at=stamp(utc_now()),
        actor="user:1",
        export="x",
        query={},
        entries=entries_digest(item.leaf for item in of.entries),
        openings=openings_digest([]),
        tables={},
        policies=[],
        terms=[],
        grants=[],
        recipient="reader",
        nonce=new_nonce(),
    )


def test_what_is_issued_verifies(here: Workshop, ledger: Ledger, tmp_path: Path) -> None:
    """The bundle holds the entry that commits to it, last, under a checkpoint that covers it."""
    of = draft(ledger)
    note = notary_of(ledger).issue(entry(of), of, tmp_path / "x")
    assert verify(tmp_path / "x", here.key).exit_code == 0
    with read_bundle(tmp_path / "x") as bundle:
        assert bundle.entries()[-1].seq == ledger.log.size - 1
        assert bundle.read("log/checkpoint").decode() == note


def test_what_lies_there_is_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    """A file, a folder or a dangling link in the way is refused before the entry."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    of, before = draft(ledger), ledger.log.size
    for name in ("file", "folder", "link"):
        with pytest.raises(BundleError) as caught:
            notary_of(ledger).issue(entry(of), of, tmp_path / name)
        assert caught.value.code == "path-taken"
    refuse_taken(tmp_path / "free")
    assert ledger.log.size == before


def test_a_place_that_cannot_be_written_is_refused_before_the_entry(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Where no folder can be made, nothing is on record, and nothing is left behind."""
    (tmp_path / "file").touch()
    of, before = draft(ledger), ledger.log.size
    with pytest.raises(BundleError, match="no bundle can be written here"):
        notary_of(ledger).issue(entry(of), of, tmp_path / "file" / "x")
    assert ledger.log.size == before


def test_a_text_that_is_not_stored_is_refused_before_the_entry(
    ledger: Ledger, tmp_path: Path
) -> None:
    """A bundle that could not be closed is not put on record."""
    of, before = draft(ledger), ledger.log.size
    with ledger.database.write() as connection:
        connection.execute(delete(DocumentRow))
    with pytest.raises(LedgerError, match="which is not stored beside it"):
        notary_of(ledger).issue(entry(of), of, tmp_path / "x")
    assert ledger.log.size == before
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["decision", "grant"])
def test_a_later_word_makes_a_decided_draft_void(
    here: Workshop, ledger: Ledger, tmp_path: Path, kind: str
) -> None:
    """A decision or a grant after the draft was decided is not passed over; other entries are."""
    (exchange,) = (each.id for each in here.entries() if each.kind == "exchange")
    of = draft(ledger, decided_at_size=ledger.log.size)
    ledger.log.append([admin()])
    notary_of(ledger).issue(entry(of), of, tmp_path / "fine")
    said = {"decision": later(exchange, "reject"), "grant": grant_entry("revoke", "ab" * 32)}
    ledger.log.append([said[kind]])
    before = ledger.log.size
    with pytest.raises(LedgerError, match=f"somebody put a `{kind}` on record") as caught:
        notary_of(ledger).issue(entry(of), of, tmp_path / "void")
    assert (caught.value.code, ledger.log.size) == ("moved", before)


def test_every_checkpoint_is_served_however_many_there_are(
    here: Workshop, ledger: Ledger, tmp_path: Path
) -> None:
    """A reader's checkpoint beyond the first page of 500 is covered too."""
    ledger.log.append([admin() for _ in range(900)])
    held = ledger.signer.sign()
    with ledger.database.write() as connection:
        rows = [{"size": size, "note": "old"} for size in range(30, 700)]
        connection.execute(insert(CheckpointRow), rows)
    of = draft(ledger)
    notary_of(ledger).issue(entry(of), of, tmp_path / "x")
    assert verify(tmp_path / "x", here.key, checkpoints=[held]).exit_code == 0


def test_an_entry_without_its_bundle_is_harmless(ledger: Ledger, tmp_path: Path) -> None:
    """Where the bundle fails after its entry, no folder is left, and the next try makes another."""
    of, target = draft(ledger), tmp_path / "places" / ("x" * 248)  # `.NAME.partial` is too long
    before = ledger.log.size
    with pytest.raises(BundleError, match="the bundle could not be written"):
        notary_of(ledger).issue(entry(of), of, target)
    assert (list(target.parent.iterdir()), ledger.log.size) == ([], before + 1)
    again = draft(ledger)
    notary_of(ledger).issue(entry(again), again, tmp_path / "x")
