"""Bundles are written whole or not at all, and nothing outside them is ever read."""

import json
import os
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BundleError
from proxy.ledger.bundle import (
    LedgerEntry,
    OpenBundle,
    entries_digest,
    entry_line,
    openings_digest,
    read_bundle,
    write_bundle,
    zip_bundle,
)
from proxy.ledger.canonical import canonical
from proxy.ledger.merkle import leaf_hash
from tests.proxy.ledger.sample import EXPORT_KEY, VKEY, audit_case, dataset_case

DATASET = dataset_case()
AUDIT = audit_case()


@given(text=st.text(st.characters(codec="utf-8"), max_size=40), seq=st.integers(0, 2**53 - 1))
def test_a_line_of_an_entry_is_canonical(text: str, seq: int) -> None:
    """However it is written, a line is the canonical bytes of place and leaf."""
    line = canonical({"seq": seq, "leaf": text}) + b"\n"
    assert entry_line(LedgerEntry(seq, text.encode())) == line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A dataset as it was written."""
    return DATASET.write(tmp_path / "bundle")


def test_a_dataset_has_the_files_of_the_design(path: Path) -> None:
    """A dataset holds the files of design §7, and nothing is left beside it."""
    with read_bundle(path) as bundle:
        names = [name for name in bundle.names if name.count("/") < 2]
    kinds = {name.replace(Path(name).stem, "DIGEST") if len(name) > 60 else name for name in names}
    assert kinds == {
        "VERIFY.md",
        "attestations/svr.dsse.json",
        "dataset/README.md",
        "dataset/croissant.json",
        "dataset/examples.parquet",
        "dataset/manifest.jsonl",
        "entries.jsonl",
        "export.json",
        "export.sig",
        "grants/DIGEST.yaml",
        "index.html",
        "keys/export.pem",
        "keys/log.vkey",
        "log/checkpoint",
        "openings.jsonl",
        "policies/DIGEST.json",
        "tables/decisions.parquet",
        "tables/exchanges.parquet",
        "tables/grants.parquet",
        "tables/policies.parquet",
        "tables/terms.parquet",
        "terms/DIGEST.json",
    }
    assert [p.name for p in path.parent.iterdir()] == ["bundle"]


def test_a_dataset_describes_its_table(path: Path) -> None:
    """Croissant names the table by its digest, and the card says how many examples there are."""
    with read_bundle(path) as bundle:
        said = json.loads(bundle.read("dataset/croissant.json"))
        table, card = bundle.read("dataset/examples.parquet"), bundle.read("dataset/README.md")
        count = len(bundle.examples())
    (file,) = said["distribution"]
    assert file["sha256"] == sha256(table).hexdigest()
    assert f"- Examples: {count}\n".encode() in card
    assert said["conformsTo"].endswith("croissant/1.1")


def test_what_was_written_is_read(path: Path) -> None:
    """Entries, openings, examples and `export.json` come back as they were given."""
    contents = DATASET.contents
    with read_bundle(path) as bundle:
        assert bundle.entries() == list(contents.entries)
        assert bundle.examples() == tuple(contents.rows)
        openings = {opening.seal: opening for opening in contents.openings}
        assert bundle.openings() == openings
        assert bundle.about() == {
            "kind": "dataset",
            "origin": "ledger.acme.example",
            "size": 304,
            "subject": "dataset-1",
            "v": 1,
        }
        assert bundle.read("keys/log.vkey").decode().strip() == VKEY


def test_an_index_page_may_be_given(tmp_path: Path) -> None:
    """A report's own first page takes the place of the plain one."""
    contents = replace(AUDIT.contents, files={"index.html": b"report"})
    write_bundle(tmp_path / "bundle", contents, EXPORT_KEY)
    assert (tmp_path / "bundle/index.html").read_bytes() == b"report"


def test_without_openings_a_bundle_is_metadata_only(tmp_path: Path) -> None:
    """A bundle that discloses nothing has no `openings.jsonl`."""
    write_bundle(tmp_path / "bundle", replace(AUDIT.contents, openings=()), EXPORT_KEY)
    with read_bundle(tmp_path / "bundle") as bundle:
        assert "openings.jsonl" not in bundle.names
        assert bundle.openings() == {}


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_an_existing_target_is_refused(kind: str, tmp_path: Path) -> None:
    """Nothing that stands at the target is overwritten."""
    target = tmp_path / "bundle"
    if kind == "file":
        target.write_text("mine")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="already"):
        AUDIT.write(target)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "a//x", ".x", "a b", "a\\x", "", "é"])
def test_extra_files_stay_inside(name: str, tmp_path: Path) -> None:
    """An extra file whose path is not a plain one inside the bundle is refused."""
    contents = replace(AUDIT.contents, files={name: b""})
    with pytest.raises(BundleError, match="not a path inside"):
        write_bundle(tmp_path / "bundle", contents, EXPORT_KEY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["entries.jsonl", "export.sig", "export.json"])
def test_extra_files_replace_nothing(name: str, tmp_path: Path) -> None:
    """An extra file cannot take the place of one that carries proof."""
    contents = replace(AUDIT.contents, files={name: b""})
    with pytest.raises(BundleError, match="a file of the bundle itself"):
        write_bundle(tmp_path / "bundle", contents, EXPORT_KEY)


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Where the disk refuses, the error names the path and the target does not appear."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="could not be written") as caught:
        AUDIT.write(tmp_path / "file" / "bundle")
    assert "file" in caught.value.where


def test_a_bundle_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    """Where the disk refuses one file of many, those before it are taken away again."""
    contents = replace(AUDIT.contents, files={f"attestations/{'x' * 300}": b""})
    with pytest.raises(BundleError, match="could not be written"):
        write_bundle(tmp_path / "bundle", contents, EXPORT_KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_draft_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    """What a crash left half written does not get into the next bundle."""
    draft = tmp_path / ".bundle.partial"
    draft.mkdir()
    (draft / "stray").write_text("")
    AUDIT.write(tmp_path / "bundle")
    assert not (tmp_path / "bundle/stray").exists()
    assert not draft.exists()


def test_the_same_bundle_packs_to_the_same_zip(path: Path, tmp_path: Path) -> None:
    """A zip depends on the files alone, and reads like the directory."""
    zip_bundle(path, tmp_path / "a.zip")
    os.utime(path / "export.json", (0, 0))
    zip_bundle(path, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with read_bundle(path) as folder, read_bundle(tmp_path / "a.zip") as archive:
        assert archive.names == folder.names
        assert all(archive.read(name) == folder.read(name) for name in folder.names)
    with pytest.raises(BundleError, match="something at this path"):
        zip_bundle(path, tmp_path / "a.zip")


def test_an_absent_file_is_named(path: Path) -> None:
    """Asking for a file that is not there says which."""
    with read_bundle(path) as bundle, pytest.raises(BundleError, match=r"has no `notes\.txt`"):
        bundle.read("notes.txt")


def test_a_damaged_zip_names_the_file(path: Path, tmp_path: Path) -> None:
    """A byte changed in a zip is found when the file is read."""
    zip_bundle(path, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        place = archive.getinfo("VERIFY.md").header_offset + 80
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[place] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    with read_bundle(tmp_path / "a.zip") as bundle, pytest.raises(BundleError) as caught:
        bundle.read("VERIFY.md")
    assert caught.value.where == "VERIFY.md"


def test_a_folder_without_export_json_is_no_bundle(tmp_path: Path) -> None:
    """A directory without `export.json` is refused."""
    with pytest.raises(BundleError, match="this is no bundle"):
        read_bundle(tmp_path)


def _with(path: Path, name: str, data: bytes) -> OpenBundle:
    (path / name).write_bytes(data)
    return read_bundle(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{}", "cut short"),
        (b"{}\n", "`seal` is absent"),
        (b"x\n", "not JSON"),
        (b"[]\n", "not a JSON object"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b'{"seal":"a","salt":"!","body":""}\n', "not base64"),
        (b'{"seal":"a","salt":1,"body":""}\n', "`salt` is absent"),
        (b'{"seal":"a","salt":"","body":""}\n' * 2, "opened twice"),
    ],
)
def test_damaged_openings_are_refused(path: Path, data: bytes, message: str) -> None:
    """A line of `openings.jsonl` that is none is refused, and its number is named."""
    with _with(path, "openings.jsonl", data) as bundle, pytest.raises(BundleError, match=message):
        bundle.openings()


def test_damaged_examples_are_refused(path: Path) -> None:
    """A Parquet file that is none is refused under its name."""
    bundle = _with(path, "dataset/examples.parquet", b"PAR1")
    with bundle, pytest.raises(BundleError, match="not a Parquet table") as caught:
        bundle.examples()
    assert caught.value.where == "dataset/examples.parquet"


@given(leaves=st.lists(st.binary(max_size=8), max_size=4))
def test_the_entries_digest_is_over_leaf_hashes(leaves: list[bytes]) -> None:
    """What an entry commits to is the canonical list of leaf hashes in order."""
    expected = json.dumps([leaf_hash(leaf).hex() for leaf in leaves], separators=(",", ":"))
    assert entries_digest(leaves) == sha256(expected.encode()).hexdigest()


@given(seals=st.lists(st.text("0123456789abcdef", max_size=4), max_size=4))
def test_the_openings_digest_is_over_sorted_seals(seals: list[str]) -> None:
    """The order in which seals were opened does not matter."""
    assert openings_digest(seals) == openings_digest(reversed(seals))
    assert openings_digest(seals) == sha256(canonical(sorted(seals))).hexdigest()
