"""Tests of proxy.cli.anchor."""

import asyncio
import json
from pathlib import Path

import pytest

from proxy.anchors import anchors_of
from proxy.cli.anchor import anchor_often
from proxy.cli.openledger import open_ledger
from proxy.errors import ForkError
from proxy.settings import load_settings
from tests.proxy.cli.conftest import Inbond
from tests.proxy.stamping import stamping, stamping_authority


def configure(workspace: Path, text: str) -> None:
    """Add anchors to the settings."""
    with (workspace / "inbond.yaml").open("a") as file:
        file.write(f"anchors: {{{text}}}\n")


def test_without_anchors_nobody_is_told(inbond: Inbond) -> None:
    """The command says how to name somebody."""
    for verb in ("take", "list"):
        result = inbond("anchor", verb)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "nobody is told of checkpoints" in result.stderr


def test_a_time_stamp_is_taken_and_proves_an_audit(
    workspace: Path, inbond: Inbond, tmp_path: Path
) -> None:
    """An authority on the network stamps the checkpoint, and a reader checks that offline."""
    authority = stamping_authority()
    (workspace / "tsa.pem").write_bytes(authority.ca)
    with stamping(authority) as url:
        configure(workspace, f"timestamps: [{{url: '{url}', ca: tsa.pem}}]")
        taken = json.loads(inbond("anchor", "take", "--json").stdout)
    assert (taken["kind"], taken["size"], taken["problem"]) == ("timestamp", 3, None)
    assert json.loads(inbond("anchor", "list", "--json").stdout) == taken
    audit, ca = str(tmp_path / "audit"), str(workspace / "tsa.pem")
    inbond("audit", "export", audit)
    with open_ledger(load_settings(workspace, {})) as ledger:
        key = ledger.signer.verifier.to_text()
    result = inbond("audit", "verify", audit, "--key", key, "--tsa-ca", ca)
    assert result.exit_code == 0, result.stdout
    assert "the first 3 entries stood so by" in result.stdout
    wrong = inbond("audit", "verify", audit, "--key", key, "--witness", key)
    assert (wrong.exit_code, "error[witness-key]" in wrong.stderr) == (2, True)


def test_an_outage_ends_with_1_and_stops_nothing(workspace: Path, inbond: Inbond) -> None:
    """A folder that is away is told with its reason; the log is signed all the same."""
    configure(workspace, "files: [away]")
    result = inbond("anchor", "take", "--json")
    row = json.loads(result.stdout)
    assert (result.exit_code, row["size"]) == (1, None)
    assert "cannot be read: no such file or directory" in row["problem"]
    assert inbond("ledger", "checkpoint").exit_code == 0


def test_a_folder_that_shows_a_fork_stops_the_command(workspace: Path, inbond: Inbond) -> None:
    """A checkpoint of another log in the folder is refused before anything is signed."""
    (workspace / "worm").mkdir()
    (workspace / "worm/9.checkpoint").write_text("changed")
    configure(workspace, "files: [worm]")
    result = inbond("anchor", "take")
    assert (result.exit_code, "error[fork]" in result.stderr) == (1, True)


async def test_a_running_proxy_anchors_by_itself(workspace: Path) -> None:
    """Every so often places are told; an outage is said, and a fork ends the proxy."""
    configure(workspace, "files: [worm], every_s: 0.02")
    settings, told = load_settings(workspace, {}), list[str]()

    def tell(text: str) -> None:
        told.append(text)
        (workspace / "worm").mkdir()
        (workspace / "worm/9.checkpoint").write_text("changed")

    with open_ledger(settings) as ledger:
        anchors = anchors_of(settings, ledger.database, ledger.signer.verifier)
        async with asyncio.timeout(30):
            with pytest.raises(ForkError):
                await anchor_often(anchors, 0.02, tell)
    (said,) = told
    assert said.startswith("not anchored: ")
    assert said.endswith("it is tried again later")
