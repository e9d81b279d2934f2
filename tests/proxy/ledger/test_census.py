"""However a bundle's entries are cut into stretches and shared, the report is the same."""

from pathlib import Path

import pytest

from proxy.ledger import pieces
from proxy.ledger.bundle import ENTRIES, LedgerEntry, entries_digest, entry_line
from proxy.ledger.census import Census, take_census
from proxy.ledger.crew import Crew
from proxy.ledger.merkle import leaf_hash
from proxy.ledger.pieces import parts_of
from proxy.ledger.stretch import Wanted
from proxy.ledger.verify import verify
from tests.proxy.ledger.forger import Story, forge
from tests.proxy.ledger.sample import VKEY, Case, audit_case, dataset_case

CASES = [audit_case(), dataset_case()]
VALID = "2026-11-25T00:00:00.000Z"


def census_of(folder: Path, entries: list[LedgerEntry]) -> Census:
    """The census of these entries, whose log holds them at their places."""
    path = folder / ENTRIES
    path.write_bytes(b"".join(map(entry_line, entries)))
    hashes = {item.seq: leaf_hash(item.leaf) for item in entries}

    def slots(start: int, count: int) -> list[bytes]:
        return [hashes[start + at] for at in range(count)]

    parts = parts_of(path, ENTRIES)
    size = entries[-1].seq + 1
    return take_census(parts, size, slots, Wanted(is_dataset=True), Crew(), lambda _: None)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("part_bytes", [1, 3_000])
def test_the_report_does_not_depend_on_the_stretches(
    case: Case, part_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls and their exchanges may stand in different stretches, and so may all else."""
    path = case.write(tmp_path / "bundle")
    whole = verify(path, VKEY, now=VALID)
    monkeypatch.setattr(pieces, "_PART_BYTES", part_bytes)
    assert verify(path, VKEY, now=VALID) == whole
    assert not whole.findings


def test_the_report_does_not_depend_on_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes find what one does, findings included."""
    path = CASES[1].write(tmp_path / "bundle")
    lines = (path / ENTRIES).read_bytes().splitlines(keepends=True)
    (path / ENTRIES).write_bytes(b"".join([*lines[:-2], lines[-1]]))
    whole = verify(path, VKEY)
    monkeypatch.setattr(pieces, "_PART_BYTES", 1)
    assert verify(path, VKEY, processes=2) == whole
    assert {found.code for found in whole.findings} >= {"file-changed"}


def test_a_census_keeps_what_is_few(tmp_path: Path) -> None:
    """It commits to all entries but the last, and keeps those that are no calls and no exchanges."""
    entries = list(CASES[1].contents.entries)
    census = census_of(tmp_path, entries)
    assert census.digest == entries_digest(item.leaf for item in entries[:-1])
    assert (census.count, census.flaws) == (len(entries), [])
    assert census.last is not None
    assert census.last.data == entries[-1].leaf
    assert {leaf.kind for leaf in census.others}.isdisjoint({"call", "exchange"})
    assert census.calls.keys() >= {item.call for item in census.exchanges.values()}


def test_an_entry_twice_is_a_flaw(tmp_path: Path) -> None:
    """A call and its exchange that stand twice have ids that are taken."""
    entries = list(CASES[1].contents.entries)
    again = [LedgerEntry(item.seq + 1000, item.leaf) for item in entries]
    census = census_of(tmp_path, [*entries, *again])
    assert {flaw.code for flaw in census.flaws} == {"entry"}


def test_any_value_as_a_provider_s_id_is_read(tmp_path: Path) -> None:
    """A log's own key can seal an id that is no text: its examples are judged all the same."""

    def tell(story: Story) -> None:
        story.leaf("exchange")["response_id"] = {"a": ["list"]}
        story.leaf("exchange")["continues"] = "resp-1"

    report = verify(forge(CASES[1], tell).write(tmp_path / "bundle"), VKEY)
    assert {found.code for found in report.findings} == {"row"}
