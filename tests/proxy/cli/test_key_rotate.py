"""Tests of proxy.cli.key_rotate."""

import json
import os
import sys
from pathlib import Path

import pytest

from proxy.keys import load_keys
from proxy.ledger.checkpoint import LogKey
from proxy.settings import load_settings
from proxy.store.lock import try_lock
from tests.proxy.cli.conftest import Inbond


def vkey(workspace: Path) -> str:
    """The log key in the workspace."""
    return load_keys(workspace / "keys").log.verifier.to_text()


def audit(inbond: Inbond, target: Path, key: str) -> str:
    """What verifying a fresh audit under a key prints; it is true."""
    assert inbond("audit", "export", str(target), "--metadata-only").exit_code == 0
    verified = inbond("audit", "verify", str(target), "--key", key)
    assert verified.exit_code == 0, verified.stdout
    return verified.stdout


def test_readers_of_the_old_log_key_follow(workspace: Path, inbond: Inbond, tmp_path: Path) -> None:
    """An audit made after two rotations is true under every key, and says which to pin."""
    old = vkey(workspace)
    keys = [old]
    for _ in range(2):
        done = json.loads(inbond("key", "rotate", "log", "--json").stdout)
        assert (done["retired"], done["log_key"]) == (keys[-1], vkey(workspace))
        keys.append(done["log_key"])
    said = [audit(inbond, tmp_path / f"audit{n}", key) for n, key in enumerate(keys)]
    assert [text.count("handed the log over") for text in said] == [2, 1, 0]
    assert "signed by the pinned key" in said[2]


def test_bundles_of_both_export_keys_are_true(
    workspace: Path, inbond: Inbond, tmp_path: Path
) -> None:
    """What the old key signed before stays true; what it signs after its end does not."""
    old_pem = (workspace / "keys/export.pem").read_bytes()
    audit(inbond, tmp_path / "before", vkey(workspace))
    done = json.loads(inbond("key", "rotate", "export", "--json").stdout)
    assert done["retired"] != done["export_key"]
    audit(inbond, tmp_path / "after", vkey(workspace))
    before = inbond("audit", "verify", str(tmp_path / "before"), "--key", vkey(workspace))
    assert before.exit_code == 0
    (workspace / "keys/export.pem").write_bytes(old_pem)
    inbond("audit", "export", str(tmp_path / "stolen"))
    stolen = inbond("audit", "verify", str(tmp_path / "stolen"), "--key", vkey(workspace))
    assert (stolen.exit_code, "export-key" in stolen.stdout) == (1, True)


@pytest.mark.parametrize("which", ["log", "export"])
def test_no_key_is_replaced_under_a_running_proxy(
    workspace: Path, inbond: Inbond, which: str
) -> None:
    """A proxy holds the old key in memory: it is stopped first."""
    settings = load_settings(workspace, {})
    held = try_lock(settings.run_directory / "proxy.lock")
    assert held is not None
    result = inbond("key", "rotate", which)
    os.close(held)
    assert (result.exit_code, "error[runs-already]" in result.stderr) == (1, True)
    assert not list((workspace / "keys").glob("*.next"))


def test_a_ledger_verifies_after_its_key_was_replaced(workspace: Path, inbond: Inbond) -> None:
    """Checkpoints of retired keys count as the log's own."""
    for _ in range(2):
        assert inbond("key", "rotate", "log").exit_code == 0
    verified = inbond("ledger", "verify", "--json")
    assert verified.exit_code == 0, verified.stdout


SIGNING = """\
import sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
key = Ed25519PrivateKey.from_private_bytes(bytes(32))
sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read()))
"""


def test_a_program_takes_over_and_gives_back(
    workspace: Path, inbond: Inbond, tmp_path: Path
) -> None:
    """After `--to-signer` a program signs, without a key here; another rotation ends that."""
    old = vkey(workspace)
    kms = LogKey.generate(load_settings(workspace, {}).origin, bytes(32))
    (workspace / "sign.py").write_text(SIGNING)
    before = (workspace / "inbond.yaml").read_text()
    absent = inbond("key", "rotate", "log", "--to-signer")
    assert (absent.exit_code, "error[no-signer]" in absent.stderr) == (2, True)
    signer = {"command": [sys.executable, "sign.py"], "key": kms.verifier.to_text()}
    (workspace / "inbond.yaml").write_text(f"{before}signer: {json.dumps(signer)}\n")
    wrong = inbond("ledger", "checkpoint")
    assert (wrong.exit_code, "error[fork]" in wrong.stderr) == (1, True)
    done = json.loads(inbond("key", "rotate", "log", "--to-signer", "--json").stdout)
    assert done["log_key"] == kms.verifier.to_text()
    assert not (workspace / "keys/log.key").exists()
    assert "handed the log over" in audit(inbond, tmp_path / "audit", old)
    back = inbond("key", "rotate", "log", "--json")
    assert (back.exit_code, "take `signer` out" in back.stderr) == (0, True)
    (workspace / "inbond.yaml").write_text(before)
    assert audit(inbond, tmp_path / "again", old).count("handed the log over") == 2


def test_receipts_and_audits_are_anchored_as_they_are_made(
    workspace: Path, inbond: Inbond, tmp_path: Path
) -> None:
    """The checkpoint of an audit itself is shown to others; an outage keeps nobody waiting."""
    (workspace / "worm").mkdir()
    with (workspace / "inbond.yaml").open("a") as settings:
        settings.write("anchors: {files: [worm, away]}\n")
    audit(inbond, tmp_path / "audit", vkey(workspace))
    assert [path.name for path in (workspace / "worm").iterdir()] == ["4.checkpoint"]
    reported = json.loads(inbond("status", "--json").stdout)
    assert [(each["size"], each["problem"] is None) for each in reported["anchors"]] == [
        (4, True),
        (-1, False),
    ]
