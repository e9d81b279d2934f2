"""Lines on disk: all of them, in order, unreadable to others, and gone when they are let go."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from proxy.batch_spool import Spool
from proxy.ledger.seal import decrypt_body


@given(st.lists(st.binary(max_size=200_000).map(lambda x: x.replace(b"\n", b"")), max_size=5))
def test_lines_come_back_as_they_were(lines: list[bytes]) -> None:
    """However many and however long."""
    spool = Spool(Path("/tmp"))  # noqa: S108 - a file without a name
    for line in lines:
        spool.add([line])
    assert list(spool) == lines
    assert list(spool) == lines
    assert spool.lines == len(lines)
    spool.close()
    assert list(spool) == []


def test_what_lies_on_disk_is_encrypted_and_has_no_name(tmp_path: Path) -> None:
    """The file cannot be opened by name, and holds no line."""
    spool = Spool(tmp_path / "run")
    lines = [b"%06d the words of a customer" % n for n in range(40_000)]
    spool.add(lines)
    assert list((tmp_path / "run").iterdir()) == []
    pieces = list(spool.sealed())
    assert len(pieces) > 3
    assert not any(b"customer" in blob for _, blob in pieces)
    assert (
        b"".join(decrypt_body(salt, blob) for salt, blob in pieces).split()
        == b" ".join(lines).split()
    )
    spool.close()


def test_few_lines_need_no_disk(tmp_path: Path) -> None:
    """A small batch leaves nothing behind, and makes no folder."""
    spool = Spool(tmp_path / "run")
    spool.add([b"one", b"two"])
    assert list(spool) == [b"one", b"two"]
    assert not (tmp_path / "run").exists()
