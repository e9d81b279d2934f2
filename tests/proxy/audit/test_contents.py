"""What is written in one pass is what the verifier finds, however many rows there are."""

import json

import pytest

from proxy.audit import contents
from proxy.ledger.bundle import entries_digest, openings_digest, read_bundle
from proxy.ledger.entry import ExportEntry
from proxy.ledger.example import rows_root
from proxy.ledger.tables import from_parquet
from proxy.ledger.verify import verify
from tests.proxy.audit.conftest import Told


def entry_of(told: Told) -> ExportEntry:
    """The entry that made the audit."""
    with read_bundle(told.path) as bundle:
        return ExportEntry.model_validate_json(bundle.entries()[-1].leaf)


def test_the_entry_commits_to_what_was_written(told: Told) -> None:
    """Digests taken while writing are those of the files."""
    entry = entry_of(told)
    with read_bundle(told.path) as bundle:
        assert entry.entries == entries_digest(item.leaf for item in bundle.entries()[:-1])
        assert entry.openings == openings_digest(bundle.openings())
        for name, root in entry.tables.items():
            assert root == rows_root(from_parquet(bundle.read(f"tables/{name}.parquet")))


def test_small_batches_give_the_same_roots(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However a table is cut into batches, its root is the same and the audit verifies."""
    monkeypatch.setattr(contents, "_BATCH", 2)
    target = tmp_path_factory.mktemp("small") / "audit"
    result = told.shop.inbond("audit", "export", target, "--dataset", told.dataset, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["examples"] == 2
    assert verify(target, told.shop.key).exit_code == 0
