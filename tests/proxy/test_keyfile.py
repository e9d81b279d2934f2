"""Tests of proxy.keyfile."""

import os
import stat
from pathlib import Path

import pytest

from proxy.errors import SettingsError
from proxy.keyfile import read_private, replace_file, write_private


def mode_of(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask, only the owner can read a private file."""
    before = os.umask(0)
    try:
        write_private(tmp_path / "k", b"secret")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "k") == 0o600
    assert read_private(tmp_path / "k", "a key") == b"secret"


def test_a_private_file_is_never_overwritten(tmp_path: Path) -> None:
    """Writing where something stands fails and leaves it alone."""
    write_private(tmp_path / "k", b"first")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "k", b"second")
    assert (tmp_path / "k").read_bytes() == b"first"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A key that others can reach is not used, and the fix is said."""
    write_private(tmp_path / "k", b"canary")
    (tmp_path / "k").chmod(mode)
    with pytest.raises(SettingsError) as caught:
        read_private(tmp_path / "k", "a key")
    assert caught.value.code == "open-to-others"
    assert caught.value.help == f"run `chmod 600 {tmp_path / 'k'}`"
    assert "canary" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A missing file and a directory are refused with the system's reason."""
    with pytest.raises(SettingsError, match="cannot be read: no such file"):
        read_private(tmp_path / "k", "a key")
    with pytest.raises(SettingsError, match="cannot be read: is a directory"):
        read_private(tmp_path, "a key")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Replacing leaves the new content with its mode, and nothing beside it."""
    replace_file(tmp_path / "f", b"one")
    replace_file(tmp_path / "f", b"two", mode=0o600)
    assert (tmp_path / "f").read_bytes() == b"two"
    assert mode_of(tmp_path / "f") == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    """A file that is right already stays the file it is."""
    replace_file(tmp_path / "f", b"one")
    inode = (tmp_path / "f").stat().st_ino
    replace_file(tmp_path / "f", b"one")
    assert (tmp_path / "f").stat().st_ino == inode


def test_a_failed_replacement_leaves_nothing(tmp_path: Path) -> None:
    """Where a file cannot be put in place, no half of it is left behind."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "in").touch()
    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "d", b"x")
    assert list(tmp_path.iterdir()) == [tmp_path / "d"]
