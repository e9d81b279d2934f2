"""A bundle is written whole and signed, or not at all."""

from hashlib import sha256
from pathlib import Path

import pytest

from proxy.errors import BundleError
from proxy.ledger.envelope import SIGNATURE, ExportKey, read_signature
from proxy.ledger.writing import BundleWriter

KEY = ExportKey.generate(bytes(32))


def test_each_file_is_signed_as_it_was_written(tmp_path: Path) -> None:
    """Written at once, in pieces or by somebody else, the signature covers it."""
    with BundleWriter(tmp_path / "b") as writer:
        writer.add("a.txt", b"one")
        writer.begin("deep/b.txt").write(b"tw")
        writer.resume("deep/b.txt").write(b"o")
        writer.end("deep/b.txt")
        writer.place("c.txt").write_bytes(b"three")
        writer.take("c.txt")
        writer.finish("subject", KEY)
    signed = read_signature((tmp_path / "b" / SIGNATURE).read_bytes(), KEY.public_pem)
    assert signed == {
        name: sha256(text).hexdigest()
        for name, text in {"a.txt": b"one", "deep/b.txt": b"two", "c.txt": b"three"}.items()
    }


def write(target: Path, *names: str, problem: Exception | None = None) -> None:
    """A bundle of empty files that is never finished."""
    with BundleWriter(target) as writer:
        for name in names:
            writer.add(name, b"")
        writer.begin("open").write(b"half")
        if problem is not None:
            raise problem


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Without `finish` neither the bundle nor a half of it is there."""
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "b", "a.txt", problem=ZeroDivisionError())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../out", ".hidden", "a\\b", SIGNATURE, "taken"])
def test_a_path_that_is_none_of_a_bundle_is_refused(tmp_path: Path, name: str) -> None:
    """No file leaves the bundle, stands in for the signature or for another file."""
    with pytest.raises(BundleError):
        write(tmp_path / "b", "taken", name)


def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    """What the system refuses becomes an error with its place."""
    with pytest.raises(BundleError, match="could not be written: no space"):
        write(tmp_path / "b", problem=OSError(28, "no space", "file"))
