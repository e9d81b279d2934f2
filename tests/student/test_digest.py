"""Digests name bytes, files and values."""

from hashlib import sha256
from pathlib import Path

from student import digest


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    """Bytes and a file that holds them have one digest, sha256 in hex."""
    data = b"\x00bonded\xff"
    (tmp_path / "file").write_bytes(data)
    assert digest.of_file(tmp_path / "file") == digest.of_bytes(data) == sha256(data).hexdigest()


def test_the_order_of_keys_does_not_matter() -> None:
    """Equal values have equal digests, different ones do not."""
    assert digest.of_value({"a": 1, "b": [2.5]}) == digest.of_value({"b": [2.5], "a": 1})
    assert digest.of_value([1, 2]) != digest.of_value([2, 1])


def test_a_folder_is_its_files_by_name(tmp_path: Path) -> None:
    """Another content, another name or another file gives another digest; other files do not."""
    (tmp_path / "a.py").write_text("1")
    seen = [digest.of_folder(tmp_path, "*.py")]
    (tmp_path / "notes.md").write_text("x")
    assert digest.of_folder(tmp_path, "*.py") == seen[0]
    for change in (
        lambda: (tmp_path / "a.py").write_text("2"),
        lambda: (tmp_path / "a.py").rename(tmp_path / "b.py"),
        (tmp_path / "c.py").touch,
    ):
        change()
        seen.append(digest.of_folder(tmp_path, "*.py"))
    assert len(set(seen)) == 4
