"""Tests of proxy.store.durable."""

from pathlib import Path

import pytest

from proxy.store.durable import replace_durably


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The content is the new one, for its owner alone, and nothing else is left beside it."""
    path = tmp_path / "a"
    for content in (b"one", b"two"):
        replace_durably(path, content)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_refusal_leaves_the_old_file(tmp_path: Path) -> None:
    """Where the new content cannot be written, the old one stays."""
    path = tmp_path / "a"
    replace_durably(path, b"one")
    (tmp_path / "a.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_durably(path, b"two")
    assert path.read_bytes() == b"one"
