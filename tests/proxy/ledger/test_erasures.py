"""An exchange that was erased is in no dataset sealed later, or the bundle is false."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from proxy.errors import BundleError
from proxy.ledger.bundle import LedgerEntry, OpenBundle, read_bundle
from proxy.ledger.canonical import canonical
from proxy.ledger.entry import EraseEntry
from proxy.ledger.erasures import check_erasures
from proxy.ledger.leaf import Leaf, read_leaf
from proxy.ledger.report import Report
from proxy.ledger.tables import Column, Table, to_parquet
from proxy.ledger.verify import verify
from tests.proxy.ledger.sample import AT, NONCE, VKEY, Log, dataset_case

EXAMPLES = "tables/examples.parquet"


def erase(*exchanges: str, name: str = "erase-1") -> EraseEntry:
    """An erasure of exchanges."""
    return EraseEntry(
        id=name,
        at=AT,
        actor="user:1",
        erasure=name,
        ground="person",
        exchanges=list(exchanges),
        reason="asked",
        nonce=NONCE,
    )


def erased_before(folder: Path, *exchanges: str) -> Report:
    """What verifying a dataset finds that was sealed after these exchanges were erased."""

    def extra(log: Log) -> list[LedgerEntry]:
        return [log.append(erase(*exchanges))]

    return verify(dataset_case(extra=extra).write(folder / "dataset"), VKEY)


def test_an_erased_row_in_a_later_dataset_is_a_fault(tmp_path: Path) -> None:
    """The exchange and the dataset are named."""
    report = erased_before(tmp_path, "first")
    assert report.exit_code == 1
    assert [(f.code, f.message) for f in report.findings] == [
        ("erased-row", "exchange `first` was erased before dataset `dataset-1` was sealed with it")
    ]


def test_other_erasures_are_as_they_should_be(tmp_path: Path) -> None:
    """What was erased and is no row is no fault; how many were looked at is said."""
    report = erased_before(tmp_path, "left-out", "elsewhere")
    assert report.exit_code == 0
    assert "none of the 2 erased exchanges" in " ".join(report.proven)


def leaves_of(*documents: dict[str, object]) -> list[Leaf]:
    """Leaves that say only what is asked of them here."""
    return [
        read_leaf(seq, canonical({"v": 1, "id": f"e{seq}", "at": AT, "actor": "u", **document}))
        for seq, document in enumerate(documents)
    ]


def dataset(name: str) -> dict[str, object]:
    """The leaf of a dataset."""
    texts = ("student", "root", "manifest", "decision_bundle", "valid_until", "entries")
    empty: dict[str, list[str]] = {"policies": [], "terms": [], "grants": []}
    said = dict.fromkeys((*texts, "openings", "recipient"), "x")
    return {"kind": "dataset", "dataset": name, "rows": 1, **said, **empty}


def audit_of(folder: Path, rows: Sequence[dict[str, object]]) -> OpenBundle:
    """An audit that lists examples."""
    (folder / "tables").mkdir(parents=True)
    (folder / "export.json").write_text(json.dumps({"kind": "audit", "subject": "e9"}))
    columns = {name: Column.TEXT for name in rows[0] if name != "contributors"}
    if "contributors" in rows[0]:
        columns["contributors"] = Column.LIST
    (folder / EXAMPLES).write_bytes(to_parquet(Table(columns=columns, rows=rows)))  # type: ignore[arg-type] # plain values
    return read_bundle(folder)


LEAVES = leaves_of(dataset("before"), erase("gone").model_dump(mode="json"), dataset("after"))


@pytest.mark.parametrize(
    ("row", "codes"),
    [
        ({"dataset": "before", "exchange": "gone", "contributors": []}, []),
        ({"dataset": "after", "exchange": "gone", "contributors": []}, ["erased-row"]),
        ({"dataset": "after", "exchange": "child", "contributors": ["gone"]}, ["erased-row"]),
        ({"dataset": "after", "exchange": "other", "contributors": []}, []),
        ({"dataset": "unknown", "exchange": "gone", "contributors": []}, []),
        ({"dataset": "after", "exchange": "gone"}, ["erased-row"]),
    ],
)
def test_an_audit_shows_it_of_every_dataset(
    tmp_path: Path, row: dict[str, object], codes: list[str]
) -> None:
    """Rows of datasets sealed before the erasure are as they should be; later ones are faults."""
    report = Report()
    with audit_of(tmp_path / "audit", [row]) as bundle:
        check_erasures(bundle, LEAVES, frozenset({EXAMPLES}), report)
    assert [finding.code for finding in report.findings] == codes
    # Nothing is proven of a dataset whose rows are not all listed.
    is_listed = row["dataset"] == "after"
    assert bool(report.proven) is (is_listed and not codes)
    assert bool(report.not_covered) is not is_listed


def test_no_other_file_stands_in_for_the_examples(tmp_path: Path) -> None:
    """A manifest that somebody put into an audit shows nothing, and neither does a changed table."""
    row: dict[str, object] = {"dataset": "after", "exchange": "gone", "contributors": []}
    with audit_of(tmp_path / "audit", [row]) as bundle:
        report, unsigned = Report(), Report()
        (tmp_path / "audit/dataset").mkdir()
        (tmp_path / "audit/dataset/manifest.jsonl").write_bytes(b"")
        with read_bundle(tmp_path / "audit") as padded:
            intact = frozenset({EXAMPLES, "dataset/manifest.jsonl"})
            check_erasures(padded, LEAVES, intact, report)
        check_erasures(bundle, LEAVES, frozenset(), unsigned)
    assert [finding.code for finding in report.findings] == ["erased-row"]
    assert (unsigned.proven, len(unsigned.not_covered)) == ([], 1)


def test_examples_that_name_no_exchange_are_damaged(tmp_path: Path) -> None:
    """A table without its column cannot be checked, and is no proof of anything."""
    with (
        audit_of(tmp_path / "audit", [{"dataset": "after"}]) as bundle,
        pytest.raises(BundleError, match="name no exchange"),
    ):
        check_erasures(bundle, LEAVES, frozenset({EXAMPLES}), Report())


def test_without_examples_nothing_is_learned(tmp_path: Path) -> None:
    """An audit without a table of examples, or with one that is not signed, has no row to find."""
    report = Report()
    row: dict[str, object] = {"dataset": "after", "exchange": "gone", "contributors": []}
    with audit_of(tmp_path / "audit", [row]) as bundle:
        check_erasures(bundle, LEAVES, frozenset(), report)
        check_erasures(bundle, LEAVES[:1], frozenset({EXAMPLES}), report)
    assert not report.findings


def test_without_pyarrow_it_is_not_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier without pyarrow says that it did not look."""
    row: dict[str, object] = {"dataset": "after", "exchange": "gone", "contributors": []}
    report = Report()
    with audit_of(tmp_path / "audit", [row]) as bundle:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        check_erasures(bundle, LEAVES, frozenset({EXAMPLES}), report)
    assert report.not_covered == ["erased rows in later datasets: pyarrow is not installed"]
