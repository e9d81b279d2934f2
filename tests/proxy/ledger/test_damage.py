"""Promise P7 by the damage kit: what each of three thieves can do, and what `verify` says of it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from click.testing import CliRunner

from proxy.cli import main
from tests.proxy.ledger.forger import forge
from tests.proxy.ledger.sample import AT, VKEY, resign
from tests.proxy.ledger.ways import CASES, WAYS, Way

KINDS = ("audit", "dataset")
DONE = [
    pytest.param(kind, name, id=f"{name} ({kind})")
    for name, way in WAYS.items()
    for kind in KINDS
    if way.only in (None, kind)
]
TOLD = [each for each in DONE if WAYS[str(each.values[1])].told is not None]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both bundles as they were written, to be copied, and the checkpoint that a reader kept of each."""
    folder = tmp_path_factory.mktemp("pristine")
    for kind in KINDS:
        CASES[kind].write(folder / kind)
        (folder / f"{kind}.kept").write_text(CASES[kind].log.checkpoint())
    return folder


@pytest.fixture(autouse=True)
def _then() -> Iterator[None]:
    """The day on which the bundles were made."""
    with time_machine.travel(AT, tick=False):
        yield


def damaged(pristine: Path, folder: Path, kind: str, way: Way) -> Path:
    """A damaged copy of a bundle."""
    copy = Path(shutil.copytree(pristine / kind, folder / kind))
    way.damage(copy)
    return copy


def judged(path: Path, *kept: Path) -> dict[str, Any]:
    """What `inbond audit verify --json` prints, having ended as it says."""
    options = [part for note in kept for part in ("--checkpoint", str(note))]
    words = ["audit", "verify", str(path), "--key", VKEY, "--json", *options]
    result = CliRunner().invoke(main, words)
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    assert result.exit_code == found["exit_code"]
    return found


def test_the_kit_is_large() -> None:
    """There are more than 23 ways that somebody else than the signer is caught at."""
    assert len([way for way in WAYS.values() if way.said is None]) > 23
    assert len([way for way in WAYS.values() if way.told is not None]) > 8


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_whole_is_true(pristine: Path, kind: str) -> None:
    """Undamaged, and against the checkpoint that was kept, every proof holds."""
    found = judged(pristine / kind, pristine / f"{kind}.kept")
    assert (found["exit_code"], found["findings"]) == (0, [])


@pytest.mark.parametrize(("kind", "name"), DONE)
def test_without_keys_all_are_caught(pristine: Path, tmp_path: Path, kind: str, name: str) -> None:
    """Whoever has no key changes nothing unnoticed: the bundle is false, and a place is named."""
    found = judged(damaged(pristine, tmp_path, kind, WAYS[name]))
    assert found["exit_code"] == 1
    assert all(finding["where"] for finding in found["findings"])


@pytest.mark.parametrize(("kind", "name"), DONE)
def test_the_export_key_changes_only_what_is_said(
    pristine: Path, tmp_path: Path, kind: str, name: str
) -> None:
    """Signed again, what only the signature covers passes and is named so; all else is false."""
    way = WAYS[name]
    bundle = damaged(pristine, tmp_path, kind, way)
    resign(bundle)
    found = judged(bundle, pristine / f"{kind}.kept")
    if way.said is None:
        assert found["exit_code"] == 1
    else:
        assert (found["exit_code"], found["findings"]) == (0, [])
        assert any(way.said in line for line in found["not_covered"])


@pytest.mark.parametrize(("kind", "name"), TOLD)
def test_the_log_key_rewrites_nothing_that_was_kept(
    pristine: Path, tmp_path: Path, kind: str, name: str
) -> None:
    """With all keys another story has its proofs, which is said; a kept checkpoint refutes it."""
    told = WAYS[name].told
    assert told is not None
    forged = forge(CASES[kind], told).write(tmp_path / kind)
    alone = judged(forged)
    assert (alone["exit_code"], alone["findings"]) == (0, [])
    assert "rewriting by the key's holder" in alone["not_covered"]
    held = judged(forged, pristine / f"{kind}.kept")
    assert [finding["code"] for finding in held["findings"]] == ["rewritten"]
    assert held["exit_code"] == 1
