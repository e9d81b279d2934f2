"""The files of a bundle are those inside it: no link, no way out, no bomb."""

import stat
import zipfile
from pathlib import Path

import pytest

from proxy.errors import BundleError
from proxy.ledger import source
from proxy.ledger.source import Archive, Folder, check_limits, check_path


def pack(path: Path, *names: str, mode: int = stat.S_IFREG) -> Path:
    """A zip with these names, whatever they are."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o644) << 16
            archive.writestr(info, b"content")
    return path


def test_a_folder_lists_its_files(tmp_path: Path) -> None:
    """Files are listed by path with their size, folders are not."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.txt").write_bytes(b"content")
    folder = Folder(tmp_path)
    assert folder.sizes == {"a/b.txt": 7}
    assert folder.read("a/b.txt") == b"content"
    folder.close()


@pytest.mark.parametrize("target", ["b.txt", "/etc/hostname", "nowhere", "."])
def test_links_in_a_folder_are_refused(tmp_path: Path, target: str) -> None:
    """A link is refused wherever it leads, also to a folder."""
    (tmp_path / "b.txt").write_bytes(b"content")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(BundleError, match="`link` is a link"):
        Folder(tmp_path)


def test_a_link_put_there_since_is_not_followed(tmp_path: Path) -> None:
    """A file that became a link after it was listed is not read."""
    (tmp_path / "a").write_bytes(b"content")
    folder = Folder(tmp_path)
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="symbolic link"):
        folder.read("a")


def test_a_zip_lists_its_files(tmp_path: Path) -> None:
    """Files are listed by path with their size, folders are not."""
    archive = Archive(pack(tmp_path / "z", "a/", "a/b.txt"))
    assert archive.sizes == {"a/b.txt": 7}
    assert archive.read("a/b.txt") == b"content"
    archive.close()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "C:x", "a\\..\\x", ".git/x"])
def test_paths_that_lead_out_of_a_zip_are_refused(tmp_path: Path, name: str) -> None:
    """A name that could be unpacked outside, or hide, is refused."""
    with pytest.raises(BundleError, match="not a path inside a bundle"):
        Archive(pack(tmp_path / "z", name))


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    """A link in a zip is refused."""
    with pytest.raises(BundleError, match="is a link"):
        Archive(pack(tmp_path / "z", "a", mode=stat.S_IFLNK))


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Readers differ in which of two files of one name they take: neither is."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = pack(tmp_path / "z", "a", "a")
    with pytest.raises(BundleError, match="stands twice"):
        Archive(path)


def test_an_unusual_packing_is_refused(tmp_path: Path) -> None:
    """Only stored and deflated files are read."""
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"content")
    with pytest.raises(BundleError, match="unusual way"):
        Archive(tmp_path / "z")


def test_a_file_longer_than_stated_is_not_read_whole(tmp_path: Path) -> None:
    """The size a zip states is never trusted: a file of another length is refused."""
    archive = Archive(pack(tmp_path / "z", "a"))
    archive.sizes["a"] = 3
    with pytest.raises(BundleError, match="not as long as stated"):
        archive.read("a")
    archive.close()


@pytest.mark.parametrize("path", ["absent", "text"])
def test_what_is_no_zip_is_refused(tmp_path: Path, path: str) -> None:
    """A path that is absent or no zip is refused."""
    (tmp_path / "text").write_text("text")
    with pytest.raises(BundleError, match="neither a directory nor a whole zip"):
        Archive(tmp_path / path)


@pytest.mark.parametrize("path", ["a", "a/b-c_d.e", "x001/234.p/5", "log+1/k=v@2"])
def test_plain_paths_pass(path: str) -> None:
    """Letters, digits and `._+=@-` make a path."""
    check_path(path)


def test_limits_hold() -> None:
    """Too many files, too many bytes and one file too large are refused."""
    check_limits({"a": source.MAX_FILE_BYTES})
    with pytest.raises(BundleError, match="`a` is too large"):
        check_limits({"a": source.MAX_FILE_BYTES + 1})
    with pytest.raises(BundleError, match="bundle is too large"):
        check_limits({str(number): source.MAX_FILE_BYTES for number in range(17)})
    with pytest.raises(BundleError, match="bundle is too large"):
        check_limits(dict.fromkeys(map(str, range(source.MAX_FILES + 1)), 0))
