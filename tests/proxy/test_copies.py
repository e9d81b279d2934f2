"""inbond's own copies of a bundle are found wherever they lie in a workspace, and deleted."""

import json
from pathlib import Path

import pytest

from proxy.copies import copies_in, delete_copy, drafts_in
from proxy.errors import LedgerError
from proxy.ledger.bundle import zip_bundle
from proxy.ledger.writing import BundleWriter
from tests.proxy.ledger.sample import EXPORT_KEY


def bundle(path: Path, subject: str) -> Path:
    """A folder that says it is the bundle of an entry."""
    with BundleWriter(path) as writer:
        writer.add("export.json", json.dumps({"subject": subject}).encode())
        writer.add("keys/export.pem", EXPORT_KEY.public_pem.encode())
        writer.finish(subject, EXPORT_KEY)
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a dataset, a zip of it, an audit in a folder, and other things."""
    place = tmp_path / "work"
    dataset = bundle(place / "datasets" / "d1", "d1")
    bundle(place / "datasets" / "d2", "d2")
    bundle(place / "audits" / "may", "x1")
    bundle(place / "keys" / "odd", "d1")
    zip_bundle(dataset, place / "d1.zip")
    (place / "other.zip").write_bytes(b"no zip")
    (place / "inbond.yaml").write_text("")
    return place


def found(workspace: Path, *entries: str) -> dict[str, list[str]]:
    """Where copies lie, below the workspace."""
    copies = copies_in(workspace, workspace / "datasets", set(entries))
    return {
        entry: [path.relative_to(workspace).as_posix() for path in paths]
        for entry, paths in copies.items()
    }


def test_folders_and_zips_are_found_by_what_they_say(workspace: Path) -> None:
    """The dataset's folder, its zip and the audit are found; keys are not looked into."""
    assert found(workspace, "d1", "x1", "nobody") == {
        "d1": ["d1.zip", "datasets/d1"],
        "x1": ["audits/may"],
    }
    assert found(workspace) == {}


def test_a_damaged_dataset_counts_by_its_folder(workspace: Path) -> None:
    """What cannot be read any more is still the dataset whose folder it lies in."""
    (workspace / "datasets/d1/export.json").write_text("{")
    assert "datasets/d1" in found(workspace, "d1")["d1"]
    (workspace / "audits/may/export.json").write_text("{")
    assert found(workspace, "x1") == {}


def test_copies_are_deleted_once(workspace: Path) -> None:
    """Folder and zip go; deleting what is gone is as it should be."""
    for paths in copies_in(workspace, workspace / "datasets", {"d1"}).values():
        for path in (*paths, *paths):
            delete_copy(path)
    assert found(workspace, "d1") == {}
    assert (workspace / "datasets/d2").is_dir()


def test_a_bundle_unpacked_among_other_files_takes_none_of_them(workspace: Path) -> None:
    """Of one unpacked over a workspace only the files with texts go, and what lies below is found."""
    (workspace / "export.json").write_text(json.dumps({"subject": "x9"}))
    (workspace / "openings.jsonl").write_text("")
    copies = copies_in(workspace, workspace / "datasets", {"x9", "d1"})
    assert copies["x9"] == (workspace / "export.json", workspace / "openings.jsonl")
    assert copies["d1"] == (workspace / "d1.zip", workspace / "datasets/d1")
    for path in copies["x9"]:
        delete_copy(path)
    assert (workspace / "inbond.yaml").exists()
    (workspace / "audits/may/notes.txt").write_text("the auditor's own")
    copies = copies_in(workspace, workspace / "datasets", {"x1"})
    assert copies == {"x1": (workspace / "audits/may/export.json",)}


def test_other_bundles_among_the_datasets_are_found(workspace: Path) -> None:
    """A zip, or an audit, that somebody put beside the datasets is known by what it says."""
    (workspace / "d1.zip").rename(workspace / "datasets/d1.zip")
    (workspace / "audits/may").rename(workspace / "datasets/may")
    assert found(workspace, "d1", "x1") == {
        "d1": ["datasets/d1", "datasets/d1.zip"],
        "x1": ["datasets/may"],
    }


def test_datasets_on_another_disk_are_found(workspace: Path) -> None:
    """Where the folder of datasets is a link, what lies behind it are inbond's own copies too."""
    (workspace / "datasets").rename(workspace.parent / "disk")
    (workspace / "datasets").symlink_to(workspace.parent / "disk")
    draft = workspace / "datasets/.d3.partial"
    draft.mkdir()
    assert drafts_in(workspace, workspace / "datasets") == ()
    (draft / "entries.jsonl").write_text("")
    assert found(workspace, "d1") == {"d1": ["d1.zip", "datasets/d1"]}
    assert drafts_in(workspace, workspace / "datasets") == (draft,)


def test_what_cannot_be_deleted_is_said(tmp_path: Path) -> None:
    """The error names the path and how to go on."""
    target = tmp_path / "file" / "inside"
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="a copy cannot be deleted") as caught:
        delete_copy(target)
    assert caught.value.where == str(target)
    assert "--finish" in caught.value.help
