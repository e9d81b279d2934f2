"""Snapshots of terms: kept by digest, on record once, followed clause by clause."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.bundle import Bundle, bundle_of
from proxy.errors import TermsError
from proxy.terms import (
    Shelf,
    changes,
    import_versions,
    review,
    snapshots,
    source_named,
    standings,
)
from proxy.texts import Version
from tests.proxy.store.ledgers import Ledger, open_ledger

SOURCE = "acme/terms"
POLICY = """\
inbond: 1
policy: acme
layer: host
party: Acme
owner: legal@example.org
reviewed: 2026-01-01
scope: {route: acme}
sources:
  terms:
    title: Terms
    url: https://acme.example/terms
    confidence: read-primary
    in_force: {from: 2026-01-01}
rules:
  - id: no-rivals
    forbid: training
    when: {student.competes_with: {has: Acme}}
    because: No rivals.
    cite: terms 3.3(b)
  - id: no-resale
    forbid: training
    when: {student.release: service}
    because: No resale.
    cite: [terms 3.3(a), terms 9]
"""
TEXT = "3.3 You will not: (a) resell; (b) build {what}.\n7. Law\nLaw of {law}.\n"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Desk:
    """A ledger, a shelf and a bundle with one source."""

    ledger: Ledger
    shelf: Shelf
    bundle: Bundle

    def take(
        self, day: int, *, what: str = "rivals", law: str = "Oz", vantage: str = "here"
    ) -> int:
        """Import the text as it reads on a day."""
        at = START + timedelta(days=day)
        version = Version(
            content=TEXT.format(what=what, law=law),
            origin="url",
            taken_at=at,
            until=at,
            locator="https://acme.example/terms",
        )
        return import_versions(
            self.ledger.log, self.shelf, SOURCE, [version], vantage=vantage, actor="user:1"
        )

    def states(self) -> dict[tuple[str, str], str]:
        """The state of each cited clause, by clause and vantage."""
        found = standings(self.bundle, snapshots(self.ledger.database), self.shelf)
        return {(one.cited.clause, one.vantage): one.state for one in found}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty ledger, an empty shelf."""
    ledger = open_ledger(tmp_path)
    bundle = bundle_of({"hosts/acme.yaml": POLICY}, organisation="Example Org")
    yield Desk(ledger, Shelf(tmp_path / "terms"), bundle)
    ledger.database.close()


def test_a_source_is_named_by_policy_and_id(desk: Desk) -> None:
    """A misspelt one is refused with the nearest."""
    assert source_named(desk.bundle, SOURCE).title == "Terms"
    with pytest.raises(TermsError, match="no policy has a source `acme/term`") as caught:
        source_named(desk.bundle, "acme/term")
    assert caught.value.help == "did you mean `acme/terms`?"


def test_without_a_snapshot_nothing_is_known(desk: Desk) -> None:
    """Every cited clause is listed as unseen."""
    assert desk.states() == {(c, ""): "unseen" for c in ("3.3(a)", "3.3(b)", "9")}


def test_a_text_is_kept_under_its_digest_and_on_record_once(desk: Desk) -> None:
    """The same snapshot twice is one entry; the file's name is its sha256, for its owner alone."""
    assert (desk.take(0), desk.take(0), desk.take(1)) == (1, 0, 1)
    (file,) = desk.shelf.folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert {entry.text for entry in snapshots(desk.ledger.database)} == {file.stem}


def test_the_ledger_holds_no_words_of_the_text(desk: Desk, tmp_path: Path) -> None:
    """Texts are their owners': the database has digests, dates and places alone."""
    desk.take(0, what="unmistakable rivals")
    files = [file for file in tmp_path.glob("inbond.db*") if file.is_file()]
    assert files
    assert not any(b"unmistakable" in file.read_bytes() for file in files)


def test_a_change_touches_the_clauses_it_is_in(desk: Desk) -> None:
    """Clause by clause; a citation that the text does not have follows the whole text."""
    desk.take(0)
    desk.take(1, what="anything")
    assert desk.states() == {
        ("3.3(a)", "here"): "current",
        ("3.3(b)", "here"): "suspected",
        ("9", "here"): "suspected",
    }
    desk.take(8, what="anything")
    assert desk.states()["3.3(b)", "here"] == "confirmed"


def test_uncited_words_move_no_clause(desk: Desk) -> None:
    """The governing law changes, and neither of the clauses does."""
    desk.take(0)
    desk.take(9, law="Ur")
    assert (desk.states()["3.3(a)", "here"], desk.states()["3.3(b)", "here"]) == ("current",) * 2


def test_a_person_settles_a_change_on_record(desk: Desk) -> None:
    """With his reason; the words he read are what the next change is measured by."""
    for day in (0, 1, 9):
        desk.take(day, what="rivals" if not day else "anything")
    assert review(desk.ledger.log, SOURCE, actor="user:2", reason="stricter; rule rewritten") == 1
    assert desk.states()["3.3(b)", "here"] == "reviewed"
    entry = snapshots(desk.ledger.database)[-1]
    assert (entry.action, entry.actor, entry.reason) == (
        "review",
        "user:2",
        "stricter; rule rewritten",
    )
    assert changes(desk.bundle, SOURCE, snapshots(desk.ledger.database), desk.shelf) == ()


def test_vantages_are_series_of_their_own(desk: Desk) -> None:
    """A page that reads differently elsewhere is no change anywhere."""
    desk.take(0, vantage="berlin")
    desk.take(1, what="anything", vantage="boston")
    states = desk.states()
    assert {states["3.3(b)", place] for place in ("berlin", "boston")} == {"current"}


def test_what_changed_is_shown_with_the_rules_that_cite_it(desk: Desk) -> None:
    """Labels, old and new words, and only the rules that the clause bears on."""
    desk.take(0)
    desk.take(1, what="anything", law="Ur")
    found = changes(desk.bundle, SOURCE, snapshots(desk.ledger.database), desk.shelf)
    assert [(one.label, one.before, one.after, one.rules) for one in found] == [
        ("3.3(b)", "build rivals.", "build anything.", ("acme/no-rivals",)),
        ("7", "Law Law of Oz.", "Law Law of Ur.", ()),
    ]


def test_without_a_snapshot_there_is_nothing_to_compare_or_review(desk: Desk) -> None:
    """The message says how to import one."""
    for act in (
        lambda: changes(desk.bundle, SOURCE, (), desk.shelf),
        lambda: review(desk.ledger.log, SOURCE, actor="user:1", reason="x"),
    ):
        with pytest.raises(TermsError, match="no snapshot of `acme/terms`") as caught:
            act()
        assert "inbond terms import acme/terms" in caught.value.help


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_text_that_is_not_what_was_imported_is_refused(desk: Desk, damage: str) -> None:
    """No state is told from a text that is not the one on record."""
    desk.take(0)
    (file,) = desk.shelf.folder.iterdir()
    if damage == "gone":
        file.unlink()
    else:
        file.write_text(TEXT)
    with pytest.raises(TermsError, match=r"not in the workspace|not the one") as caught:
        desk.states()
    assert caught.value.where == str(file)


def test_a_shelf_that_cannot_be_written(desk: Desk, tmp_path: Path) -> None:
    """Nothing is on record when the text could not be kept."""
    (tmp_path / "terms").write_text("a file where the folder should be")
    with pytest.raises(TermsError, match="cannot be kept"):
        desk.take(0)
    assert snapshots(desk.ledger.database) == ()
