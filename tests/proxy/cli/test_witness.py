"""Tests of proxy.cli.witness."""

import json
import socket
from pathlib import Path

import pytest

from proxy.ledger.cosignature import WitnessVerifier
from proxy.settings import load_settings
from tests.proxy.cli.conftest import Inbond
from tests.proxy.ledger.sample import VKEY


def configure(workspace: Path, text: str) -> None:
    """Add settings of the witness."""
    with (workspace / "inbond.yaml").open("a") as file:
        file.write(f"witness: {{{text}}}\n")


def test_the_key_is_printed_and_stays(workspace: Path, inbond: Inbond) -> None:
    """The first call makes it, each later one prints the same; its secret is never shown."""
    first = inbond("witness", "key", "--name", "acme.example/witness")
    again = json.loads(inbond("witness", "key", "--json").stdout)
    assert (first.exit_code, first.stdout.strip()) == (0, again["witness_key"])
    assert WitnessVerifier.from_text(again["witness_key"]).name == "acme.example/witness"
    secret = (workspace / "keys/witness.key").read_text().strip()
    assert secret not in first.output
    other = inbond("witness", "key", "--name", "another")
    assert (other.exit_code, "error[other-name]" in other.stderr) == (2, True)


def test_a_witness_is_called_after_its_log(workspace: Path, inbond: Inbond) -> None:
    """Without a name it is that of the log."""
    made = json.loads(inbond("witness", "key", "--json").stdout)
    assert made["name"] == f"{load_settings(workspace, {}).origin}/witness"


def test_logs_are_listed(workspace: Path, inbond: Inbond) -> None:
    """Each log that is witnessed has a row, also before its first checkpoint."""
    inbond("witness", "key")
    empty = inbond("witness", "list")
    assert (empty.exit_code, "no log is witnessed" in empty.stderr) == (0, True)
    configure(workspace, f"logs: ['{VKEY}']")
    row = json.loads(inbond("witness", "list", "--json").stdout)
    assert (row["log"], row["size"]) == (VKEY.partition("+")[0], None)


@pytest.mark.parametrize(
    ("text", "code"),
    [("logs: []", "no-logs"), ("logs: [junk]", "bad-value")],
)
def test_a_witness_without_logs_does_not_start(
    workspace: Path, inbond: Inbond, text: str, code: str
) -> None:
    """Nothing to witness, or a key that is none, is said at the start."""
    inbond("witness", "key")
    configure(workspace, text)
    result = inbond("witness", "serve")
    assert (result.exit_code, f"error[{code}]" in result.stderr) == (2, True)


def test_a_witness_without_a_key_does_not_start(workspace: Path, inbond: Inbond) -> None:
    """The key is made on purpose, never on the way."""
    configure(workspace, f"logs: ['{VKEY}']")
    result = inbond("witness", "serve")
    assert (result.exit_code, "witness's key cannot be read" in result.stderr) == (2, True)


def test_a_port_that_is_taken_is_said(workspace: Path, inbond: Inbond) -> None:
    """Another program on the port keeps the witness from starting."""
    inbond("witness", "key")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configure(workspace, f"listen: '127.0.0.1:{port}', logs: ['{VKEY}']")
        result = inbond("witness", "serve")
    assert (result.exit_code, "error[port-taken]" in result.stderr) == (1, True)
