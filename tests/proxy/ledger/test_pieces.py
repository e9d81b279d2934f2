"""Long files are read piece by piece, in a directory as in a zip, and never beyond the bundle."""

import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from proxy.errors import BundleError
from proxy.ledger import pieces
from proxy.ledger.pieces import Pieces, open_plain, parts_of
from proxy.ledger.source import Archive, Folder

LONG = b"".join(b"line %d\n" % number for number in range(300_000))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a long file and a short one."""
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/long.jsonl").write_bytes(LONG)
    (tmp_path / "in/short").write_bytes(b"x")
    return tmp_path / "in"


def test_a_directory_and_its_zip_hold_the_same(folder: Path, tmp_path: Path) -> None:
    """Digests and lines do not depend on how a bundle is packed; what was unpacked is deleted."""
    with zipfile.ZipFile(tmp_path / "a.zip", "x", zipfile.ZIP_DEFLATED) as archive:
        for name in ("sub/long.jsonl", "short"):
            archive.write(folder / name, name)
    packed = Archive(tmp_path / "a.zip")
    for source in (Folder(folder), packed):
        files = Pieces(source)
        assert files.digest("short") == sha256(b"x").hexdigest()
        assert files.digest("sub/long.jsonl") == sha256(LONG).hexdigest()
        path = files.path("sub/long.jsonl")
        assert files.path("sub/long.jsonl") == path
        assert path.read_bytes() == LONG
        files.close()
        assert path.exists() is isinstance(source, Folder)
    packed.close()


def test_parts_are_whole_lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the parts, together they are the lines of the file."""
    monkeypatch.setattr(pieces, "_PART_BYTES", 100_000)
    parts = parts_of(folder / "sub/long.jsonl", "long")
    assert len(parts) > 20
    assert [line for part in parts for line in part.lines()] == LONG.split(b"\n")[:-1]


def test_a_last_line_without_an_end_is_cut_short(folder: Path) -> None:
    """A file that ends within a line is damaged; an empty one has no lines."""
    (folder / "cut").write_bytes(b"one\ntwo")
    (folder / "none").write_bytes(b"")
    with pytest.raises(BundleError, match="cut short"):
        parts_of(folder / "cut", "cut")
    assert parts_of(folder / "none", "none") == []


def test_a_file_that_grew_is_refused(folder: Path) -> None:
    """A long file of another length than when the bundle was opened is damaged."""
    files = Pieces(Folder(folder))
    with (folder / "sub/long.jsonl").open("ab") as file:
        file.write(LONG)
    with pytest.raises(BundleError, match="not as long as stated"):
        files.digest("sub/long.jsonl")


def test_a_link_is_not_followed(folder: Path) -> None:
    """A link that was put in a file's place since leads nowhere."""
    (folder / "short").unlink()
    (folder / "short").symlink_to(folder / "sub/long.jsonl")
    with pytest.raises(OSError, match="symbolic links"):
        open_plain(folder / "short")
