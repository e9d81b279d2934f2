"""The files around a release are those that were meant, whole, or there are none."""

from hashlib import sha256
from pathlib import Path

import pytest

from proxy.errors import BundleError, SettingsError
from proxy.ledger.entry import SnapshotEntry
from proxy.ledger.envelope import read_signature
from proxy.release_files import (
    ReleaseWriter,
    digests_in,
    papers_in,
    shipped_licences,
    texts_on_record,
)
from tests.proxy.ledger.sample import AT, EXPORT_KEY, NONCE


def digest(data: bytes) -> str:
    """sha256 (hex) of bytes."""
    return sha256(data).hexdigest()


def test_a_folder_is_written_whole(tmp_path: Path) -> None:
    """What was added and copied is there, hashed, and the signature covers it."""
    (tmp_path / "weights").write_bytes(b"w")
    with ReleaseWriter(tmp_path / "out") as writer:
        writer.copy("model.safetensors", tmp_path / "weights", digest(b"w"))
        writer.add("bom/x.json", b"{}")
        assert writer.digests == {
            "model.safetensors": digest(b"w"),
            "bom/x.json": digest(b"{}"),
        }
        writer.seal("Name", b"notice", EXPORT_KEY)
    found = digests_in(tmp_path / "out")
    assert found.keys() == {"model.safetensors", "bom/x.json", "release.json", "model.sig"}
    assert found["release.json"] == digest(b"notice")
    signature = (tmp_path / "out/model.sig").read_bytes()
    del found["model.sig"]
    assert read_signature(signature, EXPORT_KEY.public_pem) == found


def test_other_weights_leave_nothing(tmp_path: Path) -> None:
    """A file that is not the run's, or not there, ends the release and leaves no folder."""
    (tmp_path / "weights").write_bytes(b"other")
    with (
        pytest.raises(BundleError, match="not the file that the run made") as caught,
        ReleaseWriter(tmp_path / "out") as writer,
    ):
        writer.copy("model.safetensors", tmp_path / "weights", digest(b"w"))
    assert caught.value.code == "weights-changed"
    with (
        pytest.raises(BundleError, match="the weights cannot be read: no such file"),
        ReleaseWriter(tmp_path / "out") as writer,
    ):
        writer.copy("model.safetensors", tmp_path / "gone", digest(b"w"))
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_links_are_no_part_of_a_release(tmp_path: Path) -> None:
    """A link could lead anywhere: it is refused, in a release as among papers."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(BundleError, match="link"):
        digests_in(tmp_path)
    with pytest.raises(SettingsError, match="it is a link"):
        papers_in(tmp_path)
    with pytest.raises(BundleError, match="no folder here"):
        digests_in(tmp_path / "a")


def test_papers_are_read_by_path(tmp_path: Path) -> None:
    """Papers lie below one folder; none is no error, one that is too large or unreadable is."""
    assert papers_in(tmp_path / "papers") == {}
    folder = tmp_path / "papers/licences"
    folder.mkdir(parents=True)
    (folder / "X.txt").write_text("text")
    assert papers_in(tmp_path / "papers") == {"licences/X.txt": b"text"}
    (folder / "X.txt").write_bytes(b"x" * (4 * 2**20 + 1))
    with pytest.raises(SettingsError, match="more than 4 MiB"):
        papers_in(tmp_path / "papers")


def test_a_paper_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file and the system's reason."""
    (tmp_path / "x.md").write_text("x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SettingsError, match="permission denied") as caught:
        papers_in(tmp_path)
    assert caught.value.where.endswith("x.md")


def snapshot(text: bytes, day: int, **said: str) -> SnapshotEntry:
    """A text of a source as it stood on a day of November."""
    fields = {"id": f"s{day}", "at": AT, "actor": "user:1", "action": "import", "nonce": NONCE}
    more = {"source": "acme/licence", "text": digest(text), "origin": "file", "vantage": "here"}
    at = f"2026-11-{day:02}T00:00:00.000Z"
    return SnapshotEntry.model_validate(fields | more | {"taken_at": at, "until": at} | said)


def test_the_newest_text_on_record_counts(tmp_path: Path) -> None:
    """The last one taken is given, if it is still the text that the ledger names."""
    for text in (b"old", b"new"):
        (tmp_path / f"{digest(text)}.txt").write_bytes(text)
    taken = [snapshot(b"new", 20), snapshot(b"old", 3), snapshot(b"x", 24, action="review")]
    wanted = ["acme/licence", "acme/absent"]
    assert texts_on_record(taken, tmp_path, wanted) == {"acme/licence": b"new"}
    assert texts_on_record(taken, tmp_path, ["acme/absent"]) == {}
    (tmp_path / f"{digest(b'new')}.txt").write_bytes(b"edited")
    assert texts_on_record(taken, tmp_path, wanted) == {}
    (tmp_path / f"{digest(b'new')}.txt").unlink()
    assert texts_on_record(taken, tmp_path, wanted) == {}


def test_our_own_licence_comes_along() -> None:
    """The Apache License, under which inbond is, has a text that may be handed on."""
    assert b"Apache License" in shipped_licences()["Apache-2.0"]
