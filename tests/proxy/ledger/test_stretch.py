"""A stretch of entries says what it can, and leaves room for what another stretch must add."""

from pathlib import Path

import pytest

from proxy.ledger.bundle import LedgerEntry, entry_line
from proxy.ledger.leaf import read_leaf
from proxy.ledger.merkle import leaf_hash
from proxy.ledger.pieces import Part
from proxy.ledger.stretch import Answered, Asked, Other, Stretch, Wanted, read_stretch, rows_after
from tests.proxy.ledger.sample import dataset_case

ENTRIES = list(dataset_case().contents.entries)
PAIR = [item for item in ENTRIES if read_leaf(0, item.leaf).kind in ("call", "exchange")][:2]


def stretch_of(folder: Path, lines: list[bytes], wanted: Wanted = Wanted()) -> Stretch:  # noqa: B008 - it is frozen
    """What these lines say."""
    path = folder / "lines"
    path.write_bytes(b"".join(lines))
    return read_stretch(wanted, Part(path, 0, path.stat().st_size))


def lines_of(entries: list[LedgerEntry]) -> list[bytes]:
    """The lines of entries."""
    return [entry_line(item) for item in entries]


def test_all_is_told_in_order(tmp_path: Path) -> None:
    """Places, hashes and ids come in the order of the lines; seals only where they are wanted."""
    found = stretch_of(tmp_path, lines_of(ENTRIES))
    assert found.seqs == [item.seq for item in ENTRIES]
    assert found.hashes == [leaf_hash(item.leaf) for item in ENTRIES]
    assert (found.fault, found.seals, found.orphans) == (None, [], [])
    assert {type(said) for said in found.said} == {Asked, Answered, Other}
    wanted = Wanted(has_openings=True, is_dataset=True)
    full = stretch_of(tmp_path, lines_of(ENTRIES), wanted)
    assert full.seals
    (answered, *_) = [said for said in full.said if isinstance(said, Answered)]
    assert (answered.is_whole, answered.verdict) == (True, "permit")


def test_rows_do_not_depend_on_where_the_call_stood(tmp_path: Path) -> None:
    """An exchange apart from its call leaves room for the rows that both together give."""
    together = stretch_of(tmp_path, lines_of(PAIR))
    first = stretch_of(tmp_path, lines_of(PAIR[:1]))
    second = stretch_of(tmp_path, lines_of(PAIR[1:]))
    ((orphan, places),) = second.orphans
    ((_, call),) = first.under_way.items()
    for name, hash_ in rows_after(call, read_leaf(orphan.seq, orphan.data)):
        assert second.rows[name][places[name]] == b""
        second.rows[name][places[name]] = hash_
    assert {name: first.rows[name] + second.rows[name] for name in first.rows} == together.rows


@pytest.mark.parametrize(
    ("line", "is_of_line"), [(b"no JSON\n", True), (b'{"leaf":"{}","seq":9}\n', False)]
)
def test_a_fault_ends_it(line: bytes, is_of_line: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """What stands before a damaged line is told, and which line it is."""
    found = stretch_of(tmp_path, [*lines_of(PAIR), line, *lines_of(PAIR)])
    assert found.fault is not None
    assert (found.fault.line, found.fault.is_of_line) == (2, is_of_line)
    assert len(found.hashes) == 2
