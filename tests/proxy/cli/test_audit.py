"""`inbond audit`: exits 0 for what is true, 1 for what is false, 2 for what cannot be told."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from tests.proxy.ledger.sample import LOG_KEY as OTHER_KEY
from tests.proxy.workshop import NOW, Asked, Workshop


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workspace with a dataset, and an audit of it beside; not to be written to."""
    folder = tmp_path_factory.mktemp("audit")
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(folder / "work")
        made.ask(Asked())
        made.record("dataset", "build", "--student", "gardener")
        checkpoint = made.inbond("ledger", "checkpoint").stdout
        (folder / "checkpoint").write_text(checkpoint)
        made.record("audit", "export", folder / "audit", "--zip", "--recipient", "the regulator")
        yield made


@pytest.fixture
def audit(exported: Workshop, tmp_path: Path) -> Path:
    """A copy of the audit, to be changed."""
    source = exported.directory.parent / "audit"
    return Path(shutil.copytree(source, tmp_path / "audit"))


def test_audits_and_datasets_verify(exported: Workshop) -> None:
    """The audit, its zip and the dataset are true under the pinned key."""
    (dataset,) = exported.settings.datasets_directory.iterdir()
    folder = exported.directory.parent
    for path in (folder / "audit", folder / "audit.zip", dataset):
        result = exported.inbond("audit", "verify", path, "--key", exported.key)
        assert result.exit_code == 0, result.stdout
        assert "rewriting by the key's holder" in result.stdout


def test_verifying_needs_no_workspace(exported: Workshop, audit: Path, tmp_path: Path) -> None:
    """A stranger with the key checks the audit anywhere."""
    stranger = Workshop(directory=tmp_path)
    assert stranger.inbond("audit", "verify", audit, "--key", exported.key).exit_code == 0


def test_an_older_checkpoint_covers_rewriting(exported: Workshop, audit: Path) -> None:
    """With a checkpoint that the reader kept, rewriting by the key's holder is covered."""
    kept = exported.directory.parent / "checkpoint"
    result = exported.inbond("audit", "verify", audit, "--key", exported.key, "--checkpoint", kept)
    assert result.exit_code == 0
    assert "rewriting by the key's holder" not in result.stdout


def test_a_checkpoint_that_is_none_is_found(
    exported: Workshop, audit: Path, tmp_path: Path
) -> None:
    """Bytes that are no checkpoint do not pass, and make no traceback."""
    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff\xfe\x00")
    result = exported.inbond("audit", "verify", audit, "--key", exported.key, "--checkpoint", junk)
    assert result.exit_code in (1, 2)
    assert "--checkpoint 1" in result.stdout


@pytest.mark.parametrize("name", ["entries.jsonl", "openings.jsonl", "tables/examples.parquet"])
def test_a_changed_file_is_found(exported: Workshop, audit: Path, name: str) -> None:
    """One changed byte ends with 1 and names the file."""
    data = bytearray((audit / name).read_bytes())
    data[len(data) // 2] ^= 1
    (audit / name).write_bytes(data)
    result = exported.inbond("audit", "verify", audit, "--key", exported.key)
    assert (result.exit_code, name in result.stdout) == (1, True)


@pytest.mark.parametrize("name", ["dataset/examples.parquet", "dataset/manifest.jsonl"])
def test_a_changed_dataset_is_found(exported: Workshop, tmp_path: Path, name: str) -> None:
    """One changed byte in a dataset ends with 1, and a file taken away does."""
    (dataset,) = exported.settings.datasets_directory.iterdir()
    copy = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    result = exported.inbond("audit", "verify", copy, "--key", exported.key)
    assert (result.exit_code, name in result.stdout) == (1, True)
    (copy / name).unlink()
    assert exported.inbond("audit", "verify", copy, "--key", exported.key).exit_code == 1


def test_a_dataset_past_its_date_cannot_be_told(exported: Workshop) -> None:
    """After `valid_until` every proof still holds, and whether it may be used is open."""
    (dataset,) = exported.settings.datasets_directory.iterdir()
    with time_machine.travel(NOW + timedelta(days=31), tick=True):
        result = exported.inbond("audit", "verify", dataset, "--key", exported.key)
    assert (result.exit_code, "expired" in result.stdout) == (2, True)


def test_what_cannot_be_told_ends_with_2(exported: Workshop, audit: Path, tmp_path: Path) -> None:
    """Another log's key, no key at all, no bundle and no path are not "false"."""
    other = OTHER_KEY.verifier.to_text()
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, key in ((audit, other), (audit, "nonsense"), (empty, exported.key)):
        assert exported.inbond("audit", "verify", path, "--key", key).exit_code == 2
    assert exported.inbond("audit", "verify", tmp_path / "gone", "--key", other).exit_code == 2


def test_programs_get_the_report(exported: Workshop, audit: Path) -> None:
    """With `--json` the four parts of the report are one object."""
    result = exported.inbond("audit", "verify", audit, "--key", exported.key, "--json")
    found = json.loads(result.stdout)
    assert (found["exit_code"], found["findings"]) == (0, [])
    assert found["proven"]
    assert found["claimed"]
    assert found["not_covered"]


@pytest.mark.parametrize("taken", ["new", "new.zip"])
def test_a_taken_path_leaves_nothing_on_record(
    exported: Workshop, tmp_path: Path, taken: str
) -> None:
    """Where the audit or its zip would lie already, nothing is appended."""
    (tmp_path / taken).touch()
    before = exported.size()
    result = exported.inbond("audit", "export", tmp_path / "new", "--zip")
    assert (result.exit_code, "error[path-taken]" in result.stderr) == (1, True)
    assert exported.size() == before


def test_a_dataset_that_is_gone_is_pointed_out(exported: Workshop, tmp_path: Path) -> None:
    """An audit without the examples of a dataset says so where people see it."""
    copy = Workshop(directory=Path(shutil.copytree(exported.directory, tmp_path / "work")))
    (dataset,) = copy.settings.datasets_directory.iterdir()
    shutil.rmtree(dataset)
    result = copy.inbond("audit", "export", tmp_path / "audit")
    assert (result.exit_code, f"`datasets/{dataset.name}` is not here" in result.stderr) == (
        0,
        True,
    )
